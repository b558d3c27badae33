"""May this customer do this now: a check's answer, by the specification's numbers (autumn.md 2, 5.1, 5.2, 5.4).

Rules: autumn.md 2.1, 2.3, 2.6, 2.9.
"""

from __future__ import annotations

import pytest

from tests.unit.scenario import (
    CATALOG,
    REJECT,
    Bought,
    Scenario,
    consumable,
    controls,
    flag,
    lifetime,
    monthly,
    overage,
    per_entity,
    prepaid,
    spend,
    unlimited,
)
from tollgate.domain.decisions import has_flag, is_granted
from tollgate.domain.errors import NotFound
from tollgate.domain.plans import PlanItem


class TestBasics:
    def test_nothing_held_allows_nothing(self) -> None:
        """S001, S050."""
        customer = Scenario()
        assert customer.check(1)[:3] == (False, "messages", 1)
        assert not is_granted("messages", "", customer.holdings.balances)
        assert customer.shown() is None
        assert not customer.may(0)
        assert not customer.track(10, overage=REJECT).allowed
        assert customer.holdings.balances == {}

    def test_a_held_flag_allows(self) -> None:
        """S002."""
        customer = Scenario(flag())
        assert customer.may(1, "dashboard")
        assert has_flag("dashboard", "", customer.holdings.balances)
        (grant,) = customer.grants("dashboard")
        assert (grant.plan_id, grant.expires_at) == ("plan_of_sub_1", None)

    def test_an_entity_sees_the_customers_flag_and_its_own(self) -> None:
        """autumn.md 2, entities."""
        customer = Scenario(flag(), entities=1)
        assert customer.may(1, "dashboard", "e1")
        alone = Scenario(entities=2)
        alone.create("f", None, "dashboard", "e1")
        assert alone.may(1, "dashboard", "e1")
        assert not alone.may(1, "dashboard", "e2")
        assert not alone.may(1, "dashboard")

    @pytest.mark.parametrize("required", [-1, 0, 1, 999_999])
    def test_unlimited_allows_everything(self, required: int) -> None:
        """S004."""
        customer = Scenario(unlimited())
        assert customer.may(required)
        assert customer.gru() == (0, 0, 0)

    def test_pay_per_use_allows_more_than_it_includes(self) -> None:
        """S005."""
        customer = Scenario(consumable(100))
        assert customer.may(1)
        assert customer.may(101)
        assert customer.gru() == (100, 100, 0)
        seen = customer.shown()
        assert seen
        assert (seen.overage_allowed, seen.max_purchase) == (True, None)

    def test_an_unknown_feature_is_not_found(self) -> None:
        """S013."""
        with pytest.raises(NotFound):
            CATALOG.feature("nope")

    def test_zero_and_less_are_allowed_on_an_empty_balance(self) -> None:
        """autumn.md 2: R=0 with remaining 0, and R below zero."""
        customer = Scenario(monthly(5))
        customer.track(5)
        assert customer.may(0)
        assert customer.may(-5)
        assert not customer.may(1)

    def test_fractions_compare_exactly(self) -> None:
        """autumn.md 2: 10.15 is more than 10.148."""
        customer = Scenario(monthly(10.148))
        assert customer.may(10.148)
        assert not customer.may(10.15)


class TestBeyondTheGrant:
    def test_a_bought_quantity_is_held_and_no_more(self) -> None:
        """S020."""
        customer = Scenario(prepaid(100, 500))
        seen = customer.view()
        assert (seen.granted - seen.prepaid, seen.purchased, seen.remaining) == (100, 500, 600)
        assert customer.may(599)
        assert not customer.may(601)

    def test_max_purchase_bounds_overage(self) -> None:
        """S022."""
        customer = Scenario(consumable(100, most=400))
        assert customer.may(500)
        assert not customer.may(501)
        assert customer.view() == (100, 100, 0, 0, 0)
        seen = customer.shown()
        assert seen
        assert (seen.overage_allowed, seen.max_purchase) == (True, 400)

    def test_overage_may_be_allowed_by_a_control(self) -> None:
        """S025."""
        customer = Scenario(lifetime(100))
        customer.control(overage(True))
        customer.track(100)
        assert customer.track(25, overage=REJECT).allowed
        assert customer.view().usage == 125

    def test_overage_may_be_forbidden_by_a_control(self) -> None:
        """S026."""
        customer = Scenario(consumable(100))
        customer.control(overage(False))
        assert customer.may(50)
        customer.track(100)
        assert not customer.may(1)

    def test_a_spend_limit_comes_before_max_purchase(self) -> None:
        """S028."""
        customer = Scenario(lifetime(1000), consumable(100, most=300))
        customer.control(spend(25))
        customer.track(1120)
        assert (customer.may(5), customer.may(6)) == (True, False)

    @pytest.mark.parametrize("add_on", [False, True])
    def test_a_spend_limit_beside_a_bought_quantity(self, add_on: bool) -> None:
        """S029."""
        bought, used = prepaid(100, 500), consumable(200, most=300)
        customer = Scenario(used) if add_on else Scenario(bought, used)
        if add_on:
            customer.attach(bought, add_on=True)
        customer.control(spend(25))
        customer.track(820)
        assert (customer.may(5), customer.may(6)) == (True, False)

    def test_a_customers_spend_limit_counts_every_entitys_overage(self) -> None:
        """S031."""
        bought = prepaid(100, 500)
        customer = Scenario(Bought(per_entity(bought.item), bought.quantity), per_entity(consumable(200)), entities=2)
        customer.control(spend(25))
        customer.track(810, entity="e1")
        customer.track(810, entity="e2")
        assert (customer.may(5), customer.may(6)) == (True, False)
        customer.control(spend(25, on=False))
        assert customer.may(50)

    def test_a_plans_spend_limit_holds_too(self) -> None:
        """autumn.md 3.5: a plan's control, where the customer has none of its own."""
        customer = Scenario()
        customer.attach(consumable(100), controls=controls(spend(25)))
        assert (customer.may(125), customer.may(126)) == (True, False)
        customer.control(spend(30))
        assert (customer.may(130), customer.may(131)) == (True, False)


def test_an_unlimited_share_answers_for_its_entity_alone() -> None:
    """autumn.md 2, entities."""
    customer = Scenario(monthly(5), entities=2)
    customer.attach(PlanItem("messages", unlimited=True), entity="e1")
    assert customer.may(100, entity="e1")
    assert not customer.may(100, entity="e2")
    assert not customer.may(100)
