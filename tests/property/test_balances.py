"""The rules that hold for every balance, amount and moment.

Rules: autumn.md 3.3.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import DAY, T0, amounts, balances, moments, resets, signed_amounts
from tollgate.domain.balances import Balance, draw, fold, lift, refill, settle, totals
from tollgate.domain.decisions import Decision, Overage, allows, hot, use
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.periods import Interval, Reset, next_boundary
from tollgate.domain.quantities import ZERO

MESSAGES = Feature("messages", "Messages", FeatureType.METERED)


def used(balance: Balance, amount: Decimal, overage: Overage, now: int) -> Decision:
    return use(MESSAGES, (), "", amount, overage, {}, {balance.place: balance}, now)


def consumed(balance: Balance) -> Decimal:
    return sum((row.consumed for row in balance.rows), ZERO)


@given(balances(), amounts, st.sampled_from(Overage), moments, st.booleans())
def test_where_the_hot_path_decides_it_decides_as_the_slow_path_does(
    balance: Balance, amount: Decimal, overage: Overage, now: int, alone: bool
) -> None:
    """Invariant 3: the same answer, and it leaves nothing to the slow path but what it must."""
    fast = hot(balance, amount, overage, now, alone=alone)
    slow = used(balance, amount, overage, now)
    granted = any(row.starts_at is None for row in fold(balance, now).rows)
    if fast is not None:
        assert slow.allowed == granted
        assert fast.spent - balance.spent == slow.drawn
        assert fold(fast, now) == slow.world[balance.place]
    elif now < balance.fresh_until and alone:
        assert not slow.allowed or overage.passes


@given(balances(), amounts.filter(bool), moments)
def test_a_check_allows_exactly_what_a_rejecting_use_would_accept(balance: Balance, amount: Decimal, now: int) -> None:
    world = {balance.place: fold(balance, now)}
    assert allows("messages", "", amount, {}, world) == used(balance, amount, Overage.REJECT, now).allowed


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
        decision = used(state, amount, Overage.CAP, now)
        state, drawn = decision.world[balance.place], drawn + decision.drawn
        assert 0 <= decision.drawn <= amount
    after = fold(state, now)
    assert consumed(after) - consumed(before) == drawn
    limits = balance.limits
    for old, new in zip(before.rows, after.rows, strict=True):
        floor = ZERO
        if (old.overage or limits.overage_allowed) and limits.overage_allowed is not False:
            floor = -Decimal(20_000)  # so much may have been spent before, and six uses more
            if old.overage and old.max_purchase is not None and not limits.spend:
                floor = -old.max_purchase
        assert new.unlimited or new.remaining >= min(old.remaining, floor)


@given(balances(bounded=False), st.lists(st.tuples(signed_amounts, st.sampled_from(Overage)), max_size=8), moments)
def test_headroom_is_always_what_the_rows_still_hold(
    balance: Balance, uses: list[tuple[Decimal, Overage]], now: int
) -> None:
    state = fold(balance, now)
    for amount, overage in uses:
        state = used(state, amount, overage, now).world[balance.place]
        if not any(row.unlimited for row in state.live_rows):
            assert state.headroom == totals(state.live_rows).remaining
        assert state.spent == 0


@given(balances(), amounts, moments)
def test_giving_back_never_lifts_a_row_above_its_grant(balance: Balance, amount: Decimal, now: int) -> None:
    before = fold(balance, now)
    decision = used(balance, -amount, Overage.CAP, now)
    after = decision.world[balance.place]
    assert -amount <= decision.drawn <= 0
    for old, new in zip(before.rows, after.rows, strict=True):
        assert min(ZERO, old.used) <= new.used <= old.used
        assert new.rollovers == old.rollovers
    assert consumed(after) - consumed(before) == decision.drawn


@given(balances(), amounts, moments)
def test_a_use_given_back_whole_restores_the_rows(balance: Balance, amount: Decimal, now: int) -> None:
    rows = tuple(row._replace(used=ZERO, rollovers=()) for row in fold(balance, now).rows)
    drawn, left = draw(rows, amount)
    lifted, rest = lift(drawn, amount - left)
    assert refill(lifted, rest) == (rows, ZERO)


@given(balances())
def test_a_fresh_balance_settles_to_its_spent(balance: Balance) -> None:
    settled = balance._replace(rows=settle(balance))
    assert consumed(settled) - consumed(balance) == balance.spent


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
    """Invariant 4: looking in between changes nothing that looking once at the end would not give. (What rolls over or
    stays overdrawn does so once for each period that somebody looked at.)"""
    rows = tuple(row._replace(rollover=None, keeps_overage=False) for row in fold(balance, T0).rows)
    balance = balance._replace(rows=rows, spent=ZERO)
    now, watched = T0, balance
    for step in steps:
        now += step
        watched = fold(watched, now)
    assert watched == fold(balance, now)
    for row in watched.rows:
        assert row.next_reset_at is None or row.reset is None or row.next_reset_at > now
        assert row.next_reset_at == (row.reset and next_boundary(row.anchor, row.reset, now))
