"""What time alone does, by a customer's test clock (management.md 8; autumn.md 3.9, 5.4, 5.8, 5.11)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.fixture import DAY, Shop, gru, lifetime, monthly, new, per_entity, refused, rolling

YEAR = datetime.now(UTC).year + 1


def ms(month: int, day: int, hour: int = 0) -> int:
    return int(datetime(YEAR, month, day, hour, tzinfo=UTC).timestamp() * 1000)


def month_end(year: int) -> int:
    """The last of February."""
    return (datetime(year, 3, 1, tzinfo=UTC) - timedelta(days=1)).day


def soon(after: int = 0) -> int:
    return time.time_ns() // 1_000_000 + after


def reset(shop: Shop, customer: str, feature: str = "messages", entity: str | None = None) -> int:
    """Goes to the next reset; when it was."""
    moment: int = shop.balance(customer, feature, entity).next_reset_at
    shop.now(customer, moment)
    return moment


def rolled(shop: Shop, customer: str, feature: str = "messages", entity: str | None = None) -> list[float]:
    return [rollover.balance for rollover in shop.balance(customer, feature, entity).rollovers]


class TestClock:
    def test_it_moves_forward_in_the_sandbox_only(self, shop: Shop, live: Shop) -> None:
        """management.md 8 (customers.advance_test_clock)."""
        c = shop.customer(monthly(100))
        moved = shop.autumn.customers.advance_test_clock(customer_id=c, frozen_time=soon(DAY))
        assert moved.status == "ready"
        with refused(400, "invalid_inputs"):
            shop.now(c, soon())
        with refused(404, "customer_not_found"):
            shop.now("nobody", soon(DAY))
        id = live.customer()
        with refused(403, "insufficient_scopes"):
            live.now(id, soon(DAY))


class TestResets:
    def test_the_first_look_after_a_boundary_resets(self, shop: Shop) -> None:
        """S170: seen by the customer's page, a check, and a use."""
        c = shop.customer(monthly(100))
        shop.track(c, 30)
        boundary = reset(shop, c)
        found = shop.autumn.customers.get(customer_id=c).balances["messages"]
        assert gru(found) == (100, 100, 0)
        assert found.next_reset_at
        assert found.next_reset_at > boundary
        shop.track(c, 60)
        reset(shop, c)
        assert shop.may(c, 100)
        shop.track(c, 50)
        reset(shop, c)
        assert gru(shop.track(c, 20).balance) == (100, 80, 20)

    def test_a_month_end_is_kept(self, shop: Shop) -> None:
        """autumn.md 3.9: Jan 31, Feb 28 (or 29), Mar 31; whatever periods were missed."""
        c = shop.customer()
        shop.now(c, ms(1, 31, hour=12))
        shop.attach(c, monthly(100))
        shop.track(c, 30)
        february = ms(2, month_end(YEAR), hour=12)
        assert reset(shop, c) == february
        assert shop.left(c) == 100
        assert reset(shop, c) == ms(3, 31, hour=12)
        shop.now(c, ms(6, 30, hour=11))
        assert shop.balance(c).next_reset_at == ms(6, 30, hour=12)
        assert gru(shop.balance(c)) == (100, 100, 0)

    def test_a_standalone_balance_keeps_the_boundary_it_was_given(self, shop: Shop) -> None:
        """S181: ten days ahead; looked at five days after that, the next is a month from the boundary."""
        c = shop.customer()
        shop.now(c, ms(1, 5))
        boundary: Any = {"reset": {"interval": "month"}, "next_reset_at": ms(1, 15)}
        shop.autumn.balances.create(customer_id=c, feature_id="messages", included_grant=50, **boundary)
        tracked = shop.track(c, 10).balance
        assert (tracked.remaining, tracked.next_reset_at) == (40, ms(1, 15))
        shop.now(c, ms(1, 20))
        assert (shop.left(c), shop.balance(c).next_reset_at) == (50, ms(2, 15))

    def test_what_was_overdrawn_does_not_carry_over(self, shop: Shop) -> None:
        """S182, the flag being off."""
        c = shop.customer(monthly(100))
        shop.track(c, 200, overage_behavior="overflow")
        assert gru(shop.balance(c)) == (100, 0, 200)
        reset(shop, c)
        assert gru(shop.balance(c)) == (100, 100, 0)

    def test_concurrent_uses_reset_once(self, shop: Shop) -> None:
        """S131: all five are deducted from the new period."""
        c = shop.customer(monthly(100))
        shop.track(c, 50)
        reset(shop, c)
        with ThreadPoolExecutor(5) as threads:
            list(threads.map(lambda _: shop.track(c, 10), range(5)))
        assert gru(shop.balance(c)) == (100, 50, 50)


