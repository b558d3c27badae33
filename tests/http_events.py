"""API Gateway's events (HTTP API, payload format 2.0), as small as they may be."""

from __future__ import annotations

import json
from typing import Any


def http_event(
    route: str, body: Any = None, *, headers: dict[str, str] | None = None, query: str = "", **_: Any
) -> dict[str, Any]:
    """`route` is `METHOD /path`; `body` a JSON value, or text as it is; `query` as it stands in the URL."""
    method, path = route.split(" ")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": "application/json", **(headers or {})},
        "requestContext": {"http": {"method": method, "path": path}, "routeKey": route, "stage": "$default"},
        "isBase64Encoded": False,
    }
    if body is not None:
        event["body"] = body if isinstance(body, str) else json.dumps(body)
    return event


def authorized(
    event: dict[str, Any], *, environment: str = "sandbox", scope: str = "secret", key_id: str = "key_test", **_: Any
) -> dict[str, Any]:
    """The event as it is behind the authorizer."""
    found = {"environment": environment, "scope": scope, "key_id": key_id}
    return {**event, "requestContext": {**event["requestContext"], "authorizer": {"lambda": found}}}


def unauthorized(event: dict[str, Any], reason: str) -> dict[str, Any]:
    """The event as it is behind the authorizer, which found no caller."""
    context = {**event["requestContext"], "authorizer": {"lambda": {"refused": reason}}}
    return {**event, "requestContext": context}


def assert_contains(whole: Any, part: Any) -> None:
    """Every key of `part` is in `whole`, with that value."""
    if not isinstance(part, dict):
        assert whole == part
        return
    for key, value in part.items():
        assert key in whole
        assert_contains(whole[key], value)
