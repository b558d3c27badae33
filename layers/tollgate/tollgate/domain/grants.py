"""One grant of one feature: the units that it holds, and how it changes by itself as time passes.

A grant starts, resets, rolls unused units over and expires without a write: `renewed` computes it as of an instant.
Times are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

from tollgate.domain.limits import passes
from tollgate.domain.periods import Reset, boundary, last_boundary, months_after, periods_passed
from tollgate.domain.quantities import ZERO

FOREVER = 9_999_999_999_999_999  # epoch ms: later than any instant at which something changes
MAX_ROLLOVERS = 400  # of one grant: one a day for a year and more
_CLAMPED = 3 * 86_400_000  # ms: a month without such a day has its last day instead, so much sooner at most


class RolloverRule(NamedTuple):
    """What becomes of unused units at a reset: they roll over and expire after so many `months` (None: never). All
    rollovers together hold at most `max` units, or `max_percentage` percent of the grant.
    """

    max: Decimal | None = None
    max_percentage: Decimal | None = None
    months: int | None = None


class Rollover(NamedTuple):
    """Unused units of an earlier period: so many `granted`, so many `used` of them; they are gone at `expires_at`
    (epoch ms; None: never).
    """

    granted: Decimal
    used: Decimal = ZERO
    expires_at: int | None = None

    @property
    def remaining(self) -> Decimal:
        """The units that may still be drawn."""
        return self.granted - self.used


class Takes(NamedTuple):
    """What a plan's grant takes over when it starts (`domain.handovers`), from grants of the same balance.

    - `replaces`: the ids of the subscriptions in whose place its own starts. `usages`: what was used of their grants is
      deducted from it. `balances`: what is left of them is brought over, and lapses with their reset, else at
      `lapses_at`, and at `until` at the latest (epoch ms; None: never). `keeps_period`: it goes on in their period.
    - `resumes`: it goes on where its own plan left off, and with `resumes_period` in the period of that.
    """

    replaces: tuple[str, ...] = ()
    resumes: bool = True
    usages: bool = False
    balances: bool = False
    keeps_period: bool = False
    resumes_period: bool = False
    lapses_at: int | None = None
    until: int | None = None


class Grant(NamedTuple):
    """Units of one feature from one origin: a plan item, or set by hand. Times are epoch milliseconds.

    What it holds:

    - `granted` (included), `prepaid` (bought on top) and `adjustment` (set by hand, until the next reset): together,
      its `total`.
    - `used`: drawn from it since it was granted or last reset. Above its total, it is overdrawn; below zero, more was
      given back than was granted (autumn.md 3.8).
    - `overage`: it may be overdrawn, by at most `max_purchase` units (None: no limit).
    - `unlimited`: any use is covered; the amounts above but `used` mean nothing.
    - `rollovers`: unused units of earlier periods; `rollover` is the rule that they follow.
    - `value`: the value of a static feature.

    How it changes by itself:

    - `anchor` and `reset`: it resets at the anchor plus each number of periods. `next_reset_at`: the next reset; None:
      never.
    - `keeps_overage`: a free grant that is overdrawn at a reset remains overdrawn by as much.
    - `starts_at`: the time at which it starts; None once it has. `takes`: what it takes over then. `expires_at`: the time
      at which it is gone.

    What it counts, and for whom:

    - `entity_share`: one entity's share of its customer's plan, which the customer may draw from too.
    - `filters`: it pays for, and counts, only uses whose properties have these values.
    - `used_elsewhere`: units of the feature used in this grant's period that other grants paid for.
    - `meters`: by feature, the numbers that its meter keeps of the period (`domain.meters`).
    - `inherited`: by plan id, how much of `used` was used of other plans' grants and went over to it.
    - `plan_id`, `subscription_id`, `add_on`, `created_at`: where it came from. `price` is only shown.
    """

    id: str
    plan_id: str | None
    subscription_id: str | None
    granted: Decimal = ZERO
    prepaid: Decimal = ZERO
    adjustment: Decimal = ZERO
    used: Decimal = ZERO
    unlimited: bool = False
    overage: bool = False
    max_purchase: Decimal | None = None
    reset: Reset | None = None
    anchor: int = 0
    next_reset_at: int | None = None
    starts_at: int | None = None
    expires_at: int | None = None
    created_at: int = 0
    add_on: bool = False
    entity_share: bool = False
    keeps_overage: bool = False
    rollover: RolloverRule | None = None
    rollovers: tuple[Rollover, ...] = ()
    price: Mapping[str, Any] | None = None
    value: str | None = None
    filters: tuple[tuple[str, str], ...] = ()
    used_elsewhere: Decimal = ZERO
    meters: Mapping[str, tuple[Decimal, ...]] = {}
    inherited: tuple[tuple[str, Decimal], ...] = ()
    takes: Takes | None = None

    @property
    def counted(self) -> Decimal:
        """The units of the feature used since the grant's period began, whichever grant paid (lotus.md 0.8)."""
        return self.used + self.used_elsewhere

    def matches(self, properties: Mapping[str, Any]) -> bool:
        """Whether the grant pays for uses with these properties."""
        return not self.filters or passes(self.filters, properties)

    @property
    def period(self) -> tuple[int, int] | None:
        """The start and end (epoch ms) of the current period, of a grant as of now; None where it never resets."""
        if self.next_reset_at is None or self.reset is None:
            return None
        start = last_boundary(self.anchor, self.reset, self.next_reset_at - 1)
        if start >= self.next_reset_at:  # the anchor is the next reset: no period has started there yet
            start = self.next_reset_at - self.reset.nominal_ms
        return max(start, min(self.created_at, self.next_reset_at - 1)), self.next_reset_at

    @property
    def begins(self) -> int:
        """The start (epoch ms) of the current period, of a grant as of now; of one that never resets, when it was
        made.
        """
        return self.created_at if self.period is None else self.period[0]

    @property
    def total(self) -> Decimal:
        """The units that it holds before any use: included, prepaid and adjusted by hand."""
        return self.granted + self.prepaid + self.adjustment

    @property
    def remaining(self) -> Decimal:
        """The units left in the grant itself, without rollovers: below zero where it is overdrawn, zero where it is
        unlimited.
        """
        return ZERO if self.unlimited else self.total - self.used

    @property
    def overdrawn(self) -> Decimal:
        """The units used beyond its total; zero where it is unlimited."""
        return ZERO if self.unlimited else max(ZERO, self.used - self.total)

    @property
    def rolled(self) -> Decimal:
        """The units left in its rollovers."""
        return sum((rollover.remaining for rollover in self.rollovers), ZERO)

    @property
    def consumed(self) -> Decimal:
        """The units drawn from it and its rollovers."""
        return self.used + sum((rollover.used for rollover in self.rollovers), ZERO)

    @property
    def changes_at(self) -> int:
        """The first instant (epoch ms) at which the grant changes by itself; FOREVER where it never does."""
        moments = [self.next_reset_at, self.expires_at, self.starts_at, *(r.expires_at for r in self.rollovers)]
        return min((moment for moment in moments if moment is not None), default=FOREVER)


