"""What a customer has used of the features that it is entitled to, and whether it may use more."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.balances import Balances
from tollgate.domain.decisions import Check, UseRequest, check
from tollgate.domain.entitlements import Entitled
from tollgate.domain.features import Pool
from tollgate.domain.quantities import ZERO

SPENT = Decimal(100)


class EntitledUsage(NamedTuple):
    """The usage of one feature.

    - `used`: units used in the current period of each source, each grant counted once.
    - `ratio`: usage divided by the limit: 0 without a limit, 100 where the limit is zero.
    - `next_reset_at`: the soonest reset or expiry of a resetting grant (epoch ms); None: nothing resets.
    - `check`: the answer to whether one more unit may be used now.
    """

    used: Decimal
    ratio: Decimal
    next_reset_at: int | None
    check: Check


def usage_of(entitled: Entitled, pools: Sequence[Pool], balances: Balances) -> EntitledUsage:
    """The usage of one feature. `balances` holds all balances of the customer as of now; the check is decided on
    them.
    """
    grants = [grant for source in entitled.sources for grant in source.grants]
    used = sum((grant.consumed for grant in grants), ZERO)
    resets = [
        grant.next_reset_at if grant.expires_at is None else min(grant.next_reset_at, grant.expires_at)
        for grant in grants
        if grant.next_reset_at is not None
    ]
    answer = check(UseRequest(entitled.feature, pools), balances)
    if entitled.feature.type.is_flag:
        return EntitledUsage(ZERO, ZERO, None, answer)
    return EntitledUsage(used, _ratio(used, entitled.entitlement.limit), min(resets, default=None), answer)


def _ratio(used: Decimal, limit: Decimal | None) -> Decimal:
    if limit is None:
        return ZERO
    return used / limit if limit > 0 else SPENT
