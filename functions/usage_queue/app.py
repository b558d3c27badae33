"""The usage queue's consumer (SQS): counts what was reported on the bus and what the HTTP APIs accepted."""

from __future__ import annotations

from typing import Any

from tollgate import runtime
from tollgate.dialects.queue_consumer import QueueConsumer

_consumer = QueueConsumer(
    runtime.usage_queue(),
    runtime.reservations(),
    runtime.passing_time,
    runtime.due_times().keep,
    runtime.to_dead_letters,
    lambda message: runtime.defect(message),
)
runtime.client("sqs")  # made here, so that no message waits for it


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Counts one batch of messages, and names to SQS those that failed and must come again."""
    again = _consumer.take(event["Records"], runtime.clock())
    return {"batchItemFailures": [{"itemIdentifier": id} for id in again]}
