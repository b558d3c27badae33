"""When a subscription starts, ends and is canceled, and what is bought with it (management.md 6, 7; autumn.md 3.9).

Rules: autumn.md 2.4.
"""

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
    lifetime,
    limit,
    monthly,
    ms,
    prepaid,
)
from tollgate.domain.errors import AlreadyExists, InvalidInput, InvalidRequest, NotFound
from tollgate.domain.periods import Interval
from tollgate.domain.plans import FreeTrial, Plan
from tollgate.domain.subscriptions import attach

FEBRUARY, MARCH = ms("2026-02-01"), ms("2026-03-01")


class TestTimes:
    def test_a_plan_starts_when_it_is_to(self) -> None:
        customer = Scenario()
        later = customer.attach(monthly(100), starts_at=NOW + 5 * DAY)
        assert (customer.status(later), customer.may(1), customer.grants()) == ("scheduled", False, [])
        assert customer.track(5).drawn == 0
        customer.now = NOW + 5 * DAY
        assert (customer.status(later), customer.may(100)) == ("active", True)
        assert customer.grants()[0].next_reset_at == ms("2026-02-06")

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
        """management.md 6 (billing_cycle_anchor)."""
        customer = Scenario()
        sub = customer.attach(monthly(100), anchor=ms(anchor))
        first, second = map(ms, resets)
        assert (customer.grants()[0].next_reset_at, customer.subscription(sub).period(NOW)[1]) == (first, first)  # type: ignore[index]
        customer.track(10)
        customer.now = first
        assert (customer.remaining(), customer.grants()[0].next_reset_at) == (100, second)
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
        assert customer.grants()[0].next_reset_at == ms("2026-02-08")

    def test_what_resets_within_the_trial_resets_from_its_start(self) -> None:
        customer = Scenario()
        customer.attach(every(Interval.DAY, 5), monthly(100, "words"), free_trial=FreeTrial(7, Interval.DAY))
        assert customer.grants()[0].next_reset_at == NOW + DAY
        assert customer.grants("words")[0].next_reset_at == ms("2026-02-08")

    def test_a_plan_without_periods_has_no_cycle(self) -> None:
        customer = Scenario()
        assert customer.subscription(customer.attach(lifetime(1))).period(NOW) is None

    def test_a_test_clock_says_what_time_it_is(self) -> None:
        """management.md 8 (customers.advance_test_clock): each use must read it."""
        customer = Scenario(monthly(100), frozen_time=NOW)
        assert (customer.balance().has_test_clock, customer.balance().fresh_until) == (True, 0)
        assert customer.holdings.time(NOW + DAY) == NOW
        assert Scenario(monthly(100)).balance().fresh_until == FEBRUARY


class TestCanceling:
    def test_canceling_at_once_takes_what_the_plan_granted(self) -> None:
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

    def test_canceling_before_the_start_means_it_never_starts(self) -> None:
        customer = Scenario()
        sub = customer.attach(monthly(100), starts_at=NOW + DAY)
        customer.cancel(sub, at_end=True)
        customer.later(DAY)
        assert (customer.status(sub), customer.may(1)) == ("expired", False)

    def test_a_downgrade_that_is_taken_back_leaves_what_it_was_to_replace(self) -> None:
        customer = Scenario()
        old = customer.attach(monthly(100), group="main")
        new = customer.attach(monthly(20), group="main", schedule="end_of_cycle")
        customer.cancel(new, at_end=False)
        customer.now = FEBRUARY
        assert (customer.status(old), customer.status(new), customer.may(100)) == ("active", "expired", True)

    def test_a_subscription_that_goes_on_still_ends_when_it_was_to(self) -> None:
        customer = Scenario()
        short = customer.attach(monthly(100), ends_at=NOW + 40 * DAY)
        customer.cancel(short, at_end=True)
        customer.uncancel(short)
        customer.now = NOW + 40 * DAY - 1
        assert customer.status(short) == "active"
        customer.now += 1
        assert customer.status(short) == "expired"

    def test_what_is_not_canceled_is_not_taken_back(self) -> None:
        customer = Scenario()
        sub = customer.attach(monthly(100))
        with pytest.raises(InvalidRequest):
            customer.uncancel(sub)


class TestQuantities:
    def test_a_changed_quantity_keeps_what_was_used(self) -> None:
        """management.md 6: the quantity counts the included units too."""
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
        """autumn.md 3.9: the starting grant, with the prepaid quantity."""
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


def test_a_subscriptions_id_is_used_once() -> None:
    customer = Scenario(monthly(1))
    with pytest.raises(AlreadyExists):
        attach(customer.holdings, Plan("other", "Other"), CATALOG, "sub_1", NOW)
