"""Holding units before the cost is known, and settling the true amount after (autumn.md 2.8, 3.11).

A hold is a use with rejecting semantics (unless told otherwise) that every item it touched remembers. Confirming it
forgets that; a different amount moves the difference, the last units drawn going back first; releasing undoes it all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.balances import Balance, Place, draw, lift, refill, released, restated, tallied
from tollgate.domain.decisions import (
    Decision,
    Overage,
    Source,
    World,
    counted_in,
    deductions_of,
    folded,
    sources_of,
    use,
)
from tollgate.domain.errors import InvalidRequest
from tollgate.domain.features import Feature, Pool
from tollgate.domain.holds import MAX_HOLDS, Counted, Hold, Part, beside_of, parts_of, uncounted, undo, window_key
from tollgate.domain.quantities import ZERO, converted, unconverted


class Reservation(NamedTuple):
    """A lock as its record keeps it. `held` is what it drew in units of the feature, `places` what of it in each item
    in that item's units; times in ms."""

    lock_id: str
    id: str
    customer_id: str
    feature_id: str
    entity_id: str
    value: Decimal
    held: Decimal
    places: tuple[tuple[Place, Decimal], ...]
    created_at: int
    expires_at: int
    properties: Mapping[str, Any] = {}


def hold(
    feature: Feature,
    pools: Sequence[Pool],
    entity_id: str,
    amount: Decimal,
    overage: Overage,
    properties: Mapping[str, Any],
    world: World,
    now: int,
    hold_id: str,
    expires_at: int,
) -> Decision:
    """Uses `amount` and remembers on each item what was drawn there. Raises InvalidRequest for an allocated feature, or
    where an item holds too many already."""
    if not feature.consumable:
        raise InvalidRequest(f"Feature {feature.id} is allocated: its units cannot be held")
    decision = use(feature, pools, entity_id, amount, overage, properties, world, now)
    if not decision.allowed:
        return decision
    before = folded(world, now)
    after = dict(decision.world)
    seq = 0
    granted: dict[Place, list[Part]] = {}
    over: list[tuple[Place, Part]] = []
    for source in sources_of(feature.id, pools, entity_id, before):
        held, beyond = parts_of(before[source.place].rows, after[source.place].rows, seq)
        granted[source.place] = held
        over += [(source.place, part) for part in beyond]
        seq += len(held)
    for place, part in over:  # overage is drawn after all that is granted, of every item
        granted[place].append(part._replace(seq=seq))
        seq += 1
    for place, balance in after.items():
        parts = tuple(granted.get(place, ()))
        counted = _counted(before[place], balance)
        beside = beside_of(before[place].rows, balance.rows)
        if not parts and not counted and not beside:
            continue
        if len(balance.holds) >= MAX_HOLDS:
            raise InvalidRequest(f"At most {MAX_HOLDS} reservations can hold units of one balance at a time")
        holds = (*balance.holds, Hold(hold_id, expires_at, parts, counted, beside))
        after[place] = restated(balance._replace(holds=holds))
    return decision._replace(world=after)


def _counted(before: Balance, after: Balance) -> tuple[Counted, ...]:
    old = {window_key(window): window.used for window in before.limits.windows}
    moved = ((window, window.used - old.get(window_key(window), ZERO)) for window in after.limits.windows)
    return tuple(Counted(window_key(window), window.ends_at, amount) for window, amount in moved if amount)


