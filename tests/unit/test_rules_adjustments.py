"""Balances set by hand, by the specification's numbers (autumn.md 3.8, 5.10)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.scenario import (
    CATALOG,
    DAY,
    NOW,
    Number,
    Scenario,
    consumable,
    d,
    every,
    flag,
    lifetime,
    monthly,
    ms,
    n,
    per_entity,
    prepaid,
)
from tollgate.domain.errors import InvalidInput, InvalidRequest, NotFound
from tollgate.domain.manual_balances import BalanceFilter, BalanceUpdate, update
from tollgate.domain.periods import Interval


class TestRemaining:
    @pytest.mark.parametrize(("remaining", "usage"), [(80, 20), (120, -20)])
    def test_the_grant_stays_and_the_usage_follows(self, remaining: int, usage: int) -> None:
        """S220."""
        customer = Scenario(monthly(100))
        customer.update(remaining=remaining)
        assert customer.gru() == (100, remaining, usage)

    def test_a_use_goes_on_from_there(self) -> None:
        """S220."""
        customer = Scenario(monthly(100), monthly(100, "credits"))
        seen = []
        for remaining, used in ((0, 0), (50, 20), (0, 0)):
            customer.update(remaining=remaining)
            seen.append(customer.gru())
            customer.track(used)
            seen.append(customer.gru())
        assert seen == [(100, 0, 100)] * 2 + [(100, 50, 50), (100, 30, 70)] + [(100, 0, 100)] * 2
        pool = []
        for value, used_credits in ((72.65, 27.35), (50.5, 0), (0.01, 0)):
            customer.update("credits", remaining=value)
            pool.append(customer.gru("credits"))
            customer.track(used_credits, "credits")
            pool.append(customer.gru("credits"))
        assert pool[:3] == [n(100, 72.65, 27.35), n(100, 45.3, 54.7), n(100, 50.5, 49.5)]
        assert pool[-1] == n(100, 0.01, 99.99)

    def test_over_grants_of_several_kinds(self) -> None:
        """S221."""
        customer = Scenario(monthly(10))
        customer.attach(prepaid(0, 20), add_on=True)
        customer.attach(consumable(15), add_on=True)

        def look() -> tuple[Number, ...]:
            seen = customer.view()
            return (seen.granted - seen.prepaid, seen.purchased, seen.remaining, seen.usage)

        assert look()[:3] == (25, 20, 45)
        seen = []
        for value in (15, 10, 25):
            customer.track(value)
            seen.append(look())
        assert [(remaining, usage) for _, _, remaining, usage in seen] == [(30, 15), (20, 25), (0, 50)]
        assert seen[-1][1] == 25
        for target, remaining in ((20, 20), (-10, 0), (50, 50)):
            customer.update(remaining=target)
            assert customer.remaining() == remaining
            assert sum(max(d(0), left) for left in customer.left()) == remaining

    def test_one_grant_by_its_id(self) -> None:
        """S223."""
        customer = Scenario()
        grants = [
            customer.grant(customer.attach(monthly(size), add_on=bool(size > 100))).id for size in (100, 150, 200)
        ]
        seen = []
        for id, remaining in zip(grants, (80, 200, 50), strict=True):
            customer.update(id=id, remaining=remaining)
            seen.append((customer.grant(id).used, *customer.gru()))
        assert seen == [(20, 450, 430, 20), (-50, 450, 480, -30), (150, 450, 330, 120)]

    def test_one_grant_of_each_kind(self) -> None:
        """S224."""
        customer = Scenario()
        free = customer.attach(monthly(100))
        bought = customer.attach(prepaid(0, 100), add_on=True)
        metered = customer.attach(consumable(200), add_on=True)
        seen = customer.view()
        assert (seen.granted - seen.prepaid, seen.purchased, seen.remaining) == (300, 100, 400)
        customer.update(id=f"{free}:0", remaining=75)
        seen = customer.view()
        assert (customer.grant(free).used, seen.granted - seen.prepaid, seen.purchased) == (25, 300, 100)
        assert (seen.remaining, seen.usage) == (375, 25)
        customer.update(id=f"{bought}:0", remaining=150)
        assert customer.grant(bought).remaining == 150
        customer.update(id=f"{metered}:0", remaining=150)
        assert (customer.grant(metered).granted, customer.grant(metered).remaining) == (200, 150)
        customer.update(id=f"{metered}:0", remaining=-50)
        grant = customer.grant(metered)
        assert (grant.granted, grant.remaining, grant.overdrawn, grant.used) == (200, -50, 50, 250)

    def test_the_customers_remaining_units_are_set_over_all_shares(self) -> None:
        """S226."""
        customer = Scenario(per_entity(monthly(100)), entities=3)
        seen = []
        for remaining in (240, 150, 280):
            customer.update(remaining=remaining)
            seen.append((*customer.gru(), [customer.remaining(entity=e) for e in ("e1", "e2", "e3")]))
        assert seen == [
            (300, 240, 60, [40, 100, 100]),
            (300, 150, 150, [0, 50, 100]),
            (300, 280, 20, [130, 50, 100]),
        ]

    def test_an_entitys_remaining_units_are_set_on_its_share_alone(self) -> None:
        """S227."""
        customer = Scenario(per_entity(monthly(100)), entities=3)
        seen = []
        for entity, remaining in (("e1", 70), ("e2", 120), ("e3", 50)):
            customer.update(entity=entity, remaining=remaining)
            seen.append((customer.gru(entity=entity), customer.gru()))
        assert seen == [
            ((100, 70, 30), (300, 270, 30)),
            ((100, 120, -20), (300, 290, 10)),
            ((100, 50, 50), (300, 240, 60)),
        ]
        customer.track(20, entity="e1")
        assert (customer.gru(entity="e1"), customer.gru()) == ((100, 50, 50), (300, 220, 80))

    def test_added_units_are_a_delta(self) -> None:
        """autumn.md 3.8: add_to_balance is a delta."""
        customer = Scenario(monthly(100))
        customer.update(add=-30)
        assert customer.gru() == (100, 70, 30)
        customer.update(add=50)
        assert customer.gru() == (100, 120, -20)


class TestUsageAndGrant:
    def test_the_usage_of_an_entity(self) -> None:
        """S229."""
        customer = Scenario(monthly(50), entities=2)
        for entity in ("e1", "e2"):
            customer.attach(monthly(100), entity=entity)
        assert (customer.remaining(), customer.remaining(entity="e1")) == (250, 150)
        customer.update(entity="e1", usage=80)
        assert customer.ru(entity="e1") == (70, 80)
        assert (customer.remaining(entity="e2"), customer.ru()) == (150, (170, 80))

    def test_the_grant_and_then_the_usage(self) -> None:
        """S230."""
        customer = Scenario(monthly(100))
        customer.update(included=150, remaining=150)
        assert customer.gru() == (150, 150, 0)
        customer.update(usage=120)
        assert customer.gru() == (150, 30, 120)

    def test_the_grant_and_usage_of_a_share(self) -> None:
        """S230."""
        customer = Scenario(per_entity(monthly(100)), entities=2)
        customer.update(entity="e1", included=160, remaining=160)
        customer.update(entity="e1", usage=130)
        assert customer.gru(entity="e1") == (160, 30, 130)
        assert (customer.gru(entity="e2"), customer.gru()) == ((100, 100, 0), (260, 130, 130))

    def test_the_grant_alone_leaves_what_remains(self) -> None:
        """autumn.md 3.8: the grant changes; to change what remains, it is paired with it."""
        customer = Scenario(monthly(100))
        customer.update(included=150)
        assert customer.gru()[:2] == (150, 100)

    def test_the_legacy_way_sets_what_remains_by_the_grant(self) -> None:
        """autumn.md 3.8: it alters the grant; the usage stays."""
        customer = Scenario(monthly(100))
        customer.track(30)
        change = BalanceUpdate(remaining=d(200), alters_grant=True)
        customer.holdings = update(customer.holdings, CATALOG, BalanceFilter("messages"), change, NOW)
        assert customer.gru() == (230, 200, 30)

    def test_more_usage_than_granted_is_overage(self) -> None:
        """autumn.md 3.8: remaining 0 and overage."""
        customer = Scenario(monthly(100))
        customer.update(usage=130)
        assert customer.view() == (100, 0, 130, 0, 30)

    @pytest.mark.parametrize("field", ["remaining", "usage", "add", "included", "next_reset_at", "expires_at"])
    def test_where_nothing_matches_it_is_not_found(self, field: str) -> None:
        """autumn.md 3.8: whatever is to be set. The legacy paths do nothing then."""
        customer = Scenario(monthly(100), flag())
        change: Any = {field: NOW + DAY if field.endswith("_at") else d(5)}
        for filter in (BalanceFilter("words"), BalanceFilter("messages", balance_id="nope")):
            before = customer.holdings
            with pytest.raises(NotFound):
                update(customer.holdings, CATALOG, filter, BalanceUpdate(**change), NOW)
            assert update(customer.holdings, CATALOG, filter, BalanceUpdate(**change, if_held=True), NOW) == before
        with pytest.raises(InvalidRequest):
            customer.update("dashboard", remaining=5)


class TestTimes:
    """S236, autumn.md 3.8."""

    def test_the_reset_moves_and_nothing_else(self) -> None:
        customer = Scenario(monthly(100))
        customer.update(next_reset_at=NOW + 7 * DAY)
        assert (customer.grants()[0].next_reset_at, customer.gru()) == (NOW + 7 * DAY, (100, 100, 0))

    def test_the_earliest_reset_moves(self) -> None:
        customer = Scenario(monthly(100), lifetime(50))
        customer.update(next_reset_at=NOW + 7 * DAY)
        assert [grant.next_reset_at for grant in customer.grants()] == [NOW + 7 * DAY, None]

    def test_the_reset_of_an_interval_moves(self) -> None:
        customer = Scenario(monthly(100), every(Interval.WEEK, 50))
        customer.update(interval=Interval.MONTH, next_reset_at=NOW + 14 * DAY)
        assert {grant.granted: grant.next_reset_at for grant in customer.grants()} == {
            100: NOW + 14 * DAY,
            50: ms("2026-01-08"),
        }
        assert customer.remaining() == 150

    def test_a_lifetime_grant_has_no_reset(self) -> None:
        customer = Scenario(lifetime(50))
        with pytest.raises(InvalidInput):
            customer.update(id=customer.grants()[0].id, next_reset_at=NOW + DAY)

    def test_what_is_past_or_paid_and_recurring_is_refused(self) -> None:
        customer = Scenario(monthly(100))
        for past in ({"next_reset_at": NOW}, {"expires_at": NOW}):
            with pytest.raises(InvalidInput):
                customer.update(**past)  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest):
            Scenario(consumable(100)).update(expires_at=NOW + DAY)

    def test_a_balance_may_be_given_an_expiry(self) -> None:
        customer = Scenario(monthly(100))
        customer.update(expires_at=NOW + DAY)
        customer.later(DAY)
        assert customer.grants() == []
