"""Several grants of one feature, and those that no plan gave, by the specification's numbers (autumn.md 3.8, 5.4).

Rules: autumn.md 1.2.2, 2.4.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.scenario import (
    DAY,
    MONTH,
    NOW,
    Scenario,
    lifetime,
    monthly,
    ms,
    n,
    prepaid,
    seats,
)
from tollgate.domain.errors import AlreadyExists, InvalidInput, InvalidRequest, NotFound
from tollgate.domain.periods import Interval, Reset


class TestRows:
    def test_grants_of_several_plans_add_up(self) -> None:
        """S061."""
        customer = Scenario()
        customer.attach(monthly(1000), plan="pro")
        customer.attach(monthly(500), plan="pack", add_on=True)
        assert customer.gru() == (1500, 1500, 0)
        assert {(grant.plan_id, grant.granted, grant.reset) for grant in customer.grants()} == {
            ("pro", 1000, MONTH),
            ("pack", 500, MONTH),
        }

    def test_grants_of_one_plan_add_up(self) -> None:
        """S061: intervals month and lifetime."""
        customer = Scenario(monthly(500), lifetime(200))
        assert customer.gru() == (700, 700, 0)
        assert len({grant.plan_id for grant in customer.grants()}) == 1
        assert [grant.next_reset_at for grant in customer.grants()] == [ms("2026-02-01"), None]

    def test_a_one_off_top_up_is_bought(self) -> None:
        """S062."""
        customer = Scenario(monthly(500))
        pack = customer.attach(prepaid(0, 200, reset=Reset(Interval.ONE_OFF)), add_on=True)
        seen = customer.view()
        assert (seen.granted - seen.prepaid, seen.purchased, seen.remaining) == (500, 200, 700)
        grant = customer.grant(pack)
        assert (grant.granted, grant.prepaid, grant.remaining, grant.next_reset_at) == (0, 200, 200, None)

    def test_a_standalone_balance_needs_no_plan(self) -> None:
        """S064."""
        customer = Scenario()
        customer.create("b", 500)
        assert customer.gru() == (500, 500, 0)
        assert customer.grant("b").plan_id is None
        assert (customer.may(400), customer.may(999)) == (True, False)

    def test_a_standalone_balance_may_be_unlimited(self) -> None:
        """S065."""
        customer = Scenario()
        customer.create("b", None, "users", unlimited=True)
        assert customer.grant("b", "users").unlimited
        assert customer.may(999_999, "users")

    def test_a_standalone_balance_may_reset(self) -> None:
        """S067."""
        customer = Scenario()
        customer.create("b", 1000, "action1", reset=MONTH)
        assert customer.gru("action1") == (1000, 1000, 0)
        assert customer.grant("b", "action1").next_reset_at == ms("2026-02-01")

    def test_an_entitys_standalone_balance_is_its_own(self) -> None:
        """S068, autumn.md 3.1 (step 1): it is never drawn without its entity."""
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
        assert customer.grants() == []

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
        assert [(grant.id, grant.remaining, grant.reset) for grant in mixed.grants()] == [("b", 100, MONTH)]


class TestCreating:
    """autumn.md 3.8 (create)."""

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
