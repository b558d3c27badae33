"""Autumn's `POST /v1/track`, `/v1/balances.track` and `/v1/balances.batch_track`: counts what has happened, at once or
through the usage queue."""

from __future__ import annotations

from typing import Any

from tollgate import runtime
from tollgate.dialects.autumn.edge import handle
from tollgate.dialects.autumn.track import batch_track, track
from tollgate.dialects.http import Answer, Request

_tracking = runtime.tracking()
runtime.client("sqs")  # made here, so that no request waits for it


def _track(request: Request) -> Answer:
    if request.route == "POST /v1/balances.batch_track":
        return batch_track(_tracking, runtime.to_usage_queue, request)
    return track(_tracking, runtime.management, runtime.to_usage_queue, request)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return handle(event, _track, runtime.clock, runtime.defect)
