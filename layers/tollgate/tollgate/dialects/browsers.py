"""Calls from pages of other origins (CORS): which may read an answer, and what they may do (management.md 14).

A browser asks first, by an OPTIONS call without a key (a preflight), whether a page may send its call. The template has a
route without an authorizer for those, on each path that a publishable key may call and on no other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from tollgate.dialects.edge import Dialect, handle
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.paths import path_of
from tollgate.domain.api_keys import Scope
from tollgate.domain.errors import Forbidden

_REMEMBERED_S = "7200"  # for how long a browser may remember a preflight's answer: no browser does for longer than this


def handle_from_pages(
    origins: Collection[str],
    event: Mapping[str, Any],
    dialect: Dialect,
    route: Callable[[Request], Answer],
    clock: Callable[[], int],
    defect: Callable[[str], None],
) -> dict[str, Any]:
    """As `edge.handle`, and lets pages of these `origins` read the answer. Never raises."""
    if event["requestContext"]["http"]["method"] == "OPTIONS":
        return _preflight(event, origins)
    origin = _origin_of(event, origins)
    if not origin:
        return handle(event, dialect, route, clock, defect)
    answer = handle(event, dialect, lambda request: _from_page(request, route), clock, defect)
    return {
        **answer,
        "headers": {**answer["headers"], **_allowed(origin), "access-control-expose-headers": "retry-after"},
    }


def _from_page(request: Request, route: Callable[[Request], Answer]) -> Answer:
    """Raises Forbidden for a secret key: whoever opens a page can read what is in it."""
    if request.caller.scope is Scope.SECRET:
        raise Forbidden("A secret key cannot be used from a page of another origin: use a publishable key")
    return route(request)


def _preflight(event: Mapping[str, Any], origins: Collection[str]) -> dict[str, Any]:
    """A page of another origin than these gets no permission, and its browser sends nothing more.

    Whatever headers it names are allowed: clients have some of their own, and none does anything without a key.
    """
    origin = _origin_of(event, origins)
    if not origin:
        return {"statusCode": 204, "headers": {"vary": "origin"}}
    asked = {name.lower(): value for name, value in event["headers"].items()}
    headers = {
        **_allowed(origin),
        "access-control-allow-methods": "GET" if path_of(event).startswith("/api/") else "POST",
        "access-control-allow-headers": asked.get("access-control-request-headers", ""),
        "access-control-max-age": _REMEMBERED_S,
    }
    return {"statusCode": 204, "headers": headers}


def _allowed(origin: str) -> dict[str, str]:
    return {"access-control-allow-origin": origin, "vary": "origin"}


def _origin_of(event: Mapping[str, Any], origins: Collection[str]) -> str:
    """The origin of the page that calls, where it is one of these."""
    if not origins:
        return ""
    sent = next((value for name, value in event["headers"].items() if name.lower() == "origin"), "")
    return str(sent) if sent in origins else ""
