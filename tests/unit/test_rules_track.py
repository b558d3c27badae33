"""What a use does to the balances, by the specification's numbers (autumn.md 3.2 to 3.4, 5.5 to 5.7).

Rules: autumn.md 3.1.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest

from tests.unit.scenario import (
    DAY,
    NOW,
    OVERFLOW,
    REJECT,
    Number,
    Scenario,
    consumable,
    d,
    flag,
    lifetime,
    monthly,
    n,
    prepaid,
    seats,
    unlimited,
)
from tollgate.domain.plans import PlanItem


class TestBasics:
    @pytest.mark.parametrize(
        ("used", "remaining"),
        [(1, 99), (37.82, 62.18), (42.1532, 57.8468), (35.82, 64.18), (100, 0), (150, 0)],
    )
    def test_a_use_is_deducted_down_to_nothing(self, used: Number, remaining: Number) -> None:
        """S080, S100, S154, autumn.md 3.4: 150 against 100 ends at remaining 0, usage 100."""
        customer = Scenario(monthly(100))
        customer.track(used)
        assert customer.ru() == (d(remaining), 100 - d(remaining))

    def test_a_use_leaves_other_features_alone(self) -> None:
        """S082."""
        customer = Scenario(monthly(100, "action1"), monthly(150, "action2"), monthly(200, "action3"))
        customer.track(37.82, "action1")
        assert customer.ru("action1") == n(62.18, 37.82)
        assert (customer.ru("action2"), customer.ru("action3")) == ((150, 0), (200, 0))

    def test_a_flag_has_nothing_to_use(self) -> None:
        """S083."""
        customer = Scenario(flag(), monthly(100))
        assert customer.track(1, "dashboard").drawn == 0
        assert customer.may(1, "dashboard")
        assert customer.gru() == (100, 100, 0)

    def test_unlimited_counts_and_is_never_used_up(self) -> None:
        """S049."""
        customer = Scenario(unlimited())
        assert customer.track(1000, overage=REJECT).allowed
        assert customer.gru() == (0, 0, 1000)

    def test_a_rejected_use_changes_nothing(self) -> None:
        """S104."""
        customer = Scenario(prepaid(2, 3))
        assert not customer.track(7, overage=REJECT).allowed
        assert customer.remaining() == 5
        customer.track(4)
        seen = customer.view()
        assert (seen.granted - seen.prepaid, seen.purchased, seen.remaining, seen.usage) == (2, 3, 1, 4)

    def test_an_even_split_is_allowed_exactly_so_often(self) -> None:
        """S046, one after the other."""
        customer = Scenario(seats(5, "workflows"), monthly(200))
        assert [customer.track(1, "workflows", overage=REJECT).allowed for _ in range(7)].count(True) == 5
        assert [customer.track(2, overage=REJECT).allowed for _ in range(150)].count(True) == 100
        assert (customer.gru("workflows"), customer.gru()) == ((5, 0, 5), (200, 0, 200))
        assert not customer.track(2, overage=REJECT).allowed

    def test_capped_uses_all_succeed(self) -> None:
        """S125, one after the other."""
        customer = Scenario(monthly(5))
        assert all(customer.track(10).allowed for _ in range(5))
        assert customer.ru() == (0, 5)

    def test_hundredths_add_up_exactly(self) -> None:
        """S128, one after the other."""
        customer, random = Scenario(lifetime(20_000), monthly(10_000)), Random(1)
        values = [Decimal(random.randint(1, 200)) / 100 for _ in range(500)]
        for value in values:
            customer.track(value)
        assert customer.ru() == (30_000 - sum(values), sum(values))
        assert sum(customer.left()) == 30_000 - sum(values)


class TestGivingBack:
    @pytest.mark.parametrize(
        ("uses", "remaining"),
        [((30,), 70), ((30, -10), 80), ((30, -10, -50), 100), ((-37.89,), 100), ((-37.89, 50, -37.89), 87.89)],
    )
    def test_a_return_stops_at_the_grant(self, uses: tuple[Number, ...], remaining: Number) -> None:
        """S085, S086."""
        customer = Scenario(monthly(100))
        for value in uses:
            customer.track(value)
        assert customer.ru() == (d(remaining), 100 - d(remaining))

    def test_seats_are_given_back_up_to_the_grant(self) -> None:
        """S088."""
        customer = Scenario(seats(5))
        customer.track(8, "users")
        seen = customer.view("users")
        assert (seen.remaining, seen.purchased, seen.usage) == (0, 3, 8)
        customer.track(-20, "users")
        assert customer.view("users") == (5, 5, 0, 0, 0)
        customer.update("users", remaining=10, included=10)
        assert customer.gru("users") == (10, 10, 0)
        customer.track(5, "users")
        customer.track(-100, "users")
        assert customer.gru("users") == (10, 10, 0)

    def test_an_overflowing_return_may_exceed_the_grant(self) -> None:
        """autumn.md 3.3."""
        customer = Scenario(monthly(100))
        customer.track(-50, overage=OVERFLOW)
        assert customer.gru() == (100, 150, -50)

    def test_overage_is_repaid_before_anything_is_refilled(self) -> None:
        """S145."""
        customer = Scenario(monthly(100))
        customer.attach(lifetime(50), add_on=True)
        customer.attach(consumable(0), add_on=True)
        seen = []
        for value in (180, -20, -20, -50):
            customer.track(value)
            view = customer.view()
            seen.append((view.granted, view.remaining, view.purchased, view.usage))
        assert seen == [(150, 0, 30, 180), (150, 0, 10, 160), (150, 10, 0, 140), (150, 60, 0, 90)]

    def test_a_return_refills_in_deduction_order_and_drops_the_rest(self) -> None:
        """S146."""
        customer = Scenario(monthly(100))
        customer.attach(lifetime(50), add_on=True)
        customer.track(140)
        assert customer.ru() == (10, 140)
        customer.track(-30)
        assert (customer.ru(), customer.left()) == ((40, 110), [30, 10])
        customer.track(-120)
        assert (customer.ru(), customer.left()) == ((150, 0), [100, 50])


class TestOverage:
    def test_pay_per_use_stops_at_its_max_purchase(self) -> None:
        """S023."""
        customer = Scenario(prepaid(100, 500), consumable(200, most=300))
        seen = customer.view()
        assert (seen.granted - seen.prepaid, seen.purchased, seen.remaining) == (300, 500, 800)
        shown = customer.shown()
        assert shown
        assert shown.max_purchase is None  # the bought grant has no cap
        customer.track(600)
        assert (customer.ru(), customer.left()) == ((200, 600), [0, 200])
        customer.track(400)
        seen = customer.view()
        assert (seen.remaining, seen.usage, seen.purchased) == (0, 1000, 700)
        assert customer.track(200).drawn == 100
        seen = customer.view()
        assert (seen.usage, seen.purchased) == (1100, 800)

    def test_pay_per_use_goes_on_below_zero(self) -> None:
        """S155."""
        customer = Scenario(consumable(10))
        for _ in range(10):
            customer.track(1)
        assert (customer.may(), customer.remaining()) == (True, 0)
        for _ in range(5):
            customer.track(1)
        assert (customer.may(), customer.view().overage) == (True, 5)

    def test_free_seats_go_below_zero_unless_it_is_to_reject(self) -> None:
        """S109."""
        customer = Scenario(seats(1))
        assert all(customer.track(1, "users").allowed for _ in range(5))
        assert customer.view("users") == (1, 0, 5, 0, 4)
        strict = Scenario(seats(5))
        assert not strict.track(6, "users", overage=REJECT).allowed
        assert strict.remaining("users") == 5

    def test_seats_and_messages_are_counted_apart(self) -> None:
        """S158, one after the other."""
        customer = Scenario(seats(10), monthly(50))
        seen = []
        for users, messages in ((5, 20), (3, 15), (2, 10)):
            for _ in range(users):
                customer.track(1, "users")
            for _ in range(messages):
                customer.track(1)
            seen.append((customer.remaining("users"), customer.remaining()))
        assert seen == [(5, 30), (2, 15), (0, 5)]

    def test_overflow_goes_past_the_floor(self) -> None:
        """autumn.md 3.2, 3.3: the overflow is repaid first."""
        customer = Scenario(monthly(100))
        customer.track(150, overage=OVERFLOW)
        assert customer.view() == (100, 0, 150, 0, 50)
        customer.track(-60)
        assert customer.gru() == (100, 10, 90)

    def test_bought_before_pay_per_use(self) -> None:
        """S106."""
        customer = Scenario(prepaid(5000, 5000, "credits"), consumable(0, "credits"))
        assert customer.gru("credits") == (10_000, 10_000, 0)
        seen = []
        for value in (1000, 5000, 5000):
            customer.track(value, "credits")
            seen.append(customer.ru("credits"))
        assert seen == [(9000, 1000), (4000, 6000), (0, 11_000)]
        view = customer.view("credits")
        assert (view.granted, view.granted - view.prepaid, view.purchased, view.overage) == (10_000, 5000, 6000, 1000)
        assert [
            (grant.granted, grant.prepaid, grant.used, grant.overdrawn) for grant in customer.grants("credits")
        ] == [
            (5000, 5000, 10_000, 0),
            (0, 0, 1000, 1000),
        ]


class TestSeveralRows:
    @pytest.mark.parametrize(
        ("add_on", "uses", "left"),
        [
            (lifetime(200), (100, 450), [(400, 200), (0, 150)]),
            (lifetime(200), (550,), [(0, 150)]),
        ],
    )
    def test_what_resets_is_used_first(
        self, add_on: PlanItem, uses: tuple[int, ...], left: list[tuple[int, int]]
    ) -> None:
        """S140."""
        customer = Scenario(monthly(500))
        customer.attach(add_on, add_on=True)
        seen = []
        for value in uses:
            customer.track(value)
            seen.append(tuple(customer.left()))
        assert seen == left
        assert customer.ru() == (150, 550)

    def test_all_grants_can_be_used_up(self) -> None:
        """S142."""
        customer = Scenario(monthly(1000))
        customer.attach(monthly(500), add_on=True)
        seen = []
        for value in (500, 800, 200):
            customer.track(value)
            seen.append(customer.ru())
        assert seen == [(1000, 500), (200, 1300), (0, 1500)]
        assert customer.left() == [0, 0]

    def test_the_main_plan_is_used_before_a_pay_per_use_add_on(self) -> None:
        """S143."""
        customer = Scenario(monthly(1000))
        customer.attach(consumable(500), add_on=True)
        seen = []
        for value in (500, 700, 500):
            customer.track(value)
            seen.append(customer.left())
        assert seen == [[500, 500], [0, 300], [0, -200]]
        view = customer.view()
        assert (view.granted, view.purchased, view.remaining, view.usage) == (1500, 200, 0, 1700)
        assert [grant.used for grant in customer.grants()] == [1000, 700]

    def test_what_expires_sooner_is_used_first(self) -> None:
        """S089."""
        customer = Scenario()
        customer.create("year", 100, "credits", expires_at=NOW + 365 * DAY)
        customer.create("month", 100, "credits", expires_at=NOW + 30 * DAY)
        customer.track(60, "credits")
        assert (customer.grant("month", "credits").remaining, customer.grant("year", "credits").remaining) == (40, 100)
