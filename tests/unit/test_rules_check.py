"""May this customer do this now: a check's answer, by the specification's numbers (autumn.md 2, 5.1, 5.2, 5.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.scenario import (
    CATALOG,
    DAY,
    MONTH,
    NOW,
    REJECT,
    Bought,
    Scenario,
    consumable,
    controls,
    flag,
    lifetime,
    monthly,
    ms,
    n,
    overage,
    per_entity,
    prepaid,
    seats,
    spend,
    unlimited,
)
from tollgate.domain.decisions import has_flag, holds
from tollgate.domain.errors import AlreadyExists, InvalidInput, InvalidRequest, NotFound
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import PlanItem


class TestBasics:
    def test_nothing_held_allows_nothing(self) -> None:
        """S001, S050."""
        customer = Scenario()
        assert customer.check(1) == (False, "messages", 1)
        assert not holds("messages", "", customer.holdings.balances)
        assert not customer.may(0)
        assert not customer.track(10, overage=REJECT).allowed
        assert customer.holdings.balances == {}

    def test_a_held_flag_allows(self) -> None:
        """S002."""
        customer = Scenario(flag())
        assert customer.may(1, "dashboard")
        assert has_flag("dashboard", "", customer.holdings.balances)
        (row,) = customer.rows("dashboard")
        assert (row.plan_id, row.expires_at) == ("plan_of_sub_1", None)

    def test_an_entity_sees_the_customers_flag_and_its_own(self) -> None:
        """Autumn.md 2, entities."""
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
        (row,) = customer.rows()
        assert (row.overage, row.max_purchase) == (True, None)

    def test_an_unknown_feature_is_not_found(self) -> None:
        """S013."""
        with pytest.raises(NotFound):
            CATALOG.feature("nope")

    def test_zero_and_less_are_allowed_on_an_empty_balance(self) -> None:
        """Autumn.md 2: R=0 with remaining 0, and R below zero."""
        customer = Scenario(monthly(5))
        customer.track(5)
        assert customer.may(0)
        assert customer.may(-5)
        assert not customer.may(1)

    def test_fractions_compare_exactly(self) -> None:
        """Autumn.md 2: 10.15 is more than 10.148."""
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
        (row,) = customer.rows()
        assert (row.overage, row.max_purchase) == (True, 400)

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
        customer = Scenario(
            Bought(per_entity(bought.item), bought.quantity), per_entity(consumable(200)), entities=2
        )
        customer.control(spend(25))
        customer.track(810, entity="e1")
        customer.track(810, entity="e2")
        assert (customer.may(5), customer.may(6)) == (True, False)
        customer.control(spend(25, on=False))
        assert customer.may(50)

    def test_a_plans_spend_limit_holds_too(self) -> None:
        """Autumn.md 3.5: a plan's control, where the customer has none of its own."""
        customer = Scenario()
        customer.attach(consumable(100), controls=controls(spend(25)))
        assert (customer.may(125), customer.may(126)) == (True, False)
        customer.control(spend(30))
        assert (customer.may(130), customer.may(131)) == (True, False)


