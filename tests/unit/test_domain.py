"""What rules rest on: the deduction order, the fast path's numbers, what a plan may hold, and what a number or an id may be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.records import balance_of
from tests.unit.scenario import (
    CAP,
    CATALOG,
    DAY,
    HOUR,
    MONTH,
    NOW,
    OVERFLOW,
    REJECT,
    Scenario,
    consumable,
    controls,
    every,
    flag,
    lifetime,
    limit,
    monthly,
    overage,
    per_entity,
    rolling,
    spend,
    unlimited,
)
from tollgate.domain.balances import UNBOUNDED, Balance, BalanceKey, apply_spent, as_of
from tollgate.domain.controls import Controls
from tollgate.domain.decisions import drawn_by, fast_path
from tollgate.domain.errors import InvalidInput, NotFound
from tollgate.domain.grants import Grant
from tollgate.domain.ids import checked_id, id_time, time_ordered_id
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import PREPAID, USAGE_BASED, ItemPrice, Plan, PlanItem, checked_plan
from tollgate.domain.quantities import quantity

MESSAGES = BalanceKey("messages")
SOON = {"next_reset_at": NOW + 1}
LATE = {"next_reset_at": NOW + 9}


class TestDeductionOrder:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"unlimited": True, "created_at": 9}, {**SOON, "reset": Reset(Interval.MINUTE)}),
            ({**LATE, "reset": Reset(Interval.YEAR)}, {"expires_at": NOW + 1}),
            ({**LATE, "reset": Reset(Interval.DAY)}, {**SOON, "reset": Reset(Interval.WEEK)}),
            ({**LATE, "reset": Reset(Interval.WEEK)}, {**SOON, "reset": Reset(Interval.DAY, 8)}),
            ({"expires_at": NOW + 1, "add_on": True}, {"expires_at": NOW + 2}),
            ({"expires_at": NOW + 1, "created_at": 9}, {}),
            ({"overage": True, "created_at": 9}, {"add_on": True}),
            ({"created_at": 9}, {"overage": True}),
            ({"created_at": 1}, {"created_at": 2}),
        ],
    )
    def test_each_rule_of_the_order_outranks_the_next(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        """autumn.md 3.1, one rule a case, each against what the next rules would say. Ids are the other way round."""
        grants = [Grant("b", None, None, Decimal(1), **first), Grant("a", None, None, Decimal(1), **second)]
        assert [grant.id for grant in balance_of(MESSAGES, reversed(grants)).grants] == ["b", "a"]

    def test_shorter_periods_are_drawn_first_and_lifetime_last(self) -> None:
        """S191: hourly 5 and lifetime 20; 8 takes the 5 and then 3."""
        customer = Scenario(lifetime(20), every(Interval.HOUR, 5))
        customer.track(8)
        assert customer.left() == [0, 17]
        customer.later(HOUR)
        assert customer.ru() == (22, 3)


class TestHotPath:
    """Three numbers that make the fast path one conditional write."""

    def test_it_stops_at_the_first_boundary(self) -> None:
        balance = Scenario(every(Interval.HOUR, 10)).balance()
        assert balance.fresh_until == NOW + HOUR
        assert fast_path(balance, Decimal(1), CAP, NOW + HOUR - 1, alone=True)
        assert fast_path(balance, Decimal(1), CAP, NOW + HOUR, alone=True) is None

    @pytest.mark.parametrize("more", [{"expires_at": NOW + DAY}, {"next_reset_at": NOW + DAY, "reset": MONTH}])
    def test_it_stops_when_a_standalone_grant_changes(self, more: dict[str, Any]) -> None:
        customer = Scenario(monthly(100))
        customer.create("b", 10, **more)
        assert customer.balance().fresh_until == NOW + DAY

    def test_it_stops_when_a_plan_starts_or_a_rollover_ends(self) -> None:
        customer = Scenario(monthly(100))
        customer.attach(monthly(5), add_on=True, starts_at=NOW + DAY)
        assert customer.balance().fresh_until == NOW + DAY
        rolled = Scenario(every(Interval.YEAR, 100, rollover=rolling(months=1)))
        rolled.reset()
        assert rolled.balance().fresh_until == rolled.grants()[0].rollovers[0].expires_at

    def test_it_shows_in_the_grants(self) -> None:
        before = Scenario(lifetime(20), every(Interval.HOUR, 5)).balance()
        after = fast_path(before, Decimal(8), REJECT, NOW, alone=True)
        assert after
        assert [grant.remaining for grant in apply_spent(after)] == [0, 17]
        assert [(deduction.grant.total, deduction.value) for deduction in drawn_by(before, after)] == [(5, 5), (20, 3)]
        assert (as_of(after, NOW).spent, as_of(after, NOW).headroom) == (0, 17)

    @pytest.mark.parametrize(
        ("item", "bound", "headroom", "ceiling"),
        [
            (monthly(100), controls(), 100, 100),
            (unlimited(), controls(), UNBOUNDED, UNBOUNDED),
            (consumable(100), controls(), 100, UNBOUNDED),
            (consumable(100, most=400), controls(), 100, 500),
            (consumable(100, most=400), controls(spend(25)), 100, 125),
            (consumable(100), controls(overage(False)), 100, 100),
            (monthly(100), controls(overage(True)), 100, UNBOUNDED),
            (consumable(100), controls(limit(5)), 5, 5),
        ],
    )
    def test_it_may_draw_what_the_grants_hold_and_allow(
        self, item: PlanItem, bound: Controls, headroom: Decimal, ceiling: Decimal
    ) -> None:
        customer = Scenario(item)
        customer.control(*bound.spend, *bound.usage, *bound.overage)
        assert (customer.balance().headroom, customer.balance().ceiling) == (headroom, ceiling)

    def test_what_needs_thought_is_left_to_the_slow_path(self) -> None:
        balance = Scenario(consumable(100)).balance()
        assert fast_path(balance, Decimal(-1), CAP, NOW, alone=True) is None
        assert fast_path(balance, Decimal(101), CAP, NOW, alone=False) is None
        assert fast_path(Scenario(monthly(10)).balance(), Decimal(11), REJECT, NOW, alone=True) is None
        assert fast_path(Scenario(monthly(10)).balance(), Decimal(11), OVERFLOW, NOW, alone=True) is None
        capped = fast_path(Scenario(monthly(10)).balance(), Decimal(11), CAP, NOW, alone=True)
        assert capped
        assert capped.spent == 10

    def test_a_share_may_be_counted_in_the_customers_limit(self) -> None:
        customer = Scenario(per_entity(monthly(100)), entities=1)
        assert not customer.balance(entity="e1").counted_by_customer
        customer.control(limit(5))
        assert (customer.balance(entity="e1").counted_by_customer, customer.balance(entity="e1").fresh_until) == (
            True,
            0,
        )

    def test_a_pool_knows_what_is_drawn_before_it(self) -> None:
        customer = Scenario(monthly(5, "action1"), monthly(100, "credits"))
        assert customer.balance("credits").paid_first == {"action1"}

    def test_a_flag_has_nothing_to_draw(self) -> None:
        balance: Balance = Scenario(flag()).balance("dashboard")
        assert (balance.flag, fast_path(balance, Decimal(1), REJECT, NOW, alone=True)) == (True, None)


class TestPlans:
    @pytest.mark.parametrize(
        "item",
        [
            PlanItem("dashboard", Decimal(1)),
            PlanItem("dashboard", unlimited=True),
            PlanItem("messages", Decimal(-1)),
            PlanItem("messages", Decimal(1), unlimited=True),
            PlanItem("messages", unlimited=True, price=ItemPrice(PREPAID)),
            PlanItem("messages", price=ItemPrice(USAGE_BASED, max_purchase=Decimal(-1))),
            PlanItem("messages", static_value="gold"),
            PlanItem("messages", Decimal(1), rollover=rolling(5)),
            PlanItem("users", Decimal(1), reset=MONTH),
            PlanItem("users", Decimal(1), entity_feature_id="users"),
        ],
    )
    def test_an_item_fits_its_feature(self, item: PlanItem) -> None:
        """management.md 3 (plans.create)."""
        with pytest.raises(InvalidInput):
            checked_plan(Plan("p", "P", items=(item,)), CATALOG.features)

    @pytest.mark.parametrize(
        "plan",
        [
            Plan("p", "P", items=(PlanItem("nope"),)),
            Plan("p", "P", items=(PlanItem("messages", entity_feature_id="nope"),)),
            Plan("p", "P", controls=controls(limit(5, "nope"))),
            Plan("p", "P", controls=controls(spend(5, "nope"))),
        ],
    )
    def test_a_plan_names_known_features(self, plan: Plan) -> None:
        with pytest.raises(NotFound):
            checked_plan(plan, CATALOG.features)

    def test_a_plan_fits_one_transaction(self) -> None:
        with pytest.raises(InvalidInput):
            checked_plan(Plan("p", "P", items=(PlanItem("messages"),) * 91), CATALOG.features)

    def test_a_limit_is_not_negative(self) -> None:
        with pytest.raises(InvalidInput):
            checked_plan(Plan("p", "P", controls=controls(limit(-5))), CATALOG.features)


class TestInput:
    @pytest.mark.parametrize(
        "text", ["NaN", "Infinity", "-Infinity", "1e15", "-1e15", "1e400", "1e1000000", "-1e999999", "0." + "1" * 39]
    )
    def test_what_no_balance_can_hold_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            quantity(Decimal(text), "value")

    @pytest.mark.parametrize(
        ("given", "held"),
        [
            ("0.30000000000000004", "0.3"),
            ("5.0", "5"),
            ("1e2", "100"),
            ("1e-300", "0"),
            ("1e-1000000", "0"),
            ("0e1000000", "0"),
            ("0.00000000005", "0"),
        ],
    )
    def test_a_quantity_has_ten_decimals_and_no_empty_ones(self, given: str, held: str) -> None:
        assert str(quantity(Decimal(given), "value")) == held

    @pytest.mark.parametrize("id", ["", "a" * 257, "a#b", "a b", "a\n", "é", "\u200b", "a\x00", "\ud800"])
    def test_an_id_is_visible_ascii_without_the_separator(self, id: str) -> None:
        with pytest.raises(InvalidInput, match="customer_id"):
            checked_id(id, "customer_id")

    @pytest.mark.parametrize("id", ["a", "user@example.com", "auth0|5f7c8ec7", "org:1/team:2", "~" * 256])
    def test_ids_in_common_use_are_allowed(self, id: str) -> None:
        assert checked_id(id, "customer_id") == id

    def test_ids_sort_by_time(self) -> None:
        early, late = time_ordered_id(NOW, b"\xff" * 10), time_ordered_id(NOW + 1, bytes(10))
        assert early < late
        assert id_time(early) == NOW
