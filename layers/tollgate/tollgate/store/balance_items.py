"""The balance item's layout: what each attribute holds, in both directions.

| attribute | type | holds |
|---|---|---|
| `headroom` | N | what the rows hold: may be deducted without thinking |
| `ceiling` | N | that and the overage the rows allow: likewise, where nothing else pays for the feature |
| `spent` | N | deducted since the rows were last folded |
| `fresh_until` | N | the first instant (ms) at which the item changes by itself |
| `version` | N | counts the writes |
| `rows` | S | JSON: the grants as of the last fold, in deduction order |
| `flag` | BOOL | present where the feature is boolean or static |
| `limits` | S | JSON: spend and usage limits; absent where there are none |
| `before` | SS | what is drawn before this item, or beside it; absent where nothing is |
| `holds` | S | JSON: what reservations hold of it; absent where none does |
| `marks` | SS | `governed`, `clocked`, `unpooled`; absent where none holds |
| `event` | S | JSON: the last use; absent until the first |
| `fence` | B | no deduction with an id at or below it can be applied any more |
| `s0` … `s7` | B | the id of the last deduction of each slot |
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain import holds as held
from tollgate.domain.balances import Balance, Place
from tollgate.domain.holds import Hold, Part
from tollgate.domain.limits import NO_LIMITS, Alert, Basis, Limits, SpendLimit, Threshold, Window
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.quantities import ZERO
from tollgate.domain.rows import Rollover, RolloverRule, Row
from tollgate.domain.usage import Counted, UsageEvent
from tollgate.exact_json import dumps, loads

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from tollgate.store.table import Item

SLOTS = 8
NO_ID = bytes(16)
_NOTHING: frozenset[str] = frozenset()


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
    _, feature_id, entity_id = item["sk"]["S"].split("#")
    marks = item["marks"]["SS"] if "marks" in item else ()
    balance = Balance(
        Place(feature_id, entity_id),
        tuple(_row(row) for row in loads(item["rows"]["S"])),
        Decimal(item["headroom"]["N"]),
        Decimal(item["ceiling"]["N"]),
        Decimal(item["spent"]["N"]),
        int(item["fresh_until"]["N"]),
        "flag" in item,
        _limits(loads(item["limits"]["S"])) if "limits" in item else NO_LIMITS,
        frozenset(item["before"]["SS"]) if "before" in item else _NOTHING,
        "governed" in marks,
        "clocked" in marks,
        "unpooled" in marks,
        _holds(loads(item["holds"]["S"])) if "holds" in item else (),
    )
    slots = tuple(_bytes(item[f"s{n}"]["B"]) for n in range(SLOTS))
    return Stored(balance, int(item["version"]["N"]), _bytes(item["fence"]["B"]), slots)


def decode_event(item: Item) -> UsageEvent | None:
    if "event" not in item:
        return None
    event = loads(item["event"]["S"])
    get = event.get
    value, drawn = Decimal(event["value"]), Decimal(event["drawn"])
    return UsageEvent(
        event["id"],
        value,
        drawn,
        event["at"],
        event["key"],
        get("properties", {}),
        get("feature"),
        get("entity"),
        get("part", False),
        tuple(_counted(use) for use in get("uses", ())),
    )


def new_item(key: Item, balance: Balance, version: int = 1) -> Item:
    """The whole item of a balance that had none. `version`: later than that of any item that was there before it, so
    that an item made anew goes on counting where the old one stopped."""
    slots: Item = {f"s{n}": {"B": NO_ID} for n in range(SLOTS)}
    present = {name: value for name, value in state_values(balance).items() if value is not None}
    return {**key, **present, "version": {"N": str(version)}, "fence": {"B": NO_ID}, **slots}


def state_values(balance: Balance) -> dict[str, AttributeValueTypeDef | None]:
    """The attributes that hold a balance's state; None for one that is to be absent."""
    marks = [name for name in ("governed", "clocked", "unpooled") if getattr(balance, name)]
    return {
        "headroom": {"N": str(balance.headroom)},
        "ceiling": {"N": str(balance.ceiling)},
        "spent": {"N": str(balance.spent)},
        "fresh_until": {"N": str(balance.fresh_until)},
        "rows": {"S": dumps([_row_json(row) for row in balance.rows])},
        "flag": {"BOOL": True} if balance.flag else None,
        "limits": {"S": dumps(_limits_json(balance.limits))} if balance.limits != NO_LIMITS else None,
        "before": {"SS": sorted(balance.before)} if balance.before else None,
        "marks": {"SS": marks} if marks else None,
        "holds": {"S": dumps(_holds_json(balance.holds))} if balance.holds else None,
    }


