"""Uses at the edge of what is granted: who is refused whole, who takes what there is, and who may go below zero."""

from __future__ import annotations

import pytest

from tests.unit.scenario import (
    CAP,
    DAY,
    NOW,
    OVERFLOW,
    REJECT,
    Bought,
    Number,
    Scenario,
    consumable,
    d,
    flag,
    limit,
    monthly,
    overage,
    per_entity,
    seats,
    spend,
    unlimited,
)
from tollgate.domain.balances import Balance, BalanceKey
from tollgate.domain.decisions import Overage
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import PREPAID, ItemPrice, PlanItem


def bought_seats(number: Number, feature: str = "users") -> Bought:
    """Seats paid in advance: none may be overdrawn."""
    return Bought(PlanItem(feature, price=ItemPrice(PREPAID, amount=d(50))), d(number))


def taken(customer: Scenario, amount: Number, feature: str = "users", of: Overage = CAP) -> tuple[bool, Number]:
    decision = customer.track(amount, feature, overage=of)
    return decision.allowed, decision.drawn


class TestSeats:
    def test_paid_seats_are_given_whole_or_not_at_all(self) -> None:
        """A capped use of four seats where three are left is refused: nobody can sit on three quarters."""
        customer = Scenario(bought_seats(5))
        assert taken(customer, 2) == (True, 2)
        assert taken(customer, 4) == (False, 0)
        assert customer.gru("users") == (5, 3, 2)
        assert taken(customer, 3) == (True, 3)

    def test_so_are_seats_of_which_only_some_may_be_bought_later(self) -> None:
        customer = Scenario(PlanItem("users", d(3), price=ItemPrice("usage_based", d(1), d(50))))
        assert taken(customer, 5) == (False, 0)
        assert taken(customer, 4) == (True, 4)

    def test_paid_units_that_are_no_seats_are_capped(self) -> None:
        customer = Scenario(Bought(PlanItem("messages", price=ItemPrice(PREPAID, amount=d(1))), d(5)))
        assert taken(customer, 7, "messages") == (True, 5)

    def test_paid_seats_overflow_where_that_is_asked(self) -> None:
        customer = Scenario(bought_seats(5))
        assert taken(customer, 7, of=OVERFLOW) == (True, 7)

    def test_one_price_among_free_seats_makes_all_of_them_strict(self) -> None:
        customer = Scenario(seats(2))
        customer.attach(bought_seats(1), add_on=True)
        assert taken(customer, 4) == (False, 0)
        assert taken(customer, 3) == (True, 3)

    def test_free_seats_alone_go_below_zero(self) -> None:
        assert taken(Scenario(seats(2)), 4) == (True, 4)
        assert taken(Scenario(seats(2)), 4, of=REJECT) == (False, 0)


