"""What a write of a balance item says, read from the item before and after it: uses, resets, grants, lapses.

A write that only the clock caused does not exist: a reset or an expiry is taken in by the first write after it, and told
then. Times are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from tollgate.domain.balances import Balance, BalanceKey, apply_spent, as_of
from tollgate.domain.decisions import Deduction
from tollgate.domain.grants import FOREVER, Grant
from tollgate.domain.quantities import ZERO
from tollgate.domain.use_records import NO_PROPERTIES, UseRecord

_LATEST = 253_370_764_799_999  # the end of the year 9998: the last instant that every interval can be counted from


class Change(NamedTuple):
    """One write of one balance item. `event` is set where it counted something; `at` is when it was written.

    Where both balances are None, `source` names what else told of it: a use of what nothing grants, or a reservation.
    """

    environment: str
    customer_id: str
    key: BalanceKey
    version: int
    before: Balance | None
    after: Balance | None
    event: UseRecord | None
    at: int
    source: str = ""


class RecordedUse(NamedTuple):
    """One use, as far as it moved one item. `part`: another item's record tells of the same use, and is its first."""

    use_id: str
    feature_id: str
    entity_id: str | None
    value: Decimal
    drawn: Decimal
    at: int
    key_id: str
    properties: Mapping[str, Any] = NO_PROPERTIES
    deductions: tuple[Deduction, ...] = ()
    part: bool = False


class What(StrEnum):
    """What became of a grant without being used."""

    RESET = "reset"
    GRANTED = "granted"
    LAPSED = "lapsed"
    ADJUSTED = "adjusted"


class GrantChange(NamedTuple):
    """`value`: units that a reset put back, that were granted, that lapsed, or by which a hand changed what remains. None
    where the grant has no number (a flag, an unlimited grant)."""

    what: What
    grant: Grant
    value: Decimal | None
    at: int


def uses_of(change: Change) -> list[RecordedUse]:
    """The uses that a write counted, in the order in which they were."""
    event = change.event
    if event is None:
        return []
    if event.uses:
        return [
            RecordedUse(
                use.id,
                use.feature_id or event.feature_id or change.key.feature_id,
                use.entity_id or event.entity_id or change.key.entity_id or None,
                use.value,
                use.drawn,
                use.at,
                use.key_id or event.key_id,
                use.properties,
                tuple(_deductions(change, use.moved)),
                use.part,
            )
            for use in event.uses
        ]
    return [
        RecordedUse(
            event.id,
            event.feature_id or change.key.feature_id,
            event.entity_id or change.key.entity_id or None,
            event.value,
            event.drawn,
            event.at,
            event.key_id,
            event.properties,
            tuple(_moved(change)),
            event.part,
        )
    ]


def base_of(change: Change) -> Balance:
    """The balance as it stood right before the write, with what was due by then done: resets, expiries, and holds whose
    time was over. A hold that is gone because the write settled it had not lapsed: what the write counted tells."""
    if change.before is None:
        return Balance(change.key, limits=change.after.limits) if change.after else Balance(change.key)
    if change.after is None:
        return as_of(change.before, change.at)
    now, kept = instant_of(change.after), {hold.id for hold in change.after.holds}
    gone = sorted((h for h in change.before.holds if h.id not in kept), key=lambda hold: hold.expires_at)
    counted = change.event.drawn if change.event else ZERO
    after = _consumed(apply_spent(change.after))
    for settled in gone[-1:], []:
        base = as_of(change.before._replace(holds=tuple(h for h in change.before.holds if h not in settled)), now)
        if after - _consumed(base.grants) == counted:
            break
    return base


def _consumed(grants: Iterable[Grant]) -> Decimal:
    return sum((grant.consumed for grant in grants), ZERO)


def instant_of(balance: Balance) -> int:
    """The last instant at which a written balance is still as it was written: what was due before its write was due by
    then, and nothing more."""
    moments = [grant.changes_at for grant in balance.grants] + [window.ends_at for window in balance.limits.windows]
    moments += [hold.expires_at for hold in balance.holds]
    return min(_LATEST, min(moments, default=FOREVER) - 1)


def grant_changes(change: Change) -> Iterator[GrantChange]:
    """What the write did to grants beside what it counted, in deduction order; what is gone first."""
    after = change.after or Balance(change.key)
    now = instant_of(after)
    old = {grant.id: grant for grant in apply_spent(change.before)} if change.before else {}
    new = {grant.id: grant for grant in apply_spent(after)}
    bases = {grant.id: grant for grant in base_of(change).grants}
    for grant in old.values():
        if grant.id not in new:
            value = None if _numberless(change, grant) else max(ZERO, grant.remaining) + grant.rolled
            yield GrantChange(What.LAPSED, grant, value, change.at if grant.expires_at is None else grant.expires_at)
    for grant in new.values():
        before = old.get(grant.id)
        if before is None:
            value = None if _numberless(change, grant) else grant.total
            yield GrantChange(What.GRANTED, grant, value, change.at)
            continue
        lapsed = sum((r.remaining for r in before.rollovers if r.expires_at is not None and r.expires_at <= now), ZERO)
        if lapsed:
            yield GrantChange(What.LAPSED, grant, lapsed, change.at)
        base = _base(before, grant, bases)
        if was_reset(before, grant) and before.next_reset_at is not None:
            yield GrantChange(What.RESET, grant, before.used - base.used, before.next_reset_at)
        if _numberless(change, grant):
            continue
        if (more := grant.total - base.total) > 0:
            yield GrantChange(What.GRANTED, grant, more, change.at)
        counted = ZERO if change.event is None else grant.consumed - base.consumed
        by_hand = (grant.remaining + grant.rolled) - (base.remaining + base.rolled) + counted - max(ZERO, more)
        if by_hand:
            yield GrantChange(What.ADJUSTED, grant, by_hand, change.at)


def was_reset(before: Grant, after: Grant) -> bool:
    """Whether the boundary moved on by itself: a boundary that was set by hand starts a new count."""
    return (
        before.next_reset_at is not None
        and (before.anchor, before.reset) == (after.anchor, after.reset)
        and (after.next_reset_at or 0) > before.next_reset_at
    )


def _base(before: Grant, after: Grant, bases: Mapping[str, Grant]) -> Grant:
    """The grant right before the write; as it was, where the write set it a new boundary."""
    if (before.anchor, before.reset) != (after.anchor, after.reset):
        return before
    return bases.get(before.id, before)


def _numberless(change: Change, grant: Grant) -> bool:
    balance = change.after or change.before
    return grant.unlimited or bool(balance and balance.flag)


def _moved(change: Change) -> Iterator[Deduction]:
    if change.after is None or change.before is None:
        return
    bases = {grant.id: grant for grant in base_of(change).grants}
    for grant in apply_spent(change.after):
        value = grant.consumed - (bases[grant.id].consumed if grant.id in bases else ZERO)
        if value:
            yield Deduction(change.key.feature_id, grant, value)


def _deductions(change: Change, moved: tuple[tuple[str, Decimal], ...]) -> Iterator[Deduction]:
    """What several uses of one write moved: the grants as they stood after all of them."""
    balances = [balance for balance in (change.before, change.after) if balance]
    grants = {grant.id: grant for balance in balances for grant in apply_spent(balance)}
    for id, value in moved:
        if id in grants:
            yield Deduction(change.key.feature_id, grants[id], value)
