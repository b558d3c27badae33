"""Resets and what rolls over, by the specification's numbers (autumn.md 3.9, 5.8).

Rules: autumn.md 3.2.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.scenario import (
    DAY,
    HOUR,
    MONTH,
    NOW,
    REJECT,
    Scenario,
    consumable,
    every,
    monthly,
    ms,
    per_entity,
    prepaid,
    rolling,
)
from tollgate.domain.errors import InvalidInput
from tollgate.domain.grants import Grant, RolloverRule, renewed
from tollgate.domain.periods import Interval, Reset


class TestReset:
    @pytest.mark.parametrize("used", [30, 60])
    def test_a_reset_gives_the_whole_grant_back(self, used: int) -> None:
        """S170."""
        customer = Scenario(monthly(100))
        customer.track(used)
        customer.now = ms("2026-02-01")
        assert customer.may(100)
        assert customer.gru() == (100, 100, 0)
        assert customer.grants()[0].next_reset_at == ms("2026-03-01")

    def test_a_use_after_the_boundary_belongs_to_the_new_period(self) -> None:
        """S170."""
        customer = Scenario(monthly(100))
        customer.track(50)
        customer.now = ms("2026-02-01")
        customer.track(20)
        assert customer.ru() == (80, 20)

    def test_a_reset_happens_once(self) -> None:
        """S131, one after the other."""
        customer = Scenario(monthly(100))
        customer.track(50)
        customer.now = ms("2026-02-01")
        for _ in range(5):
            customer.track(10)
        assert customer.ru() == (50, 50)

    def test_a_month_keeps_its_anchors_day(self) -> None:
        """autumn.md 3.9: January 31 + 1 month is February 28; the anchor is preserved, whatever periods were missed."""
        customer = Scenario(monthly(100), now=ms("2026-01-31"))
        seen = []
        for day in ("2026-01-31", "2026-02-28", "2026-03-31", "2026-07-04"):
            customer.now = ms(day)
            customer.track(100)
            seen.append((customer.grants()[0].next_reset_at, customer.ru()))
        days = ("2026-02-28", "2026-03-31", "2026-04-30", "2026-07-31")
        assert seen == [(ms(day), (0, 100)) for day in days]

    def test_a_boundary_set_by_hand_is_kept_and_counted_from(self) -> None:
        """S181."""
        customer = Scenario()
        boundary = NOW + 10 * DAY
        customer.create("b", 50, reset=MONTH, next_reset_at=boundary)
        assert customer.grant("b").next_reset_at == boundary
        customer.track(10)
        assert (customer.remaining(), customer.grant("b").next_reset_at) == (40, boundary)
        customer.now = boundary + 5 * DAY
        assert customer.remaining() == 50
        assert customer.grant("b").next_reset_at == ms("2026-02-11")

    @pytest.mark.parametrize(
        ("remaining", "after"), [(-100, (0, 100)), (-50, (50, 50)), (-75, (25, 75)), (50, (100, 0))]
    )
    def test_overage_may_persist(self, remaining: int, after: tuple[int, int]) -> None:
        """S182, the flag on."""
        customer = Scenario(monthly(100), keeps_overage=True)
        customer.update(remaining=remaining)
        customer.reset()
        assert customer.ru() == after

    @pytest.mark.parametrize(("first", "second", "after"), [(-30, -200, (70, -100)), (-50, 30, (50, 100))])
    def test_overage_of_each_share_may_persist(self, first: int, second: int, after: tuple[int, int]) -> None:
        """S182, the flag on."""
        customer = Scenario(per_entity(monthly(100)), entities=2, keeps_overage=True)
        customer.update(entity="e1", remaining=first)
        customer.update(entity="e2", remaining=second)
        customer.reset("messages", "e1", "e2")
        assert (*customer.left(entity="e1"), *customer.left(entity="e2")) == after

    def test_overage_that_is_paid_for_does_not_persist(self) -> None:
        """autumn.md 3.9: persist_free_overage."""
        customer = Scenario(consumable(100), keeps_overage=True)
        customer.track(150)
        customer.reset()
        assert customer.ru() == (100, 0)

    def test_overage_is_forgiven_without_the_flag(self) -> None:
        """S182, the flag off."""
        customer = Scenario(monthly(100))
        customer.update(remaining=-100)
        customer.reset()
        assert customer.ru() == (100, 0)

    def test_a_standalone_balance_resets_until_it_expires(self) -> None:
        """S184."""
        customer = Scenario()
        customer.create("b", 100, reset=MONTH)
        customer.create("gone", 100, reset=MONTH, expires_at=NOW + DAY)
        customer.update(id="b", usage=50)
        customer.now = ms("2026-02-01")
        assert [grant.id for grant in customer.grants()] == ["b"]
        assert customer.ru() == (100, 0)

    def test_a_bought_quantity_comes_back_and_an_adjustment_does_not(self) -> None:
        """autumn.md 3.9: the starting grant is back, adjustments are cleared."""
        customer = Scenario(monthly(100))
        customer.update(included=150, remaining=150)
        assert customer.gru() == (150, 150, 0)
        customer.reset()
        assert customer.gru() == (100, 100, 0)


class TestRollover:
    def test_what_is_left_lives_on(self) -> None:
        """S172."""
        customer = Scenario(monthly(400, rollover=rolling(500)))
        customer.track(250)
        customer.reset()
        assert (customer.ru(), customer.rollovers()) == ((550, 0), [150])

    def test_it_is_cut_to_its_maximum(self) -> None:
        """S173."""
        customer = Scenario(monthly(300, rollover=rolling(100)))
        customer.track(50)
        customer.reset()
        assert (customer.ru(), customer.rollovers()) == ((400, 0), [100])

    def test_each_share_rolls_over_by_itself_and_the_oldest_is_trimmed(self) -> None:
        """S175."""
        customer = Scenario(per_entity(monthly(400, rollover=rolling(500))), entities=2)
        customer.track(100, entity="e1")
        customer.track(200, entity="e2")
        seen: list[tuple[Decimal, list[Decimal]]] = []

        def look() -> None:
            seen.extend((customer.remaining(entity=e), customer.rollovers(entity=e)) for e in ("e1", "e2"))

        customer.reset("messages", "e1", "e2")
        look()
        customer.reset("messages", "e1", "e2")
        look()
        for value in (150, 400):
            for entity in ("e1", "e2"):
                customer.track(value, entity=entity)
            look()
        assert seen == [
            (700, [300]),
            (600, [200]),
            *[(900, [100, 400])] * 2,
            *[(750, [0, 350])] * 2,
            *[(350, [0, 0])] * 2,
        ]

    @pytest.mark.parametrize(
        ("granted", "rule", "used", "rollover"),
        [
            (200, rolling(percent=50), 50, 100),
            (200, rolling(percent=50), 150, 50),
            (100, rolling(percent=50, months=3), 60, 40),
            (200, rolling(percent=100), 0, 200),
        ],
    )
    def test_the_maximum_may_be_a_share_of_the_grant(
        self, granted: int, rule: RolloverRule, used: int, rollover: int
    ) -> None:
        """S176."""
        customer = Scenario(monthly(granted, rollover=rule))
        customer.track(used)
        customer.reset()
        assert (customer.ru(), customer.rollovers()) == ((granted + rollover, 0), [rollover])

    def test_that_share_is_of_whole_units_of_all_that_was_granted_and_bought(self) -> None:
        """autumn.md 3.9: floor(starting grant * max_percentage / 100), the prepaid quantity in it."""
        customer = Scenario(monthly(101, rollover=rolling(percent=50)))
        customer.reset()
        assert customer.rollovers() == [50]
        bought = prepaid(100, 100)
        customer = Scenario(bought._replace(item=replace(bought.item, rollover=rolling(percent=50))))
        customer.reset()
        assert customer.rollovers() == [100]

    def test_rollovers_of_several_periods_are_trimmed_together(self) -> None:
        """S176."""
        customer = Scenario(monthly(100, rollover=rolling(percent=50, months=3)))
        customer.track(60)
        customer.reset()
        customer.reset()
        assert (customer.remaining(), sum(customer.rollovers())) == (150, 50)

    def test_rollovers_of_a_pool_pay_first(self) -> None:
        """S178."""
        customer = Scenario(monthly(500, "credits", rolling(300)))
        customer.reset("credits")
        seen = [(customer.rollovers("credits"), customer.remaining("credits"))]
        for feature, value in (("action1", 100), ("action2", 400), ("action1", 500)):
            customer.track(value, feature)
            seen.append((customer.rollovers("credits"), customer.remaining("credits")))
        assert seen == [([300], 800), ([280], 780), ([40], 540), ([0], 440)]

    def test_rollovers_are_used_before_the_grant(self) -> None:
        """S179."""
        customer = Scenario(monthly(500, rollover=rolling(200)))
        customer.reset()
        seen = [(customer.remaining(), customer.rollovers())]
        for value in (50, 200):
            customer.track(value)
            seen.append((customer.remaining(), customer.rollovers()))
        assert seen == [(700, [200]), (650, [150]), (450, [0])]

    @pytest.mark.parametrize(("before", "after"), [(600, 1000), (1000, 600)])
    def test_an_upgrade_keeps_rollovers_cut_to_the_new_rule(self, before: int, after: int) -> None:
        """S179."""
        customer = Scenario()
        customer.attach(monthly(500, rollover=rolling(before)), group="main")
        customer.reset()
        customer.reset()
        customer.attach(monthly(500, rollover=rolling(after)), group="main")
        assert (sorted(customer.rollovers()), customer.remaining()) == ([100, 500], 1100)

    def test_a_standalone_balance_rolls_over(self) -> None:
        """S233."""
        customer = Scenario()
        customer.create("b", 400, reset=MONTH, rollover=rolling(500))
        customer.track(250)
        customer.now = ms("2026-02-01")
        assert (customer.ru(), customer.rollovers()) == ((550, 0), [150])

    @pytest.mark.parametrize(
        ("feature", "more"),
        [
            ("users", {"reset": MONTH}),
            ("users", {}),
            ("messages", {}),
            ("messages", {"reset": Reset(Interval.ONE_OFF)}),
            ("messages", {"reset": MONTH, "expires_at": NOW + DAY}),
        ],
    )
    def test_what_cannot_roll_over_is_refused(self, feature: str, more: dict[str, Any]) -> None:
        """S233."""
        with pytest.raises(InvalidInput):
            Scenario().create("b", 400, feature, rollover=rolling(500), **more)

    @pytest.mark.parametrize(("months", "after"), [(1, 200), (2, 299), (None, 299)])
    def test_a_rollover_lives_so_many_months_from_its_boundary(self, months: int | None, after: int) -> None:
        """autumn.md 3.9: addMonths(the boundary just crossed, length), or for ever."""
        customer = Scenario(monthly(100, rollover=rolling(months=months)))
        customer.now = ms("2026-02-01")
        customer.track(1)
        assert (customer.rollovers(), customer.left()) == ([99], [100])
        customer.now = ms("2026-03-01") - 1
        assert customer.remaining() == 199
        customer.now = ms("2026-03-01")
        assert customer.remaining() == after

    def test_only_the_grants_own_rest_rolls_over(self) -> None:
        """autumn.md 3.9: never an old rollover again; used in order, soonest to expire first."""
        customer = Scenario(monthly(100, rollover=rolling(months=3)))
        customer.now = ms("2026-02-01")
        customer.track(150, overage=REJECT)
        assert (customer.rollovers(), customer.left()) == ([0], [50])
        customer.now = ms("2026-03-01")
        assert (customer.rollovers(), customer.left()) == ([50], [100])

    def test_what_rolls_over_does_not_depend_on_whether_anybody_looked(self) -> None:
        """autumn.md 3.9: a period that nobody looked at ends as any other, and what is left of it rolls over."""
        for looks in ((), ("2026-02-15",), ("2026-02-20", "2026-03-15", "2026-03-16")):
            customer = Scenario(monthly(100, rollover=rolling(1000)), now=ms("2026-01-15"))
            customer.track(100)
            for look in (*looks, "2026-03-20"):
                customer.now = ms(look)
                customer.track(0)
            assert (customer.remaining(), customer.rollovers()) == (200, [100])

    def test_the_rest_of_every_period_rolls_over_as_long_as_it_lives(self) -> None:
        """autumn.md 3.9: three periods unused, of which the first has lapsed; and for ever, all that was not used."""
        customer = Scenario(monthly(100, rollover=rolling(months=2)))
        customer.now = ms("2026-04-10")
        assert customer.rollovers() == [100, 100]
        customer = Scenario(monthly(100, rollover=rolling(months=None)))
        customer.track(70)
        customer.now = ms("2026-04-10")
        assert customer.rollovers() == [230]

    @pytest.mark.parametrize(("day", "after"), [("2026-02-01", 150), ("2026-03-01", 50), ("2026-04-01", 0)])
    def test_overage_that_persists_is_paid_back_by_every_period(self, day: str, after: int) -> None:
        """autumn.md 3.9: each period's grant pays for what it can, whether anybody looked or not."""
        customer = Scenario(monthly(100), keeps_overage=True)
        customer.update(remaining=-150)
        customer.now = ms(day)
        assert customer.grants()[0].used == after

    def test_what_is_left_once_overage_is_paid_back_rolls_over(self) -> None:
        """autumn.md 3.9: the second period pays the last 50 back, and the other 50 of it live on."""
        customer = Scenario(monthly(100, rollover=rolling()), keeps_overage=True)
        customer.update(remaining=-50)
        customer.now = ms("2026-03-10")
        assert (customer.rollovers(), customer.remaining()) == ([50], 150)

    def test_a_rollover_lapses_at_a_boundary_of_its_anchor(self) -> None:
        """autumn.md 3.9: what rolled over on February 28, of an anchor on the 31st, lives until March 31."""
        customer = Scenario(monthly(100, rollover=rolling()), now=ms("2026-01-31"))
        customer.now = ms("2026-03-31") - 1
        assert customer.remaining() == 200
        assert customer.grants()[0].rollovers[0].expires_at == ms("2026-03-31")

    def test_a_grant_keeps_so_many_rollovers_at_most(self) -> None:
        """autumn.md 3.9: 400 of them, those that lapse last; those that lapse together are one."""
        customer = Scenario(every(Interval.MINUTE, 1, rollover=rolling()))
        customer.later(20 * DAY)
        assert len(customer.rollovers()) == 400
        assert customer.grants()[0].rollovers[-1].expires_at == ms("2026-02-21")
        customer = Scenario(every(Interval.DAY, 1, rollover=rolling()), now=ms("2026-01-27"))
        customer.now = ms("2026-02-01")
        assert customer.rollovers() == [4, 1]


def test_of_rollovers_that_lapse_on_a_months_last_day_each_keeps_its_time_of_day() -> None:
    """autumn.md 3.9: January 29 22:00, 30 21:00 and 31 20:00 and a month are February 28, 22:00, 21:00 and 20:00: what
    rolled over first lapses last."""
    anchor = ms("2026-01-28") + 23 * HOUR
    grant = Grant("g", "pro", "s", Decimal(10), reset=Reset(Interval.HOUR, 23), anchor=anchor)
    grant = grant._replace(next_reset_at=anchor + 23 * HOUR, rollover=RolloverRule(months=1))
    first_three = (anchor + n * 23 * HOUR for n in (1, 2, 3))
    assert [at - ms("2026-01-29") for at in first_three] == [22 * HOUR, DAY + 21 * HOUR, 2 * DAY + 20 * HOUR]
    now = ms("2026-02-28") + 20 * HOUR + HOUR // 2
    renewed_once = renewed(grant, now)
    assert renewed_once is not None
    ends = [rollover.expires_at for rollover in renewed_once.rollovers]
    assert ends[:3] == [ms("2026-02-28") + 21 * HOUR, ms("2026-02-28") + 22 * HOUR, ms("2026-03-01") + 19 * HOUR]
