"""What one write of a balance changed: computed once, and used by the history of usage, the event bus and alerts.

The table's stream gives a balance item as stored before and after a write (`BalanceWrite`). `read_change` computes the
difference (`Change`): the balance right before the write, the uses that the write counted, and what else happened to
each grant. A balance that changes by itself is not written at that time: a reset or an expiry is part of the first
write after it. Times are epoch milliseconds; amounts are units of the balance's feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from tollgate.domain.balances import Balance, BalanceKey, apply_spent, as_of
from tollgate.domain.decisions import Deduction
from tollgate.domain.environments import Environment
from tollgate.domain.grants import FOREVER, Grant
from tollgate.domain.limits import Limits
from tollgate.domain.quantities import ZERO
from tollgate.domain.use_records import NO_PROPERTIES, UNKNOWN, Origin, UseRecord

_LATEST = 253_370_764_799_999  # the end of the year 9998: the last instant that every interval can be counted from


class BalanceWrite(NamedTuple):
    """One write of one balance, as the stream recorded it.

    - `old`, `new`: the balance as stored before and after the write; None where there was no balance, or it was
      removed.
    - `version`: counts the writes of the balance. A removal has the version of the write before it.
    - `event`: the use that the write counted; None where it counted none.
    - `at`: the time of the write (epoch ms).
    - `source`: the item that recorded a use without a balance (where nothing grants the feature, and when a reservation
      lapses; `old` and `new` are then None). Empty: the balance's own item.
    """

    environment: Environment
    customer_id: str
    key: BalanceKey
    version: int
    old: Balance | None
    new: Balance | None
    event: UseRecord | None
    at: int
    source: str = ""


class RecordedUse(NamedTuple):
    """One use, and what it changed on one balance.

    - `value`: the units asked for, of `feature_id`. `drawn`: the units of this balance that it drew.
    - `deductions`: what it drew from each grant.
    - `part`: a use that changes several balances is recorded on each under the same `use_id`; all but one are a `part`.
    """

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
    origin: Origin = UNKNOWN


class What(StrEnum):
    """What happened to a grant other than being used."""

    RESET = "reset"
    GRANTED = "granted"
    LAPSED = "lapsed"
    ADJUSTED = "adjusted"


class GrantChange(NamedTuple):
    """What happened to a grant other than being used, and when (epoch ms).

    `value`: the units that a reset restored, that were granted, that lapsed, or by which the remaining units were
    raised by hand. None where the grant has no number (a flag, an unlimited grant).
    """

    what: What
    grant: Grant
    value: Decimal | None
    at: int


class Change(NamedTuple):
    """What one write of a balance changed. `spent` is applied to the grants and usage limits of all balances here.

    - `previous`: the balance as the write before this one left it; None where there was none.
    - `before`: the balance right before this write: `previous` with the resets, expiries and lapsed reservations that
      were due by then. Without grants where there was no balance.
    - `after`: the balance as this write left it; None where it was removed.
    - `uses`: the uses that the write counted, in their order.
    - `grant_changes`: what else happened to its grants, in deduction order; those of removed grants come first.
    """

    write: BalanceWrite
    previous: Balance | None
    before: Balance
    after: Balance | None
    uses: tuple[RecordedUse, ...]
    grant_changes: tuple[GrantChange, ...]

    @property
    def was_reset(self) -> bool:
        """Whether a grant has reset."""
        return any(changed.what is What.RESET for changed in self.grant_changes)


def read_change(write: BalanceWrite) -> Change:
    """What a write changed. Raises AssertionError where more was spent than the balance could hold."""
    previous = None if write.old is None else as_written(write.old)
    after = None if write.new is None else as_written(write.new)
    instant = _LATEST if after is None else instant_of(after)
    before = _before(write, previous, after, instant)
    consumed = {grant.id: grant.consumed for grant in before.grants}
    moved = {} if after is None else {g.id: g.consumed - consumed.get(g.id, ZERO) for g in after.grants}
    uses = tuple(_uses(write, previous, after, moved)) if write.event else ()
    grant_changes = tuple(_grant_changes(write, previous, before, after, instant)) if previous or after else ()
    return Change(write, previous, before, after, uses, grant_changes)


def as_written(balance: Balance) -> Balance:
    """A balance as it was stored, with `spent` applied to its grants and usage limits."""
    if not balance.spent:
        return balance
    return balance._replace(grants=apply_spent(balance), spent=ZERO, limits=_with_spent_counted(balance))


def instant_of(balance: Balance) -> int:
    """The last instant (epoch ms) at which the balance is still as it was written.

    What was due before the write was done by the write, and nothing is due until this instant: so it can be used as the
    time of the write.
    """
    moments = [grant.changes_at for grant in balance.grants] + [window.ends_at for window in balance.limits.windows]
    moments += [hold.expires_at for hold in balance.holds]
    return min(_LATEST, min(moments, default=FOREVER) - 1)


def _with_spent_counted(balance: Balance) -> Limits:
    if not balance.limits.windows or any(grant.unlimited for grant in balance.live_grants):
        return balance.limits  # an unlimited balance counts nothing (autumn.md 3.7)
    windows = tuple(window._replace(used=window.used + balance.spent) for window in balance.limits.windows)
    return balance.limits._replace(windows=windows)


def _before(write: BalanceWrite, previous: Balance | None, after: Balance | None, instant: int) -> Balance:
    """Computes `Change.before`.

    A hold that `after` no longer has either lapsed before the write, or was ended by the write itself (one at most, and
    the last to expire). It was ended by the write if the amounts say so: the units that moved, without returning that
    hold's units, are those that the write counted.
    """
    if previous is None:
        return Balance(write.key, limits=after.limits) if after else Balance(write.key)
    if after is None:
        return as_of(previous, write.at)
    kept = {hold.id for hold in after.holds}
    gone = [hold for hold in previous.holds if hold.id not in kept]
    if gone:
        ended = sorted(gone, key=lambda hold: hold.expires_at)[-1]  # a write ends one reservation at most
        holds = tuple(hold for hold in previous.holds if hold is not ended)
        before = as_of(previous._replace(holds=holds), instant)
        if _consumed(after.grants) - _consumed(before.grants) == (write.event.drawn if write.event else ZERO):
            return before
    return as_of(previous, instant)


def _consumed(grants: Iterable[Grant]) -> Decimal:
    return sum((grant.consumed for grant in grants), ZERO)


# ------------------------------------------------------------------ uses


def _uses(
    write: BalanceWrite, previous: Balance | None, after: Balance | None, moved: Mapping[str, Decimal]
) -> Iterator[RecordedUse]:
    """The uses that a write counted. `moved`: what the write drew from each grant in all, by the grant's id."""
    event, key = write.event, write.key
    assert event is not None
    feature_id, entity_id = event.feature_id or key.feature_id, event.entity_id or key.entity_id or None
    if not event.uses:
        deductions: tuple[Deduction, ...] = ()
        if previous is not None and after is not None:
            deductions = tuple(
                Deduction(key.feature_id, grant, moved[grant.id]) for grant in after.grants if moved[grant.id]
            )
        yield RecordedUse(
            event.id,
            feature_id,
            entity_id,
            event.value,
            event.drawn,
            event.at,
            event.key_id,
            event.properties,
            deductions,
            event.part,
            event.origin,
        )
        return
    # Each of several uses lists its own deductions; the grants are known only as they were after all of the uses.
    grants = {grant.id: grant for balance in (previous, after) if balance for grant in balance.grants}
    for use in event.uses:
        yield RecordedUse(
            use.id,
            use.feature_id or feature_id,
            use.entity_id or entity_id,
            use.value,
            use.drawn,
            use.at,
            use.key_id or event.key_id,
            use.properties,
            tuple(Deduction(key.feature_id, grants[id], value) for id, value in use.moved if id in grants),
            use.part,
            use.origin,
        )


