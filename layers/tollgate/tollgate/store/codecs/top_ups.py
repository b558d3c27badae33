"""Top-ups within the JSON of controls and balances, and what has been asked for.

A top-up is `[threshold, quantity, invoice_mode, of_plan, purchase_limit?]`, and a purchase limit
`[limit, interval, interval_count, [made, at]?]`. They have no version of their own: a change of their layout changes
the layout of each item that holds them. What has been asked for is an item:

| attribute | type | holds |
|---|---|---|
| `data` | S | JSON: `stands`, `asked`, `refused`, `window_end`, `made`, `said_at`, `told_until`; what is nothing is left out |
| `writes` | N | counts the writes of the item |
| `ttl` | N | seconds |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tollgate.domain.periods import Interval
from tollgate.domain.top_ups import PurchaseLimit, TopUp, TopUpState
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

TOP_UP_STATE = Layout("state of a top-up", 0)


def top_up_json(top_up: TopUp) -> list[Any]:
    """A top-up as JSON."""
    known = [top_up.threshold, top_up.quantity, top_up.invoice_mode, top_up.of_plan]
    return known if top_up.purchase_limit is None else [*known, _limit_json(top_up.purchase_limit)]


def top_up_of(data: Sequence[Any]) -> TopUp:
    """The top-up that JSON holds."""
    threshold, quantity, invoice_mode, of_plan, *limit = data
    return TopUp(Decimal(threshold), Decimal(quantity), _limit(limit[0]) if limit else None, invoice_mode, of_plan)


def _limit_json(limit: PurchaseLimit) -> list[Any]:
    known = [limit.limit, limit.interval.value, limit.interval_count]
    return known if limit.said is None else [*known, list(limit.said)]


def _limit(data: Sequence[Any]) -> PurchaseLimit:
    limit, interval, interval_count, *said = data
    return PurchaseLimit(limit, Interval(interval), interval_count, tuple(said[0]) if said else None)


def encode_top_up_state(state: TopUpState, writes: int, ttl: int) -> Item:
    """The attributes of what has been asked for. `ttl` is epoch seconds."""
    said = {name: value for name, value in state._asdict().items() if value}
    return {
        "data": {"S": dumps(said)},
        "writes": {"N": str(writes)},
        "ttl": {"N": str(ttl)},
        **TOP_UP_STATE.mark,
    }


def decode_top_up_state(item: Item) -> tuple[TopUpState, int]:
    """What has been asked for, and how often the item was written."""
    TOP_UP_STATE.version_of(item)
    said = loads(item["data"]["S"])
    lists = {name: tuple(said[name]) for name in ("asked", "refused") if name in said}
    return TopUpState(**{**said, **lists}), int(item["writes"]["N"])
