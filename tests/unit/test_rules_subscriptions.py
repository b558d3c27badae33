"""Plans attached, replaced, scheduled, canceled and changed (management.md; autumn.md 3.9)."""

from __future__ import annotations

import pytest

from tests.unit.scenario import (
    CATALOG,
    DAY,
    NOW,
    Scenario,
    consumable,
    controls,
    every,
    flag,
    lifetime,
    limit,
    monthly,
    ms,
    per_entity,
    prepaid,
    price,
    rolling,
)
from tollgate.domain.customers import MAX_ROWS
from tollgate.domain.errors import AlreadyExists, InvalidInput, InvalidRequest, NotFound
from tollgate.domain.periods import Interval
from tollgate.domain.plans import FreeTrial, Plan
from tollgate.domain.subscriptions import attach

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
        assert {row.granted: row.next_reset_at for row in customer.rows()} == {500: FEBRUARY, 5: NOW + 17 * DAY}

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
        customer.attach(*[lifetime(1)] * (MAX_ROWS - 1), add_on=True)
        with pytest.raises(InvalidRequest, match="at most"):
            customer.attach(lifetime(1), add_on=True)
        assert customer.remaining() == MAX_ROWS

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
        assert customer.rows()[0].next_reset_at == MARCH

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


class TestTimes:
    def test_a_plan_starts_when_it_is_to(self) -> None:
        customer = Scenario()
        later = customer.attach(monthly(100), starts_at=NOW + 5 * DAY)
        assert (customer.status(later), customer.may(1), customer.rows()) == ("scheduled", False, [])
        assert customer.track(5).drawn == 0
        customer.now = NOW + 5 * DAY
        assert (customer.status(later), customer.may(100)) == ("active", True)
        assert customer.rows()[0].next_reset_at == ms("2026-02-06")

    def test_a_plan_ends_when_it_is_to(self) -> None:
        customer = Scenario()
        short = customer.attach(monthly(100), ends_at=NOW + 5 * DAY)
        customer.now = NOW + 5 * DAY - 1
        assert customer.may(100)
        customer.now += 1
        assert (customer.status(short), customer.may(1)) == ("expired", False)
        with pytest.raises(InvalidInput):
            customer.attach(monthly(1), ends_at=customer.now)

    @pytest.mark.parametrize(
        ("anchor", "resets"),
        [("2026-01-15", ["2026-01-15", "2026-02-15"]), ("2025-12-20", ["2026-01-20", "2026-02-20"])],
    )
    def test_cycles_are_counted_from_the_anchor(self, anchor: str, resets: list[str]) -> None:
        """management.md, billing_cycle_anchor."""
        customer = Scenario()
        sub = customer.attach(monthly(100), anchor=ms(anchor))
        first, second = map(ms, resets)
        assert (customer.rows()[0].next_reset_at, customer.subscription(sub).period(NOW)[1]) == (first, first)  # type: ignore[index]
        customer.track(10)
        customer.now = first
        assert (customer.remaining(), customer.rows()[0].next_reset_at) == (100, second)
        assert customer.subscription(sub).period(customer.now) == (first, second)

    def test_a_trial_is_active_and_the_cycle_follows_it(self) -> None:
        customer = Scenario()
        sub = customer.attach(monthly(100), free_trial=FreeTrial(7, Interval.DAY))
        ends = NOW + 7 * DAY
        held = customer.subscription(sub)
        assert (held.status(NOW), held.trialing(NOW), held.period(NOW)) == ("active", True, (NOW, ends))
        assert customer.may(100)
        assert (held.status(ends), held.trialing(ends)) == ("active", False)
        assert held.period(ends) == (ends, ms("2026-02-08"))

    def test_a_plan_without_periods_has_no_cycle(self) -> None:
        customer = Scenario()
        assert customer.subscription(customer.attach(lifetime(1))).period(NOW) is None

    def test_a_test_clock_says_what_time_it_is(self) -> None:
        """management.md, customers.advance_test_clock: each use must read it."""
        customer = Scenario(monthly(100), frozen_time=NOW)
        assert (customer.balance().clocked, customer.balance().fresh_until) == (True, 0)
        assert customer.holdings.time(NOW + DAY) == NOW
        assert Scenario(monthly(100)).balance().fresh_until == FEBRUARY


