"""What a write reaches and crosses: Autumn's limits and thresholds (autumn.md 7.1, S263), a feature's own (flexprice.md 3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.records import MESSAGES, NOW, held, monthly, spent, with_limits
from tests.unit.scenario import d
from tollgate.domain.alerts import (
    LimitType,
    Reached,
    State,
    crossed,
    feature_alerts,
    is_closed,
    reached,
    windows_reached,
)
from tollgate.domain.balances import Balance, BalanceKey, Balances, as_of, recomputed
from tollgate.domain.changes import as_written, instant_of
from tollgate.domain.controls import AlertControl, Controls, SpendControl, UsageControl, limits_for
from tollgate.domain.decisions import Overage, UseRequest, use
from tollgate.domain.features import Feature, FeatureType, Pool
from tollgate.domain.grants import Grant, Rollover
from tollgate.domain.periods import Interval

FEATURE = Feature("messages", "Messages", FeatureType.METERED)
MONTHLY_1000 = (monthly(1000),)


def alert(type: str, threshold: float, **more: Any) -> AlertControl:
    return AlertControl({"threshold": d(threshold), "threshold_type": type, **more})


def subject(
    *alerts: AlertControl, grants: tuple[Grant, ...] = MONTHLY_1000, plan: tuple[AlertControl, ...] = ()
) -> Balance:
    """A balance whose customer (and plan) watches these thresholds."""
    limits = limits_for("messages", Controls(alerts=alerts), [Controls(alerts=plan)], NOW, (), NOW)
    return recomputed(held(*grants)._replace(limits=limits))


def track(balance: Balance, value: float, overage: Overage = Overage.CAP) -> tuple[Balance, list[Decimal]]:
    """The balance after a use, and the thresholds that it crossed."""
    after = use(UseRequest(FEATURE, (), "", d(value), overage), {MESSAGES: balance}, NOW).balances[MESSAGES]
    before = as_of(balance, instant_of(after))
    found = crossed(MESSAGES, {MESSAGES: before}, {MESSAGES: as_written(after)})
    return after, [one.alert.threshold for one in found]


@pytest.mark.parametrize(
    ("control", "uses", "fired"),
    [
        (alert("usage", 800), [850], [[800]]),
        (alert("usage", 500), [500], [[500]]),  # exactly reached
        (alert("usage_percentage", 90), [950], [[90]]),
        (alert("usage_percentage", 100), [1000], [[100]]),
        (alert("usage", 500), [600, 100], [[500], []]),  # not again
        (alert("usage", 500, enabled=False), [600], [[]]),
        (alert("remaining", 200), [850], [[200]]),
        (alert("remaining_percentage", 20), [850], [[20]]),  # 15% left
        (alert("usage", 500, feature_id="messages"), [500], [[500]]),
        (alert("usage", 500, feature_id="words"), [500], [[]]),
        (alert("usage", 500), [499, 1, 1], [[], [500], []]),
        (alert("usage", 500), [600, -200, 200], [[500], [], [500]]),  # given back, and used again: a new crossing
    ],
)
def test_s263_a_threshold_is_told_when_it_is_crossed_and_once(
    control: AlertControl, uses: list[float], fired: list[list[int]]
) -> None:
    balance, told = subject(control), []
    for value in uses:
        balance, found = track(balance, value)
        told.append(found)
    assert told == fired


def test_s263_each_of_several_thresholds_is_told_when_it_is_its_turn() -> None:
    balance, first = track(subject(alert("usage", 500), alert("usage", 800)), 600)
    _, second = track(balance, 300)
    assert (first, second) == ([500], [800])


def test_a_plans_thresholds_hold_where_the_customer_states_none() -> None:
    plan = (alert("usage", 300),)
    assert track(subject(plan=plan), 400)[1] == [300]
    assert track(subject(alert("usage", 900), plan=plan), 400)[1] == []
    assert subject(plan=plan).limits.alerts[0].of_plan


def test_an_unlimited_balance_never_alerts_and_a_percentage_needs_a_grant() -> None:
    assert track(subject(alert("usage", 5), grants=(monthly(0, unlimited=True),)), 10)[1] == []
    assert track(subject(alert("usage_percentage", 50), grants=(monthly(0, overage=True),)), 10)[1] == []


def test_a_reset_between_two_uses_starts_the_count_anew() -> None:
    balance, first = track(subject(alert("usage", 500)), 600)
    (grant,) = balance.grants
    later = grant.next_reset_at
    assert later
    after = use(UseRequest(FEATURE, (), "", d(550), Overage.CAP), {MESSAGES: balance}, later).balances[MESSAGES]
    before = as_of(balance, instant_of(after))
    found = list(crossed(MESSAGES, {MESSAGES: before}, {MESSAGES: as_written(after)}))
    assert (first, [one.value for one in found]) == ([500], [550])


@pytest.mark.parametrize(
    ("basis", "value", "fires"),
    [
        ("balance", 165, True),  # half of 330: 200 included, 100 prepaid, 30 rolled over
        ("balance", 164, False),
        ("included", 100, True),
        ("included", 99, False),
        ("recurring", 165, True),
    ],
)
def test_a_percentage_is_taken_of_its_basis(basis: str, value: int, fires: bool) -> None:
    grant = monthly(200, prepaid=Decimal(100), rollovers=(Rollover(Decimal(30)),))
    balance = subject(alert("usage_percentage", 50, basis=basis), grants=(grant,))
    assert bool(track(balance, value)[1]) is fires


def test_a_usage_limit_can_be_the_basis() -> None:
    limit = UsageControl("messages", d(10), Interval.DAY, utc=True)
    controls = Controls(alerts=(alert("usage_percentage", 80, basis="usage_limit"),), usage=(limit,))
    balance = recomputed(held(monthly(1000))._replace(limits=limits_for("messages", controls, [], NOW, (), NOW)))
    balance, first = track(balance, 7)
    assert (first, track(balance, 1)[1]) == ([], [80])


def test_a_customers_threshold_counts_what_its_entities_used() -> None:
    mine, theirs = subject(alert("usage", 100)), held(monthly(100, "e1:0"), key=BalanceKey("messages", "e1"))
    then = {MESSAGES: as_written(mine), theirs.key: as_written(spent(theirs, 90))}
    now = {MESSAGES: as_written(mine), theirs.key: as_written(spent(theirs, 100))}
    assert [one.value for one in crossed(MESSAGES, then, now)] == [100]
    assert list(crossed(theirs.key, then, now)) == []  # the entity watches nothing


# ------------------------------------------------------------------ limit reached


def newly(key: BalanceKey, entity_id: str, before: Balances, after: Balances) -> list[Reached]:
    """The limits that are reached after a write, and were not before it."""
    windows = list(windows_reached(before.get(key), after.get(key)))
    if is_closed(after.get(key)):
        return windows
    was, found = (reached(FEATURE, (), entity_id, balances) for balances in (before, after))
    return windows + ([found] if found and not was else [])


def reach(balance: Balance, *values: float, overage: Overage = Overage.CAP) -> list[list[LimitType]]:
    """What each of these uses in turn reaches."""
    told = []
    for value in values:
        after = use(UseRequest(FEATURE, (), "", d(value), overage), {MESSAGES: balance}, NOW).balances[MESSAGES]
        before = as_of(balance, instant_of(after))
        told.append([one.type for one in newly(MESSAGES, "", {MESSAGES: before}, {MESSAGES: as_written(after)})])
        balance = after
    return told


def test_an_included_grant_is_reached_once() -> None:
    assert reach(held(monthly(100)), 99, 1, 5) == [[], [LimitType.INCLUDED], []]


def test_a_max_purchase_is_reached_past_the_grant() -> None:
    balance = held(monthly(100, overage=True, max_purchase=Decimal(20)))
    assert reach(balance, 100, 19, 5, 1) == [[], [], [LimitType.MAX_PURCHASE], []]


def test_a_spend_limit_is_reached_before_a_max_purchase() -> None:
    controls = Controls(spend=(SpendControl("messages", limit=d(10)),))
    limits = limits_for("messages", controls, [], NOW, (), NOW)
    balance = with_limits(held(monthly(100, overage=True, max_purchase=Decimal(20))), spend=limits.spend)
    assert reach(balance, 109, 1) == [[], [LimitType.SPEND_LIMIT]]


def test_overage_without_end_reaches_nothing() -> None:
    assert reach(held(monthly(100, overage=True)), 100, 10**6) == [[], []]


def test_a_usage_limit_is_reached_before_the_grant() -> None:
    controls = Controls(usage=(UsageControl("messages", d(5), Interval.DAY, utc=True),))
    limits = limits_for("messages", controls, [], NOW, (), NOW)
    assert reach(with_limits(held(monthly(100)), windows=limits.windows), 4, 1, 1) == [[], [LimitType.USAGE_LIMIT], []]


def test_a_filtered_usage_limit_says_which() -> None:
    control = UsageControl("messages", d(5), Interval.DAY, utc=True, filter=(("region", "eu"),))
    limits = limits_for("messages", Controls(usage=(control,)), [], NOW, (), NOW)
    before = with_limits(held(monthly(100)), windows=limits.windows)
    decision = use(UseRequest(FEATURE, (), "", d(5), Overage.CAP, {"region": "eu"}), {MESSAGES: before}, NOW)
    both = {MESSAGES: as_written(before)}, {MESSAGES: as_written(decision.balances[MESSAGES])}
    assert [(one.type, one.filter) for one in newly(MESSAGES, "", *both)] == [
        (LimitType.USAGE_LIMIT, (("region", "eu"),))
    ]


def test_of_two_usage_limits_each_is_reached_for_itself() -> None:
    day, month = (UsageControl("messages", d(most), every) for most, every in ((5, Interval.DAY), (8, Interval.MONTH)))
    limits = limits_for("messages", Controls(usage=(day, month)), [], NOW, (), NOW)
    before = recomputed(held(*MONTHLY_1000)._replace(limits=limits))
    found = []
    for used in (5, 8):
        windows = tuple(window._replace(used=d(used)) for window in limits.windows)
        after = before._replace(limits=limits._replace(windows=windows))
        found.append(len(list(windows_reached(before, after))))
        before = after
    assert found == [1, 1]


def test_what_was_spent_since_is_counted_in_the_limits_of_a_balance_as_it_stood() -> None:
    limits = limits_for("messages", Controls(usage=(UsageControl("messages", d(5), Interval.DAY),)), [], NOW, (), NOW)
    balance = spent(recomputed(held(*MONTHLY_1000)._replace(limits=limits)), 3)
    assert [window.used for window in as_written(balance).limits.windows] == [3]


def test_usage_counted_past_the_limit_reaches_it_once() -> None:
    assert reach(held(monthly(10)), 15, 5, overage=Overage.REPORTED) == [[LimitType.INCLUDED], []]


def test_an_entity_that_can_draw_on_its_customer_has_not_reached_its_limit() -> None:
    own = held(monthly(10, "e1:0"), key=BalanceKey("messages", "e1"))
    customers = held(monthly(100))
    both = [{own.key: as_written(spent(own, n)), MESSAGES: customers} for n in (9, 10)]
    assert newly(own.key, "e1", both[0], both[1]) == []
    alone = [{own.key: as_written(spent(own, n))} for n in (9, 10)]
    assert [one.type for one in newly(own.key, "e1", alone[0], alone[1])] == [LimitType.INCLUDED]


def test_a_feature_is_not_used_up_while_credits_pay_for_it() -> None:
    pool = (Pool("credits", Decimal(2)),)
    gone, credits = spent(held(monthly(10)), 10), held(monthly(5, "c:0"), key=BalanceKey("credits"))
    balances = {MESSAGES: as_written(gone), credits.key: credits}
    assert reached(FEATURE, pool, "", balances) is None
    assert reached(FEATURE, pool, "", {**balances, credits.key: as_written(spent(credits, 5))}) == Reached(
        LimitType.INCLUDED
    )


# ------------------------------------------------------------------ a feature's own thresholds


def settings(condition: str, **thresholds: Any) -> dict[str, Any]:
    levels = {name: {"threshold": value, "condition": condition} for name, value in thresholds.items()}
    return {"alert_settings": {"alert_enabled": True, **levels}}


@pytest.mark.parametrize(
    ("condition", "remaining", "state"),
    [
        ("below", 51, State.OK),
        ("below", 50, State.INFO),  # inclusive
        ("below", 20, State.WARNING),
        ("below", 5, State.IN_ALARM),
        ("below", -1, State.IN_ALARM),
        ("above", 4, State.OK),
        ("above", 5, State.INFO),
        ("above", 20, State.WARNING),
        ("above", 50, State.IN_ALARM),
    ],
)
def test_the_most_severe_threshold_wins(condition: str, remaining: int, state: State) -> None:
    below = condition == "below"
    own = feature_alerts(settings(condition, info=50 if below else 5, warning="20", critical=5 if below else 50))
    assert own
    assert own.state([monthly(100, used=Decimal(100 - remaining))]) == (state, remaining)


def test_a_feature_without_enabled_thresholds_has_none() -> None:
    assert feature_alerts({}) is None
    assert (
        feature_alerts({"alert_settings": {**settings("below", info=5)["alert_settings"], "alert_enabled": False}})
        is None
    )