class TestRollovers:
    @pytest.mark.parametrize(
        ("grant", "rule", "used", "rollovers", "remaining"),
        [
            (400, {"max": 500}, 250, [150], 550),  # S172
            (300, {"max": 100}, 50, [100], 400),  # S173
            (200, {"max_percentage": 50}, 50, [100], 300),  # S176
            (200, {"max_percentage": 50}, 150, [50], 250),
        ],
    )
    def test_unused_units_live_on(
        self, shop: Shop, grant: float, rule: Any, used: float, rollovers: list[float], remaining: float
    ) -> None:
        c = shop.customer(monthly(grant, **rolling(**rule)))
        shop.track(c, used)
        boundary = reset(shop, c)
        balance = shop.balance(c)
        assert (rolled(shop, c), balance.remaining, balance.usage) == (rollovers, remaining, 0)
        assert boundary < balance.rollovers[0].expires_at <= boundary + 31 * DAY

    def test_they_are_trimmed_and_drawn_first(self, shop: Shop) -> None:
        """S176: at 50 % for three months, trimmed to 50 in all; S178: credits' rollovers pay for what costs credits."""
        rule: Any = {"rollover": {"max_percentage": 50, "expiry_duration_type": "month", "expiry_duration_length": 3}}
        c = shop.customer(monthly(100, **rule))
        shop.track(c, 60)
        reset(shop, c)
        assert (rolled(shop, c), shop.left(c)) == ([40], 140)
        reset(shop, c)
        assert (sum(rolled(shop, c)), shop.left(c)) == (50, 150)
        c = shop.customer(monthly(500, "credits", **rolling(max=300)))
        reset(shop, c, "credits")
        assert (rolled(shop, c, "credits"), shop.left(c, "credits")) == ([300], 800)
        for value, feature, rest, left in ((100, "action1", 280, 780), (400, "action2", 40, 540)):
            shop.track(c, value, feature)
            assert (rolled(shop, c, "credits"), shop.left(c, "credits")) == ([rest], left)
        old = shop.raw("check", {"customer_id": c, "feature_id": "credits"}, "1.2.0").json()
        assert [set(rollover) for rollover in old["rollovers"]] == [{"balance", "expires_at"}]
        shop.track(c, 500, "action1")
        assert (sum(rolled(shop, c, "credits")), shop.left(c, "credits")) == (0, 440)

    def test_entities_roll_over_their_own(self, shop: Shop) -> None:
        """S175: per-entity 400, max 500, e1 used 100 and e2 200."""
        c = shop.customer(per_entity(monthly(400, **rolling(max=500))), entities=2)
        for entity, used in (("e1", 100), ("e2", 200)):
            shop.track(c, used, entity_id=entity)
        reset(shop, c, entity="e1")
        assert [(shop.left(c, entity=e), rolled(shop, c, entity=e)) for e in ("e1", "e2")] == [
            (700, [300]),
            (600, [200]),
        ]


