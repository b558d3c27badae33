"""When a plan that replaces another starts, and from where its cycles count."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.scenario import DAY, MONTH, NOW, Scenario, consumable, d, every, lifetime, monthly, ms, price
from tollgate.domain.errors import InvalidInput
from tollgate.domain.periods import Interval
from tollgate.domain.plan_grants import ALL_USAGES
from tollgate.domain.plans import PREPAID, USAGE_BASED, BasePrice, FreeTrial, ItemPrice, PlanItem

FEBRUARY = ms("2026-02-01")


def changed(old: Any, new: Any, **terms: Any) -> list[str]:
    """How two plans of one group stand ten days after the second was attached a day after the first."""
    customer = Scenario()
    first = customer.attach(monthly(100), group="main", price=old)
    customer.later(DAY)
    second = customer.attach(monthly(500), group="main", price=new, **terms)
    customer.later(10 * DAY)
    return [customer.status(first), customer.status(second)]


def seat(amount: int) -> PlanItem:
    """Seats that cost so much each month."""
    return PlanItem("users", d(1), price=ItemPrice(USAGE_BASED, amount=d(amount)))


def bought(amount: int) -> PlanItem:
    """Units bought in advance at so much each."""
    return PlanItem("messages", d(1), reset=MONTH, price=ItemPrice(PREPAID, amount=d(amount)))


AT_ONCE = ["expired", "active"]
AT_THE_END = ["active", "scheduled"]


class TestWhenItStarts:
    def test_an_equal_price_is_no_downgrade(self) -> None:
        assert changed(price(20), price(20)) == AT_ONCE

    @pytest.mark.parametrize(("new", "expected"), [(19.99, AT_THE_END), (20.01, AT_ONCE)])
    def test_a_cent_less_is_one_and_a_cent_more_is_not(self, new: float, expected: list[str]) -> None:
        assert changed(price(20), price(new)) == expected

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            (None, price(20), AT_ONCE),
            (price(20), None, AT_THE_END),
            (price(20), price(0), AT_THE_END),
            (None, None, AT_ONCE),
        ],
    )
    def test_to_what_costs_nothing_is_a_downgrade(self, old: Any, new: Any, expected: list[str]) -> None:
        assert changed(old, new) == expected

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            (BasePrice(d(10), Interval.MONTH), BasePrice(d(100), Interval.YEAR), AT_ONCE),
            (BasePrice(d(10), Interval.MONTH), BasePrice(d(29), Interval.QUARTER), AT_ONCE),
            (BasePrice(d(120), Interval.YEAR), BasePrice(d(9), Interval.MONTH), AT_THE_END),
            (BasePrice(d(120), Interval.YEAR), BasePrice(d(11), Interval.MONTH), AT_ONCE),
        ],
    )
    def test_a_longer_interval_is_an_upgrade(self, old: Any, new: Any, expected: list[str]) -> None:
        assert changed(old, new) == expected

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            (seat(10), seat(8), AT_THE_END),
            (seat(10), seat(10), AT_ONCE),
            (bought(10), bought(8), AT_THE_END),
            (bought(8), bought(10), AT_ONCE),
            (seat(10), consumable(10), AT_THE_END),  # by use alone: nothing is paid each month
            (consumable(10), consumable(20), AT_ONCE),
            (consumable(10), seat(10), AT_ONCE),
            (seat(10), monthly(10), AT_THE_END),  # costs nothing
        ],
    )
    def test_prices_of_items_count(self, old: PlanItem, new: PlanItem, expected: list[str]) -> None:
        customer = Scenario()
        first = customer.attach(old, cycle=MONTH)
        second = customer.attach(new, cycle=MONTH)
        assert [customer.status(first), customer.status(second)] == expected

    def test_what_is_asked_for_goes_before_the_price(self) -> None:
        assert changed(price(20), price(10), schedule="immediate") == AT_ONCE
        assert changed(price(10), price(20), schedule="end_of_cycle") == AT_THE_END

    def test_where_nothing_recurs_there_is_no_end_of_a_cycle_to_wait_for(self) -> None:
        customer = Scenario()
        first = customer.attach(lifetime(100), group="main")
        assert customer.subscription(first).period(NOW) is None
        second = customer.attach(lifetime(500), group="main", schedule="end_of_cycle")
        assert [customer.status(first), customer.status(second)] == AT_ONCE

    def test_a_downgrade_starts_with_the_next_cycle(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(100), group="main", price=price(20))
        customer.later(DAY)
        second = customer.attach(monthly(50), group="main", price=price(10))
        customer.later(FEBRUARY - customer.now - 1)
        assert [customer.status(first), customer.status(second), customer.remaining()] == ["active", "scheduled", 100]
        customer.later(1)
        assert [customer.status(first), customer.status(second), customer.remaining()] == ["expired", "active", 50]

    def test_the_past_is_now_unless_it_is_said_to_be_meant(self) -> None:
        for backdate, started in ((False, NOW), (True, NOW - DAY)):
            customer = Scenario()
            plan = customer.attach(monthly(100), starts_at=NOW - DAY, backdate=backdate)
            assert customer.subscription(plan).started_at == started

    def test_it_ends_after_it_starts(self) -> None:
        with pytest.raises(InvalidInput, match="later than the start"):
            Scenario().attach(monthly(100), ends_at=NOW)
        customer = Scenario()
        plan = customer.attach(monthly(100), ends_at=NOW + 1)
        assert customer.status(plan) == "active"
        customer.later(1)
        assert customer.status(plan) == "expired"


class TestItsCycles:
    def anchored(self, **terms: Any) -> int:
        """What the cycles of a plan count from that takes another's place after ten days."""
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.later(10 * DAY)
        return customer.subscription(customer.attach(monthly(500), group="main", **terms)).cycle_anchor

    def test_they_go_on_from_those_of_the_plan_before(self) -> None:
        assert self.anchored() == NOW

    @pytest.mark.parametrize("terms", [{"restart": True}])
    def test_they_begin_anew_where_the_plan_starts_afresh(self, terms: dict[str, Any]) -> None:
        assert self.anchored(**terms) == NOW + 10 * DAY

    def test_they_count_from_where_they_are_told_to(self) -> None:
        assert self.anchored(anchor=NOW + 3 * DAY) == NOW + 3 * DAY

    def test_a_trial_begins_them_anew(self) -> None:
        assert self.anchored(free_trial=FreeTrial(7, Interval.DAY)) == NOW + 17 * DAY


