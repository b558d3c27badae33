"""How a check is decided, and what a use does to the balances.

Read from the top: `sources_of` says which items answer for a feature and in which order, `allows` is the answer of a
read-only check, `use` is a use thought through row by row (the slow path), and `hot` is the same decision as the store
makes it in one conditional write. Where `hot` decides, it decides exactly as `use` does.

A world holds what the decision may touch: balance items of one customer, by place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from tollgate.domain.balances import (
    ENTITIES,
    Balance,
    Eligible,
    Place,
    draw,
    draw_overage,
    fold,
    lift,
    overage_cap,
    refill,
    restated,
    settle,
    spend_room,
    tallied,
    totals,
)
from tollgate.domain.features import Feature, Pool
from tollgate.domain.limits import NO_LIMITS, Limits, Window
from tollgate.domain.quantities import ZERO, converted, unconverted
from tollgate.domain.rows import Row

World = Mapping[Place, Balance]
ONE = Decimal(1)


class Overage(StrEnum):
    """What becomes of the part of a use that the balances do not cover (autumn.md 3.4)."""

    CAP = "cap"  # it is dropped
    REJECT = "reject"  # the whole use is refused
    OVERFLOW = "overflow"  # it goes through, past any floor but a spend limit's
    REPORTED = "reported"  # it has happened: it goes through, past any limit (lotus.md 0.7)

    @property
    def passes(self) -> bool:
        return self in (Overage.OVERFLOW, Overage.REPORTED)


class Source(NamedTuple):
    """One item that pays for a feature. `cost`: its units for one unit of what is asked. `slots_only`: of an entity's
    item, only the shares that the customer's own plans gave it. `properties`: only the rows whose filters a use with these
    passes; None for all."""

    place: Place
    cost: Decimal = ONE
    slots_only: bool = False
    properties: Mapping[str, Any] | None = None

    def may(self, row: Row) -> bool:
        return (
            row.starts_at is None
            and (row.slot or not self.slots_only)
            and (self.properties is None or row.matches(self.properties))
        )


class Deduction(NamedTuple):
    """What moved on one row, in units of its feature: above zero consumed, below zero given back."""

    feature_id: str
    row: Row
    value: Decimal


class Decision(NamedTuple):
    """`world` is folded: after an allowed use, or as it stood at the time of a refused one.

    `drawn` is what moved in units of what was asked: above zero consumed, below zero given back. `usage_limited`: a
    refusal for a usage limit and not for the balance. `counted`: the places whose usage limits counted it.
    """

    allowed: bool
    drawn: Decimal
    world: World
    deductions: tuple[Deduction, ...] = ()
    usage_limited: bool = False
    counted: tuple[Place, ...] = ()

    def changed(self, before: World) -> dict[Place, Balance]:
        """The balances that differ."""
        return {place: balance for place, balance in self.world.items() if before.get(place) != balance}


def sources_of(
    feature_id: str,
    pools: Sequence[Pool],
    entity_id: str,
    world: World,
    properties: Mapping[str, Any] | None = None,
) -> tuple[Source, ...]:
    """The items that pay for a feature, in deduction order (autumn.md 3.1 (steps 1 to 3)).

    With an entity its own items come first, then the customer's; without, the customer's, then each entity's shares by
    entity id. In each, the feature itself comes before the credit pools, in the catalog's order.
    """
    ranked = ((feature_id, ONE), *((pool.feature_id, pool.cost) for pool in pools))
    levels = [entity_id, ""] if entity_id else ["", *sorted({place.entity_id for place in world} - {""})]
    found = []
    for level in levels:
        for id, cost in ranked:
            balance = world.get(Place(id, level))
            if balance is None or balance.flag or (entity_id and not level and balance.unpooled):
                continue
            found.append(Source(balance.place, cost, not entity_id and level != "", properties))
    return tuple(found)


# ------------------------------------------------------------------ what bounds a request


def limits_of(feature_id: str, entity_id: str, world: World) -> Limits:
    """What bounds a feature in a request: an entity's controls over the customer's (autumn.md 3.5)."""
    customer = _limits_at(Place(feature_id), world)
    entity = _limits_at(Place(feature_id, entity_id), world) if entity_id else NO_LIMITS
    return Limits(
        customer.overage_allowed if entity.overage_allowed is None else entity.overage_allowed,
        entity.spend or customer.spend,
        entity.windows or customer.windows,
    )


def _limits_at(place: Place, world: World) -> Limits:
    return world[place].limits if place in world else NO_LIMITS


def _windows_place(feature_id: str, entity_id: str, world: World) -> Place:
    """The item that counts a feature's usage limits for a request."""
    own = Place(feature_id, entity_id)
    return own if entity_id and _limits_at(own, world).windows else Place(feature_id)


