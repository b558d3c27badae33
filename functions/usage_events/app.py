"""Consumes the table's stream: what each record changed goes into the history of usage and to the bus. Lanes go to the bus
side by side, and what is of one item stays in its order.

Delivery is at least once: a batch that fails half-way is sent again, halved each time (BisectBatchOnFunctionError).
Every step may be repeated, and an event that is sent again has the same id. A record that can never be read goes to the
dead-letter queue with the reason and does not stop the shard. A batch that was given up on and is sent again by hand
says that it is `overtaken`: later records were consumed before it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from tollgate import runtime
from tollgate.dialects.events import entries_for, passed_entries, reservation_entry, subscription_entry, told_entry
from tollgate.dialects.passing_time import reached_message
from tollgate.dialects.reservations import due_message
from tollgate.domain.changes import Change
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import TollgateError, Unavailable
from tollgate.domain.passing_time import new_moment, new_moments
from tollgate.domain.recorded_writes import RecordedLock
from tollgate.domain.reservations import HELD
from tollgate.packing import packed
from tollgate.usecases.activity import Lag
from tollgate.usecases.alerts import Alerts
from tollgate.usecases.history_writes import write_history
from tollgate.usecases.stream_records import written

logger = Logger()
metrics = Metrics()

_settings = runtime.settings()
_BUS = _settings.required("bus")
_DEAD_LETTERS = _settings.required("dead_letter_queue_url")
_LANES = 8  # requests to the bus at a time
_MOST = 10  # entries in one PutEvents
_MOST_BYTES = 240_000
_TRIES = 3
_UNREADABLE = (KeyError, ValueError, IndexError, TypeError, ArithmeticError, AssertionError, TollgateError)
_events = runtime.client("events")
_queue = runtime.client("sqs")
_history = runtime.history()
_ledger = runtime.ledger()
_alert_states = runtime.alert_states()
_top_ups = runtime.top_up_states()
_due_times = runtime.due_times()
_activity = runtime.stream_activity()


Moment = tuple[Environment, int, str]
"""An instant (epoch ms) at which a message is to come. Kept after all records were read: an error of keeping it is none of
a record's."""


class NotAccepted(Exception):
    """The bus refused an entry: the batch must come again."""


@metrics.log_metrics
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Consumes one batch of stream records: writes the history, then puts the events on the bus.

    Raises NotAccepted, Unavailable or the client's error where a step failed: the stream then sends the batch again.
    """
    records = _ledger.store.with_records(event["Records"])
    metrics.add_metric("StreamRecords", MetricUnit.Count, len(records))
    alerts = Alerts(_ledger.features, _ledger.store, _alert_states, _top_ups)
    changes: list[Change] = []
    lanes: list[list[dict[str, Any]]] = [[] for _ in range(_LANES)]
    moments: dict[Moment, None] = {}  # a set in the order of the records
    for record in records:
        read, told = _read(record, alerts, moments)
        changes += read
        lanes[_lane(record)] += told
    for environment, at, message in moments:
        _due_times.keep(environment, at, message, runtime.clock())
    overtaken = event.get("overtaken", False)
    # None waits for another, and each may be repeated. The pool ends when all have, whatever became of one.
    with ThreadPoolExecutor(_LANES + 2) as threads:
        work = [threads.submit(write_history, _history, changes, overtaken=overtaken)]
        work += [threads.submit(_activity.write_log, [entry for lane in lanes for entry in lane], changes)]
        work += [threads.submit(_tell, lane) for lane in lanes if lane]
    for done in work:
        done.result()
    metrics.add_metric("UsageEventsPublished", MetricUnit.Count, sum(map(len, lanes)))
    uses = sum(not use.part for change in changes for use in change.uses)
    metrics.add_metric("UsesCounted", MetricUnit.Count, uses)
    if uses:
        _activity.count(changes, _lag(records))


def _lag(records: Sequence[Mapping[str, Any]]) -> Lag:
    """How old the oldest record of a batch is by now. The stream tells times by the second."""
    now = runtime.clock()
    oldest = min(int(record["dynamodb"].get("ApproximateCreationDateTime", now / 1000) * 1000) for record in records)
    return Lag(max(0, now - oldest), now)


def _lane(record: Mapping[str, Any]) -> int:
    """The lane of a record: the records of one item share it."""
    return zlib.crc32(json.dumps(record["dynamodb"]["Keys"], sort_keys=True).encode()) % _LANES


def _tell(entries: list[dict[str, Any]]) -> None:
    for part in packed(entries, _MOST, _size, _MOST_BYTES):
        _put(part)


def _read(
    record: Mapping[str, Any], alerts: Alerts, moments: dict[Moment, None]
) -> tuple[Sequence[Change], list[dict[str, Any]]]:
    """What a record changed, and its entries for the bus; when time will bring something about is added to `moments`. A
    record that cannot be read goes to the dead letters and has neither."""
    try:
        subscription, changes, lock, passed, entry = written(record)
        if entry is not None:
            return [], [told_entry(*entry, _BUS)]
        if subscription is not None:
            ref = CustomerRef(subscription.environment, subscription.customer_id)
            moments.update(((ref.environment, at, reached_message(ref, at)), None) for at in new_moments(subscription))
            return [], [subscription_entry(subscription, _BUS)]
        entries = [] if lock is None else [_reservation(lock, moments)]
        entries += [] if passed is None else passed_entries(passed, _BUS)
        for change in changes:
            entries += entries_for(change, _BUS, alerts.raised_by(change))
            if (at := new_moment(change)) is not None:
                ref = CustomerRef(change.write.environment, change.write.customer_id)
                moments[ref.environment, at, reached_message(ref, at)] = None
        return changes, entries
    except Unavailable:
        raise
    except _UNREADABLE as error:
        logger.exception("unreadable stream record")
        _queue.send_message(
            QueueUrl=_DEAD_LETTERS,
            MessageBody=json.dumps({"reason": f"{type(error).__name__}: {error}", "record": record}),
        )
        metrics.add_metric("UsageEventsPoisoned", MetricUnit.Count, 1)
        return [], []


def _size(entry: Mapping[str, Any]) -> int:
    return len(entry["Detail"].encode()) + 200


def _reservation(recorded: RecordedLock, moments: dict[Moment, None]) -> dict[str, Any]:
    """What became of a reservation; of a new one, `moments` gets a message that comes back when it is due."""
    if recorded.lock.state == HELD:
        environment, reservation = recorded.environment, recorded.lock.reservation
        due = due_message(environment, reservation.id, reservation.expires_at)
        moments[environment, reservation.expires_at, due] = None
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
