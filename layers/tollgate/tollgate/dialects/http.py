"""An HTTP API event as the dialects see it, and their answers as API Gateway wants them (payload format 2.0)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from tollgate.dialects.paths import path_of
from tollgate.domain.api_keys import Caller, Scope
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import BadKey, BadKeyReason, InvalidInput
from tollgate.exact_json import dumps, loads

MAX_BODY_BYTES = 256 * 1024


class Request(NamedTuple):
    """One call. `now` is epoch milliseconds; header names are lower case; `body` is JSON; `route` is `METHOD /path`."""

    caller: Caller
    now: int
    headers: Mapping[str, str]
    body: Any
    route: str
    path: str
    query: Mapping[str, Sequence[str]] = MappingProxyType({})

    def customer(self, id: str) -> CustomerRef:
        """The customer of that id in the caller's environment."""
        return CustomerRef(self.caller.environment, id)

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.route.partition(" ")[0]


class Answer(NamedTuple):
    """What a dialect answers. `body` is written as JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})

    def to_event(self) -> dict[str, Any]:
        """What the handler returns to API Gateway. A 204 has neither a body nor its content type."""
        if self.status == 204:
            return {"statusCode": self.status, "headers": dict(self.headers)}
        headers = {"content-type": "application/json", **self.headers}
        return {"statusCode": self.status, "headers": headers, "body": dumps(self.body)}


NO_CONTENT = Answer(None, 204)


def caller_of(event: Mapping[str, Any]) -> Caller:
    """The caller that the authorizer found. Raises BadKey where it found none, and KeyError behind no authorizer: such a
    function must not answer.
    """
    found = event["requestContext"]["authorizer"]["lambda"]
    if "refused" in found:
        raise BadKey(BadKeyReason(found["refused"]))
    return Caller(Environment(found["environment"]), Scope(found["scope"]), found["key_id"])


def request_of(event: Mapping[str, Any], caller: Caller, now: int, most: int = MAX_BODY_BYTES) -> Request:
    """The event as a request, received at `now` (ms). An empty body is read as {}.

    Raises InvalidInput where the body is larger than `most` bytes, or no JSON.
    """
    text = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            text = base64.b64decode(text).decode()
        except ValueError as error:
            raise InvalidInput("body", "must be UTF-8") from error
    if len(text) > most or (not text.isascii() and len(text.encode(errors="replace")) > most):
        raise InvalidInput("body", f"must be at most {most} bytes")
    body = loads(text) if text.strip() else {}
    headers = {name.lower(): value for name, value in event["headers"].items()}
    query = parse_qs(event.get("rawQueryString") or "", keep_blank_values=True)
    method = event["requestContext"].get("http", {}).get("method") or event["routeKey"].partition(" ")[0]
    path = path_of(event)
    return Request(caller, now, headers, body, f"{method} {path.rstrip('/')}", path, query)