def settle_hold(
    feature: Feature,
    pools: Sequence[Pool],
    reservation: Reservation,
    final: Decimal | None,
    properties: Mapping[str, Any],
    world: World,
    now: int,
) -> Decision:
    """The world after a reservation is settled at `final` units; None confirms it as it was held, zero releases it.

    `drawn` is the difference to what was held: below zero given back. More is drawn in the normal order, capped.
    """
    before = folded(world, now)
    held = reservation.held
    entity_id = reservation.entity_id
    sources = sources_of(feature.id, pools, entity_id, before)
    if final is None or final == held:
        after = {place: _confirmed(balance, reservation.id) for place, balance in before.items()}
        return Decision(True, ZERO, after)
    same_way = final != 0 and (final > 0) == (held > 0) and held != 0
    if same_way and abs(final) < abs(held):
        whole = None if entity_id else Place(feature.id)
        after = _partly(sources, before, reservation.id, held - final, whole)
    elif same_way:
        after = {place: _confirmed(balance, reservation.id) for place, balance in before.items()}
    else:
        after = {place: _undone(balance, reservation.id) for place, balance in before.items()}
    moved = _moved(sources, before, after)
    more = final - held if same_way and abs(final) > abs(held) else ZERO if same_way else final
    if more:
        decision = use(feature, pools, entity_id, more, Overage.CAP, properties, after, now)
        if decision.allowed:
            after, moved = dict(decision.world), moved + decision.drawn
    return Decision(True, moved, after, deductions_of(sources, before, after), counted=counted_in(before, after))


def _confirmed(balance: Balance, hold_id: str) -> Balance:
    kept = tuple(hold for hold in balance.holds if hold.id != hold_id)
    return balance if len(kept) == len(balance.holds) else restated(balance._replace(holds=kept))


def _undone(balance: Balance, hold_id: str) -> Balance:
    found = next((hold for hold in balance.holds if hold.id == hold_id), None)
    return balance if found is None else restated(released(balance, found))


def _partly(
    sources: Sequence[Source], before: World, hold_id: str, back: Decimal, whole: Place | None
) -> dict[Place, Balance]:
    """The world with `back` units of a hold undone, the last drawn first, and the rest of it confirmed. All of them are
    uncounted at the item `whole`, whoever paid; elsewhere, what is undone there."""
    costs = {source.place: source.cost for source in sources}
    queue = sorted(
        (
            (part, place)
            for place, balance in before.items()
            for hold in balance.holds
            if hold.id == hold_id
            for part in hold.parts
        ),
        key=lambda entry: -entry[0].seq,
    )
    undoing: dict[Place, list[Part]] = {}
    left = back
    for part, place in queue:
        if not left:
            break
        cost = costs.get(place, Decimal(1))
        need = converted(left, cost)
        amount = part.amount if abs(part.amount) <= abs(need) else need
        undoing.setdefault(place, []).append(part._replace(amount=amount))
        left = ZERO if amount == need else left - unconverted(amount, cost)
    after = {}
    for place, balance in before.items():
        found = next((hold for hold in balance.holds if hold.id == hold_id), None)
        if found is None:
            after[place] = balance
            continue
        parts = undoing.get(place, ())
        rows, rest = undo(balance.rows, parts)
        if rest > 0:
            rows, rest = lift(rows, rest)
            rows, _ = refill(rows, rest)
        elif rest < 0:
            rows, _ = draw(rows, -rest)
        counting = found.counting
        less = -back if place == whole else -sum((part.amount for part in parts), ZERO)
        rows = tallied(balance.rows, rows, less, lambda row, of=counting: row.id in of)  # type: ignore[misc]
        rows = tallied(balance.rows, rows, ZERO, lambda row, of=counting: row.id not in of)  # type: ignore[misc]
        share = [c._replace(amount=max(min(c.amount, back), -abs(c.amount))) for c in found.counted]
        windows = uncounted(balance.limits.windows, share)
        kept = tuple(hold for hold in balance.holds if hold.id != hold_id)
        limits = balance.limits._replace(windows=windows)
        after[place] = restated(balance._replace(rows=rows, limits=limits, holds=kept))
    return after


def _moved(sources: Sequence[Source], before: World, after: World) -> Decimal:
    """What moved between two folded worlds, in units of the feature."""
    costs = {source.place.feature_id: source.cost for source in sources}
    moved = ZERO
    for deduction in deductions_of(sources, before, after):
        moved += unconverted(deduction.value, costs[deduction.feature_id])
    return moved
