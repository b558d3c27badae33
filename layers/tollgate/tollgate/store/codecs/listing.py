"""A customer's entry in the list of all: what a list may ask for, and where the customer's parts are.

| attribute | type | holds |
|---|---|---|
| `data` | S | JSON, below; absent from an entry that was written before entries held anything |
| `v` | N | the layout's version |

| field of `data` | type | holds |
|---|---|---|
| `name`, `email` | string or null | |
| `subscriptions` | array | `[id, plan, plan version, entity or null, starts, ends or null, created, trial's end or null, what it belongs to or null]`; times in ms |
| `parts` | array or null | the sort keys of the customer's subscriptions, entities and balances; null where they are too many |
| `frozen_time` | number or null | ms: the time of the customer's test clock |
| `ended` | array | the plans of its ended subscriptions that are kept apart; absent: there are none |
| `version` | number | the customer's version with which this was written, which the customer's item has as `listed` |

The customer's id and time of creation are in the entry's key.
"""

from __future__ import annotations

from typing import NamedTuple

from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

LISTED_CUSTOMER = Layout("customer's entry in the list", 1)


class ListedSubscription(NamedTuple):
    """What a list may ask of a subscription. Times are epoch ms."""

    id: str
    plan_id: str
    plan_version: int
    entity_id: str | None
    started_at: int
    expires_at: int | None
    created_at: int
    trial_ends_at: int | None
    parent_id: str | None

    def trialing(self, now: int) -> bool:
        """Whether its trial is running at `now` (epoch ms)."""
        return self.trial_ends_at is not None and now < self.trial_ends_at

    def status(self, now: int) -> str:
        """`scheduled`, `active` or `expired`, at `now` (epoch ms), as of the subscription itself."""
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "scheduled" if self.started_at > now else "active"


class Facts(NamedTuple):
    """What an entry holds; `parts` are sort keys, None where they are too many."""

    name: str | None
    email: str | None
    subscriptions: tuple[ListedSubscription, ...]
    parts: tuple[str, ...] | None
    frozen_time: int | None = None  # of the customer's test clock
    ended: tuple[str, ...] = ()  # plans of ended subscriptions that are not among these

    def time(self, now: int) -> int:
        """The customer's time (epoch ms): its test clock's where it has one, else `now`."""
        return now if self.frozen_time is None else self.frozen_time


class ListedCustomer(NamedTuple):
    """An entry of the list. `facts`: None where it was written before entries held any; `version`: the customer's, when
    they were written.
    """

    position: str
    customer_id: str
    facts: Facts | None = None
    version: int = 0


def encode_listed_customer(facts: Facts | None, version: int) -> Item:
    """The attributes of an entry."""
    if facts is None:
        return LISTED_CUSTOMER.mark
    data = {
        "name": facts.name,
        "email": facts.email,
        "subscriptions": [list(one) for one in facts.subscriptions],
        "parts": None if facts.parts is None else list(facts.parts),
        "frozen_time": facts.frozen_time,
        "version": version,
        **({"ended": list(facts.ended)} if facts.ended else {}),
    }
    return {"data": {"S": dumps(data)}, **LISTED_CUSTOMER.mark}


def decode_listed_customer(item: Item) -> ListedCustomer:
    """The entry that an item holds."""
    LISTED_CUSTOMER.version_of(item)
    position = item["sk"]["S"]
    customer_id = position.partition("#")[2]
    if "data" not in item:
        return ListedCustomer(position, customer_id)
    data = loads(item["data"]["S"])
    subscriptions = tuple(ListedSubscription(*one) for one in data["subscriptions"])
    parts = None if data["parts"] is None else tuple(data["parts"])
    facts = Facts(data["name"], data["email"], subscriptions, parts, data["frozen_time"], tuple(data.get("ended", ())))
    return ListedCustomer(position, customer_id, facts, data["version"])