class Update(NamedTuple):
    """`SET` and `REMOVE` clauses that write a balance's state and count the write."""

    sets: str
    removes: str
    names: dict[str, str]
    values: Item


def state_update(balance: Balance) -> Update:
    state = state_values(balance)
    sets = [*(f"#{name} = :{name}" for name, value in state.items() if value is not None), "version = version + :one"]
    removes = [f"#{name}" for name, value in state.items() if value is None]
    values: Item = {":one": {"N": "1"}, **{f":{name}": value for name, value in state.items() if value is not None}}
    names = {f"#{name}": name for name in state}
    return Update(", ".join(sets), f" REMOVE {', '.join(removes)}" if removes else "", names, values)


def encode_event(event: UsageEvent) -> str:
    full = {
        "id": event.id,
        "value": event.value,
        "drawn": event.drawn,
        "at": event.at,
        "key": event.key_id,
        "properties": event.properties or None,
        "feature": event.feature_id,
        "entity": event.entity_id,
        "part": event.part or None,
        "uses": [_counted_json(use) for use in event.uses] or None,
    }
    return dumps({name: value for name, value in full.items() if value is not None})


def _counted_json(use: Counted) -> dict[str, Any]:
    full = {
        "id": use.id,
        "value": use.value,
        "at": use.at,
        "moved": [list(moved) for moved in use.moved] or None,
        "properties": use.properties or None,
        "feature": use.feature_id,
        "entity": use.entity_id,
        "part": use.part or None,
        "key": use.key_id,
    }
    return {name: value for name, value in full.items() if value is not None}


def _counted(data: dict[str, Any]) -> Counted:
    get = data.get
    return Counted(
        data["id"],
        Decimal(data["value"]),
        data["at"],
        tuple((row, Decimal(value)) for row, value in get("moved", ())),
        get("properties", {}),
        get("feature"),
        get("entity"),
        get("part", False),
        get("key"),
    )


def _bytes(value: Any) -> bytes:
    return bytes(value)


def _row_json(row: Row) -> dict[str, Any]:
    """A row without what is empty: the item must stay within one kilobyte, the size of one write unit."""
    full = {
        "id": row.id,
        "plan": row.plan_id,
        "sub": None if row.subscription_id == _owner(row) else row.subscription_id or "",
        "granted": row.granted or None,
        "prepaid": row.prepaid or None,
        "adjusted": row.adjustment or None,
        "used": row.used or None,
        "unlimited": row.unlimited or None,
        "overage": row.overage or None,
        "max": row.max_purchase,
        "every": [row.reset.interval.value, row.reset.count] if row.reset else None,
        "anchor": row.anchor,
        "next": row.next_reset_at,
        "starts": row.starts_at,
        "expires": row.expires_at,
        "created": row.created_at if row.created_at != row.anchor else None,
        "add_on": row.add_on or None,
        "slot": row.slot or None,
        "keeps": row.keeps_overage or None,
        "rollover": list(row.rollover) if row.rollover else None,
        "rolled": [list(rollover) for rollover in row.rollovers] or None,
        "price": row.price,
        "value": row.value,
        "only": [list(pair) for pair in row.filters] or None,
        "beside": row.beside or None,
        "meters": {id: list(memory) for id, memory in row.meters.items()} or None,
    }
    return {name: value for name, value in full.items() if value is not None}


