"""The table's stream to the bus: one event per deduction, in order, with an id that redelivery does not change.

Delivery is at least once: a batch that fails half-way is sent again, halved each time (BisectBatchOnFunctionError).
A record that can never be read goes to the dead-letter queue with its reason and does not stop the shard.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from tollgate import runtime
from tollgate.dialects.events import bus_entry
from tollgate.dialects.reservations import due_message, given_back, reservation_entry
from tollgate.domain.errors import TollgateError
from tollgate.domain.keys import Environment
from tollgate.store.locks import HELD
from tollgate.store.stream import recorded_lock, recorded_use

logger = Logger()
metrics = Metrics()

_BUS = os.environ["TOLLGATE_BUS"]
_DEAD_LETTERS = os.environ["TOLLGATE_DEAD_LETTER_QUEUE_URL"]
_USAGE = os.environ["TOLLGATE_USAGE_QUEUE_URL"]
_MOST = 10  # entries in one PutEvents
_TRIES = 3
_events = runtime.client("events")
_queue = runtime.client("sqs")


class NotAccepted(Exception):
    """The bus refused an entry: the batch must come again."""


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    metrics.add_metric("StreamRecords", MetricUnit.Count, len(event["Records"]))
    entries = list(_entries(event["Records"]))
    for start in range(0, len(entries), _MOST):
        _put(entries[start : start + _MOST])
    metrics.add_metric("UsageEventsPublished", MetricUnit.Count, len(entries))


def _entries(records: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for record in records:
        try:
            use = recorded_use(record)
            told = [bus_entry(use, _BUS)] if use else _reservation(record)
        except (KeyError, ValueError, IndexError, TypeError, ArithmeticError, AssertionError, TollgateError) as error:
            logger.exception("unreadable stream record")
            _queue.send_message(
                QueueUrl=_DEAD_LETTERS,
                MessageBody=json.dumps({"reason": f"{type(error).__name__}: {error}", "record": record}),
            )
            metrics.add_metric("UsageEventsPoisoned", MetricUnit.Count, 1)
            continue
        yield from told


def _reservation(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What became of a reservation; of a new one, a message that comes back when it is due."""
    recorded = recorded_lock(record)
    if recorded is None:
        return []
    if recorded.lock.state == HELD:
        reservation = recorded.lock.reservation
        environment = Environment(recorded.environment)
        due = due_message(environment, reservation.id, reservation.expires_at, runtime.clock())
        _queue.send_message(QueueUrl=_USAGE, MessageBody=due.body, DelaySeconds=due.seconds)
    return [reservation_entry(recorded, _BUS), *given_back(recorded, _BUS)]


def _put(entries: list[dict[str, Any]]) -> None:
    """Sends the entries; after a refusal again from the first one refused, so that none stays overtaken."""
    for _ in range(_TRIES):
        answer = _events.put_events(Entries=entries)
        refused = [number for number, entry in enumerate(answer["Entries"]) if "ErrorCode" in entry]
        if not refused:
            return
        reason = answer["Entries"][refused[0]]["ErrorCode"]
        entries = entries[refused[0] :]
    raise NotAccepted(f"{len(refused)} of {len(entries)}: {reason}")
