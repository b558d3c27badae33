"""The balance item's layout: what each attribute holds, in both directions.

| attribute | type | holds |
|---|---|---|
| `headroom` | N | what may still be deducted without thinking |
| `spent` | N | deducted since the rows were last folded |
| `fresh_until` | N | the first instant (ms) at which the item changes by itself |
| `version` | N | counts the writes |
| `rows` | S | JSON: the grants as of the last fold, in deduction order |
| `flag` | BOOL | present where the feature is boolean |
| `event` | S | JSON: the last use; absent until the first |
| `fence` | B | no deduction with an id at or below it can be applied any more |
| `s0` … `s7` | B | the id of the last deduction of each slot |
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.balances import Balance, Row
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.usage import UsageEvent
from tollgate.exact_json import dumps, loads

if TYPE_CHECKING:
    from tollgate.store.table import Item

SLOTS = 8
NO_ID = bytes(16)


class Stored(NamedTuple):
    """A balance as it was read: its state, and what makes its next write safe."""

    balance: Balance
    version: int
    fence: bytes
    slots: tuple[bytes, ...]

    def slot_of(self, id: bytes) -> bytes:
        return self.slots[slot_number(id)]


def slot_number(id: bytes) -> int:
    """The slot that remembers this id: its last byte is random."""
    return id[-1] % SLOTS


def decode(item: Item) -> Stored:
    feature_id = item["sk"]["S"].split("#")[1]
    balance = Balance(
        feature_id,
        tuple(_row(row) for row in loads(item["rows"]["S"])),
        Decimal(item["headroom"]["N"]),
        Decimal(item["spent"]["N"]),
        int(item["fresh_until"]["N"]),
        "flag" in item,
    )
    slots = tuple(_bytes(item[f"s{n}"]["B"]) for n in range(SLOTS))
    return Stored(balance, int(item["version"]["N"]), _bytes(item["fence"]["B"]), slots)


def decode_event(item: Item) -> UsageEvent | None:
    if "event" not in item:
        return None
    event = loads(item["event"]["S"])
    value, drawn = Decimal(event["value"]), Decimal(event["drawn"])
    return UsageEvent(event["id"], value, drawn, event["at"], event["key"], event.get("properties", {}))


def new_item(key: Item, balance: Balance) -> Item:
    """The whole item of a balance that had none."""
    slots: Item = {f"s{n}": {"B": NO_ID} for n in range(SLOTS)}
    flag: Item = {"flag": {"BOOL": True}} if balance.flag else {}
    return {**key, **state_values(balance), **flag, "version": {"N": "1"}, "fence": {"B": NO_ID}, **slots}


def state_values(balance: Balance) -> Item:
    """The attributes that hold a balance's state."""
    return {
        "headroom": {"N": str(balance.headroom)},
        "spent": {"N": str(balance.spent)},
        "fresh_until": {"N": str(balance.fresh_until)},
        "rows": {"S": dumps([_row_json(row) for row in balance.rows])},
    }


def state_update(balance: Balance) -> tuple[str, dict[str, str], Item]:
    """`SET` clauses that write a balance's state and count the write, with their names and values."""
    state = state_values(balance)
    clauses = [*(f"#{name} = :{name}" for name in state), "version = version + :one"]
    names = {f"#{name}": name for name in state}
    return ", ".join(clauses), names, {":one": {"N": "1"}, **{f":{name}": value for name, value in state.items()}}


def encode_event(event: UsageEvent) -> str:
    properties = {"properties": event.properties} if event.properties else {}
    return dumps(
        {"id": event.id, "value": event.value, "drawn": event.drawn, "at": event.at, "key": event.key_id, **properties}
    )


def _bytes(value: Any) -> bytes:
    return bytes(value)


def _row_json(row: Row) -> dict[str, Any]:
    """A row without what is empty: the item must stay within one kilobyte, the size of one write unit."""
    full = {
        "id": row.id,
        "plan": row.plan_id,
        "sub": None if row.subscription_id == _owner(row.id) else row.subscription_id,
        "granted": row.granted or None,
        "used": row.used or None,
        "unlimited": row.unlimited or None,
        "every": [row.reset.interval.value, row.reset.count] if row.reset else None,
        "anchor": row.anchor,
        "next": row.next_reset_at,
        "expires": row.expires_at,
        "add_on": row.add_on or None,
    }
    return {name: value for name, value in full.items() if value is not None}


def _row(data: dict[str, Any]) -> Row:
    get = data.get
    every = get("every")
    return Row(
        data["id"],
        get("plan"),
        get("sub", _owner(data["id"])),
        Decimal(get("granted", 0)),
        Decimal(get("used", 0)),
        get("unlimited", False),
        Reset(Interval(every[0]), every[1]) if every else None,
        data["anchor"],
        get("next"),
        get("expires"),
        get("add_on", False),
    )


def _owner(row_id: str) -> str | None:
    """The subscription in a row's id, `<subscription>:<item>`: it need not be stored twice."""
    subscription, colon, _ = row_id.partition(":")
    return subscription if colon else None
