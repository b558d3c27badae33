"""The balance item: the numbers that the fast path changes, the grants as last computed, and what makes a write safe.

| attribute | type | holds |
|---|---|---|
| `headroom` | N | units that the grants hold: the fast path may deduct them |
| `ceiling` | N | `headroom` and the overage that the grants allow: likewise, where nothing else pays for the feature |
| `spent` | N | units deducted since the grants were last computed |
| `fresh_until` | N | the first instant (ms) at which the item changes by itself; 0: it is never fresh |
| `version` | N | counts the writes |
| `rows` | S or B | JSON array: the grants as they were last computed, in deduction order; below |
| `left` | S or B | JSON array: plans' grants that have ended while what was used of them counts; absent where none has |
| `flag` | BOOL | true where the feature is boolean or static; absent elsewhere |
| `limits` | S | JSON object: spend and usage limits and alerts, below; absent where there are none |
| `before` | SS | features that pay before this item; `@`: entities hold balances too; absent where nothing does |
| `holds` | S or B | JSON array: what reservations hold of it, below; absent where none does |
| `marks` | SS | `governed`, `clocked`, `unpooled`, `allocated`, below; absent where none holds |
| `event` | S | JSON: the last use (`codecs.use_records`); absent until the first |
| `fence` | B | 16 bytes: no deduction with an id at or below it can be applied any more |
| `s0` … `s7` | B | 16 bytes: the id of the last deduction of each slot |
| `v` | N | the layout's version |
| `change`, `next`, `fresh_then`, `gone`, `made` | | what a large change has staged (`store.large_changes`) |

`rows`, `left` and `holds` are compressed (B, zlib) from 400 bytes on: each use pays for the whole item, and few use them.

The fast path changes `headroom`, `ceiling` and `spent`, counts `version` and sets `event` and a slot, of items that it
has not read: these attributes (and `fresh_until` and `fence`, which it compares) mean the same in every version
(docs/decisions/0007).

The marks: `governed`: the customer's usage limit counts its uses; `clocked`: the customer has a test clock; `unpooled`:
entities do not use it; `allocated`: its use lasts until it is given back.

| field of a grant | type | holds (absent: nothing, zero or false) |
|---|---|---|
| `id`, `plan` | string | |
| `sub` | string | the subscription, where the id does not start with it; empty: none |
| `granted`, `prepaid`, `adjusted`, `used` | number | units |
| `beside`, `max` | number | units used that other grants paid for; the most units of overage that are sold |
| `unlimited`, `overage`, `add_on` | bool | |
| `slot`, `keeps` | bool | it is one entity's share; overage is kept at a reset |
| `every` | array | `[interval, count]` |
| `anchor`, `next`, `starts`, `expires` | number | ms; `next` is the next reset |
| `created` | number | ms; absent where it is the anchor |
| `rollover` | array | the rule: `[max, max_percentage, months]`: units, percent, months |
| `rolled` | array | `[granted, used, expires_at]`: units, units, ms |
| `price`, `value` | object, string | what is shown of a price; a static feature's value |
| `only` | array | pairs of a property's name and the value it must have |
| `meters` | object | by feature, the numbers that its aggregation remembers |
| `of` | array | pairs of a plan and the units of `used` that were used of its grants before |
| `takes` | array | of one that is to start: `[replaces, resumes, usages, balances, keeps_period, resumes_period, lapses_at, until]`, the fields of `domain.grants.Takes` |

| field of `limits` | type | holds |
|---|---|---|
| `overage` | bool | whether it may be overdrawn; absent: each grant says so |
| `spend` | array | `[limit, whether in percent]`; else in units |
| `windows` | array | `[limit, interval, ends_at, anchor or null, filter, used]`: units, ms, ms, pairs, units |
| `paused` | array | the same, of usage limits that are switched off |
| `alerts` | array | `[type, threshold, name, of_plan, basis]`, cut after the last that is not as usual |
| `topup` | array | how the balance is topped up, as `codecs/top_ups.py` says; absent where it is not |

A hold is `[id, expires_at (ms), parts, counted, used_elsewhere]`; the last field is absent where it is empty, else
pairs of a grant and the units that it counts although others paid. A part is `[seq, grant, units, the rollover's expiry
(ms) or null]`; what a usage limit has counted is `[interval, utc, filter, ends_at (ms), units]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain import holds as held
from tollgate.domain.balances import Balance, BalanceKey
from tollgate.domain.grants import Grant, Rollover, RolloverRule, Takes
from tollgate.domain.holds import Hold, Part
from tollgate.domain.limits import NO_LIMITS, Alert, Basis, Limits, SpendLimit, Threshold, Window
from tollgate.domain.periods import Interval
from tollgate.domain.quantities import ZERO
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.layout import Layout
from tollgate.store.codecs.values import optional_number, packed, pairs_json, pairs_of, present, reset, unpacked

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from tollgate.domain.top_ups import TopUp
    from tollgate.store.table import Item

BALANCE = Layout("balance", 1)
SLOTS = 8
NO_ID = bytes(16)
STAGED = ("change", "next", "fresh_then", "gone", "made")  # of an item that a large change has staged
MARKS = {  # as stored: the field
    "governed": "counted_by_customer",
    "clocked": "has_test_clock",
    "unpooled": "unpooled",
    "allocated": "allocated",
}
_NOTHING: frozenset[str] = frozenset()


class StoredBalance(NamedTuple):
    """A balance as it was read.

    - `version`: the number of its last write. `fence`: no deduction with an id at or below it can be applied.
    - `slots`: the ids of the last deductions (16 bytes each).
    - `change`: the large change that is staged on it (`store.large_changes`): it cannot be written; empty: none is.
    """

    balance: Balance
    version: int
    fence: bytes
    slots: tuple[bytes, ...]
    change: str = ""

    def slot_of(self, id: bytes) -> bytes:
        """The id in the slot that a deduction with this id would use."""
        return self.slots[slot_number(id)]


def slot_number(id: bytes) -> int:
    """The number of the slot that records this id: from its last byte, which is random."""
    return id[-1] % SLOTS


def decode_balance(item: Item) -> StoredBalance:
    """The balance that an item holds. Raises Unavailable where the item's layout is newer than this code."""
    BALANCE.version_of(item)
    _, feature_id, entity_id = item["sk"]["S"].split("#")
    marks = item["marks"]["SS"] if "marks" in item else ()
    balance = Balance(
        BalanceKey(feature_id, entity_id),
        tuple(grant_of(grant) for grant in loads(unpacked(item["rows"]))),
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
        _holds(loads(unpacked(item["holds"]))) if "holds" in item else (),
        "allocated" in marks,
        tuple(grant_of(grant) for grant in loads(unpacked(item["left"]))) if "left" in item else (),
    )
    slots = tuple(_bytes(item[f"s{n}"]["B"]) for n in range(SLOTS))
    change = item["change"]["S"] if "change" in item else ""
    return StoredBalance(balance, int(item["version"]["N"]), _bytes(item["fence"]["B"]), slots, change)


