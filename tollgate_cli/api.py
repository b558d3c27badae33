"""The management API as the command line calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx


class ApiError(RuntimeError):
    """The API refused a call; the message holds its status and words."""

    def __init__(self, call: str, answer: httpx.Response) -> None:
        super().__init__(f"{call}: {answer.status_code} {answer.text}")
        self.status = answer.status_code
        self.exists = answer.status_code == 409 or "product_already_exists" in answer.text


class Api:
    """One stack's API under one key."""

    def __init__(self, url: str, key: str, connections: int = 8) -> None:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        headers = {"authorization": f"Bearer {key}"}
        self._client = httpx.Client(base_url=url, headers=headers, limits=limits, timeout=30, trust_env=False)

    def call(self, name: str, body: Any) -> Any:
        """`POST /v1/<name>`; raises ApiError where the answer is no success."""
        answer = self._client.post(f"/v1/{name}", json=body)
        if not answer.is_success:
            raise ApiError(name, answer)
        return answer.json()


def apply_catalog(api: Api, path: Path) -> tuple[int, int]:
    """Creates what the file names and the stack has not: (created, already there).

    The file is JSON: `features` and `plans`, each a list of bodies of `features.create` and `plans.create`.
    """
    catalog = json.loads(path.read_text())
    created = kept = 0
    for noun in ("features", "plans"):
        for body in catalog.get(noun, ()):
            try:
                api.call(f"{noun}.create", body)
                created += 1
            except ApiError as error:
                if not error.exists:
                    raise
                kept += 1
    return created, kept