def _spend_scope(feature_id: str, entity_id: str, world: World) -> list[Row]:
    """The rows whose overage counts against the spend limit: an entity's limit sees what the entity sees, a customer's
    sees all."""
    own = Place(feature_id, entity_id)
    if entity_id and _limits_at(own, world).spend:
        places: Iterable[Place] = (own, Place(feature_id))
    else:
        places = (place for place in world if place.feature_id == feature_id)
    return [row for place in places if place in world for row in world[place].live_rows]


# ------------------------------------------------------------------ check


def holds(feature_id: str, entity_id: str, world: World) -> bool:
    """Whether anything grants the feature there."""
    return any(
        row for source in sources_of(feature_id, (), entity_id, world) for row in _rows(source, world)
    ) or has_flag(feature_id, entity_id, world)


def has_flag(feature_id: str, entity_id: str, world: World) -> bool:
    """Whether a boolean or static feature is held: by the customer, or by the entity."""
    held = [world[place] for place in {Place(feature_id), Place(feature_id, entity_id)} if place in world]
    shared = [flag for flag in held if flag.place.entity_id == entity_id or not flag.unpooled]
    return any(balance.flag and balance.live_rows for balance in shared)


def allows(feature_id: str, entity_id: str, required: Decimal, properties: Mapping[str, Any], world: World) -> bool:
    """Whether a folded world allows a use of `required` units of this one feature (autumn.md 2.1)."""
    if has_flag(feature_id, entity_id, world):
        return True
    sources = sources_of(feature_id, (), entity_id, world, properties)
    rows = [row for source in sources for row in _rows(source, world)]
    if not rows:
        return False
    if any(row.unlimited for row in rows) or required < 0:
        return True
    limits = limits_of(feature_id, entity_id, world)
    if any(window.matches(properties) and window.limit - window.used < required for window in limits.windows):
        return False
    left = required - totals(rows).remaining
    if left <= 0:
        return True
    cap_of = overage_cap(limits)
    caps = [(row, cap_of(row)) for row in rows]
    if all(cap == 0 for _, cap in caps):
        return False
    room = spend_room(limits, _spend_scope(feature_id, entity_id, world))
    if room is not None:
        return left <= room
    if any(cap is None for _, cap in caps):
        return True
    return left <= sum((max(ZERO, cap - row.overdrawn) for row, cap in caps if cap is not None), ZERO)


class Check(NamedTuple):
    """The answer of a check: the feature that answers (itself or a credit pool), what it asks of it, and whether it may."""

    allowed: bool
    feature_id: str
    required: Decimal


def check(
    feature: Feature,
    pools: Sequence[Pool],
    entity_id: str,
    required: Decimal,
    properties: Mapping[str, Any],
    world: World,
) -> Check:
    """Whether `required` units may be used now, in a folded world, and which feature answers (autumn.md 2.1, 2.2).

    The feature itself if it alone would allow; else the first credit pool that would (asked for the plain number), else
    the first one held; else itself if held, else the first pool in the catalog.
    """
    held = holds(feature.id, entity_id, world)
    if held and allows(feature.id, entity_id, required, properties, world):
        return Check(True, feature.id, required)
    owned = [pool for pool in pools if holds(pool.feature_id, entity_id, world)]
    willing = [pool for pool in owned if allows(pool.feature_id, entity_id, required, properties, world)]
    pool = next(iter(willing or owned or (() if held else pools)), None)
    if pool is None:
        return Check(False, feature.id, required)
    asked = converted(required, pool.cost)
    allowed = allows(pool.feature_id, entity_id, asked, properties, world)
    if allowed and required >= 0:
        windows = limits_of(feature.id, entity_id, world).windows
        allowed = not any(w.matches(properties) and w.limit - w.used < required for w in windows)
    return Check(allowed, pool.feature_id, asked)


# ------------------------------------------------------------------ use


def folded(world: World, now: int) -> dict[Place, Balance]:
    return {place: fold(balance, now) for place, balance in world.items()}


