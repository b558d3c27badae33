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
from tollgate.domain.features import Catalog
from tollgate.domain.keys import Caller, Environment, Scope
from tollgate.domain.reports import Report
from tollgate.exact_json import dumps, loads
from tollgate.store.once import DAY_MS, Once
from tollgate.usecases.reports import Reporter
from tollgate.usecases.usage import Meter, Use

ITEMS_IN_MESSAGE = 20  # times ten messages to one call of the function: well within its time
MESSAGE_BYTES = 200_000  # of items: one message, and all that are sent in one call, hold at most 256 KB
REMEMBERED_MS = 45 * DAY_MS  # longer than a message lives in the queue and the dead-letter queue together


def messages(caller: Caller, now: int, items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The bodies that carry these uses."""
    shared = {"env": caller.environment.value, "key_id": caller.key_id, "at": now}
    part: list[Mapping[str, Any]] = []
    size = 0
    for item in items:
        sent = {**item, "id": str(uuid.uuid4())}
        length = len(dumps(sent))
        if part and (len(part) == ITEMS_IN_MESSAGE or size + length > MESSAGE_BYTES):
            yield dumps({**shared, "items": part})
            part, size = [], 0
        part.append(sent)
        size += length
    if part:
        yield dumps({**shared, "items": part})


def count(meter: Meter, reporter: Reporter, body: str, now: int) -> None:
    """Counts what a message carries, each use once. Raises what the first use that failed raised, after all others were
    counted: one that cannot be counted does not hold up the rest."""
    message = loads(body)
    caller = Caller(Environment(message["env"]), Scope.SECRET, message["key_id"])
    events = any("event_id" in item for item in message["items"])
    catalog = meter.features.catalog(caller.environment, fresh=True) if events else None
    failed: list[TollgateError] = []
    for item in message["items"]:
        try:
            if "event_id" in item:
                _report(reporter, caller, item, message["at"], now, catalog)
            else:
                _use(meter, caller, item, message["at"], now)
        except (DuplicateRequest, InsufficientBalance, UsageLimitExceeded):
            continue  # counted before, or rightly refused: either way it is settled
        except TollgateError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def _report(
    reporter: Reporter, caller: Caller, item: Mapping[str, Any], sent_at: int, now: int, catalog: Catalog | None
) -> None:
    event = Report(
        item["event_id"],
        item["customer_id"],
        item["event_name"],
        item.get("timestamp") or sent_at,
        item.get("properties") or {},
    )
    reporter.report(caller, event, now, catalog)


def _use(meter: Meter, caller: Caller, item: Mapping[str, Any], sent_at: int, now: int) -> None:
    once = [Once("queue", item["id"], REMEMBERED_MS)]
    if item.get("idempotency_key"):
        once.append(Once("track", item["idempotency_key"]))
    use = Use(
        item["customer_id"],
        item.get("feature_id") or "",
        Decimal(item["value"]),
        Overage(item.get("overage_behavior") or Overage.CAP),
        item.get("properties") or {},
        item.get("entity_id") or "",
        item.get("timestamp") or sent_at,
        tuple(once),
    )
    if item.get("event_name"):
        meter.track_event(caller, item["event_name"], use, now)
    else:
        meter.track(caller, use, now)
