"""The domain's rules with the specification's numbers."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tollgate.domain.balances import UNBOUNDED, Balance, Row, balance_of, fold, settle
from tollgate.domain.customers import MAX_ROWS, Customer, Holdings, attach
from tollgate.domain.decisions import Overage, allows, hot, use
from tollgate.domain.errors import InvalidInput, InvalidRequest, NotFound
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.ids import checked_id, id_time, time_ordered_id
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import Plan, PlanItem, checked_plan
from tollgate.domain.quantities import quantity

NOW = 1_767_225_600_000  # 2026-01-01
HOUR = 3_600_000
MONTHLY = Reset(Interval.MONTH)
FEATURES = {
    "messages": Feature("messages", "Messages", FeatureType.METERED),
    "seats": Feature("seats", "Seats", FeatureType.METERED, consumable=False),
    "dashboard": Feature("dashboard", "Dashboard", FeatureType.BOOLEAN, consumable=False),
}


def held(*items: PlanItem, **plan: object) -> Holdings:
    return attach(Holdings(Customer("c1")), Plan("pro", "Pro", items=items, **plan), FEATURES, "sub_1", NOW)  # type: ignore[arg-type]


def messages(included: int, reset: Reset | None = MONTHLY) -> Balance:
    return held(PlanItem("messages", Decimal(included), reset=reset)).balances["messages"]


def numbers(balance: Balance, now: int = NOW) -> tuple[Decimal, Decimal]:
    """Remaining (floored row by row, as Autumn shows it) and usage."""
    rows = fold(balance, now).rows
    return sum((max(row.remaining, Decimal(0)) for row in rows), Decimal(0)), sum((r.used for r in rows), Decimal(0))


class TestDecision:
    def test_a_check_needs_the_whole_amount(self) -> None:
        assert allows(messages(10), Decimal(10), NOW)
        assert not allows(messages(10), Decimal(11), NOW)

    def test_zero_is_allowed_on_an_empty_balance_and_nothing_without_one(self) -> None:
        empty = use(messages(1), Decimal(1), Overage.REJECT, NOW).balance
        assert allows(empty, Decimal(0), NOW)
        assert not allows(empty, Decimal(1), NOW)
        assert not allows(None, Decimal(0), NOW)

    def test_negative_is_always_allowed(self) -> None:
        assert allows(messages(0), Decimal(-5), NOW)

    def test_fractions_compare_exactly(self) -> None:
        """autumn.md 2: 10.15 is more than 10.148."""
        balance = use(messages(20), Decimal("9.852"), Overage.REJECT, NOW).balance  # 10.148 left
        assert allows(balance, Decimal("10.148"), NOW)
        assert not allows(balance, Decimal("10.15"), NOW)

    def test_unlimited_allows_everything_and_still_counts(self) -> None:
        balance = held(PlanItem("messages", unlimited=True)).balances["messages"]
        after = use(balance, Decimal(5000), Overage.REJECT, NOW)
        assert allows(balance, Decimal(10) ** 14, NOW)
        assert after.allowed
        assert numbers(after.balance) == (0, 5000)
        assert after.balance.headroom == UNBOUNDED

    def test_a_flag_allows_and_the_hot_path_leaves_it_alone(self) -> None:
        flag = held(PlanItem("dashboard")).balances["dashboard"]
        assert allows(flag, Decimal(1), NOW)
        assert hot(flag, Decimal(0), Overage.CAP, NOW) is None


class TestOverage:
    """autumn.md 3.4: 150 against 100."""

    def test_cap_ends_at_remaining_0_usage_100(self) -> None:
        decision = use(messages(100), Decimal(150), Overage.CAP, NOW)
        assert (decision.allowed, decision.drawn, numbers(decision.balance)) == (True, 100, (0, 100))

    def test_reject_changes_nothing(self) -> None:
        decision = use(messages(100), Decimal(150), Overage.REJECT, NOW)
        assert (decision.allowed, decision.drawn, numbers(decision.balance)) == (False, 0, (100, 0))

    def test_overflow_goes_past_the_floor_and_is_repaid_first(self) -> None:
        decision = use(messages(100), Decimal(150), Overage.OVERFLOW, NOW)
        assert (decision.drawn, numbers(decision.balance)) == (150, (0, 150))
        repaid = use(decision.balance, Decimal(-60), Overage.CAP, NOW)
        assert (repaid.drawn, numbers(repaid.balance)) == (-60, (10, 90))

    def test_an_overflowing_refund_may_exceed_the_grant(self) -> None:
        """autumn.md 3.3."""
        refund = use(messages(100), Decimal(-50), Overage.OVERFLOW, NOW)
        assert (refund.drawn, numbers(refund.balance)) == (-50, (150, -50))

    def test_a_refund_stops_at_the_grant(self) -> None:
        used = use(messages(100), Decimal(30), Overage.CAP, NOW).balance
        refund = use(used, Decimal(-50), Overage.CAP, NOW)
        assert (refund.drawn, numbers(refund.balance)) == (-30, (100, 0))


class TestRows:
    def test_shorter_periods_are_drawn_first_and_lifetime_last(self) -> None:
        """autumn.md 3.1 and S191: lifetime 20 and hourly 5; 8 takes the 5 and then 3."""
        balance = held(
            PlanItem("messages", Decimal(20), reset=Reset(Interval.ONE_OFF)),
            PlanItem("messages", Decimal(5), reset=Reset(Interval.HOUR)),
        ).balances["messages"]
        after = use(balance, Decimal(8), Overage.REJECT, NOW).balance
        assert [row.remaining for row in after.rows] == [0, 17]
        assert numbers(after, NOW + HOUR) == (22, 3)  # the hour is over: 5 + 17

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"unlimited": True, "anchor": 9}, {"next_reset_at": NOW + 1, "reset": Reset(Interval.MINUTE)}),
            ({"next_reset_at": NOW + 9, "reset": Reset(Interval.YEAR)}, {"expires_at": NOW + 1}),
            (
                {"next_reset_at": NOW + 9, "reset": Reset(Interval.DAY)},
                {"next_reset_at": NOW + 1, "reset": Reset(Interval.WEEK)},
            ),
            (
                {"next_reset_at": NOW + 9, "reset": Reset(Interval.WEEK)},
                {"next_reset_at": NOW + 1, "reset": Reset(Interval.DAY, 8)},
            ),
            ({"expires_at": NOW + 1, "add_on": True}, {"expires_at": NOW + 2}),
            ({"expires_at": NOW + 1, "anchor": 9}, {}),
            ({"anchor": 9}, {"add_on": True}),
            ({"anchor": 1}, {"anchor": 2}),
        ],
    )
    def test_each_rule_of_the_deduction_order(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        """autumn.md 3.1, one rule a case, each against what the next rules would say. Ids are the other way round."""
        rows = [Row("b", None, None, Decimal(1), **first), Row("a", None, None, Decimal(1), **second)]
        assert [row.id for row in balance_of("messages", reversed(rows)).rows] == ["b", "a"]

    def test_expired_rows_are_gone(self) -> None:
        row = Row("r", None, None, Decimal(10), expires_at=NOW + 1)
        balance = balance_of("messages", [row])
        assert balance.fresh_until == NOW + 1
        assert allows(balance, Decimal(1), NOW)
        assert not allows(balance, Decimal(1), NOW + 1)

    def test_the_hot_path_stops_at_the_first_boundary(self) -> None:
        balance = messages(10, Reset(Interval.HOUR))
        assert hot(balance, Decimal(1), Overage.CAP, NOW + HOUR - 1)
        assert hot(balance, Decimal(1), Overage.CAP, NOW + HOUR) is None

    def test_the_hot_path_shows_in_the_rows(self) -> None:
        decision = hot(messages(10), Decimal(4), Overage.REJECT, NOW)
        assert decision
        assert [row.remaining for row in settle(decision.balance)] == [6]


class TestAttach:
    def test_grants_join_the_balance_with_what_was_used(self) -> None:
        first = held(PlanItem("messages", Decimal(100), reset=MONTHLY))
        used = use(first.balances["messages"], Decimal(30), Overage.CAP, NOW).balance
        pack = Plan("pack", "Pack", add_on=True, items=(PlanItem("messages", Decimal(50)),))
        both = attach(replace(first, balances={"messages": used}), pack, FEATURES, "sub_2", NOW)
        assert numbers(both.balances["messages"]) == (120, 30)
        assert set(both.subscriptions) == {"sub_1", "sub_2"}

    def test_a_plan_is_attached_once(self) -> None:
        with pytest.raises(InvalidRequest, match="already attached"):
            attach(held(), Plan("pro", "Pro"), FEATURES, "sub_2", NOW)

    def test_a_balance_holds_so_many_grants_and_no_more(self) -> None:
        pack = Plan("pack", "Pack", add_on=True, items=(PlanItem("messages", Decimal(1)),) * (MAX_ROWS - 1))
        full = attach(held(PlanItem("messages", Decimal(1))), pack, FEATURES, "sub_2", NOW)
        assert len(full.balances["messages"].rows) == MAX_ROWS
        with pytest.raises(InvalidRequest, match="at most"):
            attach(full, pack, FEATURES, "sub_3", NOW)

    def test_replacing_in_a_group_is_refused_rather_than_stacked(self) -> None:
        with pytest.raises(InvalidRequest, match="not supported yet"):
            attach(held(group="main"), Plan("max", "Max", group="main"), FEATURES, "sub_2", NOW)


class TestCatalog:
    @pytest.mark.parametrize(
        "item",
        [
            PlanItem("dashboard", Decimal(1)),
            PlanItem("dashboard", unlimited=True),
            PlanItem("messages", Decimal(-1)),
            PlanItem("messages", Decimal(1), unlimited=True),
            PlanItem("seats", Decimal(1), reset=MONTHLY),
        ],
    )
    def test_an_item_fits_its_feature(self, item: PlanItem) -> None:
        with pytest.raises(InvalidInput):
            checked_plan(Plan("p", "P", items=(item,)), FEATURES)

    def test_an_item_names_a_known_feature(self) -> None:
        with pytest.raises(NotFound):
            checked_plan(Plan("p", "P", items=(PlanItem("nope"),)), FEATURES)

    def test_a_plan_fits_one_transaction(self) -> None:
        with pytest.raises(InvalidInput):
            checked_plan(Plan("p", "P", items=(PlanItem("messages"),) * 91), FEATURES)


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
