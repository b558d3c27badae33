"""What each subscription of a customer still lets it use of a feature: a line for each, whatever else pays.

management.md 10 (one domain in three dialects): included units are free; bought ones, and overage that is allowed,
are what may be used in all; None is no limit. A balance that no subscription gave is no line and changes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.balances import Balance, Place, overage_cap
from tollgate.domain.limits import Limits
from tollgate.domain.quantities import ZERO
from tollgate.domain.rows import Row

Filters = tuple[tuple[str, str], ...]


class Line(NamedTuple):
    """What a subscription grants of a feature: units `used` in the running period, and how many are free and in all."""

    used: Decimal
    free: Decimal | None
    total: Decimal | None

    @property
    def allows(self) -> bool:
        """Whether it may be used at all: strictly below the limit (lotus.md 2.1)."""
        return self.total is None or self.used < self.total

    @property
    def allows_free(self) -> bool:
        return self.free is None or self.used < self.free


def lines(feature_id: str, world: Mapping[Place, Balance]) -> dict[str, Line]:
    """The lines of a folded world by subscription. Shares that a plan grants to each entity add up.

    A plan that grants a feature twice (units each month, say, and some once) makes one line: the limits together, and the
    usage of the longer period.
    """
    found: dict[str, Line] = {}
    for place, balance in world.items():
        if place.feature_id != feature_id or balance.flag:
            continue
        own: dict[str, Line] = {}
        for row in balance.live_rows:
            if row.subscription_id is None or (place.entity_id and not row.slot):
                continue
            line, other = _line(row, balance), own.get(row.subscription_id)
            own[row.subscription_id] = _sum(line, other, max(line.used, other.used)) if other else line
        for id, line in own.items():
            found[id] = _sum(line, found[id], line.used + found[id].used) if id in found else line
    return found


def holders(feature_id: str, world: Mapping[Place, Balance]) -> set[str]:
    """The subscriptions that grant a feature of any type to the customer itself, or a share of it to its entities."""
    return {
        row.subscription_id
        for place, balance in world.items()
        if place.feature_id == feature_id
        for row in balance.live_rows
        if row.subscription_id is not None and (not place.entity_id or row.slot)
    }


def answers(held: Filters, asked: Filters) -> bool:
    """Whether a subscription with filters answers a check that asks for some (lotus.md 2.1): they are a part of its own."""
    return set(asked) <= set(held)


def _line(row: Row, balance: Balance) -> Line:
    if row.unlimited:
        return Line(row.counted, None, None)
    rolled = sum((rollover.granted for rollover in row.rollovers), ZERO)
    free = row.granted + row.adjustment + rolled
    overage = _overage(row, balance)
    return Line(row.counted, free, None if overage is None else free + row.prepaid + overage)


def _overage(row: Row, balance: Balance) -> Decimal | None:
    """By how much a row may be overdrawn in all; a spend limit bounds all rows together, and so each."""
    limits = balance.limits
    cap = overage_cap(limits)(row)
    if cap == 0 or limits.spend is None:
        return cap
    most = _spend(limits, balance)
    return cap if most is None else most if cap is None else min(cap, most)


def _spend(limits: Limits, balance: Balance) -> Decimal | None:
    assert limits.spend is not None
    if not limits.spend.percentage:
        return limits.spend.limit
    base = sum((row.granted for row in balance.live_rows if row.subscription_id and not row.add_on), ZERO)
    return limits.spend.limit * base / 100 if base else None


def _sum(one: Line, other: Line, used: Decimal) -> Line:
    free = None if one.free is None or other.free is None else one.free + other.free
    total = None if one.total is None or other.total is None else one.total + other.total
    return Line(used, free, total)
