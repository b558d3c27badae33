"""Balances deleted, by the specification's numbers (autumn.md 3.8, 5.10)."""

from __future__ import annotations

import pytest

from tests.unit.scenario import (
    MONTH,
    Scenario,
    consumable,
    monthly,
)
from tollgate.domain.errors import Conflict, InvalidInput, NotFound


class TestDelete:
    """S235."""

    @pytest.fixture
    def customer(self) -> Scenario:
        held = Scenario()
        held.create("a", 100)
        held.create("b", 200)
        return held

    def test_a_balance_goes_with_its_usage(self, customer: Scenario) -> None:
        customer.update(id="a", remaining=60)
        customer.delete("a")
        assert ([grant.id for grant in customer.grants()], customer.ru()) == (["b"], (200, 0))

    @pytest.mark.parametrize(("used", "after"), [(0, (200, 200, 0)), (40, (200, 160, 40)), (130, (200, 70, 130))])
    def test_its_usage_may_be_charged_to_the_others(
        self, customer: Scenario, used: int, after: tuple[int, int, int]
    ) -> None:
        customer.update(id="a", usage=used)
        customer.delete("a", recalculate=True)
        assert ([grant.id for grant in customer.grants()], customer.gru()) == (["b"], after)

    def test_usage_is_charged_within_a_feature(self, customer: Scenario) -> None:
        with pytest.raises(InvalidInput, match="feature_id: is required when recalculate_balances is true"):
            customer.delete("a", feature=None, recalculate=True)
        assert customer.grant("a").granted == 100

    def test_the_usage_of_the_last_one_stays(self) -> None:
        customer = Scenario()
        customer.create("a", 100, reset=MONTH)
        customer.track(40)
        customer.delete("a", recalculate=True)
        assert customer.view() == (0, 0, 40, 0, 40)
        assert customer.grant("a").next_reset_at is None

    def test_the_usage_of_all_stays_in_one(self, customer: Scenario) -> None:
        customer.update(id="a", usage=40)
        customer.update(id="b", usage=30)
        customer.delete(recalculate=True)
        assert (len(customer.grants()), customer.view()) == (1, (0, 0, 70, 0, 70))

    def test_the_usage_of_all_an_entitys_stays_in_one(self) -> None:
        customer = Scenario(entities=1)
        for id, used in (("a", 100), ("b", 30)):
            customer.create(id, 100, entity="e1")
            customer.update(entity="e1", id=id, usage=used)
        customer.delete(entity="e1", recalculate=True)
        assert (len(customer.grants(entity="e1")), customer.view(entity="e1")) == (1, (0, 0, 130, 0, 130))

    def test_what_is_paid_for_or_unknown_is_not_deleted(self) -> None:
        customer = Scenario(consumable(100))
        with pytest.raises(Conflict):
            customer.delete(customer.grants()[0].id)
        with pytest.raises(NotFound):
            customer.delete("nope")

    def test_the_grant_of_a_free_plan_is_deleted(self) -> None:
        customer = Scenario(monthly(100))
        customer.delete(customer.grants()[0].id)
        assert (customer.grants(), customer.may(1)) == ([], False)
