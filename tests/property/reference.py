"""Autumn's rules in their most literal form: every operation walks over the grants, one line at a time.

Slow, and nothing of it is shared with the domain: where the two disagree, one of them has misread autumn.md 2, 3. Lines are
grouped by balance (feature, entity or nothing). Within a use, a balance's rollovers go before its lines (3.2), and credit
systems follow the feature in the catalog's order.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

ZERO = Decimal(0)
LATE = 10**18
PASSES = ("overflow", "reported")  # what has been reported is not even stopped by a spend limit (lotus.md 0.7)
MINUTES = {"minute": 1, "hour": 60, "day": 1440, "week": 10080, "month": 43200, "quarter": 129600, "year": 525600}


@dataclass
class Rolled:
    granted: Decimal
    used: Decimal
    expires: int | None

    @property
    def left(self) -> Decimal:
        return self.granted - self.used


@dataclass
class Line:
    """One grant. `interval` None never resets; `keep` is what rolls over at most, None for no rollover at all."""

    id: str
    feature: str
    entity: str
    granted: Decimal
    prepaid: Decimal = ZERO
    adjustment: Decimal = ZERO
    used: Decimal = ZERO
    unlimited: bool = False
    overage: bool = False
    most_overage: Decimal | None = None
    interval: str | None = None
    count: int = 1
    anchor: int = 0
    next_reset: int | None = None
    expires: int | None = None
    created: int = 0
    add_on: bool = False
    entity_share: bool = False
    paid: bool = False
    keeps_overage: bool = False
    rolls: bool = False
    keep: Decimal | None = None
    keep_months: int | None = None
    rolled: list[Rolled] = field(default_factory=list)

    @property
    def total(self) -> Decimal:
        return self.granted + self.prepaid + self.adjustment

    @property
    def left(self) -> Decimal:
        return self.total - self.used

    @property
    def over(self) -> Decimal:
        return ZERO if self.unlimited else max(ZERO, -self.left)


@dataclass
class Cap:
    """A usage limit per UTC day or month."""

    limit: Decimal
    interval: str
    ends: int
    filter: tuple[str, str] | None = None
    used: Decimal = ZERO

    def counts(self, properties: Mapping[str, str]) -> bool:
        return self.filter is None or properties.get(self.filter[0]) == self.filter[1]


@dataclass
class Bounds:
    """The billing controls on one feature of one customer or entity."""

    overage_allowed: bool | None = None
    spend: Decimal | None = None
    caps: list[Cap] = field(default_factory=list)


class Draw(NamedTuple):
    """What is to be drawn."""

    feature: str
    entity: str  # empty: the customer itself
    amount: Decimal  # in units of the feature
    overage: str
    may_go_negative: bool  # the feature's own lines may be overdrawn
    properties: Mapping[str, str]


@dataclass
class Model:
    """All that a customer holds. `pools`: (credit system, cost) of each feature; `seats`: the allocated features."""

    pools: dict[str, list[tuple[str, Decimal]]]
    seats: set[str]
    lines: list[Line] = field(default_factory=list)
    bounds: dict[tuple[str, str], Bounds] = field(default_factory=dict)
    shares: list[Line] = field(default_factory=list)  # of a plan, for each entity

    # ------------------------------------------------------------------ time (3.9)

    def advance(self, now: int) -> None:
        self.lines = [line for line in self.lines if line.expires is None or line.expires > now]
        for line in self.lines:
            while line.next_reset is not None and line.next_reset <= now:
                boundary, line.next_reset = line.next_reset, following(line, line.next_reset)
                line.rolled = [r for r in line.rolled if r.expires is None or r.expires > boundary]
                self._reset(line, boundary)
            line.rolled = [r for r in line.rolled if r.expires is None or r.expires > now]
        for bounds in self.bounds.values():
            for cap in bounds.caps:
                if cap.ends <= now:
                    cap.used, cap.ends = ZERO, utc_window_end(cap.interval, now)

    def _reset(self, line: Line, boundary: int) -> None:
        if line.rolls:
            if line.left > 0 and not line.unlimited:
                expires = None if line.keep_months is None else lapse(line, boundary, line.keep_months)
                same = next((r for r in line.rolled if r.expires == expires), None)
                if same:
                    same.granted += line.left
                else:
                    line.rolled.append(Rolled(line.left, ZERO, expires))
            line.rolled.sort(key=lambda r: LATE if r.expires is None else r.expires)
            excess = ZERO if line.keep is None else sum((r.left for r in line.rolled), ZERO) - line.keep
            for rolled in line.rolled:
                cut = max(ZERO, min(excess, rolled.left))
                rolled.granted -= cut
                excess -= cut
            line.rolled = [r for r in line.rolled if r.left > 0][-400:]
        line.used = line.over if line.keeps_overage and not line.overage else ZERO
        line.adjustment = ZERO

    # ------------------------------------------------------------------ track (3.1 to 3.5)

    def track(
        self, feature: str, entity: str, amount: Decimal, overage: str, properties: Mapping[str, str]
    ) -> tuple[bool, Decimal]:
        """Whether it was accepted, and what moved in units of `feature`."""
        own, lines = self.order(feature, entity, ()), self.order(feature, entity, self.pools.get(feature, []))
        if not lines:
            return False, ZERO
        before = [(line, line.used, [r.used for r in line.rolled]) for line, _ in lines]
        free = not any(line.paid for line, _ in own)
        if amount < 0:
            moved = -self._give_back(lines, -amount, overage)
        else:
            if feature in self.seats and not free and overage == "cap":
                overage = "reject"
            asked = amount
            if overage not in PASSES and not any(line.unlimited for line, _ in own):
                asked = min([amount, *self._rooms(feature, entity, properties)])
            may_go_negative = feature in self.seats and free and overage != "reject"
            moved = self._take(lines, Draw(feature, entity, asked, overage, may_go_negative, properties))
            if overage == "reject" and moved < amount:
                for line, used, rolled in before:
                    line.used = used
                    for rollover, was in zip(line.rolled, rolled, strict=True):
                        rollover.used = was
                return False, ZERO
        self._count(feature, entity, before, moved, properties)
        return True, moved

    def order(self, feature: str, entity: str, pools: Iterable[tuple[str, Decimal]]) -> list[tuple[Line, Decimal]]:
        """The lines that a request draws, in order, each with what one unit of the feature costs there (3.1)."""
        costs = {feature: Decimal(1)} | dict(pools)
        ranks = list(costs)

        def position(line: Line) -> tuple[object, ...]:
            return (
                (line.entity == "", line.entity) if entity else (line.entity != "", line.entity),
                ranks.index(line.feature),
                not line.unlimited,
                line.next_reset is None,
                MINUTES[line.interval] * line.count if line.next_reset is not None and line.interval else 0,
                LATE if line.expires is None else line.expires,
                line.add_on,
                line.overage,
                line.created,
                line.id,
            )

        def seen(line: Line) -> bool:
            if line.feature not in costs:
                return False
            return line.entity in ("", entity) if entity else line.entity == "" or line.entity_share

        return [(line, costs[line.feature]) for line in sorted(filter(seen, self.lines), key=position)]

    def _bounds(self, feature: str, entity: str) -> Bounds:
        """An entity's controls stand over the customer's (3.5)."""
        customers = self.bounds.get((feature, ""), Bounds())
        entitys = self.bounds.get((feature, entity), Bounds()) if entity else Bounds()
        return Bounds(
            customers.overage_allowed if entitys.overage_allowed is None else entitys.overage_allowed,
            customers.spend if entitys.spend is None else entitys.spend,
            entitys.caps or customers.caps,
        )

    def allows_overage(self, feature: str, entity: str) -> bool:
        return bool(self._bounds(feature, entity).overage_allowed)

    def _rooms(self, feature: str, entity: str, properties: Mapping[str, str]) -> list[Decimal]:
        caps = self._bounds(feature, entity).caps
        return [max(ZERO, cap.limit - cap.used) for cap in caps if cap.counts(properties)]

    def _spend_room(self, feature: str, entity: str) -> Decimal | None:
        """An entity's own limit sees what the entity sees; a customer's, everything."""
        spend = self._bounds(feature, entity).spend
        if spend is None:
            return None
        owned = bool(entity) and self.bounds.get((feature, entity), Bounds()).spend is not None
        scope = [line for line in self.lines if line.feature == feature and (not owned or line.entity in ("", entity))]
        return max(ZERO, spend - sum((line.over for line in scope), ZERO))

    def _take(self, lines: list[tuple[Line, Decimal]], asked: Draw) -> Decimal:
        """Draws from the lines in order, and tells how much, in units of the feature that is used."""
        feature, entity, amount, overage, may_go_negative, properties = asked
        left = amount
        gates: dict[str, Decimal] = {}
        spends: dict[str, Decimal] = {}
        for id in {line.feature for line, _ in lines}:
            endless = any(line.unlimited for line, _ in lines if line.feature == id)
            if id != feature and overage not in PASSES and not endless:
                rooms = self._rooms(id, entity, properties)
                if rooms:
                    gates[id] = min(rooms)
            spend = self._spend_room(id, entity)
            if spend is not None:
                spends[id] = spend

        def draw(line: Line, cost: Decimal, room: Decimal | None) -> Decimal:
            """Takes up to `room` (None: all) of what is still asked; tells how much, in the line's units."""
            nonlocal left
            part = left * cost
            for bound in (room, gates.get(line.feature)):
                part = part if bound is None else min(part, bound)
            left -= part / cost
            if line.feature in gates:
                gates[line.feature] -= part
            return part

        key = None
        for line, cost in lines:  # pass 1, with each place's rollovers before its lines
            if (line.feature, line.entity) != key:
                key = line.feature, line.entity
                here = [other for other, _ in lines if (other.feature, other.entity) == key]
                if not any(other.unlimited for other in here):
                    rolled = [r for other in here for r in other.rolled]
                    for rollover in sorted(rolled, key=lambda r: LATE if r.expires is None else r.expires):
                        rollover.used += draw(line, cost, rollover.left)
            line.used += draw(line, cost, None if line.unlimited else max(ZERO, line.left))
        clamped = False
        for line, cost in lines:  # pass 2
            bounds = self._bounds(line.feature, entity)
            able = line.overage or bounds.overage_allowed or (may_go_negative and line.feature == feature)
            if line.unlimited or bounds.overage_allowed is False or not able:
                continue
            if line.feature in spends:
                clamped = True
                part = draw(line, cost, spends[line.feature])
                spends[line.feature] -= part
            elif line.overage and line.most_overage is not None:
                part = draw(line, cost, max(ZERO, line.most_overage - line.over))
            else:
                part = draw(line, cost, None)
            line.used += part
        if left and overage in PASSES and (overage == "reported" or not clamped):
            first, cost = lines[0]
            here = [line for line, _ in lines if (line.feature, line.entity) == (first.feature, first.entity)]
            next((line for line in here if line.overage), first).used += left * cost
            left = ZERO
        return amount - left

    def _give_back(self, lines: list[tuple[Line, Decimal]], amount: Decimal, overage: str) -> Decimal:
        """Negative lines to zero, then each up to its grant; the rest is dropped, or overflows (3.3)."""
        left = amount
        rooms: list[Callable[[Line], Decimal]] = [lambda line: line.over, lambda line: max(ZERO, line.used)]
        for room in rooms:
            for line, cost in lines:
                part = min(left * cost, room(line))
                line.used -= part
                left -= part / cost
        if left and overage in PASSES:
            line, cost = lines[0]
            line.used -= left * cost
            left = ZERO
        return amount - left

    def _count(
        self,
        feature: str,
        entity: str,
        before: list[tuple[Line, Decimal, list[Decimal]]],
        moved: Decimal,
        properties: Mapping[str, str],
    ) -> None:
        """Usage limits count units of the feature, and of each pool that paid; of an unlimited balance nothing (3.7)."""
        counted = {feature: moved}
        for line, used, rolled in before:
            if line.feature != feature:
                change = line.used - used + sum((r.used for r in line.rolled), ZERO) - sum(rolled, ZERO)
                counted[line.feature] = counted.get(line.feature, ZERO) + change
        for id, amount in counted.items():
            owner = entity if self.bounds.get((id, entity), Bounds()).caps else ""
            endless = any(line.unlimited for line in self.lines if (line.feature, line.entity) == (id, owner))
            for cap in () if endless else self._bounds(id, entity).caps:
                if cap.counts(properties) and (amount > 0 or cap.used < cap.limit):
                    cap.used = max(ZERO, cap.used + amount)

    # ------------------------------------------------------------------ balances.update (3.8), entities

    def set_remaining(self, feature: str, entity: str, target: Decimal | None, add: Decimal | None) -> None:
        """A decrease runs in deduction order, each line to zero and the rest onto the first; an increase lifts negative
        lines to zero and puts the rest onto the first."""
        lines = [line for line, _ in self.order(feature, entity, ())]
        if not lines or any(line.unlimited for line in lines):
            return
        held = sum((line.left + sum((r.left for r in line.rolled), ZERO) for line in lines), ZERO)
        change = add if target is None else target - held
        assert change is not None
        left = abs(change)
        for line in lines:
            if change < 0:
                for rollover in sorted(line.rolled, key=lambda r: LATE if r.expires is None else r.expires):
                    part = min(left, rollover.left)
                    rollover.used += part
                    left -= part
            part = min(left, max(ZERO, line.left) if change < 0 else line.over)
            line.used += part if change < 0 else -part
            left -= part
        lines[0].used += left if change < 0 else -left

    def add_entity(self, entity: str, users: str, now: int) -> None:
        """One entity more: its share of each plan that grants per entity, and one seat."""
        for share in self.shares:
            line = Line(
                **{**vars(share), "entity": entity, "id": f"{share.id}:{entity}", "entity_share": True, "rolled": []}
            )
            while line.next_reset is not None and line.next_reset <= now:
                line.next_reset = following(line, line.next_reset)
            self.lines.append(line)
        seats = [line for line, _ in self.order(users, "", ()) if line.entity == ""]
        left = Decimal(1)
        for line in seats:
            part = left if line.unlimited else min(left, max(ZERO, line.left))
            line.used += part
            left -= part
        if seats:
            next((line for line in seats if line.overage), seats[0]).used += left


