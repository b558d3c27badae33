"""The rules that hold for every balance, amount and moment."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import DAY, T0, amounts, balances, moments, resets, signed_amounts
from tollgate.domain.balances import Balance, draw, fold, give_back, settle, totals
from tollgate.domain.decisions import Overage, allows, hot, use
from tollgate.domain.periods import Interval, Reset, next_boundary
from tollgate.domain.quantities import ZERO


def granted_left(balance: Balance) -> Decimal:
    return sum((max(row.remaining, ZERO) for row in balance.rows), ZERO)


@given(balances(), amounts, st.sampled_from(Overage), moments)
def test_where_the_hot_path_decides_it_decides_as_the_slow_path_does(
    balance: Balance, amount: Decimal, overage: Overage, now: int
) -> None:
    """Invariant 3."""
    fast = hot(balance, amount, overage, now)
    slow = use(balance, amount, overage, now)
    if fast is not None:
        assert slow.allowed
        assert fast.drawn == slow.drawn
        assert fold(fast.balance, now) == slow.balance
    elif now < balance.fresh_until:
        assert not slow.allowed or overage is Overage.OVERFLOW or totals(balance.rows).unlimited


@given(balances(), amounts, st.integers(T0, T0 + 800 * DAY))
def test_a_check_allows_exactly_what_a_rejecting_use_would_accept(balance: Balance, amount: Decimal, now: int) -> None:
    assert allows(balance, amount, now) == use(balance, amount, Overage.REJECT, now).allowed


@given(balances(), moments)
def test_folding_twice_is_folding_once(balance: Balance, now: int) -> None:
    assert fold(fold(balance, now), now) == fold(balance, now)


@given(balances(), st.lists(amounts, max_size=6), moments)
def test_what_is_drawn_is_what_the_rows_lost_and_no_row_goes_below_its_floor(
    balance: Balance, uses: list[Decimal], now: int
) -> None:
    before = fold(balance, now)
    state, drawn = balance, ZERO
    for amount in uses:
        decision = use(state, amount, Overage.CAP, now)
        state, drawn = decision.balance, drawn + decision.drawn
        assert decision.drawn <= amount
    after = fold(state, now)
    assert sum((row.used for row in after.rows), ZERO) - sum((row.used for row in before.rows), ZERO) == drawn
    for old, new in zip(before.rows, after.rows, strict=True):
        assert new.unlimited or new.remaining >= min(old.remaining, ZERO)


@given(balances(), st.lists(st.tuples(signed_amounts, st.sampled_from(Overage)), max_size=8), moments)
def test_headroom_is_always_what_the_rows_still_hold(
    balance: Balance, uses: list[tuple[Decimal, Overage]], now: int
) -> None:
    state = balance
    for amount, overage in uses:
        state = use(state, amount, overage, now).balance
        if not any(row.unlimited for row in state.rows):
            assert state.headroom == granted_left(state)
        assert state.spent == 0


@given(balances(), amounts, moments)
def test_giving_back_never_lifts_a_row_above_its_grant(balance: Balance, amount: Decimal, now: int) -> None:
    rows = fold(balance, now).rows
    returned, dropped = give_back(rows, amount)
    assert 0 <= dropped <= amount
    assert all(0 <= new.used <= old.used for old, new in zip(rows, returned, strict=True))
    assert sum((row.used for row in rows), ZERO) - sum((row.used for row in returned), ZERO) == amount - dropped


@given(balances(), amounts, moments)
def test_a_use_given_back_whole_restores_the_balance(balance: Balance, amount: Decimal, now: int) -> None:
    before = fold(balance, now)
    if before.rows and all(row.used == 0 for row in before.rows):
        drawn, left = draw(before.rows, amount)
        assert give_back(drawn, amount - left) == (before.rows, ZERO)


@given(balances())
def test_a_fresh_balance_settles_to_its_spent(balance: Balance) -> None:
    lost = sum((row.used for row in settle(balance)), ZERO) - sum((row.used for row in balance.rows), ZERO)
    assert lost == balance.spent


@given(resets, st.integers(T0, T0 + 3000 * DAY), st.integers(0, 3000 * DAY))
def test_a_boundary_depends_on_the_anchor_alone_and_none_is_skipped(reset: Reset, anchor: int, wait: int) -> None:
    """Invariant 4: from every instant before a boundary it is the same one, whichever boundaries were looked at."""
    boundary = next_boundary(anchor, reset, anchor + wait)
    if reset.interval is Interval.ONE_OFF:
        assert boundary is None
        return
    assert boundary is not None
    assert boundary > anchor + wait
    assert next_boundary(anchor, reset, boundary - 1) == boundary


@given(balances(), st.lists(st.integers(0, 200 * DAY), min_size=1, max_size=4))
def test_a_reset_happens_once_however_often_it_is_looked_at(balance: Balance, steps: list[int]) -> None:
    """Invariant 4: looking in between changes nothing that looking once at the end would not give."""
    now, watched = T0, balance
    for step in steps:
        now += step
        watched = fold(watched, now)
    assert watched == fold(balance, now)
