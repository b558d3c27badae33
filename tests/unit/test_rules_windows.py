"""Usage limits and their windows, by the specification's numbers (autumn.md 3.5, 5.6, 5.11).

Rules: autumn.md 1.2.6.
"""

from __future__ import annotations

import pytest

from tests.unit.scenario import (
    DAY,
    NOW,
    OVERFLOW,
    REJECT,
    Control,
    Scenario,
    controls,
    d,
    lifetime,
    limit,
    monthly,
    ms,
    n,
    per_entity,
    price,
    rolling,
    spend,
    unlimited,
)
from tollgate.domain.controls import UsageControl
from tollgate.domain.holds import CountedInWindow, uncounted, window_key
from tollgate.domain.limits import Limits, Window
from tollgate.domain.periods import Interval


class TestUsageLimit:
    def test_a_use_is_cut_to_the_limit(self) -> None:
        """S241."""
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        for value in (10, 3):
            customer.track(value)
            assert (customer.ru(), customer.counter()) == ((95, 5), 5)

    def test_a_check_is_asked_within_the_limit(self) -> None:
        """S247."""
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        customer.track(3)
        assert (customer.may(2), customer.may(3), customer.remaining()) == (True, False, 97)
        refused = customer.track(3, overage=REJECT)
        assert (refused.allowed, refused.usage_limited, customer.remaining()) == (False, True, 97)

    def test_a_members_limit_bounds_the_pool(self) -> None:
        """S242."""
        customer = Scenario(monthly(1, "credits"), lifetime(10, "credits"))
        customer.control(limit(10, "action1"))
        for value in (15, 5):
            customer.track(value, "action1")
            assert (customer.left("credits"), customer.gru("credits")) == ([0, 9], (11, 9, 2))
            assert customer.counter("action1") == 10

    def test_beside_a_spend_limit(self) -> None:
        """S244."""
        customer = Scenario(monthly(100, "credits"))
        customer.control(spend(20, "action1"), limit(5, "action1"))
        for value in (5, 1):
            customer.track(value, "action1")
            assert (customer.ru("credits"), customer.counter("action1")) == ((99, 1), 5)

    def test_over_the_feature_and_its_pool(self) -> None:
        """S245."""
        customer = Scenario(monthly(5, "action1"), monthly(100, "credits"))
        customer.control(limit(8, "action1"))
        for value in (10, 1):
            customer.track(value, "action1")
            assert customer.ru("action1") == (0, 5)
            assert (customer.ru("credits"), customer.counter("action1")) == (n(99.4, 0.6), 8)
        assert not customer.may(1, "action1")

    def test_the_pool_itself_is_not_bounded(self) -> None:
        """S247."""
        customer = Scenario(monthly(100, "credits"))
        customer.control(limit(5, "action1"))
        customer.track(5, "action1")
        assert (customer.may(1, "action1"), customer.may(50, "credits")) == (False, True)

    def test_each_member_has_its_own(self) -> None:
        """S247."""
        customer = Scenario(monthly(100, "credits"))
        customer.control(limit(5, "action1"), limit(4, "action2"))

        def may(*asked: tuple[str, int]) -> list[bool]:
            return [customer.may(required, feature) for feature, required in asked]

        customer.track(3, "action1")
        assert may(("action1", 2), ("action1", 3), ("action2", 4), ("action2", 5)) == [True, False, True, False]
        customer.track(2, "action2")
        assert customer.track(5, "action1").drawn == 2
        assert may(("action1", 1), ("action2", 2)) == [False, True]
        assert customer.track(5, "action2").drawn == 2
        assert customer.ru("credits") == n(96.6, 3.4)
        assert (customer.counter("action1"), customer.counter("action2")) == (5, 4)
        assert customer.may(50, "credits")

    def test_setting_the_usage_does_not_move_it(self) -> None:
        """S250: 5 per day, from the plan."""
        customer = Scenario()
        customer.attach(monthly(1000), controls=controls(limit(5, interval=Interval.DAY)))
        customer.track(5)
        assert not customer.may(1)
        customer.update(usage=0)
        assert not customer.may(1)
        customer.track(1)
        assert (customer.may(1), customer.counter()) == (False, 5)

    def test_unlimited_is_not_bounded(self) -> None:
        """S250."""
        customer = Scenario(unlimited())
        customer.control(limit(5))
        customer.track(10)
        assert customer.may(1)
        assert customer.track(3).allowed
        assert customer.counter() == 0

    def test_overflow_passes_it_and_is_counted(self) -> None:
        """S121."""
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        customer.track(3)
        customer.track(10, overage=OVERFLOW)
        assert (customer.ru(), customer.counter()) == ((87, 13), 13)
        customer.track(2)
        assert (customer.ru(), customer.counter(), customer.may()) == ((87, 13), 13, False)

    def test_overflow_with_a_rollover(self) -> None:
        """S124."""
        customer = Scenario(monthly(100, rollover=rolling(100)))
        customer.track(40)
        customer.reset()
        assert (customer.remaining(), customer.rollovers()) == (160, [60])
        customer.control(limit(5))
        customer.track(3)
        customer.track(10, overage=OVERFLOW)
        customer.track(2)
        assert (customer.ru(), customer.counter()) == ((147, 13), 13)


