"""The history of usage: entries, and sums by hour and day.

| attribute | type | of | holds |
|---|---|---|---|
| `data` | S | entry | JSON, below |
| `count` | N | sum | uses |
| `sum` | N | sum | units of the feature |
| `c0` to `c3`, `s0` to `s3` | N | hourly sum | uses and units of each quarter of the hour; absent where it has none |
| `through` | N | sum | the last version of the item that the sum contains |
| `ttl` | N | both | seconds |
| `v` | N | both | the layout's version |

| field of `data` | type | holds |
|---|---|---|
| `id` | string | the use's |
| `at` | number | ms |
| `customer`, `feature`, `entity` | string | `entity` is absent for the customer itself |
| `value` | number | units of the feature |
| `properties` | object | absent where there are none |
| `deductions` | array | `[grant, feature, plan or null, units of the grant, reset or null, entity or null]` |
| `part` | bool | absent where this is the use's first item |
| `item`, `version` | string, number | the item whose write told of it, and its version |
| `key` | string | the id of the API key that used it; absent where it is not known |
| `name`, `source` | string | of the event that it was; absent where not said |

A reset is `[interval, count, the next reset after the use (ms) or null]`. The customer, feature, entity and time of a
sum are in its item's key.
"""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from tollgate.domain.history import Amount, Entry, Quarters, Taken
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.layout import Layout
from tollgate.store.codecs.values import origin_json, origin_of, present
from tollgate.store.table import Item

ENTRY = Layout("entry of the history", 1)
SUM = Layout("sum of the history", 1)


class SumState(NamedTuple):
    """The content of a sum: the number of `uses` and their units (`sum`), of all writes up to the version `through`; of
    an hour's, by `quarters` too.
    """

    uses: int
    sum: Decimal
    through: int
    quarters: Quarters = MappingProxyType({})

    @property
    def has_quarters(self) -> bool:
        """Whether the quarters tell of every use: of those that an older release counted they do not."""
        return sum(amount.uses for amount in self.quarters.values()) == self.uses


def encode_entry(entry: Entry, ttl: int) -> Item:
    """The attributes of an entry. `ttl` is epoch seconds."""
    data = present(
        {
            "id": entry.use_id,
            "at": entry.at,
            "customer": entry.customer_id,
            "feature": entry.feature_id,
            "entity": entry.entity_id,
            "value": entry.value,
            "properties": entry.properties or None,
            "deductions": [list(taken) for taken in entry.deductions] or None,
            "part": entry.part or None,
            "item": entry.item,
            "version": entry.version,
            "key": entry.key_id or None,
            **origin_json(entry.origin),
        }
    )
    return {"data": {"S": dumps(data)}, "ttl": {"N": str(ttl)}, **ENTRY.mark}


def decode_entry(item: Item) -> Entry:
    """The entry that an item holds."""
    ENTRY.version_of(item)
    data = loads(item["data"]["S"])
    get = data.get
    return Entry(
        data["id"],
        data["at"],
        data["customer"],
        data["feature"],
        get("entity"),
        Decimal(data["value"]),
        get("properties", {}),
        tuple(
            Taken(t[0], t[1], t[2], Decimal(t[3]), tuple(t[4]) if t[4] else None, t[5]) for t in get("deductions", ())
        ),
        get("part", False),
        get("item", ""),
        get("version", 0),
        get("key", ""),
        origin_of(data),
    )


def encode_sum(state: SumState, ttl: int) -> Item:
    """The attributes of a sum. `ttl` is epoch seconds."""
    quarters: Item = {}
    for quarter, amount in state.quarters.items():
        quarters |= {f"c{quarter}": {"N": str(amount.uses)}, f"s{quarter}": {"N": str(amount.sum)}}
    return {
        "count": {"N": str(state.uses)},
        "sum": {"N": str(state.sum)},
        **quarters,
        "through": {"N": str(state.through)},
        "ttl": {"N": str(ttl)},
        **SUM.mark,
    }


def decode_sum(item: Item) -> SumState:
    """The content of the sum that an item holds."""
    SUM.version_of(item)
    quarters = {
        quarter: Amount(int(item[f"c{quarter}"]["N"]), Decimal(item[f"s{quarter}"]["N"]))
        for quarter in range(4)
        if f"c{quarter}" in item
    }
    return SumState(int(item["count"]["N"]), Decimal(item["sum"]["N"]), int(item["through"]["N"]), quarters)
