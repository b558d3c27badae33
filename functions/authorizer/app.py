"""Answers API Gateway's question whose key this is: `Authorization: Bearer <key>`, or `x-api-key: <key>`."""

from __future__ import annotations

from typing import Any

from tollgate import runtime

_api_keys = runtime.api_keys()

_BEARER = "bearer "
NOBODY = {"isAuthorized": True, "context": {"environment": "sandbox", "scope": "publishable", "key_id": ""}}
"""A call without any key, which API Gateway has not refused itself: the functions do, with 401 in the dialect's shape."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """A simple response (payload format 2.0): the key's environment, scope and id for the functions, or a refusal."""
    cached = event["identitySource"] != [event.get("routeKey")]  # by API Gateway, under the key
    if not cached and not {name.lower() for name in event["headers"]} & {"x-api-key", "authorization"}:
        return NOBODY
    key = (_api_keys.find if cached else _api_keys.remembered)(_presented(event))
    if key is None:
        return {"isAuthorized": False}
    return {
        "isAuthorized": True,
        "context": {"environment": key.environment.value, "scope": key.scope.value, "key_id": key.id},
    }


def _presented(event: dict[str, Any]) -> str:
    """The key in the identity source, or nothing.

    API Gateway caches the answer under the identity source, so nothing else in the request may have a say in it. Where
    the source is the route's own key nothing is cached, and whichever header came is read: `x-api-key` first, as the
    functions do. A caller cannot make a header pass for that: the source would then be the header too.
    """
    (source,) = event["identitySource"]
    headers = {name.lower(): value for name, value in event["headers"].items()}
    key, bearer = headers.get("x-api-key"), headers.get("authorization")
    if source == event.get("routeKey") and source not in (key, bearer):
        return str(key) if key is not None else _bearer(bearer or "")
    return _bearer(source) or (str(source) if key == source else "")


def _bearer(text: str) -> str:
    return text[len(_BEARER) :].strip() if text.lower().startswith(_BEARER) else ""