class TestWindows:
    @pytest.mark.parametrize(
        ("interval", "utc", "ends"),
        [
            (Interval.DAY, True, "2026-01-15"),
            (Interval.WEEK, True, "2026-01-19"),
            (Interval.MONTH, True, "2026-02-01"),
            (Interval.YEAR, True, "2027-01-01"),
            (Interval.MONTH, False, "2026-02-14T12:00"),
        ],
    )
    def test_a_window_ends_and_the_next_begins_with_nothing_used(
        self, interval: Interval, utc: bool, ends: str
    ) -> None:
        """autumn.md 3.5: by the feature's own resets, or UTC days, weeks (from Monday), months, years."""
        customer = Scenario(monthly(100), now=ms("2026-01-14T12:00"))  # a Wednesday
        customer.control(limit(5, interval=interval, utc=utc))
        customer.track(5)
        (window,) = customer.balance().limits.windows
        assert window.ends_at == ms(ends)
        customer.now = ms(ends) - 1
        assert not customer.may(1)
        customer.now = ms(ends)
        assert (customer.may(5), customer.may(6), customer.counter()) == (True, False, 0)

    def test_a_window_follows_its_features_reset(self) -> None:
        """autumn.md 3.5: it ends at the feature's own next_reset_at."""
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        customer.track(3)
        customer.update(next_reset_at=NOW + 10 * DAY)
        (window,) = customer.balance().limits.windows
        assert (window.ends_at, window.used) == (NOW + 10 * DAY, 3)

    def test_a_changed_limit_keeps_what_was_counted(self) -> None:
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        customer.track(4)
        customer.control(limit(8))
        assert (customer.counter(), customer.may(4), customer.may(5)) == (4, True, False)
        customer.control()
        assert customer.may(96)

    @pytest.mark.parametrize("off", [(), (UsageControl("messages", d(5), Interval.MONTH, enabled=False),)])
    def test_a_limit_that_is_switched_off_and_on_again_goes_on_in_its_window(self, off: tuple[Control, ...]) -> None:
        """autumn.md 3.5: what is used while it is off it does not count; once its window has ended, it counts from 0."""
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        customer.track(4)
        customer.control(*off)
        customer.track(10)
        customer.later(DAY)
        customer.control(limit(5))
        assert (customer.counter(), customer.may(1), customer.may(2)) == (4, True, False)
        customer.control(*off)
        customer.now = ms("2026-02-01")
        customer.control(limit(5))
        assert customer.counter() == 0

    def test_what_a_hold_counted_goes_back_while_the_limit_is_off(self) -> None:
        """autumn.md 3.5, 3.11."""
        window = Window(d(5), Interval.MONTH, NOW + DAY, NOW, used=d(4))
        counted = CountedInWindow(window_key(window), NOW + DAY, d(3))
        assert uncounted(Limits(paused=(window,)), (counted,)).paused == (window._replace(used=d(1)),)

    def test_a_billing_cycles_window_on_what_never_resets_is_the_plans(self) -> None:
        """autumn.md 3.5: not counted from the day on which the customer was made."""
        customer = Scenario(now=ms("2026-01-01"))
        customer.control(limit(5))
        assert customer.balance().limits.windows[0].ends_at == ms("2026-02-01")
        customer.now = ms("2026-01-10")
        customer.attach(lifetime(100), price=price(20))
        customer.control(limit(5))
        assert customer.balance().limits.windows[0].ends_at == ms("2026-02-10")
        customer.attach(monthly(10, "credits"), add_on=True)
        assert customer.balance().limits.windows[0].ends_at == ms("2026-02-10")

    def test_a_filter_bounds_only_what_matches(self) -> None:
        """autumn.md 1.2, usage_limits: filter.properties."""
        customer = Scenario(monthly(100))
        customer.control(limit(5, model="large"))
        customer.track(5, model="large")
        assert (customer.may(1, model="large"), customer.may(1, model="small"), customer.may(1)) == (False, True, True)
        customer.track(10, model="small")
        assert (customer.remaining(), customer.counter()) == (85, 5)
        assert customer.balance().fresh_until == 0  # each use needs thought

    def test_the_customers_limit_counts_every_entity_and_an_entitys_its_own(self) -> None:
        """autumn.md 3.5."""
        customer = Scenario(per_entity(monthly(100)), entities=2)
        customer.control(limit(5))
        customer.track(3, entity="e1")
        assert (customer.may(2, entity="e2"), customer.may(3, entity="e2")) == (True, False)
        customer.control(limit(8), entity="e1")
        customer.track(8, entity="e1")
        assert (customer.counter(entity="e1"), customer.counter()) == (8, 3)
        assert customer.may(2, entity="e2")

    def test_the_customers_limit_stands_over_its_plans(self) -> None:
        """autumn.md 3.5; a plan's limit ends with the plan."""
        customer = Scenario(monthly(100))
        pack = customer.attach(monthly(10), add_on=True, controls=controls(limit(5)))
        assert (customer.may(5), customer.may(6)) == (True, False)
        customer.control(limit(8))
        assert (customer.may(8), customer.may(9)) == (True, False)
        customer.control()
        assert not customer.may(6)
        customer.cancel(pack, at_end=False)
        assert customer.may(100)

    def test_a_return_is_given_back_to_the_window(self) -> None:
        """The counter counts units used (S248: what a confirmed lock gives back, it may use again)."""
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        customer.track(4)
        customer.track(-2)
        assert (customer.counter(), customer.may(3), customer.may(4)) == (2, True, False)

    def test_a_limit_that_is_used_up_is_not_reopened_by_a_return(self) -> None:
        customer = Scenario(monthly(100))
        customer.control(limit(5))
        customer.track(5)
        customer.track(-2)
        assert (customer.counter(), customer.may(1), customer.remaining()) == (5, False, 97)