def deduction_order(grant: Grant) -> tuple[Any, ...]:
    """The sort key that puts a balance's grants in the order in which they are drawn (autumn.md 3.1 (steps 4 to 11)).

    Unlimited grants come first (they cover any use), then grants that reset before those that do not, shorter periods
    before longer ones, sooner expiry before later, main plans before add-ons, included and prepaid units before
    pay-per-use, older grants before newer. Steps 1 to 3 order the balances (`decisions.sources_of`).
    """
    return (
        not grant.unlimited,
        grant.next_reset_at is None,
        grant.reset.nominal_ms if grant.reset else 0,
        FOREVER if grant.expires_at is None else grant.expires_at,
        grant.add_on,
        grant.overage,
        grant.created_at,
        grant.id,
    )


HeldRollovers = frozenset[int | None]
"""The expiries of a grant's rollovers that reservations have drawn from: these stay, though nothing may be left of them."""
NONE_HELD: HeldRollovers = frozenset()


def renewed(grant: Grant, now: int, held: HeldRollovers = NONE_HELD) -> Grant | None:
    """The grant as of `now` (epoch ms), every reset that was due by then applied in its turn; None where it has expired
    (autumn.md 3.9).

    It is the same whatever instants it was computed at in between. Units are granted once: periods that nobody looked
    at leave their rest as rollovers where there is a rule, and nothing else.
    """
    if grant.expires_at is not None and grant.expires_at <= now:
        return None
    if grant.starts_at is not None and grant.starts_at <= now:
        grant = grant._replace(starts_at=None)
    if grant.next_reset_at is not None and grant.next_reset_at <= now and grant.reset is not None:
        grant = _reset(grant, grant.reset, grant.next_reset_at, now, held)
    if any(rollover.expires_at is not None and rollover.expires_at <= now for rollover in grant.rollovers):
        grant = grant._replace(
            rollovers=tuple(r for r in grant.rollovers if r.expires_at is None or r.expires_at > now)
        )
    return grant


class _Due(NamedTuple):
    """The boundaries of a grant that are due, numbered from 0: `many` of them.

    The one of number 0 is at `first` (epoch ms), which may have been set by hand. The others are counted from the
    anchor; the last is `last_number` periods after it.
    """

    anchor: int
    reset: Reset
    first: int
    many: int
    last_number: int

    @classmethod
    def of(cls, grant: Grant, reset: Reset, first: int, now: int) -> _Due:
        """Those of the grant from `first` up to `now`."""
        last_number = periods_passed(grant.anchor, reset, now)
        passed = periods_passed(grant.anchor, reset, first)
        return cls(grant.anchor, reset, first, 1 + last_number - passed, last_number)

    def at(self, number: int) -> int:
        """The time (epoch ms) of one of them."""
        if number == 0:
            return self.first
        return boundary(self.anchor, self.reset, self.last_number - (self.many - 1 - number))

    @property
    def next(self) -> int:
        """The first boundary (epoch ms) that is not due."""
        return boundary(self.anchor, self.reset, self.last_number + 1)


