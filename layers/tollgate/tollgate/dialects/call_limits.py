"""Whose calls a request counts among: its key's, and those of the customer that it names (management.md 19)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import unquote

from tollgate.dialects.http import Answer, Request
from tollgate.domain.ids import is_id
from tollgate.usecases.call_limits import Caller, CallLimits

_NAMES = ("customer_id", "external_customer_id")
_NO_IDS = frozenset(("search", "usage", "list"))  # after `customers` in a path


def limited_route(limits: CallLimits, route: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    """The route, which raises TooManyCalls before it does anything where the request's key or customer has no room."""

    def counted(request: Request) -> Answer:
        limits.count(_callers(request), request.now)
        return route(request)

    return counted


def _callers(request: Request) -> Iterator[Caller]:
    env = request.caller.environment
    yield Caller(env, "key", request.caller.key_id)
    customer_id = customer_named(request)
    if customer_id:
        yield Caller(env, "customer", customer_id)


def customer_named(request: Request) -> str:
    """The one customer whom a request is about: in its body, its query or its path. Empty where it names none so, as
    lists and batches do not, or what it names can be nobody's id.
    """
    body = request.body if isinstance(request.body, dict) else {}
    said = [body.get(name) for name in _NAMES]
    said += [value for name in _NAMES for value in request.query.get(name, ())[:1]]
    said.append(_in_path(request.path))
    return next((value for value in said if isinstance(value, str) and is_id(value)), "")


def _in_path(path: str) -> str:
    """What stands after `customers` in a path, or after the word that says which id it is."""
    _, found, rest = path.partition("/customers/")
    parts = rest.split("/") if found else [""]
    if parts[0] in ("external", "lookup") and len(parts) > 1:
        parts = parts[1:]
    return "" if parts[0] in _NO_IDS else unquote(parts[0])
