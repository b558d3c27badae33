"""Spend limits, by the specification's numbers (autumn.md 3.5, 5.2, 5.6, 5.12).

Rules: autumn.md 1.2.6, 2.1.
"""

from __future__ import annotations

from tests.unit.scenario import (
    CAP,
    OVERFLOW,
    REJECT,
    Scenario,
    consumable,
    controls,
    d,
    lifetime,
    monthly,
    ms,
    overage,
    per_entity,
    prepaid,
    rolling,
    spend,
)
from tollgate.domain.decisions import Overage
from tollgate.domain.periods import Interval, Reset


class TestSpendLimit:
    def test_overage_stops_at_the_limit(self) -> None:
        """S260."""
        customer = Scenario(lifetime(1000), consumable(100, most=300))
        customer.control(spend(25))
        customer.track(1120)
        customer.track(10)
        assert customer.gru() == (1100, 0, 1125)
        assert not customer.track(1, overage=REJECT).allowed
        assert not customer.may(1)

    def test_it_comes_before_a_lower_max_purchase(self) -> None:
        """autumn.md 2, step 7: a spend limit takes precedence."""
        customer = Scenario(consumable(100, most=10))
        customer.control(spend(25))
        assert (customer.may(125), customer.may(126)) == (True, False)
        customer.track(200)
        assert customer.gru() == (100, 0, 125)

    def test_overflow_stops_at_it_too(self) -> None:
        """S122."""
        customer = Scenario(lifetime(1000), consumable(100, most=300))
        customer.control(spend(25))
        customer.track(1120)
        for value in (10, 1):
            customer.track(value, overage=OVERFLOW)
            assert customer.gru() == (1100, 0, 1125)

    def test_an_entitys_limit_bounds_the_entity(self) -> None:
        """S122."""
        customer = Scenario(entities=1)
        customer.attach(consumable(100), entity="e1")
        customer.control(spend(25), entity="e1")
        customer.track(120, entity="e1")
        customer.track(10, entity="e1", overage=OVERFLOW)
        assert customer.gru(entity="e1") == (100, 0, 125)

    def test_a_limit_that_is_off_limits_nothing(self) -> None:
        """S262."""
        customer = Scenario(consumable(100))
        customer.control(spend(25))
        customer.track(120)
        customer.control(spend(25, on=False))
        assert customer.track(10, overage=REJECT).allowed
        assert customer.view().usage == 130

    def test_of_several_plans_limits_the_lowest_holds(self) -> None:
        """autumn.md 3.5: not the most recent; the customer's own stands over them, an entity's over the customer's."""
        customer = Scenario(entities=1)
        customer.attach(consumable(100), controls=controls(spend(20)))
        customer.attach(monthly(0), add_on=True, controls=controls(spend(50)))
        assert (customer.may(120), customer.may(121)) == (True, False)
        customer.control(spend(30))
        assert (customer.may(130), customer.may(131)) == (True, False)
        customer.control(spend(10), entity="e1")
        assert (customer.may(110, entity="e1"), customer.may(111, entity="e1")) == (True, False)
        assert customer.may(130)

    def test_a_general_limit_holds_for_features_without_their_own(self) -> None:
        """autumn.md 1.2, spend_limits: feature_id is optional."""
        customer = Scenario(consumable(100), consumable(100, "words"))
        customer.control(spend(25, None), spend(5, "words"))
        assert (customer.may(125), customer.may(126)) == (True, False)
        assert (customer.may(105, "words"), customer.may(106, "words")) == (True, False)


class TestSpendLimitPercentage:
    """S032: 120 percent of the main plans' recurring grants."""

    def used(self, customer: Scenario, *uses: tuple[int, Overage]) -> tuple[object, ...]:
        customer.control(spend(120, percentage=True))
        for value, mode in uses:
            customer.track(value, overage=mode)
        return customer.gru()

    def test_a_percentage_is_of_what_the_plan_grants(self) -> None:
        customer = Scenario(monthly(100), consumable(0, most=300))
        assert self.used(customer, (210, CAP), (10, CAP)) == (100, 0, 220)
        assert not customer.track(1, overage=REJECT).allowed
        assert not customer.may(1)

    def test_of_two_main_plans(self) -> None:
        customer = Scenario(monthly(100), consumable(0, most=300))
        customer.attach(monthly(50), group="other")
        assert self.used(customer, (330, CAP)) == (150, 0, 330)
        assert not customer.track(1, overage=REJECT).allowed

    def test_an_add_on_does_not_count(self) -> None:
        customer = Scenario(monthly(100), consumable(0, most=300))
        customer.attach(monthly(100), add_on=True)
        assert self.used(customer, (320, CAP)) == (200, 0, 320)
        assert not customer.track(1, overage=REJECT).allowed

    def test_of_nothing_there_is_no_limit(self) -> None:
        customer = Scenario()
        customer.attach(consumable(100, reset=Reset(Interval.ONE_OFF)), add_on=True)
        assert self.used(customer, (100, CAP), (500, REJECT))[2] == 600

    def test_neither_bought_units_nor_rollovers_count(self) -> None:
        """autumn.md 3.5."""
        customer = Scenario(monthly(100, rollover=rolling(100)), prepaid(0, 50), consumable(0))
        customer.now = ms("2026-02-01")
        assert self.used(customer, (1000, CAP))[2] == 100 + 100 + 50 + 120


def test_overage_may_be_allowed_for_an_entity_alone() -> None:
    """autumn.md 2, step 7: the control beside the customer's."""
    customer = Scenario(per_entity(monthly(10)), entities=2)
    customer.control(overage(True), entity="e1")
    assert (customer.may(11, entity="e1"), customer.may(11, entity="e2")) == (True, False)
    assert customer.track(15, entity="e1").drawn == d(15)


def test_the_customers_word_on_overage_stands_over_its_plans() -> None:
    """autumn.md 3.5: a customer's control over its plans'."""
    customer = Scenario()
    customer.attach(monthly(10), controls=controls(overage(True)))
    assert customer.may(11)
    customer.control(overage(False))
    assert not customer.may(11)
