"""`POST /v1/track`, `/v1/events`, `/v1/balances.track` and `.batch_track`: counts a use that has happened, at once or
through the usage queue, whose messages end here too."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from tollgate import runtime
from tollgate.dialects.autumn.edge import handle
from tollgate.dialects.autumn.track import batch_track, track
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.queue import count
from tollgate.dialects.reservations import arrived, is_due

_queue = runtime.client("sqs")
_meter = runtime.meter()
_processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)


def _count(record: SQSRecord) -> None:
    if not is_due(record.body):
        count(_meter, record.body, runtime.clock())
        return
    again = arrived(runtime.reservations(), record.body, runtime.clock())
    if again is not None:
        url = os.environ["TOLLGATE_USAGE_QUEUE_URL"]
        _queue.send_message(QueueUrl=url, MessageBody=again.body, DelaySeconds=again.seconds)


def _track(request: Request) -> Answer:
    if request.route == "POST /v1/balances.batch_track":
        return batch_track(_meter, runtime.to_usage_queue, request)
    return track(_meter, runtime.management, runtime.to_usage_queue, request)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if "Records" in event:
        return dict(process_partial_response(event, _count, _processor, context))  # type: ignore[arg-type]
    return handle(event, _track, runtime.clock, runtime.defect)
