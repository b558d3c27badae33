"""From an HTTP API event to Lotus's answer. API Gateway has routed it already; here is the one place that catches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tollgate.dialects.http import Answer, Request, caller_of, request_of
from tollgate.dialects.lotus.errors import error_answer, internal_error
from tollgate.domain.errors import InvalidInput, TollgateError

Route = Callable[[Request], Answer]

MAX_BODY_BYTES = 512 * 1024  # the SDK's batches hold up to 475,000 bytes
TRACK = "/api/track"


def handle(
    event: Mapping[str, Any], route: Route, clock: Callable[[], int], defect: Callable[[str], None]
) -> dict[str, Any]:
    """Runs `route` on the event. Known errors become Lotus's; anything else is a defect of ours: told, and a 500."""
    try:
        try:
            request = request_of(event, caller_of(event), clock(), MAX_BODY_BYTES)
        except InvalidInput:
            if event["rawPath"].rstrip("/") != TRACK:
                raise
            body = {"success": "none", "failed_events": {"no_idempotency_id": "Invalid JSON"}}
            return Answer(body, 400).to_event()
        return route(request).to_event()
    except TollgateError as error:
        return error_answer(error).to_event()
    except Exception:  # noqa: BLE001 - the outermost edge: told below, and answered as 500
        defect("unexpected error")
        return internal_error().to_event()