class TestExpiry:
    def test_an_expired_balance_is_gone(self, shop: Shop) -> None:
        """S070, S071."""
        c = shop.customer(monthly(100))
        shop.autumn.balances.create(customer_id=c, feature_id="messages", included_grant=200, expires_at=soon(DAY))
        shop.autumn.balances.create(customer_id=c, feature_id="words", included_grant=500, expires_at=soon(DAY))
        assert gru(shop.balance(c)) == (300, 300, 0)
        assert shop.may(c, 500, "words")
        shop.now(c, soon(DAY + 1000))
        assert gru(shop.balance(c)) == (100, 100, 0)
        gone = shop.autumn.check(customer_id=c, feature_id="words")
        assert (gone.allowed, gone.balance) == (False, None)


class TestSubscriptions:
    def test_a_plan_starts_and_ends_when_it_was_told_to(self, shop: Shop) -> None:
        c = shop.customer()
        shop.now(c, ms(1, 1))
        plan = shop.plan(monthly(100))
        shop.autumn.billing.attach(customer_id=c, plan_id=plan, starts_at=ms(1, 10), ends_at=ms(1, 20))
        (held,) = shop.autumn.customers.get(customer_id=c).subscriptions
        assert (held.status, held.started_at, held.expires_at) == ("scheduled", ms(1, 10), ms(1, 20))
        asked = []
        for moment in (ms(1, 9), ms(1, 10), ms(1, 19, hour=23), ms(1, 20)):
            shop.now(c, moment)
            asked.append(shop.may(c))
        assert asked == [False, True, True, False]
        assert not shop.autumn.customers.get(customer_id=c).subscriptions

    def test_a_canceled_plan_ends_and_its_follower_starts(self, shop: Shop) -> None:
        """A downgrade takes over at the end of the cycle; what was used of the old is left behind."""
        c, group = shop.customer(), new("group")
        for amount, grant in ((20, 1000), (10, 100)):
            shop.attach(c, monthly(grant), group=group, price={"amount": amount, "interval": "month"})
        shop.track(c, 400)
        held = shop.autumn.customers.get(customer_id=c).subscriptions
        (running,) = [s for s in held if s.status == "active"]
        shop.now(c, int(running.current_period_end or 0))
        (after,) = shop.autumn.customers.get(customer_id=c).subscriptions
        assert (after.status, gru(shop.balance(c))) == ("active", (100, 100, 0))

    def test_a_trial_ends(self, shop: Shop) -> None:
        c = shop.customer()
        plan = shop.attach(c, lifetime(5), free_trial={"duration_length": 7, "duration_type": "day"})
        body = {"customer_id": c, "product_id": plan}
        assert shop.raw("check", body).json()["status"] == "trialing"
        shop.now(c, soon(7 * DAY))
        assert shop.raw("check", body).json()["status"] == "active"


class TestUsageLimits:
    @pytest.mark.parametrize("anchor", ["utc", "billing_cycle"])
    def test_a_window_ends_and_the_next_is_empty(self, shop: Shop, anchor: str) -> None:
        """autumn.md 3.5: utc days end at midnight, the billing cycle's where the feature resets."""
        c = shop.customer()
        shop.now(c, ms(3, 10, hour=18))
        shop.attach(c, monthly(100))
        interval = "day" if anchor == "utc" else "month"
        limit: Any = {"feature_id": "messages", "limit": 5, "interval": interval, "anchor": anchor}
        shop.autumn.customers.update(customer_id=c, billing_controls={"usage_limits": [limit]})
        shop.track(c, 8)
        assert (shop.left(c), shop.may(c)) == (95, False)
        end = ms(3, 11) if anchor == "utc" else ms(4, 10, hour=18)
        shop.now(c, end - 1)
        assert not shop.may(c)
        shop.now(c, end)
        assert [shop.may(c, required) for required in (5, 6)] == [True, False]
        limits = shop.autumn.customers.get(customer_id=c).billing_controls.usage_limits or []
        assert [(shown.usage, shown.anchor) for shown in limits] == [(0, anchor)]
