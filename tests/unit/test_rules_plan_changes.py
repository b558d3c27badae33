"""A plan in another's place: upgrades at once, downgrades at the end of the cycle (management.md 6, 7)."""

from __future__ import annotations

import pytest

from tests.unit.scenario import (
    DAY,
    NOW,
    Scenario,
    every,
    flag,
    lifetime,
    monthly,
    ms,
    per_entity,
    price,
    rolling,
)
from tollgate.domain.customers import MAX_GRANTS
from tollgate.domain.errors import InvalidRequest, NotFound
from tollgate.domain.periods import Interval

FEBRUARY, MARCH = ms("2026-02-01"), ms("2026-03-01")


class TestReplacing:
    def test_an_add_on_stacks_and_a_plan_of_another_group_too(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.attach(monthly(10), group="main", add_on=True)
        customer.attach(monthly(1), group="other")
        customer.attach(monthly(1000))
        assert customer.remaining() == 1111

    def test_an_upgrade_takes_the_usage_over(self) -> None:
        customer = Scenario()
        free = customer.attach(monthly(100), group="main", price=price(0))
        customer.track(30)
        pro = customer.attach(monthly(500), group="main", price=price(20))
        assert (customer.status(free), customer.status(pro)) == ("expired", "active")
        assert customer.gru() == (500, 470, 30)

    def test_an_upgrade_keeps_the_period(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.later(10 * DAY)
        customer.attach(monthly(500), every(Interval.WEEK, 5), group="main")
        assert {grant.granted: grant.next_reset_at for grant in customer.grants()} == {500: FEBRUARY, 5: NOW + 17 * DAY}

    def test_the_billing_cycle_goes_on_with_the_period(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.later(10 * DAY)
        pro = customer.attach(monthly(500), per_entity(monthly(7, "words")), group="main")
        assert customer.subscription(pro).period(customer.now) == (NOW, FEBRUARY)
        customer.entity("e1")
        assert customer.grants("words", "e1")[0].next_reset_at == FEBRUARY
        customer.cancel(pro, at_end=True)
        assert customer.subscription(pro).expires_at == FEBRUARY

    def test_it_may_be_restarted(self) -> None:
        """autumn-sdk, billing.attach: billing_cycle_anchor "now"."""
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.later(10 * DAY)
        pro = customer.attach(monthly(500), group="main", restart=True)
        assert customer.subscription(pro).period(customer.now) == (customer.now, ms("2026-02-11"))
        assert customer.grants()[0].next_reset_at == ms("2026-02-11")

    def test_an_upgrade_may_start_afresh(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.track(30)
        customer.attach(monthly(500), group="main", carry_usage=False)
        assert customer.gru() == (500, 500, 0)

    def test_more_was_used_than_the_new_plan_grants(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.track(80)
        customer.attach(monthly(50), group="main")
        assert customer.view() == (50, 0, 80, 0, 30)

    def test_an_upgrade_of_shares_takes_each_ones_usage_over(self) -> None:
        customer = Scenario(entities=2)
        customer.attach(per_entity(monthly(100)), group="main")
        customer.track(30, entity="e1")
        customer.attach(per_entity(monthly(200)), group="main")
        assert (customer.ru(entity="e1"), customer.ru(entity="e2")) == ((170, 30), (200, 0))

    def test_what_the_new_plan_does_not_grant_is_gone(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), flag(), monthly(7, "words"), group="main")
        customer.attach(monthly(200), group="main")
        assert (customer.may(1, "dashboard"), customer.may(1, "words"), customer.may(200)) == (False, False, True)

    def test_an_entitys_plan_leaves_the_customers_alone(self) -> None:
        customer = Scenario(entities=1)
        customer.attach(monthly(100), group="main")
        customer.attach(monthly(50), group="main", entity="e1")
        assert (customer.remaining(), customer.remaining(entity="e1")) == (150, 150)

    def test_a_plan_is_attached_once_unless_it_is_changed(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(100), plan="pro")
        customer.track(30)
        with pytest.raises(InvalidRequest, match="already attached"):
            customer.attach(monthly(100), plan="pro")
        customer.attach(monthly(100), plan="pro", items=(monthly(150), lifetime(5)))
        assert (customer.status(first), customer.gru()) == ("expired", (155, 125, 30))

    def test_a_balance_holds_so_many_grants_and_no_more(self) -> None:
        customer = Scenario(monthly(1))
        customer.attach(*[lifetime(1)] * (MAX_GRANTS - 1), add_on=True)
        with pytest.raises(InvalidRequest, match="at most"):
            customer.attach(lifetime(1), add_on=True)
        assert customer.remaining() == MAX_GRANTS

    def test_an_unknown_entity_is_not_found(self) -> None:
        with pytest.raises(NotFound):
            Scenario().attach(monthly(1), entity="e1")


class TestDowngrade:
    def test_it_waits_for_the_end_of_the_cycle(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(500), group="main", price=price(20))
        customer.track(30)
        free = customer.attach(monthly(100), group="main", price=price(0))
        assert (customer.status(pro), customer.status(free)) == ("active", "scheduled")
        assert (customer.subscription(pro).expires_at, customer.subscription(pro).canceled_at) == (FEBRUARY, NOW)
        customer.now = FEBRUARY - 1
        assert customer.gru() == (500, 470, 30)
        customer.now = FEBRUARY
        assert (customer.status(pro), customer.status(free)) == ("expired", "active")
        assert customer.gru() == (100, 100, 0)
        assert customer.grants()[0].next_reset_at == MARCH

    def test_the_anchors_day_comes_back_after_it(self) -> None:
        """autumn.md 3.9: the anchor is preserved."""
        customer = Scenario(now=ms("2026-01-31"))
        customer.attach(monthly(500), group="main", price=price(20))
        customer.attach(monthly(100), group="main", price=price(5))
        customer.now = ms("2026-02-28")
        assert (customer.remaining(), customer.grants()[0].next_reset_at) == (100, ms("2026-03-31"))

    def test_it_may_be_done_at_once_and_an_upgrade_may_wait(self) -> None:
        customer = Scenario()
        customer.attach(monthly(500), group="main", price=price(20))
        customer.attach(monthly(100), group="main", price=price(0), schedule="immediate")
        assert customer.remaining() == 100
        customer.attach(monthly(900), group="main", price=price(30), schedule="end_of_cycle")
        assert customer.remaining() == 100
        customer.now = FEBRUARY
        assert customer.remaining() == 900

    def test_another_choice_takes_the_place_of_the_first(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(500), group="main", price=price(20))
        free = customer.attach(monthly(100), group="main", price=price(0))
        basic = customer.attach(monthly(200), group="main", price=price(5))
        assert [customer.status(id) for id in (pro, free, basic)] == ["active", "expired", "scheduled"]
        customer.now = FEBRUARY
        assert customer.remaining() == 200

    def test_an_upgrade_undoes_it(self) -> None:
        customer = Scenario()
        customer.attach(monthly(500), group="main", price=price(20))
        free = customer.attach(monthly(100), group="main", price=price(0))
        customer.attach(monthly(900), group="main", price=price(50))
        assert (customer.status(free), customer.remaining()) == ("expired", 900)
        customer.now = FEBRUARY
        assert customer.remaining() == 900

    def test_it_is_taken_back_with_the_cancellation(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(500), group="main", price=price(20))
        free = customer.attach(monthly(100), group="main", price=price(0))
        customer.uncancel(pro)
        assert (customer.status(pro), customer.status(free)) == ("active", "expired")
        customer.now = FEBRUARY
        assert (customer.subscription(pro).expires_at, customer.remaining()) == (None, 500)


def test_an_upgrade_with_rollovers_and_usage_keeps_both() -> None:
    """autumn.md 5.8 (S179): what rolled over stays beside what was used of the grant."""
    customer = Scenario()
    customer.attach(monthly(500, rollover=rolling(600)), group="main")
    customer.now = FEBRUARY
    customer.track(700)
    assert (customer.rollovers(), customer.ru()) == ([0], (300, 700))
    customer.attach(monthly(800, rollover=rolling(600)), group="main")
    assert customer.remaining() == 600
