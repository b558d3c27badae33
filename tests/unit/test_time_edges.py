"""The instant at which something ends or begins, and what of it is still there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.scenario import (
    DAY,
    HOUR,
    NOW,
    Scenario,
    d,
    every,
    lifetime,
    limit,
    monthly,
    ms,
    per_entity,
    price,
    rolling,
)
from tollgate.domain.grants import Rollover, RolloverRule, soonest_first, trimmed
from tollgate.domain.periods import Interval
from tollgate.domain.plans import FreeTrial

APRIL, MAY = ms("2026-04-01"), ms("2026-05-01")


class TestRollovers:
    @pytest.mark.parametrize(("early", "left"), [(1, [10]), (0, [])])
    def test_what_rolled_over_unseen_is_gone_at_the_instant_at_which_it_expires(self, early: int, left: Any) -> None:
        customer = Scenario(every(Interval.QUARTER, 10, rollover=rolling(months=1)))
        customer.later(MAY - NOW - early)
        assert customer.rollovers() == left

    def test_the_soonest_to_expire_is_drawn_and_cut_first_and_one_without_an_end_last(self) -> None:
        endless, later, sooner = (Rollover(d(5), expires_at=at) for at in (None, 2000, 1000))
        assert soonest_first((endless, later, sooner)) == (sooner, later, endless)
        cut = trimmed((endless, later, sooner), RolloverRule(max=d(7)), d(10))
        assert [(rollover.remaining, rollover.expires_at) for rollover in cut] == [(2, 2000), (5, None)]

    def test_what_is_just_the_most_is_kept_whole(self) -> None:
        kept = (Rollover(d(5), expires_at=1000), Rollover(d(2), expires_at=2000))
        assert trimmed(kept, RolloverRule(max=d(7)), d(10)) == kept

    def test_a_percentage_of_the_grant_is_rounded_down(self) -> None:
        kept = trimmed((Rollover(d(5)),), RolloverRule(max_percentage=d(25)), d(10))
        assert [rollover.remaining for rollover in kept] == [2]


class TestTrials:
    def test_the_cycles_follow_a_trial_unless_they_are_told_what_to_count_from(self) -> None:
        customer = Scenario()
        trial = FreeTrial(7, Interval.DAY)
        after, told = (
            customer.attach(monthly(100), free_trial=trial),
            customer.attach(monthly(100), free_trial=trial, anchor=NOW + 3 * DAY),
        )
        assert customer.subscription(after).cycle_anchor == NOW + 7 * DAY
        assert customer.subscription(told).cycle_anchor == NOW + 3 * DAY

    def test_a_trial_is_over_at_its_instant(self) -> None:
        customer = Scenario()
        subscription = customer.subscription(customer.attach(monthly(100), free_trial=FreeTrial(7, Interval.DAY)))
        assert [subscription.trialing(NOW + 7 * DAY + late) for late in (-1, 0)] == [True, False]


class TestUsageLimits:
    def test_a_window_ends_at_its_instant(self) -> None:
        customer = Scenario(lifetime(100))
        customer.control(limit(5, interval=Interval.DAY))
        customer.track(5)
        customer.later(DAY - 1)
        assert not customer.may(1)
        customer.later(1)
        assert customer.may(5)
        assert not customer.may(6)

    def test_it_counts_on_from_the_anchor_however_long_nobody_looked(self) -> None:
        customer = Scenario(lifetime(100), now=NOW + HOUR)
        customer.control(limit(5, interval=Interval.DAY))
        customer.later(10 * DAY + HOUR)
        (window,) = customer.balance().limits.windows
        assert window.ends_at == NOW + 11 * DAY + HOUR

    def test_a_calendar_s_window_ends_with_the_day(self) -> None:
        customer = Scenario(lifetime(100), now=NOW + HOUR)
        customer.control(limit(5, interval=Interval.DAY, utc=True))
        assert customer.balance().limits.windows[0].ends_at == NOW + DAY


class TestEntities:
    def test_a_plan_that_has_ended_gives_a_new_entity_nothing(self) -> None:
        customer = Scenario()
        plan = customer.attach(per_entity(monthly(10)))
        customer.entity("e1")
        customer.cancel(plan, at_end=False)
        customer.entity("e2")
        assert [customer.grants(entity=entity) for entity in ("e1", "e2")] == [[], []]

    def test_one_that_is_still_to_start_gives_its_share_from_then_on(self) -> None:
        customer = Scenario()
        customer.attach(per_entity(monthly(10)), starts_at=NOW + DAY)
        customer.entity("e1")
        assert not customer.may(1, entity="e1")
        customer.later(DAY)
        assert customer.remaining(entity="e1") == 10

    def test_one_attached_to_an_entity_is_that_entity_s_alone(self) -> None:
        customer = Scenario(entities=1)
        customer.attach(per_entity(monthly(10)), monthly(5, "words"), entity="e1")
        customer.entity("e2")
        assert [customer.remaining(entity=entity) for entity in ("e1", "e2")] == [10, 0]
        assert [customer.remaining("words", entity) for entity in ("e1", "e2", "")] == [5, 0, 5]

    def test_a_limit_of_the_customer_s_bounds_an_entity_that_has_none(self) -> None:
        """The entity's own item cannot count what the customer's must: its uses take a second look."""
        customer = Scenario(per_entity(monthly(10)), entities=2)
        assert customer.balance(entity="e1").fresh_until > 0
        customer.control(limit(3))
        customer.control(limit(8), entity="e2")
        assert [customer.balance(entity=entity).counted_by_customer for entity in ("e1", "e2")] == [True, False]
        assert [customer.track(9, entity=entity).drawn for entity in ("e1", "e2")] == [3, 8]


class TestWhatWasToFollow:
    def test_the_same_plan_in_no_group_goes_on_when_what_was_to_follow_it_is_canceled(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(10), plan="p")
        second = customer.attach(monthly(20), plan="p", items=(monthly(20),), starts_at=NOW + DAY)
        assert customer.subscription(first).expires_at == NOW + DAY
        customer.cancel(second, at_end=False)
        customer.later(DAY)
        assert (customer.status(first), customer.status(second)) == ("active", "expired")
        assert customer.remaining() == 10

    def test_so_does_another_plan_of_the_group_and_none_of_any_other(self) -> None:
        customer = Scenario()
        other = customer.attach(monthly(1), group="other")
        first = customer.attach(monthly(10), group="main", price=price(20))
        second = customer.attach(monthly(5), group="main", price=price(10))
        assert customer.status(second) == "scheduled"
        customer.cancel(other, at_end=True)
        customer.cancel(second, at_end=False)
        assert customer.subscription(first).expires_at is None
        assert customer.subscription(other).expires_at is not None

    def test_what_was_to_end_by_itself_still_does(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(10), group="main", ends_at=NOW + 5 * DAY)
        second = customer.attach(monthly(5), group="main", starts_at=NOW + DAY)
        customer.cancel(second, at_end=False)
        assert customer.subscription(first).expires_at == NOW + 5 * DAY

    def test_a_plan_for_other_uses_is_no_follower(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(10), plan="p", filters=(("region", "eu"),))
        second = customer.attach(monthly(10), plan="p", filters=(("region", "us"),), starts_at=NOW + DAY)
        customer.cancel(first, at_end=True)
        customer.uncancel(first)
        assert [customer.status(first), customer.status(second)] == ["active", "scheduled"]

    def test_nor_is_one_of_two_plans_that_stack(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(10))
        second = customer.attach(monthly(10), starts_at=NOW + DAY, stacks=True)
        customer.cancel(first, at_end=True)
        customer.uncancel(first)
        assert [customer.status(first), customer.status(second)] == ["active", "scheduled"]

    def test_what_goes_on_after_all_has_no_follower(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(10), group="main", price=price(20))
        second = customer.attach(monthly(5), group="main", price=price(10))
        customer.uncancel(first)
        assert (customer.status(second), customer.subscription(first).expires_at) == ("expired", None)


class TestGrantsByHand:
    def test_what_is_deleted_of_one_feature_leaves_the_others(self) -> None:
        customer = Scenario()
        customer.create("a", 10)
        customer.create("b", 5, "words")
        customer.delete()
        assert (customer.grants(), customer.remaining("words")) == ([], 5)

    def test_what_is_deleted_of_the_customer_leaves_its_entities(self) -> None:
        customer = Scenario(entities=1)
        customer.create("a", 10)
        customer.create("b", 5, entity="e1")
        customer.delete()
        assert customer.remaining(entity="e1") == 5
