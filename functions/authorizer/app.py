"""Answers API Gateway's question whose key this is: `Authorization: Bearer <key>`, or `x-api-key: <key>`."""

from __future__ import annotations

from typing import Any

from tollgate import runtime
from tollgate.domain.errors import BadKeyReason

_api_keys = runtime.api_keys()

_BEARER = "bearer "


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """A simple response (payload format 2.0) with what the functions are to know: the key's environment, scope and id; or
    why there is no caller.

    API Gateway would answer a refusal with a 403 in a body of its own. So it is the function that refuses, with the
    status, code and body that clients of its dialect know.
    """
    cached = event["identitySource"] != [event.get("routeKey")]  # by API Gateway, under the key
    text = _presented(event)
    key = (_api_keys.find if cached else _api_keys.remembered)(text)
    if key is not None and not key.is_expired(runtime.clock()):
        _api_keys.note_use(key, runtime.clock(), runtime.aside)
        known = {"environment": key.environment.value, "scope": key.scope.value, "key_id": key.id}
        return {"isAuthorized": True, "context": known}
    return {"isAuthorized": True, "context": {"refused": _reason(event, text).value}}


def _reason(event: dict[str, Any], text: str) -> BadKeyReason:
    if text:
        return BadKeyReason.UNKNOWN
    sent = {name.lower() for name, value in event["headers"].items() if value.strip()}
    return BadKeyReason.MALFORMED if sent & {"authorization", "x-api-key"} else BadKeyReason.MISSING


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