class TestUsageLimits:
    def test_a_limit_is_reached_exactly_and_never_passed(self) -> None:
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        assert taken(customer, 5, "messages", REJECT) == (True, 5)
        refused = customer.track(1, overage=REJECT)
        assert (refused.allowed, refused.usage_limited) == (False, True)
        assert taken(customer, 1, "messages") == (True, 0)

    def test_what_is_refused_for_the_balance_is_not_said_to_be_limited(self) -> None:
        customer = Scenario(monthly(3))
        customer.control(limit(5))
        refused = customer.track(4, overage=REJECT)
        assert (refused.allowed, refused.usage_limited) == (False, False)

    def test_a_use_that_passes_is_stopped_by_no_usage_limit_and_counts_in_it(self) -> None:
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        assert taken(customer, 8, "messages", OVERFLOW) == (True, 8)
        assert customer.counter() == 8

    def test_a_return_is_uncounted_down_to_nothing(self) -> None:
        customer = Scenario(monthly(100))
        customer.track(10)
        customer.control(limit(5))
        customer.track(3)
        customer.track(-10)
        assert (customer.counter(), customer.remaining()) == (0, 97)

    def test_a_limit_of_some_properties_counts_those_uses_only(self) -> None:
        customer = Scenario(monthly(100))
        customer.control(limit(5, region="eu"))
        assert customer.track(7, region="us").drawn == 7
        assert customer.track(7, region="eu").drawn == 5
        assert customer.counter() == 5

    def test_of_what_credits_pay_both_limits_count_in_their_own_units(self) -> None:
        customer = Scenario(monthly(100, "credits"), monthly(0, "action1"))
        customer.control(limit(50, "action1"), limit(3, "credits"))
        assert customer.track(20, "action1").drawn == 15
        assert (customer.counter("action1"), customer.counter("credits")) == (15, 3)

    def test_an_unlimited_pool_is_bounded_by_no_limit_of_its_own(self) -> None:
        customer = Scenario(unlimited("credits"))
        customer.control(limit(1, "credits"))
        assert customer.track(20, "action1").drawn == 20

    def test_a_limit_of_a_pool_bounds_the_uses_that_it_is_about(self) -> None:
        customer = Scenario(monthly(100, "credits"))
        customer.control(limit(3, "credits", region="eu"))
        assert customer.track(20, "action1", region="us").drawn == 20
        assert customer.track(20, "action1", region="eu").drawn == 15

    def test_the_tighter_of_two_limits_bounds_a_use(self) -> None:
        customer = Scenario(monthly(100))
        customer.control(limit(5, region="eu"), limit(3))
        assert customer.track(9, region="eu").drawn == 3
        assert customer.track(9, region="eu").drawn == 0


class TestSpendLimits:
    def test_overage_is_drawn_to_the_limit_and_no_further_even_where_it_overflows(self) -> None:
        customer = Scenario(consumable(10))
        customer.control(spend(5))
        assert customer.track(20, overage=OVERFLOW).drawn == 15
        assert customer.track(1, overage=OVERFLOW).drawn == 0

    def test_what_has_been_reported_goes_past_it(self) -> None:
        customer = Scenario(consumable(10))
        customer.control(spend(5))
        assert customer.track(20, overage=Overage.REPORTED).drawn == 20

    def test_two_grants_share_one_limit(self) -> None:
        customer = Scenario(consumable(10))
        customer.attach(consumable(2), add_on=True)
        customer.control(spend(5))
        assert customer.track(30).drawn == 17
        assert customer.view().overage == 5

    def test_where_nothing_may_be_overdrawn_a_spend_limit_stops_no_overflow(self) -> None:
        customer = Scenario(monthly(10))
        customer.control(spend(5))
        assert customer.track(20, overage=OVERFLOW).drawn == 20

    def test_where_overage_is_allowed_it_holds_for_every_grant(self) -> None:
        customer = Scenario(monthly(10))
        customer.control(overage(True), spend(5))
        assert customer.track(20).drawn == 15

    @pytest.mark.parametrize(("asked", "allowed"), [(15, True), (16, False)])
    def test_a_check_answers_as_a_rejecting_use_does(self, asked: int, allowed: bool) -> None:
        customer = Scenario(consumable(10))
        customer.control(spend(5))
        assert customer.may(asked) is allowed
        assert customer.track(asked, overage=REJECT).allowed is allowed

    def test_an_entity_s_limit_sees_what_the_entity_sees(self) -> None:
        customer = Scenario(per_entity(consumable(10)), entities=2)
        customer.control(spend(5), entity="e1")
        customer.track(18, entity="e2")
        assert customer.may(15, entity="e1")
        assert not customer.may(16, entity="e1")
        assert customer.track(20, entity="e1").drawn == 15


class TestPastAllFloors:
    def test_what_overflows_lands_on_what_is_paid_by_use_and_what_is_returned_on_the_first_grant(self) -> None:
        customer = Scenario(monthly(10))
        customer.attach(consumable(5, most=2), add_on=True)
        assert customer.track(20, overage=OVERFLOW).drawn == 20
        assert [grant.used for grant in customer.balance().grants] == [10, 10]
        assert customer.track(-23, overage=OVERFLOW).drawn == -23
        assert [grant.used for grant in customer.balance().grants] == [-3, 0]