def new_item(key: Item, balance: Balance, version: int = 1) -> Item:
    """The whole item of a new balance. `version` must be later than that of any earlier item with this key, so that a
    balance that is created again never repeats a version.
    """
    return {**key, **state_attributes(balance), "version": {"N": str(version)}, **no_writes()}


def no_writes() -> Item:
    """The attributes that make writes safe, of a balance that no use has written."""
    return {"fence": {"B": NO_ID}, **{f"s{n}": {"B": NO_ID} for n in range(SLOTS)}}


def as_it_was(item: Item) -> Item:
    """A balance item without what a large change has staged on it (`store.large_changes`)."""
    kept = {name: value for name, value in item.items() if name not in STAGED}
    return {**kept, "fresh_until": item["fresh_then"]}


def state_attributes(balance: Balance) -> Item:
    """The attributes that hold a balance's state, without those that must be absent."""
    return {name: value for name, value in state_values(balance).items() if value is not None}


def state_values(balance: Balance) -> dict[str, AttributeValueTypeDef | None]:
    """The attributes that hold a balance's state; None for an attribute that must be absent."""
    marks = [mark for mark, field in MARKS.items() if getattr(balance, field)]
    return {
        "headroom": {"N": str(balance.headroom)},
        "ceiling": {"N": str(balance.ceiling)},
        "spent": {"N": str(balance.spent)},
        "fresh_until": {"N": str(balance.fresh_until)},
        "rows": packed(dumps([grant_json(grant) for grant in balance.grants])),
        "left": packed(dumps([grant_json(grant) for grant in balance.left_off])) if balance.left_off else None,
        "flag": {"BOOL": True} if balance.flag else None,
        "limits": {"S": dumps(_limits_json(balance.limits))} if balance.limits != NO_LIMITS else None,
        "before": {"SS": sorted(balance.paid_first)} if balance.paid_first else None,
        "marks": {"SS": marks} if marks else None,
        "holds": packed(dumps(_holds_json(balance.holds))) if balance.holds else None,
        **BALANCE.mark,
    }


