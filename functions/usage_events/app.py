"""The table's stream, told: to the history of usage, and to the bus, in order, with ids that redelivery does not change.

Delivery is at least once: a batch that fails half-way is sent again, halved each time (BisectBatchOnFunctionError), and
each step may be repeated. A record that can never be read goes to the dead-letter queue with its reason and does not stop
the shard. What was given up on and is sent again by hand says that it is `overtaken`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from tollgate import runtime
from tollgate.dialects.events import entries_for, reservation_entry, subscription_entry
from tollgate.dialects.reservations import due_message
from tollgate.domain.changes import Change, uses_of
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TollgateError, Unavailable
from tollgate.domain.recorded_writes import RecordedLock
from tollgate.domain.reservations import HELD
from tollgate.packing import packed
from tollgate.store.stream import change_of, lapsed_uses, recorded_lock, subscription_write
from tollgate.usecases.alerts import StreamBatch, StreamStores

logger = Logger()
metrics = Metrics()

_settings = runtime.settings()
_BUS = _settings.required("bus")
_DEAD_LETTERS = _settings.required("dead_letter_queue_url")
_USAGE = _settings.required("usage_queue_url")
_MOST = 10  # entries in one PutEvents
_MOST_BYTES = 240_000
_TRIES = 3
_UNREADABLE = (KeyError, ValueError, IndexError, TypeError, ArithmeticError, AssertionError, TollgateError)
_events = runtime.client("events")
_queue = runtime.client("sqs")
_stores = StreamStores(runtime.history(), runtime.tracking(), runtime.alert_states())


class NotAccepted(Exception):
    """The bus refused an entry: the batch must come again."""


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    records = event["Records"]
    metrics.add_metric("StreamRecords", MetricUnit.Count, len(records))
    batch = StreamBatch(_stores)
    entries = [entry for record in records for entry in _entries(batch, record)]
    batch.keep(overtaken=event.get("overtaken", False))
    for part in packed(entries, _MOST, _size, _MOST_BYTES):
        _put(part)
    metrics.add_metric("UsageEventsPublished", MetricUnit.Count, len(entries))


def _changes(record: Mapping[str, Any]) -> list[Change]:
    """What a record says of balances. Raises what it is given up for."""
    change = change_of(record)
    return lapsed_uses(record) if change is None else [change]


def _entries(batch: StreamBatch, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        subscription = subscription_write(record)
        if subscription is not None:
            return [subscription_entry(subscription, _BUS)]
        changes, entries = _changes(record), []
        reservation = recorded_lock(record)
        if reservation is not None:
            entries.append(_reservation(reservation))
        for change in changes:
            entries += entries_for(change, _BUS, batch.warnings(change, uses_of(change)))
            batch.told(change)
        return entries
    except Unavailable:
        raise
    except _UNREADABLE as error:
        logger.exception("unreadable stream record")
        _queue.send_message(
            QueueUrl=_DEAD_LETTERS,
            MessageBody=json.dumps({"reason": f"{type(error).__name__}: {error}", "record": record}),
        )
        metrics.add_metric("UsageEventsPoisoned", MetricUnit.Count, 1)
        return []


def _size(entry: Mapping[str, Any]) -> int:
    return len(entry["Detail"].encode()) + 200


def _reservation(recorded: RecordedLock) -> dict[str, Any]:
    """What became of a reservation; of a new one, a message that comes back when it is due."""
    if recorded.lock.state == HELD:
        reservation = recorded.lock.reservation
        environment = Environment(recorded.environment)
        due = due_message(environment, reservation.id, reservation.expires_at, runtime.clock())
        _queue.send_message(QueueUrl=_USAGE, MessageBody=due.body, DelaySeconds=due.seconds)
    return reservation_entry(recorded, _BUS)


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