class TestWhatIsTakenOver:
    def test_as_much_of_the_use_as_the_new_grant_grants_and_the_rest_of_the_next(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.track(80)
        customer.attach(monthly(50), monthly(100), group="main", carry_over=ALL_USAGES)
        assert customer.gru() == (150, 70, 80)
        assert sorted(customer.left()) == [0, 70]

    def test_what_none_of_the_new_grants_covers_stays_owed(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.track(80)
        customer.attach(monthly(50), group="main", carry_over=ALL_USAGES)
        assert customer.left() == [-30]

    def test_what_is_owed_is_overage_as_far_as_each_grant_allows(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.track(80)
        customer.attach(consumable(10, most=5), consumable(20), group="main", carry_over=ALL_USAGES)
        assert customer.left() == [-5, -45]

    def test_each_grant_counts_on_from_the_one_that_resets_as_it_does(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), every(Interval.WEEK, 50), group="main")
        customer.track(60)
        customer.later(8 * DAY)
        customer.attach(monthly(200), every(Interval.WEEK, 70), group="main", carry_over=ALL_USAGES)
        assert {grant.granted: grant.counted for grant in customer.grants()} == {200: 60, 70: 0}

    def test_nothing_where_the_plan_starts_later(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main", price=price(20))
        customer.track(80)
        customer.attach(monthly(50), group="main", price=price(10))
        customer.later(FEBRUARY - NOW)
        assert customer.gru() == (50, 50, 0)


class TestWhatARowShowsOfItsPrice:
    @pytest.mark.parametrize(("units", "shown"), [(1, {}), (100, {"billing_units": 100})])
    def test_only_what_is_not_as_usual(self, units: int, shown: dict[str, int]) -> None:
        customer = Scenario(
            PlanItem("messages", d(5), price=ItemPrice(USAGE_BASED, amount=d(2), billing_units=d(units)))
        )
        assert customer.grants()[0].price == {"billing_method": USAGE_BASED, "amount": 2, **shown}
