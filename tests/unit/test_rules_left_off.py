"""What was used of a plan counts in its period, whatever ended the plan and however it comes back (management.md 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.scenario import (
    DAY,
    HOUR,
    NOW,
    Scenario,
    consumable,
    d,
    every,
    lifetime,
    monthly,
    ms,
    per_entity,
    price,
    rolling,
    seats,
    unlimited,
)
from tests.unit.test_rules_reservations import Reserving
from tollgate.domain.periods import Interval
from tollgate.domain.plan_grants import ALL_USAGES, Carried, CarryOver
from tollgate.domain.plans import BasePrice, FreeTrial, PlanItem

JANUARY_11, JANUARY_21, FEBRUARY, MARCH = map(ms, ("2026-01-11", "2026-01-21", "2026-02-01", "2026-03-01"))
BALANCES = CarryOver(balances=Carried(True))
BOTH = CarryOver(Carried(True), Carried(True))


# ------------------------------------------------------------------ whatever ended it


def _by_a_call(customer: Scenario, id: str) -> None:
    customer.now = JANUARY_11
    customer.cancel(id, at_end=False)


def _by_its_end(customer: Scenario, _: str) -> None:
    customer.now = JANUARY_11


def _looked_at_later(customer: Scenario, _: str) -> None:
    customer.now = JANUARY_11
    customer.track(0)
    customer.now += DAY
    customer.track(0)


@pytest.mark.parametrize("ends", [_by_a_call, _by_its_end, _looked_at_later])
@pytest.mark.parametrize("used", [30, 100, 130])
def test_whatever_ended_it_its_use_counts_until_the_reset(ends: Callable[[Scenario, str], None], used: int) -> None:
    customer = Scenario()
    items = (monthly(100), lifetime(50))
    customer.attach(*items, plan="a", ends_at=None if ends is _by_a_call else JANUARY_11)
    customer.track(used)
    ends(customer, "sub_1")
    assert customer.shown() is None
    customer.later(DAY)
    customer.attach(*items, plan="a")
    assert customer.gru() == (150, 150 - used, used)
    customer.now = FEBRUARY  # the month is over, what is granted once is not granted anew
    assert customer.remaining() == 100 + 50 - max(0, used - 100)


def test_what_is_scheduled_ends_it_too() -> None:
    customer = Scenario()
    customer.attach(monthly(100), plan="a")
    customer.track(70)
    customer.attach(monthly(10, "words"), plan="b", starts_at=JANUARY_11)
    customer.now = JANUARY_21
    assert customer.shown() is None
    customer.attach(monthly(100), plan="a")
    assert customer.gru() == (100, 30, 70)


def test_and_the_end_of_its_trial() -> None:
    customer = Scenario()
    trial = FreeTrial(10, Interval.DAY)
    items = (every(Interval.YEAR, 100), lifetime(50, "words"))
    id = customer.attach(*items, plan="a", free_trial=trial, price=price(5), anchor=NOW)
    customer.track(70)
    customer.track(20, "words")
    customer.cancel(id, at_end=True)
    customer.now = JANUARY_21
    assert customer.shown() is None
    customer.attach(*items, plan="a", price=price(5))
    assert customer.gru() == (100, 30, 70)
    assert customer.gru("words") == (50, 30, 20)


@pytest.mark.parametrize("comes", [{}, {"starts_at": JANUARY_21}, {"starts_at": JANUARY_21, "automatic": True}])
def test_however_it_comes_back(comes: dict[str, Any]) -> None:
    customer = Scenario()
    customer.cancel(customer.attach(monthly(100), plan="a"), at_end=False)
    customer.attach(monthly(100), plan="a", ends_at=JANUARY_11)
    customer.track(70)
    customer.now = ms("2026-01-12")
    customer.attach(monthly(100), plan="a", **comes)
    customer.now = JANUARY_21
    assert customer.gru() == (100, 30, 70)


def test_other_items_at_a_later_time_go_on_too() -> None:
    customer = Scenario()
    customer.attach(monthly(100), plan="a")
    customer.track(70)
    customer.attach(monthly(120), plan="a", starts_at=JANUARY_11)
    customer.track(10)
    customer.now = JANUARY_11
    assert customer.gru() == (120, 40, 80)


def test_a_schedule_that_is_taken_back_takes_nothing() -> None:
    customer = Scenario()
    customer.attach(monthly(100), plan="a")
    customer.track(70)
    later = customer.attach(monthly(120), plan="a", starts_at=JANUARY_11)
    customer.cancel(later, at_end=False)
    customer.now = JANUARY_21
    assert customer.gru() == (100, 30, 70)


def test_after_its_reset_it_begins_anew() -> None:
    customer = Scenario()
    customer.attach(monthly(100), lifetime(50, "words"), plan="a", ends_at=JANUARY_11)
    customer.track(70)
    customer.track(20, "words")
    customer.now = MARCH
    customer.attach(monthly(100), lifetime(50, "words"), plan="a")
    assert customer.gru() == (100, 100, 0)
    assert customer.gru("words") == (50, 30, 20)


# ------------------------------------------------------------------ add-ons, and what is set by hand


def test_an_add_on_goes_on_too_once_for_each_that_was_held() -> None:
    customer = Scenario()
    ids = [customer.attach(monthly(100), plan="more", add_on=True) for _ in range(2)]
    customer.track(160)
    for id in ids:
        customer.cancel(id, at_end=False)
    held = []
    for _ in range(3):
        customer.attach(monthly(100), plan="more", add_on=True)
        held.append(customer.remaining())
    assert held == [40, 40, 140]


def test_what_is_bought_once_is_granted_each_time() -> None:
    customer = Scenario()
    once = BasePrice(d(5), Interval.ONE_OFF)
    id = customer.attach(lifetime(100), plan="pack", add_on=True, price=once)
    customer.track(100)
    customer.cancel(id, at_end=False)
    customer.attach(lifetime(100), plan="pack", add_on=True, price=once)
    assert customer.gru() == (100, 100, 0)


@pytest.mark.parametrize("left", [10, 500])
def test_what_was_set_by_hand_lasts_until_the_reset(left: int) -> None:
    customer = Scenario()
    id = customer.attach(monthly(100), plan="a")
    customer.track(20)
    customer.update(remaining=d(left))
    customer.cancel(id, at_end=False)
    customer.attach(monthly(100), plan="a")
    assert customer.remaining() == left
    customer.now = FEBRUARY
    assert customer.remaining() == 100


# ------------------------------------------------------------------ what goes over to another plan


@pytest.mark.parametrize("at", [None, JANUARY_11])
def test_usages_go_over_now_or_later(at: int | None) -> None:
    customer = Scenario()
    customer.attach(monthly(100), plan="a")
    customer.track(70)
    customer.attach(monthly(200), plan="b", starts_at=at, carry_over=ALL_USAGES)
    customer.now = JANUARY_11
    assert customer.gru() == (200, 130, 70)


@pytest.mark.parametrize("at", [None, JANUARY_11])
@pytest.mark.parametrize("item", [monthly(200), monthly(200, "words")])
def test_balances_are_brought_over_now_or_later(at: int | None, item: PlanItem) -> None:
    customer = Scenario()
    customer.attach(monthly(100), plan="a")
    customer.track(70)
    customer.attach(item, plan="b", starts_at=at, carry_over=BALANCES)
    customer.now = JANUARY_11
    granted = 200 if item == monthly(200) else 0
    assert customer.remaining() == granted + 30
    customer.now = MARCH - DAY
    assert customer.shown() is None or customer.remaining() == granted


def test_a_schedule_at_the_reset_brings_nothing() -> None:
    customer = Scenario()
    customer.attach(monthly(100), plan="a", price=price(20))
    customer.track(70)
    customer.attach(monthly(50), plan="b", price=price(5), carry_over=BOTH)
    customer.now = FEBRUARY
    assert customer.gru() == (50, 50, 0)


def test_what_was_brought_over_is_taken_from_what_was_left_off() -> None:
    customer = Scenario()
    for plan, included in (("a", 100), ("b", 200), ("a", 100), ("b", 200), ("a", 100)):
        customer.attach(monthly(included), plan=plan, carry_over=BALANCES)
        assert customer.remaining() <= 300
    assert customer.remaining() == 300
    customer.track(260)
    customer.attach(monthly(200), plan="b", carry_over=BALANCES)
    assert customer.remaining() == 40


def test_use_that_went_over_counts_once_where_it_comes_from() -> None:
    customer = Scenario()
    customer.attach(monthly(1000), plan="a")
    customer.track(80)
    customer.attach(monthly(2000), plan="b", carry_over=ALL_USAGES)
    customer.track(50)
    customer.attach(monthly(3000), plan="c", carry_over=ALL_USAGES)
    customer.track(20)
    customer.attach(monthly(1000), plan="a", carry_over=ALL_USAGES)
    assert customer.gru() == (1000, 850, 150)
    customer.attach(monthly(2000), plan="b", carry_over=ALL_USAGES)
    assert customer.gru() == (2000, 1850, 150)


def test_use_of_two_plans_adds_up() -> None:
    customer = Scenario()
    customer.attach(monthly(1000), plan="a")
    customer.track(80)
    customer.attach(monthly(2000), plan="b")
    customer.track(50)
    customer.attach(monthly(1000), plan="a", carry_over=ALL_USAGES)
    assert customer.gru() == (1000, 870, 130)


# ------------------------------------------------------------------ periods


def test_a_plan_that_goes_on_goes_on_in_its_billing_cycle() -> None:
    customer = Scenario()
    id = customer.attach(monthly(100), plan="a", price=price(20))
    customer.track(70)
    customer.now = JANUARY_11
    customer.cancel(id, at_end=False)
    customer.now = JANUARY_21
    id = customer.attach(monthly(100), plan="a", price=price(20))
    assert customer.shown().next_reset_at == FEBRUARY  # type: ignore[union-attr]
    assert customer.subscription(id).period(customer.now) == (NOW, FEBRUARY)
    customer.now = FEBRUARY
    assert customer.gru() == (100, 100, 0)
    assert customer.shown().next_reset_at == MARCH  # type: ignore[union-attr]
    assert customer.subscription(id).period(customer.now) == (FEBRUARY, MARCH)


@pytest.mark.parametrize("asked", [{"restart": True}, {"anchor": JANUARY_21}, {"starts_at": JANUARY_21}])
def test_or_in_one_of_its_own_where_that_is_asked_for(asked: dict[str, Any]) -> None:
    customer = Scenario()
    customer.cancel(customer.attach(monthly(100), plan="b"), at_end=False)
    id = customer.attach(monthly(100), plan="a", price=price(20))
    customer.track(70)
    customer.now = JANUARY_11
    customer.cancel(id, at_end=False)
    customer.now = JANUARY_21
    id = customer.attach(monthly(100), plan="a", price=price(20), **asked)
    period = (JANUARY_21, ms("2026-02-21"))
    assert customer.gru() == (100, 30, 70)
    assert (customer.shown().next_reset_at, customer.subscription(id).period(customer.now)) == (period[1], period)  # type: ignore[union-attr]


# ------------------------------------------------------------------ holds and rollovers


@pytest.mark.parametrize("released_first", [True, False])
@pytest.mark.parametrize("by_a_call", [True, False])
def test_a_hold_that_is_released_gives_back_what_it_took(released_first: bool, by_a_call: bool) -> None:
    customer = Reserving()
    id = customer.attach(monthly(100), plan="a", ends_at=None if by_a_call else NOW + 3_600_000)
    customer.track(20)
    customer.lock(50)
    customer.later(3_600_000)
    if by_a_call:
        customer.cancel(id, at_end=False)
    if released_first:
        customer.confirm(0)
    customer.attach(monthly(100), plan="a")
    if not released_first:
        assert customer.gru() == (100, 30, 70)
        customer.confirm(0)
    assert customer.gru() == (100, 80, 20)


@pytest.mark.parametrize(
    ("carry", "held", "released"), [(None, 200, 200), (ALL_USAGES, 130, 180), (BALANCES, 230, 280)]
)
def test_a_hold_of_a_plan_that_is_replaced(carry: CarryOver | None, held: int, released: int) -> None:
    customer = Reserving()
    customer.attach(monthly(100), plan="a")
    customer.track(20)
    customer.lock(50)
    customer.attach(monthly(200), plan="b", carry_over=carry)
    assert customer.remaining() == held
    customer.confirm(0)
    assert customer.remaining() == released
    customer.attach(monthly(100), plan="a")
    assert customer.remaining() == 80


def test_a_hold_that_outlives_the_period_of_its_plan_is_gone() -> None:
    customer = Reserving()
    customer.attach(every(Interval.DAY, 100), lifetime(10), plan="a", ends_at=NOW + 3_600_000)
    customer.lock(105)
    customer.later(DAY + 3_600_000 - 7_200_000)
    customer.attach(every(Interval.DAY, 100), lifetime(10), plan="a")
    assert customer.remaining() == 5
    customer.later(3_600_000 - 1)
    customer.confirm(0)
    assert customer.remaining() == 110


@pytest.mark.parametrize("looked_at", [True, False])
def test_a_hold_of_what_was_brought_over_ends_with_it(looked_at: bool) -> None:
    customer = Reserving()
    customer.attach(monthly(100), plan="a", ends_at=NOW + 20 * HOUR)
    customer.lock(40)
    customer.attach(monthly(30), plan="b", starts_at=NOW + 2 * HOUR, carry_over=BALANCES)
    customer.now = NOW + 3 * HOUR
    if looked_at:
        customer.track(0)
    customer.now = NOW + 21 * HOUR
    customer.track(25)
    assert customer.remaining() == 5
    customer.now = NOW + 25 * HOUR  # the hold's time is over
    assert customer.remaining() == 5


@pytest.mark.parametrize("change", ["a plan", "a reset", "a cancellation"])
def test_a_rollover_that_is_held_whole_comes_back(change: str) -> None:
    customer = Reserving()
    daily = every(Interval.DAY, 100, rollover=rolling(1000, 1))
    id = customer.attach(daily, plan="a")
    customer.later(DAY)
    customer.lock(100)
    assert customer.rollovers() == [0]
    customer.track(100)
    if change == "a plan":
        customer.attach(every(Interval.DAY, 300, rollover=rolling(1000, 1)), plan="b")
        customer.confirm(0)
        assert customer.remaining() == 400
    elif change == "a reset":
        customer.later(DAY - 1)
        customer.track(0)
        customer.confirm(0)
        customer.later(1)
        assert customer.remaining() == 200
    else:
        customer.cancel(id, at_end=False)
        customer.attach(daily, plan="a")
        customer.confirm(0)
        assert customer.remaining() == 100


def test_a_rollover_that_is_held_over_a_reset_comes_back() -> None:
    customer = Reserving(every(Interval.DAY, 100, rollover=rolling(1000, 1)))
    customer.later(DAY + DAY // 2)
    customer.lock(100)
    customer.track(100)
    customer.later(DAY)
    assert customer.remaining() == 200  # its time is over


def test_rollovers_of_a_plan_that_goes_on_are_kept() -> None:
    customer = Scenario()
    item = monthly(100, rollover=rolling(1000, 3))
    id = customer.attach(item, plan="a")
    customer.now = FEBRUARY
    customer.track(30)
    assert customer.remaining() == 170
    customer.cancel(id, at_end=False)
    customer.attach(item, plan="a")
    assert customer.remaining() == 170


# ------------------------------------------------------------------ seats


@pytest.mark.parametrize("between", ["nothing", "a look", "an entity more", "an entity less"])
@pytest.mark.parametrize("by_a_call", [True, False])
def test_seats_that_were_tracked_are_in_use_when_they_are_granted_again(between: str, by_a_call: bool) -> None:
    customer = Scenario()
    id = customer.attach(seats(10), plan="a", ends_at=None if by_a_call else JANUARY_11)
    customer.entity("e1")
    customer.track(4, "users")
    customer.now = JANUARY_11
    if by_a_call:
        customer.cancel(id, at_end=False)
    used = 5
    if between == "a look":
        customer.later(DAY)
    elif between == "an entity more":
        customer.entity("e2")
        used = 6
    elif between == "an entity less":
        customer.remove_entity("e1")
        used = 4
    customer.attach(seats(10), plan="b")
    assert customer.gru("users") == (10, 10 - used, used)


def test_seats_go_over_to_what_entities_are_granted_and_back() -> None:
    customer = Scenario(entities=2)
    customer.attach(seats(10, "workflows"), plan="a")
    customer.track(5, "workflows")
    customer.attach(per_entity(seats(3, "workflows")), plan="b")
    assert customer.gru("workflows") == (6, 1, 5)
    assert [customer.ru("workflows", entity) for entity in ("e1", "e2")] == [(0, 3), (1, 2)]
    customer.attach(seats(10, "workflows"), plan="a")
    assert customer.gru("workflows") == (10, 5, 5)


def test_seats_wait_for_the_entity_that_is_granted_some() -> None:
    customer = Scenario()
    customer.attach(seats(10, "workflows"), plan="a")
    customer.track(5, "workflows")
    customer.attach(per_entity(seats(3, "workflows")), plan="b")
    customer.entity("e1")
    assert customer.view("workflows").usage == 5


# ------------------------------------------------------------------ what is unlimited, what may be overdrawn


def test_overage_counts_when_it_comes_back() -> None:
    customer = Scenario()
    id = customer.attach(consumable(100), plan="a", price=price(20))
    customer.track(150)
    customer.cancel(id, at_end=False)
    customer.attach(consumable(100), plan="a", price=price(20))
    assert customer.view().usage == 150


def test_use_of_what_is_unlimited_counts_when_it_comes_back() -> None:
    customer = Scenario()
    customer.attach(unlimited(), plan="a", ends_at=JANUARY_11)
    customer.track(150)
    customer.now = JANUARY_11
    customer.attach(unlimited(), plan="a")
    assert customer.view().usage == 150


def test_an_entitys_share_goes_on_too() -> None:
    customer = Scenario(entities=2)
    customer.attach(per_entity(monthly(100)), plan="a", ends_at=JANUARY_11)
    customer.track(70, entity="e1")
    customer.now = JANUARY_11
    customer.attach(per_entity(monthly(100)), plan="a")
    assert [customer.ru(entity=entity) for entity in ("e1", "e2")] == [(30, 70), (100, 0)]
