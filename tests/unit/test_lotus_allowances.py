"""A grant counts all that was used in its own period, whichever grant paid (lotus.md 0.8), and only what passes its filters.

Rules: lotus.md 0.7, 1.8, 2.1, 2.3; management.md 6.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.unit.scenario import (
    CATALOG,
    DAY,
    HOUR,
    MONTH,
    OVERFLOW,
    REJECT,
    Scenario,
    consumable,
    every,
    lifetime,
    monthly,
    prepaid,
    rolling,
    unlimited,
)
from tests.unit.test_rules_reservations import Reserving
from tollgate.domain import subscriptions
from tollgate.domain.allowances import SubscriptionAllowance, allowances
from tollgate.domain.balances import BalanceKey, all_as_of, as_of, recomputed
from tollgate.domain.decisions import Overage, UseRequest, fast_path, use
from tollgate.domain.errors import Conflict, InvalidRequest
from tollgate.domain.grants import renewed
from tollgate.domain.periods import Interval
from tollgate.domain.plan_grants import ALL_USAGES
from tollgate.domain.plans import Plan

US, EU = (("region", "US"),), (("region", "EU"),)


def found(scenario: Scenario, feature: str = "messages") -> dict[str, SubscriptionAllowance]:
    return allowances(feature, all_as_of(scenario.holdings.balances, scenario.now))


def allowance(used: int, free: int | None, total: int | None) -> SubscriptionAllowance:
    return SubscriptionAllowance(
        Decimal(used), None if free is None else Decimal(free), None if total is None else Decimal(total)
    )


class TestLimits:
    """management.md 10 (one domain in three dialects)."""

    def test_included_units_are_free_and_all_there_is(self) -> None:
        scenario = Scenario(monthly(100))
        scenario.track(30)
        assert found(scenario) == {"sub_1": allowance(30, 100, 100)}

    def test_overage_up_to_a_purchase_adds_to_the_total(self) -> None:
        assert found(Scenario(consumable(100, most=50))) == {"sub_1": allowance(0, 100, 150)}

    def test_overage_without_a_cap_is_no_limit(self) -> None:
        assert found(Scenario(consumable(100))) == {"sub_1": allowance(0, 100, None)}

    def test_bought_units_are_in_the_total_and_not_free(self) -> None:
        assert found(Scenario(prepaid(100, 200))) == {"sub_1": allowance(0, 100, 300)}

    def test_unlimited_is_no_limit_of_either(self) -> None:
        scenario = Scenario(unlimited())
        scenario.track(7)
        assert found(scenario) == {"sub_1": allowance(7, None, None)}

    def test_a_soft_limit_is_free_up_to_it_and_no_limit_in_all(self) -> None:
        assert found(Scenario(replace(monthly(100), soft_limit=True))) == {"sub_1": allowance(0, 100, None)}

    def test_units_rolled_over_are_free_beside_those_of_the_period(self) -> None:
        scenario = Scenario(monthly(100, rollover=rolling(50)))
        scenario.reset()
        scenario.track(120)
        assert found(scenario) == {"sub_1": allowance(120, 150, 150)}

    def test_a_top_up_is_no_line_and_changes_none(self) -> None:
        scenario = Scenario(monthly(100))
        scenario.create("top-up", 500)
        scenario.track(130)
        assert found(scenario) == {"sub_1": allowance(130, 100, 100)}

    def test_a_plan_that_grants_twice_is_one_line(self) -> None:
        scenario = Scenario(monthly(100), lifetime(50))
        scenario.track(120)
        assert found(scenario) == {"sub_1": allowance(120, 150, 150)}

    @pytest.mark.parametrize(("used", "allowed"), [(99, True), (100, False), (101, False)])
    def test_a_limit_that_is_reached_denies(self, used: int, allowed: bool) -> None:
        assert allowance(used, 10, 100).allows is allowed
        assert allowance(used, 100, None).allows


class TestCounting:
    def test_one_use_counts_in_every_subscription(self) -> None:
        scenario = Scenario(monthly(100))
        scenario.attach(monthly(10), stacks=True)
        scenario.track(5)
        assert found(scenario) == {"sub_1": allowance(5, 100, 100), "sub_2": allowance(5, 10, 10)}

    def test_it_costs_the_fast_path_nothing_and_is_the_same_there(self) -> None:
        scenario = Scenario(monthly(10), lifetime(5))
        scenario.create("top-up", 20)
        before = scenario.balance()
        fast = fast_path(before, Decimal(12), REJECT, scenario.now, alone=True)
        assert fast
        assert (fast.grants, fast.spent) == (before.grants, 12)
        slow = scenario.track(12, overage=REJECT).balances[BalanceKey("messages")]
        assert as_of(fast, scenario.now) == slow
        assert [grant.counted for grant in slow.grants] == [12, 12, 12]

    def test_each_grant_counts_since_its_own_period_began(self) -> None:
        scenario = Scenario(every(Interval.DAY, 10))
        scenario.attach(monthly(100), stacks=True)
        scenario.track(15)
        scenario.later(DAY)
        scenario.track(3)
        assert found(scenario) == {"sub_1": allowance(3, 10, 10), "sub_2": allowance(18, 100, 100)}

    def test_units_given_back_count_less_everywhere(self) -> None:
        scenario = Scenario(monthly(10))
        scenario.attach(monthly(10), stacks=True)
        scenario.track(15)
        scenario.track(-7)
        assert {id: each.used for id, each in found(scenario).items()} == {"sub_1": 8, "sub_2": 8}

    def test_what_a_credit_pool_paid_for_counts_in_the_features_own_grant(self) -> None:
        scenario = Scenario(monthly(10, "action1"), monthly(100, "credits"))
        scenario.track(25, "action1")
        assert found(scenario, "action1") == {"sub_1": allowance(25, 10, 10)}
        assert found(scenario, "credits") == {"sub_1": allowance(3, 100, 100)}  # 15 more at 0.2 credits

    def test_reported_usage_is_counted_in_full_past_a_spend_limit(self) -> None:
        scenario = Scenario(consumable(10, most=5))
        decision = use(
            UseRequest(CATALOG.feature("messages"), (), "", Decimal(100), Overage.REPORTED),
            scenario.holdings.balances,
            scenario.now,
        )
        assert decision.drawn == 100
        assert decision.balances[BalanceKey("messages")].grants[0].counted == 100

    def test_a_plan_that_takes_anothers_place_takes_over_its_count(self) -> None:
        scenario = Scenario()
        scenario.attach(monthly(10), plan="small", group="main")
        scenario.create("top-up", 20)
        scenario.track(15)
        scenario.attach(monthly(100), plan="large", group="main", carry_over=ALL_USAGES)
        assert found(scenario) == {"sub_2": allowance(15, 100, 100)}

    def test_a_grant_that_is_deleted_leaves_the_others_counts(self) -> None:
        scenario = Scenario(monthly(10))
        scenario.create("top-up", 20)
        scenario.track(15)
        scenario.delete("top-up", recalculate=True)
        assert found(scenario) == {"sub_1": allowance(15, 10, 10)}

    def test_a_seat_counts_in_every_grant(self) -> None:
        scenario = Scenario(replace(monthly(5, "users"), reset=None))
        scenario.attach(replace(monthly(3, "users"), reset=None), stacks=True)
        scenario.entity("e1")
        assert {each.used for each in found(scenario, "users").values()} == {Decimal(1)}


class TestFilters:
    def scenario(self) -> Scenario:
        scenario = Scenario()
        scenario.attach(monthly(10), filters=US)
        scenario.attach(monthly(20), filters=EU)
        scenario.attach(monthly(30), stacks=True)
        return scenario

    def test_a_use_counts_in_the_subscriptions_that_it_passes(self) -> None:
        scenario = self.scenario()
        scenario.track(4, region="US")
        scenario.track(5, region="EU")
        scenario.track(6)
        assert {id: each.used for id, each in found(scenario).items()} == {"sub_1": 4, "sub_2": 5, "sub_3": 15}

    def test_only_grants_that_a_use_passes_pay_for_it(self) -> None:
        scenario = Scenario()
        scenario.attach(monthly(10), filters=US)
        assert not scenario.may(1, region="EU")
        assert not scenario.may(1)
        assert scenario.may(10, region="US")
        assert not scenario.may(11, region="US")
        assert not scenario.track(1, overage=REJECT, region="EU").allowed
        assert scenario.track(15, overage=OVERFLOW, region="US").drawn == 15

    def test_every_use_of_such_an_item_is_thought_through(self) -> None:
        scenario = Scenario()
        scenario.attach(monthly(10), filters=US)
        assert scenario.balance().fresh_until == 0
        assert fast_path(scenario.balance(), Decimal(1), REJECT, scenario.now, alone=True) is None

    def test_the_same_plan_is_held_twice_where_no_use_is_of_both(self) -> None:
        scenario = Scenario()
        scenario.attach(monthly(10), plan="p", filters=US)
        scenario.attach(monthly(10), plan="p", filters=EU)
        assert set(found(scenario)) == {"sub_1", "sub_2"}

    @pytest.mark.parametrize("filters", [(), (*US, ("tier", "1"))])
    def test_the_same_plan_with_filters_that_overlap_is_refused(self, filters: subscriptions.Filters) -> None:
        scenario = Scenario()
        scenario.attach(monthly(10), plan="p", filters=US)
        with pytest.raises(Conflict):
            scenario.attach(monthly(10), plan="p", filters=filters)
        with pytest.raises(InvalidRequest):
            scenario.attach(monthly(10), plan="p", filters=US)

    def test_a_plan_replaces_the_one_of_its_group_with_the_same_filters_alone(self) -> None:
        scenario = Scenario()
        scenario.attach(monthly(10), plan="p", group="main", filters=US)
        scenario.attach(monthly(20), plan="q", group="main", filters=EU)
        scenario.attach(monthly(30), plan="r", group="main", filters=US)
        assert set(found(scenario)) == {"sub_2", "sub_3"}


def test_a_period_lies_between_boundaries_and_begins_with_the_grant() -> None:
    scenario = Scenario(monthly(10))
    (grant,) = scenario.grants()
    assert grant.period == (scenario.now, scenario.now + 31 * DAY)  # January
    later = renewed(grant, scenario.now + 40 * DAY)
    assert later
    assert later.period == (scenario.now + 31 * DAY, scenario.now + 59 * DAY)  # February
    assert grant._replace(reset=None, next_reset_at=None).period is None
    moved = grant._replace(anchor=scenario.now + 40 * DAY, next_reset_at=scenario.now + 40 * DAY)
    assert moved.period == (scenario.now + 10 * DAY, scenario.now + 40 * DAY)


def test_a_subscription_may_begin_in_the_past_where_it_is_said_to() -> None:
    scenario = Scenario()
    plan = Plan("p", "", items=(monthly(10),))
    terms = subscriptions.Terms(starts_at=scenario.now - 3 * DAY, backdate=True)
    held = subscriptions.attach(scenario.holdings, plan, CATALOG, "s", scenario.now, terms)
    assert held.subscriptions["s"].started_at == scenario.now - 3 * DAY
    assert (
        held.balances[BalanceKey("messages")].grants[0].next_reset_at == scenario.now + 28 * DAY
    )  # a month after December 29
    assert recomputed(held.balances[BalanceKey("messages")]) == held.balances[BalanceKey("messages")]
    assert held.balances[BalanceKey("messages")].grants[0].reset == MONTH


class TestReservations:
    """A hold is counted in every grant at once, and uncounted where it is given back."""

    def held(self) -> Reserving:
        scenario = Reserving(monthly(10), every(Interval.DAY, 5))
        scenario.create("top-up", 20)
        scenario.lock(12)
        return scenario

    def counts(self, scenario: Scenario) -> list[Decimal]:
        return [grant.counted for grant in scenario.grants()]

    def test_it_counts_while_it_is_held_and_when_it_is_confirmed(self) -> None:
        scenario = self.held()
        assert self.counts(scenario) == [12, 12, 12]
        scenario.confirm()
        assert self.counts(scenario) == [12, 12, 12]

    @pytest.mark.parametrize("left", [0, 3, 7, 11])
    def test_what_is_given_back_is_uncounted_everywhere(self, left: int) -> None:
        scenario = self.held()
        if left:
            scenario.confirm(left)
        else:
            scenario.release()
        assert self.counts(scenario) == [left, left, left]

    def test_a_hold_that_lapses_is_uncounted_but_where_the_grant_was_reset_since(self) -> None:
        scenario = Reserving(monthly(10), every(Interval.DAY, 5))
        scenario.lock(12, lasts=DAY)
        scenario.later(DAY)  # the daily grant resets as the hold lapses
        assert self.counts(scenario) == [0, 0]
        scenario = Reserving(monthly(10), every(Interval.HOUR, 5))
        scenario.lock(12, lasts=2 * HOUR)
        scenario.later(HOUR)
        assert self.counts(scenario) == [0, 12]
        scenario.track(1)
        scenario.later(HOUR)
        assert self.counts(scenario) == [0, 1]

    @pytest.mark.parametrize("left", [0, 8, 20])
    def test_what_credits_hold_is_counted_in_the_features_own_grant(self, left: int) -> None:
        scenario = Reserving(monthly(10, "action1"), monthly(100, "credits"))
        scenario.lock(25, "action1")
        assert found(scenario, "action1")["sub_1"].used == 25
        scenario.confirm(left) if left else scenario.release()
        assert found(scenario, "action1")["sub_1"].used == left
        assert found(scenario, "credits")["sub_1"].used == (max(0, left - 10)) / Decimal(5)