def use(
    feature: Feature,
    pools: Sequence[Pool],
    entity_id: str,
    amount: Decimal,
    overage: Overage,
    properties: Mapping[str, Any],
    world: World,
    now: int,
) -> Decision:
    """Uses `amount` (below zero: gives it back) of a metered feature, row by row. Source: autumn.md 3.2 to 3.5.

    What is not granted at all is refused; nothing of it is counted anywhere.
    """
    before = folded(world, now)
    sources = sources_of(feature.id, pools, entity_id, before, properties)
    if not any(_rows(source, before) for source in sources):
        return Decision(False, ZERO, before)
    if amount < 0:
        rows, moved = _give_back(sources, -amount, overage, before)
        moved = -moved
    else:
        own = [row for source in sources if source.place.feature_id == feature.id for row in _rows(source, before)]
        lenient = is_lenient(feature, own, overage)
        if overage is Overage.CAP and not feature.consumable and any(row.price for row in own):
            overage = Overage.REJECT
        windows_place = _windows_place(feature.id, entity_id, before)
        windows = () if any(row.unlimited for row in own) else _limits_at(windows_place, before).windows
        asked = amount
        if not overage.passes:
            asked = min([amount, *(window.room for window in windows if window.matches(properties))])
            if asked < amount and overage is Overage.REJECT:
                return Decision(False, ZERO, before, usage_limited=True)
        rows, moved = _take(feature, sources, entity_id, asked, overage, lenient, properties, before)
        if moved < asked and overage is Overage.REJECT:
            return Decision(False, ZERO, before)
    after = dict(before)
    for place, changed in rows.items():
        after[place] = before[place]._replace(rows=changed)
    counted = {_windows_place(feature.id, entity_id, before): moved}
    for deduction in deductions_of(sources, before, after):
        if deduction.feature_id != feature.id:
            place = _windows_place(deduction.feature_id, entity_id, before)
            counted[place] = counted.get(place, ZERO) + deduction.value
    _count(after, counted, properties)
    _tally(Place(feature.id) if not entity_id else None, moved, sources, before, after)
    after = {place: balance if balance == before[place] else restated(balance) for place, balance in after.items()}
    return Decision(True, moved, after, deductions_of(sources, before, after), counted=counted_in(before, after))


def counted_in(before: World, after: World) -> tuple[Place, ...]:
    """The places whose usage limits stand otherwise after a use; both worlds folded to one instant."""
    return tuple(place for place in after if after[place].limits.windows != before[place].limits.windows)


def is_lenient(feature: Feature, own: Iterable[Row], overage: Overage) -> bool:
    """A free allocated feature may go negative unless the use is to be rejected (autumn.md 3.4)."""
    return not feature.consumable and overage is not Overage.REJECT and not any(row.price for row in own)


def _take(
    feature: Feature,
    sources: Sequence[Source],
    entity_id: str,
    amount: Decimal,
    overage: Overage,
    lenient: bool,
    properties: Mapping[str, Any],
    world: World,
) -> tuple[dict[Place, tuple[Row, ...]], Decimal]:
    """Draws `amount` from the sources: all that they hold, then what they may be overdrawn by, then, to overflow, the
    rest. Returns the changed rows and what was drawn of it."""
    rows = {source.place: world[source.place].rows for source in sources}
    left = amount
    endless = {source.place.feature_id for source in sources if any(row.unlimited for row in _rows(source, world))}
    gates = {
        source.place.feature_id: _room(limits_of(source.place.feature_id, entity_id, world).windows, properties)
        for source in sources
        if source.place.feature_id not in (feature.id, *endless) and not overage.passes
    }

    def pass_over(take: Any) -> None:
        nonlocal left
        for source in sources:
            if not left:
                return
            need = converted(left, source.cost)
            gate = gates.get(source.place.feature_id)
            asked = need if gate is None else min(need, gate)
            rows[source.place], rest = take(source, rows[source.place], asked)
            got = asked - rest
            if gate is not None:
                gates[source.place.feature_id] = gate - got
            left = ZERO if got == need else left - unconverted(got, source.cost)

    pass_over(lambda source, held, need: draw(held, need, source.may))
    spend_limited = False
    rooms: dict[str, Decimal | None] = {}
    for feature_id in {source.place.feature_id for source in sources}:
        limits = limits_of(feature_id, entity_id, world)
        rooms[feature_id] = spend_room(limits, _spend_scope(feature_id, entity_id, world))

    def overdraw(source: Source, held: tuple[Row, ...], need: Decimal) -> tuple[tuple[Row, ...], Decimal]:
        nonlocal spend_limited
        feature_id = source.place.feature_id
        cap_of = overage_cap(limits_of(feature_id, entity_id, world), lenient=lenient and feature_id == feature.id)
        room = rooms[feature_id]
        if room is not None and any(cap_of(row) != 0 for row in held if source.may(row)):
            spend_limited = True
        within = need if room is None else min(need, room)
        held, rest = draw_overage(held, within, cap_of, source.may)
        if room is not None:
            rooms[feature_id] = room - (within - rest)
        return held, need - (within - rest)

    if left:
        pass_over(overdraw)
    if left and overage.passes and (overage is Overage.REPORTED or not spend_limited):
        source = next(source for source in sources if _rows(source, world))
        rows[source.place] = push(rows[source.place], converted(left, source.cost), source.may)
        left = ZERO
    return {place: held for place, held in rows.items() if held != world[place].rows}, amount - left