class TestCanceling:
    def test_at_once(self) -> None:
        customer = Scenario()
        sub = customer.attach(monthly(100), controls=controls(limit(5)))
        customer.create("own", 50)
        customer.cancel(sub, at_end=False)
        assert (customer.status(sub), customer.remaining(), customer.may(50)) == ("expired", 50, True)
        with pytest.raises(NotFound):
            customer.cancel(sub, at_end=False)

    def test_at_the_end_of_the_cycle_and_taken_back(self) -> None:
        customer = Scenario()
        sub = customer.attach(monthly(100))
        customer.track(30)
        customer.later(DAY)
        customer.cancel(sub, at_end=True)
        held = customer.subscription(sub)
        assert (customer.status(sub), held.canceled_at, held.expires_at) == ("active", NOW + DAY, FEBRUARY)
        assert customer.ru() == (70, 30)
        kept = customer.holdings
        customer.now = FEBRUARY
        assert (customer.status(sub), customer.may(1)) == ("expired", False)
        customer.holdings, customer.now = kept, NOW + 2 * DAY
        customer.uncancel(sub)
        customer.now = FEBRUARY
        assert (customer.status(sub), customer.remaining()) == ("active", 100)

    def test_at_the_end_of_the_trial(self) -> None:
        customer = Scenario()
        sub = customer.attach(monthly(100), free_trial=FreeTrial(7, Interval.DAY))
        customer.cancel(sub, at_end=True)
        assert customer.subscription(sub).expires_at == NOW + 7 * DAY

    def test_before_it_starts(self) -> None:
        customer = Scenario()
        sub = customer.attach(monthly(100), starts_at=NOW + DAY)
        customer.cancel(sub, at_end=True)
        customer.later(DAY)
        assert (customer.status(sub), customer.may(1)) == ("expired", False)

    def test_what_is_not_canceled_is_not_taken_back(self) -> None:
        customer = Scenario()
        sub = customer.attach(monthly(100))
        with pytest.raises(InvalidRequest):
            customer.uncancel(sub)


class TestQuantities:
    def test_a_changed_quantity_keeps_what_was_used(self) -> None:
        """management.md: the quantity counts the included units too."""
        customer = Scenario()
        sub = customer.attach(prepaid(100, 500))
        customer.track(250)
        seen = []
        for quantity in (800, 200, 100):
            customer.quantity(sub, quantity)
            seen.append(customer.view())
        assert [(view.granted, view.prepaid, view.remaining, view.usage) for view in seen] == [
            (800, 700, 550, 250),
            (200, 100, 0, 250),
            (100, 0, 0, 250),
        ]
        assert customer.subscription(sub).quantities == {"messages": 100}

    def test_a_quantity_comes_back_at_each_reset(self) -> None:
        """Autumn.md 3.9: the starting grant, with the prepaid quantity."""
        customer = Scenario()
        sub = customer.attach(prepaid(100, 500))
        customer.quantity(sub, 800)
        customer.track(250)
        customer.now = FEBRUARY
        assert customer.gru() == (800, 800, 0)

    def test_only_what_is_prepaid_is_bought(self) -> None:
        customer = Scenario()
        sub = customer.attach(prepaid(100, 500), consumable(5, "words"))
        with pytest.raises(InvalidInput):
            customer.quantity(sub, 10, "words")
        with pytest.raises(InvalidInput):
            customer.quantity(sub, -1)
        with pytest.raises(NotFound):
            customer.quantity("nope", 1)


def test_an_upgrade_with_rollovers_and_usage_keeps_both() -> None:
    """Autumn.md 5.8, S179: what rolled over stays beside what was used of the grant."""
    customer = Scenario()
    customer.attach(monthly(500, rollover=rolling(600)), group="main")
    customer.now = FEBRUARY
    customer.track(700)
    assert (customer.rollovers(), customer.ru()) == ([0], (300, 700))
    customer.attach(monthly(800, rollover=rolling(600)), group="main")
    assert customer.remaining() == 600


def test_a_subscriptions_id_is_used_once() -> None:
    customer = Scenario(monthly(1))
    with pytest.raises(AlreadyExists):
        attach(customer.holdings, Plan("other", "Other"), CATALOG, "sub_1", NOW)