def _reset(grant: Grant, reset: Reset, first: int, now: int, held: HeldRollovers) -> Grant:
    """The grant after the boundaries from `first` up to `now`. A grant that nobody looked at for many periods costs no
    more than the rollovers that are left of them.
    """
    due = _Due.of(grant, reset, first, now)
    kept = grant.overdrawn if grant.keeps_overage and not grant.overage else ZERO
    each = grant.granted + grant.prepaid
    after_first = ZERO if grant.unlimited else max(ZERO, kept - (due.many - 1) * each)
    return grant._replace(
        used=after_first if kept else ZERO,
        adjustment=ZERO,
        used_elsewhere=ZERO,
        meters={},
        inherited=(),
        next_reset_at=due.next,
        rollovers=_rolled_over(grant, due, kept, now, held),
    )


def _rolled_over(grant: Grant, due: _Due, kept: Decimal, now: int, held: HeldRollovers) -> tuple[Rollover, ...]:
    """The rollovers after the boundaries that are due. Only the grant's own remaining units roll over, never those of an
    older rollover.

    The maximum is taken from the soonest to expire. So cutting once, after the last boundary, leaves what cutting at
    each of them would, and rollovers that have expired by `now` need not be computed.
    """
    rule = grant.rollover
    if rule is None:
        return grant.rollovers
    each = grant.granted + grant.prepaid

    def rolled_by(number: int) -> Decimal:
        """What rolled over at the boundaries up to this one; `kept` is the overage that is paid back first."""
        if number < 0 or grant.unlimited:
            return ZERO
        return max(ZERO, grant.remaining) + max(ZERO, number * each - kept)

    last = due.many - 1
    first_end = None if rule.months is None else months_after(due.anchor, due.reset, due.at(0), rule.months)
    joins = (
        rolled_by(0) > 0
    )  # what the first boundary leaves lies in a rollover that ends with it, though that is used up
    older = tuple(
        r for r in grant.rollovers if r.remaining > 0 or r.expires_at in held or (joins and r.expires_at == first_end)
    )
    if rule.months is None:
        return trimmed((*older, Rollover(rolled_by(last))), rule, each, held)
    rolled = []
    floor = now  # nothing that lapses by then is left
    for number in range(last if each > 0 else 0, -1, -1):
        expires_at = months_after(due.anchor, due.reset, due.at(number), rule.months)
        rest = rolled_by(number) - rolled_by(number - 1)
        if expires_at + _CLAMPED < floor or not rest:  # before it, overage was paid back
            break
        rolled.append(Rollover(rest, ZERO, expires_at))
        if len(rolled) == 4 * MAX_ROLLOVERS:  # at most four lapse at one instant
            floor = max(floor, min(rollover.expires_at or 0 for rollover in rolled))
    live = [rollover for rollover in reversed(rolled) if (rollover.expires_at or 0) > now]
    return trimmed((*older, *live), rule, each, held)


def soonest_first(rollovers: tuple[Rollover, ...]) -> tuple[Rollover, ...]:
    """The rollovers in order of expiry; those that never expire are last."""
    return tuple(sorted(rollovers, key=lambda r: FOREVER if r.expires_at is None else r.expires_at))


def trimmed(
    rollovers: tuple[Rollover, ...], rule: RolloverRule, grant: Decimal, held: HeldRollovers = NONE_HELD
) -> tuple[Rollover, ...]:
    """The rollovers cut to the rule's maximum, beginning with the soonest to expire; those with nothing left are
    dropped unless they are `held`, and those that expire together are one. `grant` is the units that a percentage refers
    to.
    """
    most = rule.max
    if rule.max_percentage is not None:
        most = (grant * rule.max_percentage / 100).to_integral_value(ROUND_FLOOR)
    by_end: dict[int | None, Rollover] = {}
    for rollover in soonest_first(rollovers):
        same = by_end.get(rollover.expires_at)
        by_end[rollover.expires_at] = rollover if same is None else _together(same, rollover)
    rollovers = tuple(by_end.values())
    if most is not None:
        excess = sum((rollover.remaining for rollover in rollovers), ZERO) - most
        cut = []
        for rollover in rollovers:
            part = max(ZERO, min(excess, rollover.remaining))
            excess -= part
            cut.append(rollover._replace(granted=rollover.granted - part) if part else rollover)
        rollovers = tuple(cut)
    return tuple(rollover for rollover in rollovers if rollover.remaining > 0 or rollover.expires_at in held)[
        -MAX_ROLLOVERS:
    ]


def _together(one: Rollover, other: Rollover) -> Rollover:
    return Rollover(one.granted + other.granted, one.used + other.used, one.expires_at)
