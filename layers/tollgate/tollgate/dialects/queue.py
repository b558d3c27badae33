"""Usage on its way through the queue: what a caller reports and is answered before it is counted.

A message is JSON: who sent it (`env`, `key_id`), when (`at`, ms), and `items`. An item is a use with an id of its own, or
(`event_id`) an event whose amounts follow from the features that count it; either is counted exactly once, however often
it is delivered.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.decisions import Overage
from tollgate.domain.keys import Caller, Environment, Scope
from tollgate.domain.reports import Report
from tollgate.exact_json import dumps
from tollgate.store.once import DAY_MS, Once
from tollgate.usecases.intake import Arrived

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


class Item(NamedTuple):
    """One item of a message: a use, or an event and who reported it."""

    number: int
    use: Arrived | None = None
    event: Report | None = None
    caller: Caller | None = None


def items_in(message: Mapping[str, Any]) -> list[Item]:
    """The items of a message. Raises KeyError, TypeError, ValueError or ArithmeticError where it is none of ours."""
    env = Environment(message["env"])
    return [_item(number, env, message, item) for number, item in enumerate(message["items"])]


def _item(number: int, env: Environment, message: Mapping[str, Any], item: Mapping[str, Any]) -> Item:
    at = item.get("timestamp") or message["at"]
    properties = item.get("properties") or {}
    if "event_id" in item:
        event = Report(item["event_id"], item["customer_id"], item["event_name"], at, properties)
        return Item(number, event=event, caller=Caller(env, Scope.SECRET, message["key_id"]))
    once = [Once("queue", item["id"], REMEMBERED_MS)]
    if item.get("idempotency_key"):
        once.append(Once("track", item["idempotency_key"]))
    use = Arrived(
        env,
        item["id"],
        item["customer_id"],
        item.get("feature_id"),
        item.get("event_name"),
        Decimal(item["value"]),
        at,
        message["key_id"],
        tuple(once),
        item.get("entity_id") or "",
        Overage(item.get("overage_behavior") or Overage.CAP),
        properties,
    )
    return Item(number, use)
