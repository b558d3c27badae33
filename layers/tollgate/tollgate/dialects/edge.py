"""From an HTTP API event to a dialect's answer: the one place where errors are caught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tollgate.dialects.http import MAX_BODY_BYTES, Answer, Request, caller_of, request_of
from tollgate.dialects.paths import path_of
from tollgate.domain.api_keys import Caller
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput, TollgateError, TooManyCalls
from tollgate.usecases.audit import Author, acting


def _none(_: str) -> Answer | None:
    return None


class Dialect(NamedTuple):
    """How one API words what goes wrong, and what it takes.

    `error_answer` makes the API's answer of a domain error, `internal_error` that where the code itself failed; both get
    None where the environment is not known. A body of more than `max_body_bytes` is refused.
    `bad_body` gets the path of a request whose body could not be read, and may return an answer of its own in place of
    `error_answer`'s.
    """

    error_answer: Callable[[TollgateError, Environment | None], Answer]
    internal_error: Callable[[Environment | None], Answer]
    max_body_bytes: int = MAX_BODY_BYTES
    bad_body: Callable[[str], Answer | None] = _none


def handle(
    event: Mapping[str, Any],
    dialect: Dialect,
    route: Callable[[Request], Answer],
    clock: Callable[[], int],
    defect: Callable[[str], None],
) -> dict[str, Any]:
    """Runs `route` on the event and returns its answer for API Gateway. Never raises.

    A domain error becomes the dialect's answer, and one of 429 or 503 says when to try again. Any other exception is logged by
    `defect` and answered with 500. `clock` gives epoch milliseconds.
    """
    env = None
    try:
        caller = caller_of(event)
        env = caller.environment
        answer = _answer(event, dialect, route, caller, clock())
    except TollgateError as error:
        answer = dialect.error_answer(error, env)
        if answer.status in (429, 503):
            after = error.retry_after_s if isinstance(error, TooManyCalls) else 1
            answer = answer._replace(headers={"retry-after": str(after)})
    except Exception:  # noqa: BLE001 - the outermost edge: told below, and answered as 500
        defect("unexpected error")
        answer = dialect.internal_error(env)
    return answer.to_event()


def _answer(
    event: Mapping[str, Any], dialect: Dialect, route: Callable[[Request], Answer], caller: Caller, now: int
) -> Answer:
    try:
        request = request_of(event, caller, now, dialect.max_body_bytes)
    except InvalidInput:
        answer = dialect.bad_body(path_of(event))
        if answer is None:
            raise
        return answer
    with acting(Author(caller.key_id, _call(request.route), now)):
        return route(request)


def _call(route: str) -> str:
    """The name of a call in the audit log: `plans.update`, or a REST path with its method."""
    name = route.removeprefix("POST /v1/")
    return route if "/" in name else name