STATE = tuple(state_values(Balance(BalanceKey(""))))  # the names of all attributes that hold a balance's state


class Update(NamedTuple):
    """The `SET` and `REMOVE` clauses, names and values of a write of a balance's state, which also counts the write."""

    sets: str
    removes: str
    names: dict[str, str]
    values: Item


def state_update(balance: Balance) -> Update:
    """The update that writes this state of a balance."""
    state = state_values(balance)
    sets = [*(f"#{name} = :{name}" for name, value in state.items() if value is not None), "version = version + :one"]
    removes = [f"#{name}" for name, value in state.items() if value is None]
    values: Item = {":one": {"N": "1"}, **{f":{name}": value for name, value in state.items() if value is not None}}
    names = {f"#{name}": name for name in state}
    return Update(", ".join(sets), f" REMOVE {', '.join(removes)}" if removes else "", names, values)


def _bytes(value: Any) -> bytes:
    return bytes(value)


def grant_json(grant: Grant) -> dict[str, Any]:
    """A grant as JSON, without empty fields: an item of up to one kilobyte is written with one write unit."""
    return present(
        {
            "id": grant.id,
            "plan": grant.plan_id,
            "sub": None if grant.subscription_id == _owner(grant) else grant.subscription_id or "",
            "granted": grant.granted or None,
            "prepaid": grant.prepaid or None,
            "adjusted": grant.adjustment or None,
            "used": grant.used or None,
            "unlimited": grant.unlimited or None,
            "overage": grant.overage or None,
            "max": grant.max_purchase,
            "every": [grant.reset.interval.value, grant.reset.count] if grant.reset else None,
            "anchor": grant.anchor,
            "next": grant.next_reset_at,
            "starts": grant.starts_at,
            "expires": grant.expires_at,
            "created": grant.created_at if grant.created_at != grant.anchor else None,
            "add_on": grant.add_on or None,
            "slot": grant.entity_share or None,
            "keeps": grant.keeps_overage or None,
            "rollover": list(grant.rollover) if grant.rollover else None,
            "rolled": [list(rollover) for rollover in grant.rollovers] or None,
            "price": grant.price,
            "value": grant.value,
            "only": pairs_json(grant.filters) or None,
            "beside": grant.used_elsewhere or None,
            "meters": {id: list(memory) for id, memory in grant.meters.items()} or None,
            "of": [list(span) for span in grant.inherited] or None,
            "takes": [list(grant.takes.replaces), *grant.takes[1:]] if grant.takes else None,
        }
    )


