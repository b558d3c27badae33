"""From an HTTP API event to Flexprice's answer: the one place that catches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tollgate.dialects.flexprice.errors import error_answer, internal_error
from tollgate.dialects.http import Answer, Request, caller_of, request_of
from tollgate.domain.errors import TollgateError

Route = Callable[[Request], Answer]
NO_CONTENT = Answer(None, 204)


def handle(
    event: Mapping[str, Any], route: Route, clock: Callable[[], int], defect: Callable[[str], None]
) -> dict[str, Any]:
    """Runs `route` on the event. Domain errors become Flexprice's; anything else is a defect of ours: told, and a 500."""
    try:
        answer = route(request_of(event, caller_of(event), clock()))
    except TollgateError as error:
        answer = error_answer(error)
    except Exception:  # noqa: BLE001 - the outermost edge: told below, and answered as 500
        defect("unexpected error")
        answer = internal_error()
    if answer is NO_CONTENT:
        return {"statusCode": answer.status, "headers": {}}
    return answer.to_event()