# ------------------------------------------------------------------ grants


def _grant_changes(
    write: BalanceWrite,
    previous: Balance | None,
    before: Balance,
    after: Balance | None,
    instant: int,
) -> Iterator[GrantChange]:
    """What a write did to grants other than drawing from them. `instant` is used as the time of the write
    (`instant_of`).
    """
    old = {grant.id: grant for grant in previous.grants} if previous else {}
    new = {grant.id: grant for grant in after.grants} if after else {}
    due = {grant.id: grant for grant in before.grants}
    flag = (after or previous or before).flag
    for grant in old.values():
        if grant.id not in new:
            value = None if flag or grant.unlimited else max(ZERO, grant.remaining) + grant.rolled
            yield GrantChange(What.LAPSED, grant, value, write.at if grant.expires_at is None else grant.expires_at)
    for grant in new.values():
        was = old.get(grant.id)
        numberless = flag or grant.unlimited
        if was is None:
            yield GrantChange(What.GRANTED, grant, None if numberless else grant.total, write.at)
            continue
        over = [r for r in was.rollovers if r.expires_at is not None and r.expires_at <= instant]
        lapsed = sum((rollover.remaining for rollover in over), ZERO)
        if lapsed:
            yield GrantChange(What.LAPSED, grant, lapsed, max(rollover.expires_at or 0 for rollover in over))
        moved_boundary = (was.anchor, was.reset) != (grant.anchor, grant.reset)  # moved by hand: a new period starts
        base = was if moved_boundary else due.get(grant.id, was)
        if not moved_boundary and was.next_reset_at is not None and (grant.next_reset_at or 0) > was.next_reset_at:
            yield GrantChange(What.RESET, grant, was.used - base.used, was.next_reset_at)
        only_drawn = write.event is not None and grant == base._replace(used=grant.used)
        if numberless or only_drawn:
            continue
        more = max(ZERO, grant.total - base.total)
        if more:
            yield GrantChange(What.GRANTED, grant, more, write.at)
        drawn = ZERO if write.event is None else grant.consumed - base.consumed
        by_hand = (grant.remaining + grant.rolled) - (base.remaining + base.rolled) + drawn - more
        if by_hand:
            yield GrantChange(What.ADJUSTED, grant, by_hand, write.at)