def grant_of(data: dict[str, Any]) -> Grant:
    get = data.get
    every, rule = get("every"), get("rollover")
    grant = Grant(
        data["id"],
        get("plan"),
        None,
        Decimal(get("granted", 0)),
        Decimal(get("prepaid", 0)),
        Decimal(get("adjusted", 0)),
        Decimal(get("used", 0)),
        get("unlimited", False),
        get("overage", False),
        optional_number(get("max")),
        reset(every[0], every[1]) if every else None,
        data["anchor"],
        get("next"),
        get("starts"),
        get("expires"),
        get("created", data["anchor"]),
        get("add_on", False),
        get("slot", False),
        get("keeps", False),
        RolloverRule(optional_number(rule[0]), optional_number(rule[1]), rule[2]) if rule else None,
        tuple(Rollover(Decimal(r[0]), Decimal(r[1]), r[2]) for r in get("rolled", ())),
        get("price"),
        get("value"),
        pairs_of(get("only", ())),
        Decimal(data["beside"]) if "beside" in data else ZERO,
        {id: tuple(map(Decimal, memory)) for id, memory in data["meters"].items()} if "meters" in data else {},
        tuple((plan_id, Decimal(units)) for plan_id, units in data["of"]) if "of" in data else (),
        Takes(tuple(data["takes"][0]), *data["takes"][1:]) if "takes" in data else None,
    )
    owner = data["sub"] or None if "sub" in data else _owner(grant)
    return grant._replace(subscription_id=owner)


def _owner(grant: Grant) -> str | None:
    """The subscription that the id of a plan's grant, `<subscription>:<item>`, starts with; it need not be stored
    again.
    """
    return grant.id.partition(":")[0] if grant.plan_id else None


def _limits_json(limits: Limits) -> dict[str, Any]:
    return present(
        {
            "overage": limits.overage_allowed,
            "spend": [limits.spend.limit, limits.spend.percentage] if limits.spend else None,
            "windows": [_window_json(window) for window in limits.windows] or None,
            "alerts": [_alert_json(alert) for alert in limits.alerts] or None,
            "paused": [_window_json(window) for window in limits.paused] or None,
            "topup": _top_up_json(limits.top_up),
        }
    )


def _limits(data: dict[str, Any]) -> Limits:
    spend = data.get("spend")
    return Limits(
        data.get("overage"),
        SpendLimit(Decimal(spend[0]), spend[1]) if spend else None,
        tuple(_window(window) for window in data.get("windows", ())),
        tuple(_alert(alert) for alert in data.get("alerts", ())),
        tuple(_window(window) for window in data.get("paused", ())),
        _top_up(data["topup"]) if "topup" in data else None,
    )


def _top_up_json(top_up: TopUp | None) -> list[Any] | None:
    if top_up is None:
        return None
    from tollgate.store.codecs.top_ups import top_up_json  # few balances have one: a start need not load it

    return top_up_json(top_up)


def _top_up(data: list[Any]) -> TopUp:
    from tollgate.store.codecs.top_ups import top_up_of

    return top_up_of(data)


def _window_json(w: Window) -> list[Any]:
    return [w.limit, w.interval.value, w.ends_at, w.anchor, pairs_json(w.filter), w.used]


def _window(w: Sequence[Any]) -> Window:
    return Window(Decimal(w[0]), Interval(w[1]), w[2], w[3], pairs_of(w[4]), Decimal(w[5]))


def _alert_json(alert: Alert) -> list[Any]:
    """An alert as JSON. Fields that often have their default come last, and are left out where they have it."""
    basis = None if alert.basis is Basis.BALANCE else alert.basis.value
    full = [alert.type.value, alert.threshold, alert.name, alert.of_plan or None, basis]
    while full[-1] is None:
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
            [[part.seq, part.grant_id, part.amount, part.rollover] for part in hold.parts],
            [[c.window[0], c.window[1], pairs_json(c.window[2]), c.ends_at, c.amount] for c in hold.counted],
            *([[list(entry) for entry in hold.used_elsewhere]] if hold.used_elsewhere else []),
        ]
        for hold in holds
    ]


def _holds(data: list[Any]) -> tuple[Hold, ...]:
    return tuple(
        Hold(
            id,
            expires_at,
            tuple(Part(seq, grant_id, Decimal(amount), rollover) for seq, grant_id, amount, rollover in parts),
            tuple(
                held.CountedInWindow((interval, utc, pairs_of(filter)), ends_at, Decimal(amount))
                for interval, utc, filter, ends_at, amount in counted
            ),
            tuple((grant_id, Decimal(amount)) for entries in used_elsewhere for grant_id, amount in entries),
        )
        for id, expires_at, parts, counted, *used_elsewhere in data
    )
