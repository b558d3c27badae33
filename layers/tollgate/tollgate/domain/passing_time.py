"""What time alone brings about, and when it is to be told of: resets, grants and rollovers that end, trials that end, and
subscriptions that start or end (management.md 16).

Balances are right without any of this: what was due is done by whoever looks next. Here is only when somebody has to
look, so that it is told in time. Times are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from tollgate.domain.balances import Balance
from tollgate.domain.changes import Change
from tollgate.domain.grants import Grant

if TYPE_CHECKING:
    from tollgate.domain.customers import Subscription
    from tollgate.domain.recorded_writes import SubscriptionWrite

DAY_MS = 86_400_000
STARTED, TRIAL_ENDED, ENDED = "started", "trial_ended", "ended"


class Boundary(NamedTuple):
    """An instant of a subscription: `what` (STARTED, TRIAL_ENDED or ENDED) happens to it at `at` by the clock."""

    at: int
    what: str

    @property
    def name(self) -> str:
        """It as text."""
        return f"{self.what}@{self.at}"


def told_next(balance: Balance | None) -> int | None:
    """The next instant at which time changes the grants of a balance (`spent` applied to it) so that it is to be told;
    None: there is none.

    A period shorter than a day in which nothing was used ends in silence, or a customer who does nothing would cost
    something each minute. What a test clock governs is told when the clock is moved.
    """
    if balance is None or balance.has_test_clock:
        return None
    return min((moment for grant in balance.grants for moment in _moments(grant)), default=None)


def _moments(grant: Grant) -> Iterator[int]:
    if grant.expires_at is not None:
        yield grant.expires_at
    for rollover in grant.rollovers:
        if rollover.expires_at is not None and rollover.remaining:
            yield rollover.expires_at
    if grant.next_reset_at is not None and grant.reset is not None:
        idle = not (grant.used or grant.adjustment)
        if not (idle and grant.reset.nominal_ms < DAY_MS):
            yield grant.next_reset_at


def is_due(balance: Balance, now: int) -> bool:
    """Whether time has changed a grant of the balance by `now`, and no write has taken it in yet."""
    return any(grant.changes_at <= now for grant in balance.grants)


def new_moment(change: Change) -> int | None:
    """The instant at which somebody has to look at a balance after this write; None where that was so before it."""
    moment = told_next(change.after)
    return None if moment == told_next(change.previous) else moment


def boundaries(subscription: Subscription) -> list[Boundary]:
    """What happens to a subscription by the clock, in order. Nothing is told of a start at the time of the call that
    attached it, nor of a trial that is over before the subscription begins or after it ends."""
    found = []
    start, end, trial = subscription.started_at, subscription.expires_at, subscription.trial_ends_at
    if start > subscription.created_at and (end is None or start < end):
        found.append(Boundary(start, STARTED))
    if trial is not None and start < trial and (end is None or trial <= end):
        found.append(Boundary(trial, TRIAL_ENDED))
    if end is not None:
        found.append(Boundary(end, ENDED))
    return found


def passed(subscription: Subscription, after: int, until: int) -> list[Boundary]:
    """What the clock does to a subscription after one instant and up to another."""
    return [boundary for boundary in boundaries(subscription) if after < boundary.at <= until]


def new_moments(write: SubscriptionWrite) -> set[int]:
    """The instants at which somebody has to look at a subscription after this write. Those that were known before it are
    left out, and those that are over: the write itself tells of them."""
    if write.after is None:
        return set()
    known = boundaries(write.before) if write.before else []
    return {one.at for one in boundaries(write.after) if one not in known and one.at > write.instant}
