"""What the property tests draw from: amounts, rows, balances and times that a catalog could produce."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from tollgate.domain.balances import Balance, Row, balance_of
from tollgate.domain.periods import Interval, Reset, next_boundary

T0 = 1_700_000_000_000  # 2023-11-14T22:13:20Z
DAY = 86_400_000

amounts = st.decimals(min_value=0, max_value=1000, places=2, allow_nan=False)
signed_amounts = st.decimals(min_value=-1000, max_value=1000, places=2, allow_nan=False)
moments = st.integers(min_value=T0, max_value=T0 + 800 * DAY)
resets = st.builds(Reset, st.sampled_from(list(Interval)), st.integers(1, 3))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A row as a plan grants it, some of it used (or overdrawn) already."""
    reset = draw(st.none() | resets)
    granted = draw(amounts)
    return Row(
        id=f"row{draw(st.integers(0, 10**6))}",
        plan_id="plan",
        subscription_id="sub",
        granted=granted,
        used=draw(st.decimals(min_value=0, max_value=1100, places=2)),
        unlimited=draw(st.integers(0, 9)) == 0,
        reset=reset,
        anchor=T0,
        next_reset_at=next_boundary(T0, reset, T0) if reset else None,
        expires_at=draw(st.none() | st.integers(T0 + 1, T0 + 400 * DAY)),
    )


@st.composite
def balances(draw: st.DrawFn) -> Balance:
    """A folded balance, or one that the hot path has been drawing from since."""
    folded = balance_of("messages", draw(st.lists(rows(), min_size=1, max_size=4, unique_by=lambda row: row.id)))
    ceiling = min(folded.headroom, Decimal(10_000))
    spent = draw(st.decimals(min_value=0, max_value=ceiling, places=2)) if ceiling else Decimal(0)
    return Balance(folded.feature_id, folded.rows, folded.headroom - spent, spent, folded.fresh_until, folded.flag)
