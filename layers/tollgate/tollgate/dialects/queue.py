"""Usage on its way through the queue: what a caller reports and is answered before it is counted.

A message is JSON: who sent it (`env`, `key_id`), when (`at`, ms), and `items`. An item is a use with an id of its own, or
(`event_id`) an event whose amounts follow from the features that count it; either is counted exactly once, however often
it is delivered.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tollgate.domain.decisions import Overage
from tollgate.domain.errors import DuplicateRequest, InsufficientBalance, TollgateError, UsageLimitExceeded
from tollgate.domain.keys import Caller, Environment, Scope
from tollgate.exact_json import dumps, loads
from tollgate.store.once import Once
from tollgate.usecases.events import REMEMBERED_MS, ReportedEvent, count_event, ready
from tollgate.usecases.usage import Meter, Use

ITEMS_IN_MESSAGE = 20  # times ten messages to one call of the function: well within its time


def messages(caller: Caller, now: int, items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The bodies that carry these uses."""
    shared = {"env": caller.environment.value, "key_id": caller.key_id, "at": now}
    for start in range(0, len(items), ITEMS_IN_MESSAGE):
        part = [{**item, "id": str(uuid.uuid4())} for item in items[start : start + ITEMS_IN_MESSAGE]]
        yield dumps({**shared, "items": part})


def count(meter: Meter, body: str, now: int) -> None:
    """Counts what a message carries, each use once. Raises what the first use that failed raised, after all others were
    counted: one that cannot be counted does not hold up the rest."""
    message = loads(body)
    caller = Caller(Environment(message["env"]), Scope.SECRET, message["key_id"])
    ready(meter, caller.environment, [item["event_name"] for item in message["items"] if "event_id" in item])
    failed: list[TollgateError] = []
    for item in message["items"]:
        try:
            _count(meter, caller, item, message["at"], now)
        except (DuplicateRequest, InsufficientBalance, UsageLimitExceeded):
            continue  # counted before, or rightly refused: either way it is settled
        except TollgateError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def _count(meter: Meter, caller: Caller, item: Mapping[str, Any], sent_at: int, now: int) -> None:
    at = item.get("timestamp") or sent_at
    properties = item.get("properties") or {}
    if "event_id" in item:
        event = ReportedEvent(item["event_id"], item["customer_id"], item["event_name"], at, properties)
        count_event(meter, caller, event, now)
        return
    once = [Once("queue", item["id"], REMEMBERED_MS)]
    if item.get("idempotency_key"):
        once.append(Once("track", item["idempotency_key"]))
    use = Use(
        item["customer_id"],
        item.get("feature_id") or "",
        Decimal(item["value"]),
        Overage(item.get("overage_behavior") or Overage.CAP),
        properties,
        item.get("entity_id") or "",
        at,
        tuple(once),
    )
    if item.get("event_name"):
        meter.track_event(caller, item["event_name"], use, now)
    else:
        meter.track(caller, use, now)
