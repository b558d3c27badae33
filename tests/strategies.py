"""What the property tests draw from: amounts, grants, balances and times that a catalog could produce."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from tests.records import balance_of
from tollgate.domain.balances import Balance, BalanceKey, recomputed
from tollgate.domain.grants import Grant, Rollover, RolloverRule
from tollgate.domain.limits import Limits, SpendLimit, Window
from tollgate.domain.periods import Interval, Reset, next_boundary

T0 = 1_700_000_000_000  # 2023-11-14T22:13:20Z
DAY = 86_400_000

amounts = st.decimals(min_value=0, max_value=1000, places=2, allow_nan=False)
signed_amounts = st.decimals(min_value=-1000, max_value=1000, places=2, allow_nan=False)
moments = st.integers(min_value=T0, max_value=T0 + 800 * DAY)
resets = st.builds(Reset, st.sampled_from(list(Interval)), st.integers(1, 3))
rollover_rules = st.builds(RolloverRule, st.none() | amounts, st.none(), st.none() | st.integers(1, 24))


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    """A grant as a plan gives it, some of it used (or overdrawn) already."""
    reset = draw(st.none() | resets)
    granted = draw(amounts)
    next_reset_at = next_boundary(T0, reset, T0) if reset else None
    rolls = next_reset_at is not None and draw(st.booleans())
    return Grant(
        id=f"grant{draw(st.integers(0, 10**6))}",
        plan_id="plan",
        subscription_id="sub",
        granted=granted,
        prepaid=draw(st.sampled_from([Decimal(0), Decimal(0), Decimal("12.5")])),
        used=draw(st.decimals(min_value=-100, max_value=1100, places=2)),
        unlimited=draw(st.integers(0, 9)) == 0,
        overage=draw(st.integers(0, 3)) == 0,
        max_purchase=draw(st.none() | amounts),
        reset=reset,
        anchor=T0,
        next_reset_at=next_reset_at,
        starts_at=draw(st.sampled_from([None, None, None, T0 + 40 * DAY])),
        expires_at=draw(st.none() | st.integers(T0 + 1, T0 + 400 * DAY)),
        created_at=draw(st.integers(T0 - 3, T0)),
        add_on=draw(st.booleans()),
        keeps_overage=draw(st.booleans()),
        rollover=draw(rollover_rules) if rolls else None,
        rollovers=tuple(draw(st.lists(rollovers(), max_size=2))) if rolls else (),
    )


@st.composite
def rollovers(draw: st.DrawFn) -> Rollover:
    granted = draw(amounts)
    used = draw(st.decimals(min_value=0, max_value=granted, places=2))
    return Rollover(granted, used, draw(st.none() | st.integers(T0 + 1, T0 + 400 * DAY)))


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    window = st.builds(
        Window,
        amounts,
        st.sampled_from([Interval.DAY, Interval.WEEK, Interval.MONTH, Interval.YEAR]),
        st.integers(T0 + 1, T0 + 30 * DAY),
        st.sampled_from([None, T0]),
        used=amounts,
    )
    spend = st.builds(SpendLimit, amounts, st.booleans())
    return Limits(
        draw(st.sampled_from([None, None, True, False])),
        draw(st.none() | spend),
        tuple(draw(st.lists(window, max_size=1))),
    )


@st.composite
def balances(draw: st.DrawFn, bounded: bool = True) -> Balance:
    """A balance with nothing spent, or one that the fast path has been drawing from since."""
    held = draw(st.lists(grants(), min_size=1, max_size=4, unique_by=lambda grant: grant.id))
    balance = balance_of(BalanceKey("messages"), held)
    if bounded and draw(st.booleans()):
        balance = recomputed(balance._replace(limits=draw(limits())))
    most = min(balance.ceiling, Decimal(10_000))
    spent = draw(st.decimals(min_value=0, max_value=most, places=2)) if most >= 1 else Decimal(0)
    return balance._replace(headroom=balance.headroom - spent, ceiling=balance.ceiling - spent, spent=spent)
