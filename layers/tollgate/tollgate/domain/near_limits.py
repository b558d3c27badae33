"""Which balances are near their limit: of what may be used at most, so many percent are used.

What bounds a balance is what it was granted, with the overage that its grants and spend limit allow; or a usage limit,
where that leaves a smaller share. Each balance is looked at by itself: what a credit pool or another balance would pay
is not counted. A flag has no limit, and neither has what is unlimited or may be overdrawn without bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.balances import Balance
from tollgate.domain.drawing import overage_room, totals
from tollgate.domain.grants import FOREVER
from tollgate.domain.quantities import ZERO

LEVELS = (100, 90, 80)
"""Percent used, the highest first: below the last a balance is not near its limit."""


class NearLimit(NamedTuple):
    """How much of its limit a balance has used, in units of the feature. `by` is `balance` or `usage_limit`.

    `most` is what may be used in all; more may have been used, where use was only reported or a limit was lowered.
    """

    used: Decimal
    left: Decimal
    most: Decimal
    by: str

    @property
    def percent(self) -> Decimal:
        """The share that is used, in percent: 0 to 100, which is where nothing is left."""
        return max(ZERO, self.most - self.left) * 100 / self.most if self.left > 0 and self.most > 0 else Decimal(100)


def tightest(balance: Balance) -> NearLimit | None:
    """What bounds the balance most. Its `spent` must be applied. None where nothing bounds it or nothing is granted."""
    return max(_bounds(balance), key=lambda bound: bound.percent, default=None)


def _bounds(balance: Balance) -> Iterator[NearLimit]:
    live = balance.live_grants
    if balance.flag or not live or any(grant.unlimited for grant in live):
        return
    sums, room = totals(live), overage_room(live, balance.limits)
    if room is not None and (sums.granted > 0 or sums.usage > 0 or room > 0):
        even = (grant._replace(used=min(grant.used, grant.total)) for grant in live)
        most = sums.granted + (overage_room(even, balance.limits) or ZERO)
        yield NearLimit(max(ZERO, sums.usage), sums.remaining + room, most, "balance")
    for window in balance.limits.windows:
        yield NearLimit(max(ZERO, window.used), window.room, window.limit, "usage_limit")


def level_of(balance: Balance | None) -> int | None:
    """The highest level that the balance has reached; None where it is not near its limit."""
    bound = None if balance is None else tightest(balance)
    return None if bound is None else next((level for level in LEVELS if bound.percent >= level), None)


def changes_at(balance: Balance) -> int | None:
    """The first instant (epoch ms) at which a reset, an expiry or a new window changes the balance; None for never."""
    moments = [grant.changes_at for grant in balance.grants] + [window.ends_at for window in balance.limits.windows]
    first = min(moments, default=FOREVER)
    return None if first >= FOREVER else first