class TestFlags:
    def test_a_flag_that_entities_do_not_share_is_the_customer_s_own(self) -> None:
        customer = Scenario(flag(), entities=1, unpooled=True)
        assert customer.may(1, "dashboard")
        assert not customer.may(1, "dashboard", "e1")

    def test_what_says_nothing_of_it_is_no_flag(self) -> None:
        assert not Balance(BalanceKey("messages")).flag


class TestSeatsOfEntities:
    def test_an_entity_that_goes_gives_back_no_more_than_is_used(self) -> None:
        customer = Scenario(seats(5), entities=1)
        customer.track(-1, "users")
        customer.remove_entity("e1")
        (grant,) = customer.grants("users")
        assert (grant.used, grant.counted) == (0, 0)


class TestWhatHasNotStarted:
    def test_it_is_neither_drawn_nor_overdrawn_though_it_would_be_first(self) -> None:
        customer = Scenario(consumable(10))
        later = consumable(5, reset=Reset(Interval.HOUR))
        customer.attach(later, starts_at=NOW + DAY)
        assert customer.track(15).drawn == 15
        assert [grant.used for grant in customer.balance().grants] == [0, 15]
        customer.track(-20)
        assert [grant.used for grant in customer.balance().grants] == [0, 0]


class TestChecks:
    @pytest.mark.parametrize(("asked", "allowed"), [(14, True), (15, False)])
    def test_up_to_what_may_be_bought(self, asked: int, allowed: bool) -> None:
        assert Scenario(consumable(10, most=4)).may(asked) is allowed

    def test_what_is_overdrawn_already_is_not_there_again(self) -> None:
        customer = Scenario(consumable(10, most=4))
        customer.track(12)
        assert [customer.may(asked) for asked in (2, 3)] == [True, False]

    def test_two_grants_may_be_overdrawn_by_what_each_may(self) -> None:
        customer = Scenario(consumable(10, most=4))
        customer.attach(consumable(2, most=3), add_on=True)
        assert [customer.may(asked) for asked in (19, 20)] == [True, False]

    def test_one_grant_without_a_cap_is_enough(self) -> None:
        customer = Scenario(consumable(10, most=4))
        customer.attach(consumable(2), add_on=True)
        assert customer.may(10**6)

    def test_less_than_nothing_may_always_be_asked_of_what_is_held(self) -> None:
        customer = Scenario(monthly(1))
        customer.track(1)
        assert (customer.may(-1), customer.may(0), customer.may(1)) == (True, True, False)
        assert not customer.may(-1, "words")

    def test_a_usage_limit_is_asked_before_the_balance(self) -> None:
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        assert [customer.may(asked) for asked in (5, 6)] == [True, False]

    def test_the_first_pool_that_would_pay_answers_else_the_first_one_held(self) -> None:
        customer = Scenario(monthly(1, "credits"), monthly(100, "credits3"))
        assert customer.check(20, "action1").feature_id == "credits3"
        assert customer.check(200, "action1").feature_id == "credits"

    def test_a_limit_of_the_feature_bounds_what_credits_pay(self) -> None:
        customer = Scenario(monthly(100, "credits"), monthly(0, "action1"))
        customer.control(limit(5, "action1"))
        assert [customer.may(asked, "action1") for asked in (5, 6)] == [True, False]

    def test_it_bounds_the_smallest_part_of_a_unit_too(self) -> None:
        customer = Scenario(monthly(100, "credits"), monthly(0, "action1"))
        customer.control(limit(5, "action1"))
        customer.track(5, "action1")
        assert [customer.may(asked, "action1") for asked in (0, 0.1)] == [True, False]

    def test_it_bounds_the_uses_that_it_is_about_where_credits_pay(self) -> None:
        customer = Scenario(monthly(100, "credits"))
        customer.control(limit(5, "action1", region="eu"))
        customer.track(5, "action1", region="eu")
        assert [customer.may(1, "action1", region=region) for region in ("eu", "us")] == [False, True]

    def test_what_was_used_past_a_limit_may_be_given_back(self) -> None:
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        customer.track(8, overage=OVERFLOW)
        assert [customer.may(asked) for asked in (-1, 1)] == [True, False]
