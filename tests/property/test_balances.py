"""The rules that hold for every balance, amount and moment.

Rules: autumn.md 3.3, 3.9.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.property.reference import Model
from tests.property.states import line_of
from tests.strategies import DAY, T0, amounts, balances, grants, moments, resets, signed_amounts
from tollgate.domain.balances import Balance, BalanceKey, apply_spent, as_of, recomputed
from tollgate.domain.decisions import Decision, Overage, UseRequest, allows, fast_path, use
from tollgate.domain.drawing import draw, pay_back_overage, refill, totals
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.grants import MAX_ROLLOVERS, Grant, Rollover, RolloverRule, renewed
from tollgate.domain.periods import Interval, Reset, next_boundary
from tollgate.domain.quantities import ZERO

MESSAGES = Feature("messages", "Messages", FeatureType.METERED)


def used(balance: Balance, amount: Decimal, overage: Overage, now: int) -> Decision:
    return use(UseRequest(MESSAGES, (), "", amount, overage), {balance.key: balance}, now)


def consumed(balance: Balance) -> Decimal:
    return sum((grant.consumed for grant in balance.grants), ZERO)


@given(balances(), amounts, st.sampled_from(Overage), moments, st.booleans())
def test_where_the_fast_path_decides_it_decides_as_the_slow_path_does(
    balance: Balance, amount: Decimal, overage: Overage, now: int, alone: bool
) -> None:
    """invariants.md 3: the same answer, and it leaves nothing to the slow path but what it must."""
    fast = fast_path(balance, amount, overage, now, alone=alone)
    slow = used(balance, amount, overage, now)
    granted = any(grant.starts_at is None for grant in as_of(balance, now).grants)
    if fast is not None:
        assert slow.allowed == granted
        assert fast.spent - balance.spent == slow.drawn
        assert as_of(fast, now) == slow.balances[balance.key]
    elif now < balance.fresh_until and alone:
        assert not slow.allowed or overage.passes


@given(balances(), amounts.filter(bool), moments)
def test_a_check_allows_exactly_what_a_rejecting_use_would_accept(balance: Balance, amount: Decimal, now: int) -> None:
    """invariants.md 10."""
    held = {balance.key: as_of(balance, now)}
    assert allows("messages", "", amount, {}, held) == used(balance, amount, Overage.REJECT, now).allowed


@given(balances(), moments)
def test_a_balance_as_of_now_is_itself_as_of_now(balance: Balance, now: int) -> None:
    assert as_of(as_of(balance, now), now) == as_of(balance, now)


@given(balances(), st.lists(moments, max_size=4), moments)
def test_a_state_is_the_same_whatever_instants_it_was_computed_at_in_between(
    balance: Balance, looks: list[int], now: int
) -> None:
    """autumn.md 3.9: no reset, rollover or lapse depends on who looked."""
    seen = balance
    for look in sorted(look for look in looks if look <= now):
        seen = as_of(seen, look)
    assert recomputed(as_of(seen, now)) == recomputed(as_of(balance, now))


@given(
    grants(),
    st.sampled_from([Reset(Interval.HOUR), Reset(Interval.DAY), Reset(Interval.MONTH), Reset(Interval.QUARTER)]),
    st.builds(RolloverRule, st.none() | amounts, st.none(), st.none() | st.integers(1, 24)),
    st.integers(T0, T0 + 60 * DAY),
    st.sampled_from([T0, 1_706_702_400_000]),
)
def test_passing_many_boundaries_at_once_is_passing_each(
    grant: Grant, reset: Reset, rule: RolloverRule, now: int, anchor: int
) -> None:
    """autumn.md 3.9: against a reference that walks over every boundary. The second anchor is a January 31."""
    now = anchor + (now - T0) * (10 if reset.interval in (Interval.MONTH, Interval.QUARTER) else 1)
    grant = grant._replace(
        reset=reset,
        rollover=rule,
        anchor=anchor,
        next_reset_at=next_boundary(anchor, reset, anchor),
        starts_at=None,
        expires_at=None,
        rollovers=tuple({r.expires_at: r for r in grant.rollovers}.values()),
    )
    line = line_of(BalanceKey("messages"), grant)
    Model({}, set(), [line]).advance(now)
    found = renewed(grant, now)
    assert found is not None
    assert (found.used, found.next_reset_at) == (line.used, line.next_reset)
    assert sorted(found.rollovers, key=str) == sorted(
        (Rollover(rolled.granted, rolled.used, rolled.expires) for rolled in line.rolled), key=str
    )


@given(amounts.filter(bool), st.none() | st.integers(1, 24), st.integers(1, 40), st.booleans(), signed_amounts)
def test_nobody_pays_for_the_minutes_that_nobody_looked_at(
    granted: Decimal, months: int | None, years: int, keeps_overage: bool, used: Decimal
) -> None:
    """autumn.md 3.9: millions of boundaries are no more work than those of which something is left."""
    reset = Reset(Interval.MINUTE)
    grant = Grant("g", None, None, granted, used=used, reset=reset, anchor=T0, next_reset_at=T0 + 60_000)
    grant = grant._replace(rollover=RolloverRule(months=months), keeps_overage=keeps_overage)
    now = T0 + years * 365 * DAY
    found = renewed(grant, now)
    assert found is not None
    if months is not None:
        assert len(found.rollovers) <= MAX_ROLLOVERS
    elif used >= 0:
        paid = used if keeps_overage or used < granted else granted
        assert found.rolled == max(Decimal(0), years * 365 * 1440 * granted - paid)
    assert renewed(grant._replace(rollover=None), now) == found._replace(rollover=None, rollovers=())


@given(balances(), st.lists(amounts, max_size=6), moments)
def test_what_is_drawn_is_what_the_grants_lost_and_no_grant_goes_below_its_floor(
    balance: Balance, uses: list[Decimal], now: int
) -> None:
    before = as_of(balance, now)
    state, drawn = balance, ZERO
    for amount in uses:
        decision = used(state, amount, Overage.CAP, now)
        state, drawn = decision.balances[balance.key], drawn + decision.drawn
        assert 0 <= decision.drawn <= amount
    after = as_of(state, now)
    assert consumed(after) - consumed(before) == drawn
    limits = balance.limits
    for old, new in zip(before.grants, after.grants, strict=True):
        floor = ZERO
        if (old.overage or limits.overage_allowed) and limits.overage_allowed is not False:
            floor = -Decimal(20_000)  # so much may have been spent before, and six uses more
            if old.overage and old.max_purchase is not None and not limits.spend:
                floor = -old.max_purchase
        assert new.unlimited or new.remaining >= min(old.remaining, floor)


@given(balances(bounded=False), st.lists(st.tuples(signed_amounts, st.sampled_from(Overage)), max_size=8), moments)
def test_headroom_is_always_what_the_grants_still_hold(
    balance: Balance, uses: list[tuple[Decimal, Overage]], now: int
) -> None:
    state = as_of(balance, now)
    for amount, overage in uses:
        state = used(state, amount, overage, now).balances[balance.key]
        if not any(grant.unlimited for grant in state.live_grants):
            assert state.headroom == totals(state.live_grants).remaining
        assert state.spent == 0


@given(balances(), amounts, moments)
def test_giving_back_never_lifts_a_grant_above_what_was_granted(balance: Balance, amount: Decimal, now: int) -> None:
    before = as_of(balance, now)
    decision = used(balance, -amount, Overage.CAP, now)
    after = decision.balances[balance.key]
    assert -amount <= decision.drawn <= 0
    for old, new in zip(before.grants, after.grants, strict=True):
        assert min(ZERO, old.used) <= new.used <= old.used
        assert new.rollovers == old.rollovers
    assert consumed(after) - consumed(before) == decision.drawn


@given(balances(), amounts, moments)
def test_a_use_given_back_whole_restores_the_grants(balance: Balance, amount: Decimal, now: int) -> None:
    grants = tuple(grant._replace(used=ZERO, rollovers=()) for grant in as_of(balance, now).grants)
    drawn, left = draw(grants, amount)
    lifted, rest = pay_back_overage(drawn, amount - left)
    assert refill(lifted, rest) == (grants, ZERO)


@given(balances())
def test_what_was_spent_of_a_fresh_balance_is_drawn_from_its_grants(balance: Balance) -> None:
    applied = balance._replace(grants=apply_spent(balance))
    assert consumed(applied) - consumed(balance) == balance.spent


@given(resets, st.integers(T0, T0 + 3000 * DAY), st.integers(0, 3000 * DAY))
def test_a_boundary_depends_on_the_anchor_alone_and_none_is_skipped(reset: Reset, anchor: int, wait: int) -> None:
    """invariants.md 4: from every instant before a boundary it is the same one, whichever boundaries were looked at."""
    boundary = next_boundary(anchor, reset, anchor + wait)
    if reset.interval is Interval.ONE_OFF:
        assert boundary is None
        return
    assert boundary is not None
    assert boundary > anchor + wait
    assert next_boundary(anchor, reset, boundary - 1) == boundary


@given(balances(), st.lists(st.integers(0, 200 * DAY), min_size=1, max_size=4))
def test_a_reset_happens_once_however_often_it_is_looked_at(balance: Balance, steps: list[int]) -> None:
    """invariants.md 4, 9: looking in between changes nothing that looking once at the end would not give. (What rolls
    over or stays overdrawn does so once for each period that somebody looked at.)"""
    grants = tuple(grant._replace(rollover=None, keeps_overage=False) for grant in as_of(balance, T0).grants)
    balance = balance._replace(grants=grants, spent=ZERO)
    now, subject = T0, balance
    for step in steps:
        now += step
        subject = as_of(subject, now)
    assert subject == as_of(balance, now)
    for grant in subject.grants:
        assert grant.next_reset_at is None or grant.reset is None or grant.next_reset_at > now
        assert grant.next_reset_at == (grant.reset and next_boundary(grant.anchor, grant.reset, now))