def push(rows: tuple[Row, ...], amount: Decimal, may: Eligible) -> tuple[Row, ...]:
    """Moves `amount` past the floor (below zero: past the grant) of the first pay-per-use row, else of the first row."""
    able = [number for number, row in enumerate(rows) if may(row)]
    number = next((number for number in able if rows[number].overage and amount > 0), able[0])
    return (*rows[:number], rows[number]._replace(used=rows[number].used + amount), *rows[number + 1 :])


def _give_back(
    sources: Sequence[Source], amount: Decimal, overage: Overage, world: World
) -> tuple[dict[Place, tuple[Row, ...]], Decimal]:
    """Returns `amount`: overdrawn rows first, then each up to its grant; the excess is dropped unless it overflows."""
    rows = {source.place: world[source.place].rows for source in sources}
    left = amount
    for put in (lift, refill):
        for source in sources:
            need = converted(left, source.cost)
            rows[source.place], rest = put(rows[source.place], need, source.may)
            left = ZERO if not rest else left - unconverted(need - rest, source.cost)
    if left and overage.passes:
        source = next(source for source in sources if _rows(source, world))
        rows[source.place] = push(rows[source.place], -converted(left, source.cost), source.may)
        left = ZERO
    return {place: held for place, held in rows.items() if held != world[place].rows}, amount - left


def _count(world: dict[Place, Balance], moved: Mapping[Place, Decimal], properties: Mapping[str, Any]) -> None:
    """Counts what moved in the usage limits of each place, in place; an unlimited balance counts nothing."""
    for place, amount in moved.items():
        balance = world.get(place)
        if balance is None or not amount or any(row.unlimited for row in balance.live_rows):
            continue
        windows = tuple(
            window._replace(used=max(ZERO, window.used + amount)) if window.matches(properties) else window
            for window in balance.limits.windows
        )
        world[place] = balance._replace(limits=balance.limits._replace(windows=windows))


def _tally(
    whole: Place | None, moved: Decimal, sources: Sequence[Source], before: World, world: dict[Place, Balance]
) -> None:
    """Counts a use in the rows of every item, in place: what was drawn from the item, and all that `moved` in the
    customer's own item of the feature, whichever credit pool or entity's share paid (lotus.md 0.8)."""
    for source in sources:
        old, new = before[source.place].rows, world[source.place].rows
        if source.place == whole:
            counted = moved
        else:
            counted = sum((row.consumed for row in new), ZERO) - sum((row.consumed for row in old), ZERO)
        if counted:
            rows = tallied(old, new, counted, source.may)
            world[source.place] = world[source.place]._replace(rows=rows)


def _room(windows: Iterable[Window], properties: Mapping[str, Any]) -> Decimal | None:
    return min((window.room for window in windows if window.matches(properties)), default=None)


def _rows(source: Source, world: World) -> list[Row]:
    return [row for row in world[source.place].rows if source.may(row)]


def deductions_of(sources: Sequence[Source], before: World, after: World) -> tuple[Deduction, ...]:
    """What moved on each row between two folded worlds, in deduction order."""
    moved: list[Deduction] = []
    for source in sources:
        old = {row.id: row.consumed for row in before[source.place].rows}
        changes = ((row, row.consumed - old.get(row.id, ZERO)) for row in after[source.place].rows)
        moved += [Deduction(source.place.feature_id, row, value) for row, value in changes if value]
    return tuple(moved)


# ------------------------------------------------------------------ the hot path


def hot(balance: Balance, amount: Decimal, overage: Overage, now: int, *, alone: bool) -> Balance | None:
    """The balance after what one conditional write can decide; None where it cannot and the slow path must.

    `amount` is in units of the balance. `alone`: nothing else pays for what is asked (no credit pool, no entity), so
    that overage may be drawn at once. The conditions are the store's (`store.balances.Balances.spend`): the whole amount
    where the balance covers it; where a capped use finds less, all that there is.
    """
    if amount < 0 or now >= balance.fresh_until:
        return None
    most = balance.ceiling if alone else balance.headroom
    drawn = amount
    if amount > most:
        if overage is not Overage.CAP or not alone or ENTITIES in balance.before:
            return None
        drawn = most
    return balance._replace(
        headroom=balance.headroom - drawn, ceiling=balance.ceiling - drawn, spent=balance.spent + drawn
    )


def drawn_by(before: Balance, after: Balance) -> tuple[Deduction, ...]:
    """What a hot write moved on each row, `after` being `before` with more spent."""
    old = {row.id: row.consumed for row in settle(before)}
    return tuple(
        Deduction(after.feature_id, row, value)
        for row in settle(after)
        if (value := row.consumed - old.get(row.id, ZERO))
    )
