"""`POST /v1/track`, `/v1/events`, `/v1/balances.track` and `.batch_track`: counts a use that has happened, at once or
through the usage queue, whose messages end here too."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from tollgate import runtime
from tollgate.dialects.autumn.edge import handle
from tollgate.dialects.autumn.track import batch_track, track
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.queue import count

_meter = runtime.meter()
runtime.client("sqs")  # made here, so that no request waits for it
_processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)


def _count(record: SQSRecord) -> None:
    count(_meter, record.body, runtime.clock())


def _track(request: Request) -> Answer:
    if request.route == "POST /v1/balances.batch_track":
        return batch_track(_meter, runtime.to_usage_queue, request)
    return track(_meter, runtime.management, runtime.to_usage_queue, request)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if "Records" in event:
        return dict(process_partial_response(event, _count, _processor, context))  # type: ignore[arg-type]
    return handle(event, _track, runtime.clock, runtime.defect)