# ------------------------------------------------------------------ the calendar


def following(line: Line, boundary: int) -> int:
    """The boundary after this one: anchor + n periods, counted from the anchor so that a month's end never drifts."""
    assert line.interval is not None
    fixed = {"minute": 1, "hour": 60, "day": 1440, "week": 10080}
    if line.interval in fixed:
        return boundary + fixed[line.interval] * 60_000 * line.count
    months = {"month": 1, "quarter": 3, "year": 12}[line.interval] * line.count
    periods = 1
    while months_later(line.anchor, periods * months) <= boundary:
        periods += 1
    return months_later(line.anchor, periods * months)


def lapse(line: Line, boundary: int, months: int) -> int:
    """So many months after a boundary; where boundaries are months apart, counted from the anchor as they are."""
    if line.interval in ("minute", "hour", "day", "week"):
        return months_later(boundary, months)
    until = next(n for n in range(10_000) if months_later(line.anchor, n) >= boundary)
    return months_later(line.anchor, until + months)


def months_later(at: int, months: int) -> int:
    """UTC, the month's last day where it has no such day: January 31 + 1 month = February 28."""
    day = datetime.fromtimestamp(at // 1000, UTC)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return int(day.replace(year=year, month=month + 1, day=min(day.day, last)).timestamp()) * 1000 + at % 1000


def utc_window_end(interval: str, at: int) -> int:
    midnight = datetime.fromtimestamp(at // 1000, UTC).replace(hour=0, minute=0, second=0)
    end = midnight + timedelta(days=1)
    if interval == "month":
        end = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    return int(end.timestamp()) * 1000
