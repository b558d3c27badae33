"""Usage events: the values that COUNT_UNIQUE has counted, and the events that wait for their customer.

| attribute | type | of | holds |
|---|---|---|---|
| `seen` | S | unique value | JSON object, below |
| `data` | S | waiting event | JSON, below |
| `ttl` | N | both | seconds; absent of a unique value that is kept for ever |
| `v` | N | both | the layout's version |

| field of `data` | type | holds |
|---|---|---|
| `id`, `name` | string | the event's own |
| `at` | number | ms |
| `properties` | object | as they were sent |
| `key` | string | the API key that sent it |

`seen` has an entry for each usage that counted the value: its name (`domain.meters.usage_name`; in items of version 0,
the grant's id), and the end (ms) of the period that counted it last, 0 where it never ends.

The customer of a waiting event is in the item's key.
"""

from __future__ import annotations

from tollgate.domain.meters import PeriodsCounted
from tollgate.domain.usage_events import UsageEvent
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

UNIQUE_VALUE = Layout("unique value", 1)
WAITING_EVENT = Layout("event", 1)
_KEPT_SECONDS = 400 * 86_400  # after the period: a plan of a longer one, up to a year, may have taken the usage over


def encode_unique_value(counted_in: PeriodsCounted) -> Item:
    """The attributes of a value; TTL removes it 400 days after the last of its periods, if that ends."""
    ends = set(counted_in.values())
    ttl: Item = {} if 0 in ends or not ends else {"ttl": {"N": str(max(ends) // 1000 + _KEPT_SECONDS)}}
    return {"seen": {"S": dumps(dict(sorted(counted_in.items())))}, **ttl, **UNIQUE_VALUE.mark}


def decode_unique_value(item: Item) -> PeriodsCounted:
    """The periods that have counted the value."""
    UNIQUE_VALUE.version_of(item)
    counted_in: PeriodsCounted = loads(item["seen"]["S"])
    return counted_in


def encode_waiting_event(event: UsageEvent, key_id: str, ttl: int) -> Item:
    """The attributes of a waiting event. `key_id` is the API key that sent it; `ttl` is epoch seconds."""
    data = {"id": event.id, "name": event.name, "at": event.at, "properties": dict(event.properties), "key": key_id}
    if event.source:
        data["source"] = event.source
    return {"data": {"S": dumps(data)}, "ttl": {"N": str(ttl)}, **WAITING_EVENT.mark}


def decode_waiting_event(item: Item) -> tuple[UsageEvent, str]:
    """The event, and the id of the API key that sent it."""
    WAITING_EVENT.version_of(item)
    data = loads(item["data"]["S"])
    customer_id = item["pk"]["S"].rpartition("#")[2]
    source = data.get("source", "")
    return UsageEvent(data["id"], customer_id, data["name"], data["at"], data["properties"], source), data["key"]