class TestRows:
    def test_grants_of_several_plans_add_up(self) -> None:
        """S061."""
        customer = Scenario()
        customer.attach(monthly(1000), plan="pro")
        customer.attach(monthly(500), plan="pack", add_on=True)
        assert customer.gru() == (1500, 1500, 0)
        assert {(row.plan_id, row.granted, row.reset) for row in customer.rows()} == {
            ("pro", 1000, MONTH),
            ("pack", 500, MONTH),
        }

    def test_grants_of_one_plan_add_up(self) -> None:
        """S061: intervals month and lifetime."""
        customer = Scenario(monthly(500), lifetime(200))
        assert customer.gru() == (700, 700, 0)
        assert len({row.plan_id for row in customer.rows()}) == 1
        assert [row.next_reset_at for row in customer.rows()] == [ms("2026-02-01"), None]

    def test_a_one_off_top_up_is_bought(self) -> None:
        """S062."""
        customer = Scenario(monthly(500))
        pack = customer.attach(prepaid(0, 200, reset=Reset(Interval.ONE_OFF)), add_on=True)
        seen = customer.view()
        assert (seen.granted - seen.prepaid, seen.purchased, seen.remaining) == (500, 200, 700)
        row = customer.row(pack)
        assert (row.granted, row.prepaid, row.remaining, row.next_reset_at) == (0, 200, 200, None)

    def test_a_standalone_balance_needs_no_plan(self) -> None:
        """S064."""
        customer = Scenario()
        customer.create("b", 500)
        assert customer.gru() == (500, 500, 0)
        assert customer.row("b").plan_id is None
        assert (customer.may(400), customer.may(999)) == (True, False)

    def test_a_standalone_balance_may_be_unlimited(self) -> None:
        """S065."""
        customer = Scenario()
        customer.create("b", None, "users", unlimited=True)
        assert customer.row("b", "users").unlimited
        assert customer.may(999_999, "users")

    def test_a_standalone_balance_may_reset(self) -> None:
        """S067."""
        customer = Scenario()
        customer.create("b", 1000, "action1", reset=MONTH)
        assert customer.gru("action1") == (1000, 1000, 0)
        assert customer.row("b", "action1").next_reset_at == ms("2026-02-01")

    def test_an_entitys_standalone_balance_is_its_own(self) -> None:
        """S068, and 3.1 step 1: it is never drawn without its entity."""
        customer = Scenario(entities=2)
        customer.create("b1", 100, entity="e1")
        customer.create("b2", 500, entity="e2")
        assert n(100, 500) == (customer.remaining(entity="e1"), customer.remaining(entity="e2"))
        assert not customer.may(200, entity="e1")
        assert customer.remaining() == 600
        assert customer.track(10).drawn == 0
        assert customer.remaining() == 600

    def test_an_expired_balance_is_gone(self) -> None:
        """S070."""
        customer = Scenario()
        customer.create("b", 500, expires_at=NOW + 3000)
        assert customer.may(1)
        assert customer.gru() == (500, 500, 0)
        customer.later(4000)
        assert not customer.may(1)
        assert customer.rows() == []

    def test_what_does_not_expire_stays(self) -> None:
        """S071."""
        customer = Scenario(monthly(100))
        customer.create("b", 200, expires_at=NOW + 3000)
        assert customer.gru() == (300, 300, 0)
        customer.later(3000)
        assert customer.gru() == (100, 100, 0)
        mixed = Scenario()
        mixed.create("a", 200, expires_at=NOW + 3000)
        mixed.create("b", 100, reset=MONTH)
        assert mixed.remaining() == 300
        mixed.later(3000)
        assert [(row.id, row.remaining, row.reset) for row in mixed.rows()] == [("b", 100, MONTH)]


class TestCreating:
    """Autumn.md 3.8, balances.create."""

    def test_a_flag_takes_no_numbers_and_is_held_once(self) -> None:
        customer = Scenario()
        with pytest.raises(InvalidInput):
            customer.create("f", 5, "dashboard")
        customer.create("f", None, "dashboard")
        assert customer.may(1, "dashboard")
        with pytest.raises(AlreadyExists):
            customer.create("g", None, "dashboard")

    @pytest.mark.parametrize(
        ("included", "more"),
        [
            (None, {}),
            (5, {"unlimited": True}),
            (None, {"unlimited": True, "reset": MONTH}),
            (5, {"next_reset_at": NOW + DAY}),
            (5, {"reset": MONTH, "next_reset_at": NOW}),
            (5, {"reset": MONTH, "next_reset_at": NOW + 2 * DAY, "expires_at": NOW + DAY}),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, included: int | None, more: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput):
            Scenario().create("b", included, **more)

    def test_an_id_is_used_once_and_an_entity_holds_none_of_its_own_feature(self) -> None:
        customer = Scenario(seats(5), entities=1)
        customer.create("b", 5)
        with pytest.raises(AlreadyExists):
            customer.create("b", 5, "words")
        with pytest.raises(InvalidRequest):
            customer.create("c", 5, "users", "e1")
        with pytest.raises(NotFound):
            customer.create("c", 5, entity="e9")
        with pytest.raises(NotFound):
            customer.create("c", 5, "nope")


def test_an_unlimited_share_answers_for_its_entity_alone() -> None:
    """Autumn.md 2, entities."""
    customer = Scenario(monthly(5), entities=2)
    customer.attach(PlanItem("messages", unlimited=True), entity="e1")
    assert customer.may(100, entity="e1")
    assert not customer.may(100, entity="e2")
    assert not customer.may(100)
