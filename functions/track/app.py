"""Autumn's `POST /v1/track`, `/v1/balances.track`, `.batch_track` and `.track_tokens`: counts what has happened, at once or
through the usage queue."""

from __future__ import annotations

from typing import Any

from tollgate import runtime
from tollgate.dialects.autumn.errors import AUTUMN
from tollgate.dialects.autumn.track import TrackUseCases, batch_track, track
from tollgate.dialects.edge import handle
from tollgate.dialects.http import Answer, Request

_use_cases = TrackUseCases(
    runtime.tracking(),
    runtime.ledger().features,
    runtime.idempotency(),
    runtime.customers,
    runtime.to_usage_queue,
    runtime.denials().count,
)
runtime.client("sqs")  # made here, so that no request waits for it


def _track(request: Request) -> Answer:
    if request.route == "POST /v1/balances.batch_track":
        return batch_track(_use_cases, request)
    if request.route == "POST /v1/balances.track_tokens":
        from tollgate.dialects.autumn.track_tokens import track_tokens  # no other route needs prices

        return track_tokens(_use_cases, runtime.model_prices, request)
    return track(_use_cases, request)


_route = runtime.limited(_track)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers one call that tracks usage (API Gateway's payload format 2.0). Never raises: every error is an answer."""
    return handle(event, AUTUMN, _route, runtime.clock, runtime.defect)
