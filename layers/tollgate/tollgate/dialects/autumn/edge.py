"""From an HTTP API event to Autumn's answer. API Gateway has routed it already; here is the one place that catches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tollgate.dialects.autumn.errors import error_answer, internal_error
from tollgate.dialects.http import Answer, Request, caller_of, request_of
from tollgate.domain.errors import TollgateError

Route = Callable[[Request], Answer]


def handle(
    event: Mapping[str, Any], route: Route, clock: Callable[[], int], defect: Callable[[str], None]
) -> dict[str, Any]:
    """Runs `route` on the event. Domain errors become Autumn's; anything else is a defect of ours: told, and a 500."""
    env = None
    try:
        caller = caller_of(event)
        env = caller.environment
        return route(request_of(event, caller, clock())).to_event()
    except TollgateError as error:
        assert env is not None  # raised after the caller was known
        return error_answer(error, env).to_event()
    except Exception:  # noqa: BLE001 - the outermost edge: told below, and answered as 500
        defect("unexpected error")
        return internal_error(env).to_event()
