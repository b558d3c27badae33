"""Counts what has happened: `POST /v1/track` and its kin, at once or through the usage queue, whose messages end here too;
Lotus's routes that write (`POST /api/track/` and its kin); and, from the table's stream, the events that waited for a
customer that now holds something."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from tollgate import runtime
from tollgate.dialects.autumn.edge import handle
from tollgate.dialects.autumn.track import batch_track, track
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus import customers, events, subscriptions
from tollgate.dialects.lotus.edge import handle as handle_lotus
from tollgate.dialects.lotus.routes import Route, dispatch
from tollgate.dialects.queue import count
from tollgate.dialects.reservations import arrived, is_due
from tollgate.store.stream import new_holders

_meter = runtime.meter()
_reporter = runtime.reporter()
_management = runtime.management()
_access = runtime.access()
_queue = runtime.client("sqs")
_processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)

LOTUS: dict[str, Route] = {
    "/api/track": partial(events.track, runtime.to_usage_queue),
    "/api/verify_idems_received": partial(events.verify, _reporter),
    "/api/customers": partial(customers.create, _management, _access),
    "/api/subscriptions": partial(subscriptions.create, _management, _access),
    "/api/subscriptions/{}/cancel": partial(subscriptions.cancel, _management, _access),
}


def _count(record: SQSRecord) -> None:
    if not is_due(record.body):
        count(_meter, _reporter, record.body, runtime.clock())
        return
    again = arrived(runtime.reservations(), record.body, runtime.clock())
    if again is not None:
        url = os.environ["TOLLGATE_USAGE_QUEUE_URL"]
        _queue.send_message(QueueUrl=url, MessageBody=again.body, DelaySeconds=again.seconds)


def _track(request: Request) -> Answer:
    if request.route == "POST /v1/balances.batch_track":
        return batch_track(_meter, runtime.to_usage_queue, request)
    return track(_meter, runtime.management, runtime.to_usage_queue, request)


def _lotus(request: Request) -> Answer:
    return dispatch("POST", LOTUS, request)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if "Records" not in event:
        if event["rawPath"].startswith("/api/"):
            return handle_lotus(event, _lotus, runtime.clock, runtime.defect)
        return handle(event, _track, runtime.clock, runtime.defect)
    if event["Records"] and event["Records"][0].get("eventSource") == "aws:dynamodb":
        for environment, customer_id in new_holders(event["Records"]):
            _reporter.count_waiting(environment, customer_id, runtime.clock())
        return {}
    return dict(process_partial_response(event, _count, _processor, context))  # type: ignore[arg-type]
