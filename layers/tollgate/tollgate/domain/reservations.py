"""Holding units before the cost is known, and using the true amount afterwards (autumn.md 2.8, 3.11).

A hold is a use that is refused as a whole where it is not covered (unless told otherwise). Each balance that it draws
from records what was drawn, as a hold. Confirming the reservation drops that record; another amount draws or returns
the difference, returning the last units drawn first; releasing it returns everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.balances import Balance, BalanceKey, Balances, all_as_of, recomputed, released, undone
from tollgate.domain.decisions import (
    Decision,
    Overage,
    Source,
    UseRequest,
    deductions_of,
    sources_of,
    use,
    windows_changed,
)
from tollgate.domain.drawing import draw, pay_back_overage, refill, with_usage_counted
from tollgate.domain.errors import InvalidRequest
from tollgate.domain.holds import (
    MAX_HOLDS,
    CountedInWindow,
    Hold,
    Part,
    kept_of,
    parts_of,
    uncounted,
    used_elsewhere_of,
    window_key,
)
from tollgate.domain.quantities import ZERO, converted, unconverted

HELD = "held"  # the state of a lock that is not finalized yet


class Reservation(NamedTuple):
    """A reservation as it is stored. Times are epoch milliseconds.

    - `lock_id`: the caller's name for it. `id`: the digest of that name.
    - `value`: the units asked for. `held`: the units drawn, both in units of the feature.
    - `drawn_from`: the balances that it was drawn from, each with the units of that balance.
    """

    lock_id: str
    id: str
    customer_id: str
    feature_id: str
    entity_id: str
    value: Decimal
    held: Decimal
    drawn_from: tuple[tuple[BalanceKey, Decimal], ...]
    created_at: int
    expires_at: int
    properties: Mapping[str, Any] = {}

    def returned_at(self, removed_at: int | None = None) -> int:
        """When its units were returned, of one that ended unconfirmed: at its expiry, or before, where its customer was
        deleted (management.md 4 (customers.delete)): then at `removed_at`, when its record was removed.
        """
        if removed_at is None:
            return self.expires_at
        return max(self.created_at, min(self.expires_at, removed_at))


class Lock(NamedTuple):
    """A reservation and its state: `held`, then `confirmed`, `released` or `expired`. `key_id` is the API key that made
    it.
    """

    reservation: Reservation
    state: str
    key_id: str

    def live(self, now: int) -> bool:
        """Whether its units are still held at `now` (epoch ms)."""
        return self.state == HELD and self.reservation.expires_at > now


def digest_of(lock_id: str) -> str:
    """A caller's lock id as it is stored: 32 hex digits of its SHA-256, so that any text can be a lock id."""
    return hashlib.sha256(lock_id.encode()).hexdigest()[:32]


class HoldTerms(NamedTuple):
    """The id under which balances record a hold (the digest of its lock id), and the time at which it lapses (epoch
    ms).
    """

    hold_id: str
    expires_at: int


def hold(request: UseRequest, terms: HoldTerms, balances: Balances, now: int) -> Decision:
    """Uses the requested amount, and records on each balance what was drawn from it.

    Raises InvalidRequest for an allocated feature, or where a balance has MAX_HOLDS holds already.
    """
    feature = request.feature
    if not feature.consumable:
        raise InvalidRequest(f"Feature {feature.id} is allocated: its units cannot be held")
    decision = use(request, balances, now)
    if not decision.allowed:
        return decision
    before = all_as_of(balances, now)
    after = dict(decision.balances)
    seq = 0
    granted: dict[BalanceKey, list[Part]] = {}
    over: list[tuple[BalanceKey, Part]] = []
    for source in sources_of(feature.id, request.pools, request.entity_id, before):
        held, beyond = parts_of(before[source.key].grants, after[source.key].grants, seq)
        granted[source.key] = held
        over += [(source.key, part) for part in beyond]
        seq += len(held)
    for key, part in over:  # overage is drawn after the granted units of all balances, so it is numbered last
        granted[key].append(part._replace(seq=seq))
        seq += 1
    for key, balance in after.items():
        parts = tuple(granted.get(key, ()))
        counted = _counted(before[key], balance)
        used_elsewhere = used_elsewhere_of(before[key].grants, balance.grants)
        if not parts and not counted and not used_elsewhere:
            continue
        if len(balance.holds) >= MAX_HOLDS:
            raise InvalidRequest(f"At most {MAX_HOLDS} reservations can hold units of one balance at a time")
        holds = (*balance.holds, Hold(terms.hold_id, terms.expires_at, parts, counted, used_elsewhere))
        after[key] = recomputed(balance._replace(holds=holds))
    return decision._replace(balances=after)