def _row(data: dict[str, Any]) -> Row:
    get = data.get
    every, rule = get("every"), get("rollover")
    row = Row(
        data["id"],
        get("plan"),
        None,
        Decimal(get("granted", 0)),
        Decimal(get("prepaid", 0)),
        Decimal(get("adjusted", 0)),
        Decimal(get("used", 0)),
        get("unlimited", False),
        get("overage", False),
        _number(get("max")),
        Reset(Interval(every[0]), every[1]) if every else None,
        data["anchor"],
        get("next"),
        get("starts"),
        get("expires"),
        get("created", data["anchor"]),
        get("add_on", False),
        get("slot", False),
        get("keeps", False),
        RolloverRule(_number(rule[0]), _number(rule[1]), rule[2]) if rule else None,
        tuple(Rollover(Decimal(r[0]), Decimal(r[1]), r[2]) for r in get("rolled", ())),
        get("price"),
        get("value"),
        tuple((name, value) for name, value in data["only"]) if "only" in data else (),
        Decimal(data["beside"]) if "beside" in data else ZERO,
        {id: tuple(map(Decimal, memory)) for id, memory in data["meters"].items()} if "meters" in data else {},
    )
    owner = data["sub"] or None if "sub" in data else _owner(row)
    return row._replace(subscription_id=owner)


def _owner(row: Row) -> str | None:
    """The subscription in the id of a row that a plan grants, `<subscription>:<item>`: it need not be stored twice."""
    return row.id.partition(":")[0] if row.plan_id else None


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _limits_json(limits: Limits) -> dict[str, Any]:
    full = {
        "overage": limits.overage_allowed,
        "spend": [limits.spend.limit, limits.spend.percentage] if limits.spend else None,
        "windows": [
            [w.limit, w.interval.value, w.ends_at, w.anchor, [list(pair) for pair in w.filter], w.used]
            for w in limits.windows
        ]
        or None,
        "alerts": [_alert_json(alert) for alert in limits.alerts] or None,
    }
    return {name: value for name, value in full.items() if value is not None}


def _limits(data: dict[str, Any]) -> Limits:
    spend = data.get("spend")
    return Limits(
        data.get("overage"),
        SpendLimit(Decimal(spend[0]), spend[1]) if spend else None,
        tuple(
            Window(Decimal(w[0]), Interval(w[1]), w[2], w[3], tuple((k, v) for k, v in w[4]), Decimal(w[5]))
            for w in data.get("windows", ())
        ),
        tuple(_alert(alert) for alert in data.get("alerts", ())),
    )


def _alert_json(alert: Alert) -> list[Any]:
    """What is not as usual comes last, and is left out where it is."""
    full = [alert.type.value, alert.threshold, alert.name, alert.of_plan or None, alert.basis.value]
    while full[-1] in (None, Basis.BALANCE.value):
        full.pop()
    return full


def _alert(data: list[Any]) -> Alert:
    type, threshold, name, of_plan, basis = [*data, *(None, None, None, None, None)][:5]
    return Alert(Threshold(type), Decimal(threshold), Basis(basis or Basis.BALANCE), name, bool(of_plan))


def _holds_json(holds: tuple[Hold, ...]) -> list[Any]:
    return [
        [
            hold.id,
            hold.expires_at,
            [[part.seq, part.row_id, part.amount, part.rollover] for part in hold.parts],
            [
                [c.window[0], c.window[1], [list(pair) for pair in c.window[2]], c.ends_at, c.amount]
                for c in hold.counted
            ],
            *([[list(entry) for entry in hold.beside]] if hold.beside else []),
        ]
        for hold in holds
    ]


def _holds(data: list[Any]) -> tuple[Hold, ...]:
    return tuple(
        Hold(
            id,
            expires_at,
            tuple(Part(seq, row_id, Decimal(amount), rollover) for seq, row_id, amount, rollover in parts),
            tuple(
                held.Counted((interval, utc, tuple((k, v) for k, v in filter)), ends_at, Decimal(amount))
                for interval, utc, filter, ends_at, amount in counted
            ),
            tuple((row_id, Decimal(amount)) for entries in beside for row_id, amount in entries),
        )
        for id, expires_at, parts, counted, *beside in data
    )
