"""The path that a route has, wherever its API is mounted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def path_of(event: Mapping[str, Any]) -> str:
    """An HTTP API event's path without the base path of a custom domain, which API Gateway leaves in `rawPath`.

    The route's key (`GET /v1/customers/{id}`) knows no base path: the path begins where the key's own beginning, up to its
    first `{`, is found first. So a base path may not have such a beginning in it (docs/operations.md).
    """
    raw: str = event["rawPath"]
    beginning = event["routeKey"].partition(" ")[2].partition("{")[0]
    return raw if raw.startswith(beginning) else raw[max(0, raw.find(beginning)) :]
