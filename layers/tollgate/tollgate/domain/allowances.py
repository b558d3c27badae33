"""What each subscription of a customer still allows of a feature: one allowance for each, whichever grant pays.

management.md 10 (one domain in three dialects): the free limit is the included units; the total limit adds the bought
units and the overage that is allowed; None is no limit. Grants that no subscription gave make no allowance and change
none.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.balances import Balance, BalanceKey
from tollgate.domain.drawing import overage_cap
from tollgate.domain.grants import Grant
from tollgate.domain.limits import Limits
from tollgate.domain.quantities import ZERO

Filters = tuple[tuple[str, str], ...]


class SubscriptionAllowance(NamedTuple):
    """What a subscription grants of a feature: the units `used` in the current period, the limit of `free` units, and
    the limit in `total`. None is no limit.
    """

    used: Decimal
    free: Decimal | None
    total: Decimal | None

    @property
    def allows(self) -> bool:
        """Whether the feature may be used: usage is strictly below the total limit (lotus.md 2.1)."""
        return self.total is None or self.used < self.total

    @property
    def allows_free(self) -> bool:
        """Whether the feature may be used without paying: usage is strictly below the free limit."""
        return self.free is None or self.used < self.free


def allowances(feature_id: str, balances: Mapping[BalanceKey, Balance]) -> dict[str, SubscriptionAllowance]:
    """The allowance of each subscription, by its id. The balances must all be as of one instant.

    The shares of a plan that entities hold add up. A plan that grants a feature twice (units each month and some once,
    say) makes one allowance: both limits together, and the larger usage of the two.
    """
    found: dict[str, SubscriptionAllowance] = {}
    for key, balance in balances.items():
        if key.feature_id != feature_id or balance.flag:
            continue
        own: dict[str, SubscriptionAllowance] = {}
        for grant in balance.live_grants:
            if grant.subscription_id is None or (key.entity_id and not grant.entity_share):
                continue
            allowance, other = _allowance(grant, balance), own.get(grant.subscription_id)
            own[grant.subscription_id] = _sum(allowance, other, max(allowance.used, other.used)) if other else allowance
        for id, allowance in own.items():
            found[id] = _sum(allowance, found[id], allowance.used + found[id].used) if id in found else allowance
    return found


def holders(feature_id: str, balances: Mapping[BalanceKey, Balance]) -> set[str]:
    """The ids of the subscriptions that grant a feature of any type to the customer itself, or a share of it to its
    entities.
    """
    return {
        grant.subscription_id
        for key, balance in balances.items()
        if key.feature_id == feature_id
        for grant in balance.live_grants
        if grant.subscription_id is not None and (not key.entity_id or grant.entity_share)
    }


def answers(held: Filters, asked: Filters) -> bool:
    """Whether a subscription with the filters `held` counts for a check that names the filters `asked`: it has all of
    these (lotus.md 2.1).
    """
    return set(asked) <= set(held)


def _allowance(grant: Grant, balance: Balance) -> SubscriptionAllowance:
    if grant.unlimited:
        return SubscriptionAllowance(grant.counted, None, None)
    rolled = sum((rollover.granted for rollover in grant.rollovers), ZERO)
    free = grant.granted + grant.adjustment + rolled
    overage = _overage(grant, balance)
    return SubscriptionAllowance(grant.counted, free, None if overage is None else free + grant.prepaid + overage)


def _overage(grant: Grant, balance: Balance) -> Decimal | None:
    """The most units by which a grant may be overdrawn; None is no limit. A spend limit bounds all grants together, and
    so each.
    """
    limits = balance.limits
    cap = overage_cap(limits)(grant)
    if cap == 0 or limits.spend is None:
        return cap
    most = _spend(limits, balance)
    return cap if most is None else most if cap is None else min(cap, most)


def _spend(limits: Limits, balance: Balance) -> Decimal | None:
    assert limits.spend is not None
    if not limits.spend.percentage:
        return limits.spend.limit
    base = sum((grant.granted for grant in balance.live_grants if grant.subscription_id and not grant.add_on), ZERO)
    return limits.spend.limit * base / 100 if base else None


def _sum(one: SubscriptionAllowance, other: SubscriptionAllowance, used: Decimal) -> SubscriptionAllowance:
    free = None if one.free is None or other.free is None else one.free + other.free
    total = None if one.total is None or other.total is None else one.total + other.total
    return SubscriptionAllowance(used, free, total)
