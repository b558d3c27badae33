"""Answers API Gateway's question whose key this is: `Authorization: Bearer <key>`, or `x-api-key: <key>`."""

from __future__ import annotations

from typing import Any

from tollgate import runtime
from tollgate.domain.keys import digest
from tollgate.store.api_keys import ApiKeys

_keys = ApiKeys(runtime.table())

_BEARER = "bearer "


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """A simple response (payload format 2.0): the key's environment, scope and id for the functions, or a refusal."""
    headers: dict[str, str] = event["headers"]
    authorization = headers.get("authorization", "")
    text = authorization[len(_BEARER) :] if authorization.lower().startswith(_BEARER) else headers.get("x-api-key", "")
    key = _keys.find(digest(text.strip())) if text else None
    if key is None:
        return {"isAuthorized": False}
    return {
        "isAuthorized": True,
        "context": {"environment": key.environment.value, "scope": key.scope.value, "key_id": key.id},
    }
