"""Which balances are near their limit.

Rules: management.md 17.3.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tollgate.domain.balances import Balance, BalanceKey, as_of, recomputed
from tollgate.domain.decisions import UseRequest, check
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.grants import Grant
from tollgate.domain.limits import Limits, SpendLimit, Window
from tollgate.domain.near_limits import LEVELS, NearLimit, level_of, tightest
from tollgate.domain.periods import Interval

NOW = 1_767_225_600_000
FEATURE = Feature("messages", "Messages", FeatureType.METERED)
units = st.integers(0, 1000).map(lambda tenths: Decimal(tenths) / 10)
some = st.integers(1, 1000).map(lambda tenths: Decimal(tenths) / 10)
grants = st.builds(
    lambda granted, used, most, kind: Grant(
        "g", None, None, granted=granted, used=used, overage=kind > 6, max_purchase=most, unlimited=kind == 0
    ),
    some,
    units,
    st.none() | units,
    st.integers(0, 9),
)
windows = st.builds(lambda limit, used: Window(limit, Interval.DAY, NOW + 86_400_000, used=used), units, units)
limits = st.builds(
    lambda spend, found: Limits(spend=None if spend is None else SpendLimit(spend), windows=tuple(found)),
    st.none() | units,
    st.lists(windows, max_size=2),
)
balances = st.builds(
    lambda found, bounds: as_of(recomputed(Balance(BalanceKey("messages"), grants=found, limits=bounds)), NOW),
    st.lists(grants, min_size=1, max_size=3).map(tuple),
    limits,
)


def allows(balance: Balance, amount: Decimal) -> bool:
    return check(UseRequest(FEATURE, (), "", amount), {balance.key: balance}).allowed


@given(balances)
def test_what_is_left_is_just_what_a_check_allows(balance: Balance) -> None:
    """Held against the code that decides: nobody is listed as used up who may use more, nor the other way round."""
    near = tightest(balance)
    if near is None:
        assert allows(balance, Decimal(1_000_000))
        return
    left = min(bound.left for bound in _all(balance))
    step = Decimal("0.1")
    assert not allows(balance, left + step)
    if left > 0:
        assert allows(balance, left)
    assert (near.percent == 100) == (left == 0)


@given(balances, units)
def test_what_was_used_beyond_a_limit_is_no_part_of_it(balance: Balance, more: Decimal) -> None:
    """A limit is the same however much was used: what is left of it shrinks to nothing, and not below."""
    first, *others = balance.grants
    used = recomputed(balance._replace(grants=(first._replace(used=first.used + more), *others)))
    assert [(bound.by, bound.most) for bound in _all(used)] == [(bound.by, bound.most) for bound in _all(balance)]
    for bound in _all(used):
        assert 0 <= bound.percent <= 100
        assert bound.left == 0 or bound.most >= bound.left


def _all(balance: Balance) -> list[NearLimit]:
    from tollgate.domain.near_limits import _bounds

    return list(_bounds(balance))


@given(balances)
def test_the_level_is_the_highest_that_is_reached(balance: Balance) -> None:
    near, level = tightest(balance), level_of(balance)
    if near is None or near.percent < LEVELS[-1]:
        assert level is None
    else:
        assert level == max(one for one in LEVELS if one <= near.percent)
