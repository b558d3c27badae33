"""Usage on its way through the queue: what `track` puts there when it answers before it counts.

A message is JSON: who sent it (`env`, `key_id`), when (`at`, ms), and `items`, each a use with an id of its own, by which
it is counted exactly once however often it is delivered.
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
from tollgate.store.once import DAY_MS, Once
from tollgate.usecases.usage import Meter, Use

ITEMS_IN_MESSAGE = 20  # times ten messages to one call of the function: well within its time
REMEMBERED_MS = 45 * DAY_MS  # longer than a message lives in the queue and the dead-letter queue together


def messages(caller: Caller, now: int, items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The bodies that carry these uses."""
    shared = {"env": caller.environment.value, "key_id": caller.key_id, "at": now}
    for start in range(0, len(items), ITEMS_IN_MESSAGE):
        part = [{**item, "id": str(uuid.uuid4())} for item in items[start : start + ITEMS_IN_MESSAGE]]
        yield dumps({**shared, "items": part})


def count(meter: Meter, body: str, now: int) -> None:
    """Counts what a message carries, each use once. Raises the first error of a use, after the others are counted: the
    message then comes again, and finds them counted."""
    message = loads(body)
    failed: TollgateError | None = None
    caller = Caller(Environment(message["env"]), Scope.SECRET, message["key_id"])
    for item in message["items"]:
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
            item.get("timestamp") or message["at"],
            tuple(once),
        )
        try:
            if item.get("event_name"):
                meter.track_event(caller, item["event_name"], use, now)
            else:
                meter.track(caller, use, now)
        except (DuplicateRequest, InsufficientBalance, UsageLimitExceeded):
            continue  # counted before, or rightly refused: either way it is settled
        except TollgateError as error:
            failed = failed or error
    if failed is not None:
        raise failed