def _counted(before: Balance, after: Balance) -> tuple[CountedInWindow, ...]:
    old = {window_key(window): window.used for window in before.limits.windows}
    moved = ((window, window.used - old.get(window_key(window), ZERO)) for window in after.limits.windows)
    return tuple(CountedInWindow(window_key(window), window.ends_at, amount) for window, amount in moved if amount)


def finalize_hold(
    request: UseRequest, reservation: Reservation, final: Decimal | None, balances: Balances, now: int
) -> Decision:
    """The decision that ends a reservation at `final` units: None confirms what it held, zero releases it.

    The request gives the feature, the entity and the properties; its amount is not read. `Decision.drawn` is the
    difference to what was held, in units of the feature: below zero, units were returned. More than was held is drawn
    in the normal order and capped.
    """
    before = all_as_of(balances, now)
    held = reservation.held
    sources = sources_of(request.feature.id, request.pools, request.entity_id, before)
    if final is None or final == held:
        after = {key: _confirmed(balance, reservation.id) for key, balance in before.items()}
        return Decision(True, ZERO, after)
    same_way = final != 0 and (final > 0) == (held > 0) and held != 0
    if same_way and abs(final) < abs(held):
        whole = None if request.entity_id else request.key
        after = _partly(sources, before, reservation.id, held - final, whole)
    elif same_way:
        after = {key: _confirmed(balance, reservation.id) for key, balance in before.items()}
    else:
        after = {key: _undone(balance, reservation.id) for key, balance in before.items()}
    moved = _moved(sources, before, after)
    more = final - held if same_way and abs(final) > abs(held) else ZERO if same_way else final
    if more:
        decision = use(request._replace(amount=more, overage=Overage.CAP), after, now)
        if decision.allowed:
            after, moved = dict(decision.balances), moved + decision.drawn
    return Decision(True, moved, after, deductions_of(sources, before, after), counted=windows_changed(before, after))


def _confirmed(balance: Balance, hold_id: str) -> Balance:
    kept = tuple(hold for hold in balance.holds if hold.id != hold_id)
    return balance if len(kept) == len(balance.holds) else recomputed(balance._replace(holds=kept))


def _undone(balance: Balance, hold_id: str) -> Balance:
    found = next((hold for hold in balance.holds if hold.id == hold_id), None)
    return balance if found is None else recomputed(released(balance, found))


def _partly(
    sources: Sequence[Source], before: Balances, hold_id: str, back: Decimal, whole: BalanceKey | None
) -> dict[BalanceKey, Balance]:
    """The balances with `back` units of a hold returned, the last drawn first, and the rest of the hold confirmed.

    The balance `whole` counts all of `back` as returned, whichever balance paid; every other balance counts what is
    returned to it.
    """
    costs = {source.key: source.cost for source in sources}
    queue = sorted(
        (
            (part, key)
            for key, balance in before.items()
            for hold in balance.holds
            if hold.id == hold_id
            for part in hold.parts
        ),
        key=lambda entry: -entry[0].seq,
    )
    undoing: dict[BalanceKey, list[Part]] = {}
    left = back
    for part, key in queue:
        if not left:
            break
        cost = costs.get(key, Decimal(1))
        need = converted(left, cost)
        amount = part.amount if abs(part.amount) <= abs(need) else need
        undoing.setdefault(key, []).append(part._replace(amount=amount))
        left = ZERO if amount == need else left - unconverted(amount, cost)
    after = {}
    for key, balance in before.items():
        found = next((hold for hold in balance.holds if hold.id == hold_id), None)
        if found is None:
            after[key] = balance
            continue
        kept = tuple(hold for hold in balance.holds if hold.id != hold_id)
        parts = undoing.get(key, ())
        returned, rest = undone(balance, parts)
        grants = returned.grants
        if rest > 0:
            held = kept_of(kept)
            grants, rest = pay_back_overage(grants, rest, held=held)
            grants, _ = refill(grants, rest, held=held)
        elif rest < 0:
            grants, _ = draw(grants, -rest)
        counting = found.counting
        less = -back if key == whole else -sum((part.amount for part in parts), ZERO)
        grants = with_usage_counted(balance.grants, grants, less, lambda grant, of=counting: grant.id in of)  # type: ignore[misc]
        grants = with_usage_counted(balance.grants, grants, ZERO, lambda grant, of=counting: grant.id not in of)  # type: ignore[misc]
        share = [c._replace(amount=max(min(c.amount, back), -abs(c.amount))) for c in found.counted]
        limits = uncounted(balance.limits, share)
        after[key] = recomputed(returned._replace(grants=grants, limits=limits, holds=kept))
    return after


def _moved(sources: Sequence[Source], before: Balances, after: Balances) -> Decimal:
    """By how much the use grew between two states of the balances, in units of the feature."""
    costs = {source.key.feature_id: source.cost for source in sources}
    moved = ZERO
    for deduction in deductions_of(sources, before, after):
        moved += unconverted(deduction.value, costs[deduction.feature_id])
    return moved
