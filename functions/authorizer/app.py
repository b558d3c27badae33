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
    text = _presented(event)
    key = _keys.find(digest(text)) if text else None
    if key is None:
        return {"isAuthorized": False}
    return {
        "isAuthorized": True,
        "context": {"environment": key.environment.value, "scope": key.scope.value, "key_id": key.id},
    }


def _presented(event: dict[str, Any]) -> str:
    """The key in the identity source, or nothing.

    API Gateway caches the answer under the identity source, so nothing else in the request may have a say in it.
    """
    (source,) = event["identitySource"]
    if source.lower().startswith(_BEARER):
        return str(source[len(_BEARER) :]).strip()
    headers = {name.lower(): value for name, value in event["headers"].items()}
    return str(source) if headers.get("x-api-key") == source else ""
