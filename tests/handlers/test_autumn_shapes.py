"""How balances, deductions, customers and plans are shown, in each version of Autumn's API.

Rules: autumn.md 1.1, 1.5, 2.5; management.md 4, 12.
"""

from __future__ import annotations

import itertools
import time
from decimal import Decimal
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.service import NOW
from tollgate.dialects.autumn.balances import taken_json
from tollgate.domain.history import Taken

V12, V20, V21 = "1.2.0", "2.0.0", "2.1.0"
HOUR = 3_600_000
NEVER = {"interval": "one_off", "resets_at": None}
MONTH: Any = {"interval": "month"}
PER_USE: Any = {"billing_method": "usage_based", "amount": 0.5, "interval": "month"}
_numbers = itertools.count()
FEATURES: list[dict[str, Any]] = [
    {"feature_id": "calls", "type": "metered", "consumable": True},
    {"feature_id": "seats", "type": "metered", "consumable": False},
    {"feature_id": "bots", "type": "metered", "consumable": False},
    {"feature_id": "export", "type": "boolean"},
    {"feature_id": "write", "type": "metered", "consumable": True, "event_names": ["said"]},
    {"feature_id": "read", "type": "metered", "consumable": True, "event_names": ["said"]},
    {
        "feature_id": "pool",
        "type": "credit_system",
        "credit_schema": [{"metered_feature_id": "write", "credit_cost": 0.2}],
    },
]


class Shop:
    """The API as an application calls it, each customer with plans of its own."""

    def __init__(self, here: Here) -> None:
        self.here = here
        for feature in FEATURES:
            self.call("features.create", {"name": feature["feature_id"].title(), **feature})

    def call(
        self, path: str, body: Any = None, version: str = V21, *, function: str = "manage", query: str = ""
    ) -> Any:
        route = path if " " in path else f"POST /v1/{path}"
        status, answer = self.here.call(function, route, body, headers={"x-api-version": version}, query=query)
        assert status < 300, answer
        return answer

    def plan(self, *items: dict[str, Any], **more: Any) -> str:
        id = f"plan-{next(_numbers)}"
        self.call("plans.create", {"plan_id": id, "name": id, "items": list(items), **more})
        return id

    def customer(self, *items: dict[str, Any], entities: tuple[str, ...] = (), **more: Any) -> str:
        id = f"shown-{next(_numbers)}"
        self.call("customers.get_or_create", {"customer_id": id, "name": "Shown"})
        for entity in entities:
            self.entity(id, entity)
        if items:
            self.attach(id, self.plan(*items, **more))
        return id

    def entity(self, customer: str, entity: str, feature: str = "seats") -> None:
        self.call("entities.create", {"customer_id": customer, "entity_id": entity, "feature_id": feature})

    def attach(self, customer: str, plan: str, **more: Any) -> None:
        self.call("billing.attach", {"customer_id": customer, "plan_id": plan, **more})

    def check(self, customer: str, feature: str = "calls", version: str = V21, **more: Any) -> Any:
        body = {"customer_id": customer, "feature_id": feature, **more}
        return self.call("check", body, version, function="check")

    def balance(self, customer: str, feature: str = "calls", version: str = V21, **more: Any) -> Any:
        return self.check(customer, feature, version, **more)["balance"]

    def track(self, customer: str, value: float, feature: str = "calls", version: str = V21, **more: Any) -> Any:
        asked = {} if "event_name" in more else {"feature_id": feature}
        body = {"customer_id": customer, "value": value, **asked, **more}
        return self.call("track", body, version, function="track")

    def shown(self, customer: str, version: str = V21, **more: Any) -> Any:
        return self.call("customers.get", {"customer_id": customer, **more}, version)


@pytest.fixture(scope="module")
def shop(here: Here) -> Shop:
    return Shop(here)


def calls(included: float | None = None, **more: Any) -> dict[str, Any]:
    return {"feature_id": "calls", **({} if included is None else {"included": included}), **more}


def monthly(included: float, feature: str = "calls", **more: Any) -> dict[str, Any]:
    return {"feature_id": feature, "included": included, "reset": MONTH, **more}


def per_seat(included: float, **more: Any) -> dict[str, Any]:
    return monthly(included, entity_feature_id="seats", **more)


def amounts(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["included_grant"], line["remaining"], line["usage"]


class TestResets:
    """autumn.md 1.5.1."""

    @pytest.mark.parametrize("item", [calls(5), calls(5, reset={"interval": "one_off"})])
    def test_what_never_resets_says_so(self, shop: Shop, item: dict[str, Any]) -> None:
        customer = shop.customer(item)
        (line,) = shop.balance(customer)["breakdown"]
        (deduction,) = shop.track(customer, 1)["deductions"]
        plan = shop.call("plans.get", {"plan_id": line["plan_id"]})
        middle, old = shop.balance(customer, version=V20), shop.check(customer, version=V12)
        assert [line["reset"], deduction["reset"], plan["items"][0]["reset"]] == [NEVER] * 3
        assert [middle["reset"], middle["breakdown"][0]["reset"]] == [NEVER] * 2
        for shown in (old, *old["breakdown"], shop.shown(customer, V12)["features"]["calls"]):
            assert (shown["interval"], shown["interval_count"], shown["next_reset_at"]) == ("lifetime", 1, None)

    def test_a_balance_by_hand_never_resets_unless_told(self, shop: Shop) -> None:
        customer = shop.customer()
        shop.call("balances.create", {"customer_id": customer, "feature_id": "calls", "included_grant": 5})
        (line,) = shop.balance(customer)["breakdown"]
        (listed,) = shop.call("balances.list", {"customer_id": customer})["list"]
        assert line["reset"] == listed["reset"] == NEVER

    def test_seats_and_flags_have_no_reset(self, shop: Shop) -> None:
        customer = shop.customer({"feature_id": "seats", "included": 3}, {"feature_id": "export"})
        (line,) = shop.balance(customer, "seats")["breakdown"]
        plan = shop.call("plans.get", {"plan_id": line["plan_id"]})
        assert [line["reset"], *(item["reset"] for item in plan["items"])] == [None] * 3
        old = shop.check(customer, "seats", V12)
        assert (old["interval"], old["interval_count"]) == (None, 1)

    def test_a_priced_item_resets_as_its_price_recurs(self, shop: Shop) -> None:
        customer = shop.customer(calls(5, price=PER_USE))
        (line,) = shop.balance(customer)["breakdown"]
        plan = shop.call("plans.get", {"plan_id": line["plan_id"]})
        assert plan["items"][0]["reset"] == {"interval": "month", "interval_count": 1}
        assert line["reset"]["interval"] == "month"
        assert line["reset"]["resets_at"] is not None

    def test_several_intervals_have_no_date_in_2_0(self, shop: Shop) -> None:
        customer = shop.customer(monthly(5), calls(2))
        middle, old = shop.balance(customer, version=V20), shop.check(customer, version=V12)
        assert middle["reset"] == {"interval": "multiple", "resets_at": None}
        assert (old["interval"], old["interval_count"], old["next_reset_at"]) == ("multiple", None, None)
        assert [(line["interval"], line["next_reset_at"] is None) for line in old["breakdown"]] == [
            ("month", False),
            ("lifetime", True),
        ]


class TestLines:
    """autumn.md 1.5.2."""

    def test_a_grant_for_each_entity_is_one_line_of_the_customer(self, shop: Shop) -> None:
        customer = shop.customer(per_seat(100), entities=("e1", "e2"))
        shop.track(customer, 30, entity_id="e1")
        balance = shop.balance(customer)
        (line,) = balance["breakdown"]
        assert (balance["granted"], amounts(line), line["entity_id"]) == (200, (200, 170, 30), None)
        views = {e: shop.balance(customer, entity_id=e)["breakdown"] for e in ("e1", "e2")}
        assert [amounts(own) for (own,) in views.values()] == [(100, 70, 30), (100, 100, 0)]
        assert {own["id"] for (own,) in views.values()} == {line["id"]}
        assert [own["entity_id"] for (own,) in views.values()] == ["e1", "e2"]
        assert shop.shown(customer)["balances"]["calls"]["breakdown"] == [line]

    def test_and_one_deduction(self, shop: Shop) -> None:
        customer = shop.customer(per_seat(10), entities=("e1", "e2"))
        (line,) = shop.balance(customer)["breakdown"]
        (own,) = shop.track(customer, 1, entity_id="e2")["deductions"]
        (both,) = shop.track(customer, 15)["deductions"]
        assert [(d["balance_id"], d["value"], d["reset"]["interval"]) for d in (own, both)] == [
            (line["id"], 1, "month"),
            (line["id"], 15, "month"),
        ]

    def test_its_id_names_it_in_either_view(self, shop: Shop) -> None:
        customer = shop.customer(per_seat(10), entities=("e1", "e2"))
        (line,) = shop.balance(customer)["breakdown"]
        named = {"customer_id": customer, "feature_id": "calls", "balance_id": line["id"]}
        shop.call("balances.update", {**named, "remaining": 15})
        assert shop.balance(customer)["remaining"] == 15
        shop.call("balances.update", {**named, "entity_id": "e2", "usage": 3})
        assert shop.balance(customer, entity_id="e2")["remaining"] == 7
        shop.call("balances.delete", {"customer_id": customer, "balance_id": line["id"]})
        assert shop.balance(customer) is None

    def test_it_is_listed_once_and_for_an_entity_as_its_own(self, shop: Shop) -> None:
        customer = shop.customer(per_seat(10), entities=("e1", "e2"))
        (whole,) = shop.call("balances.list", {"customer_id": customer, "feature_id": "calls"})["list"]
        (own,) = shop.call("balances.list", {"customer_id": customer, "feature_id": "calls", "entity_id": "e1"})["list"]
        assert (whole["included_grant"], whole["entity_id"]) == (20, None)
        assert (own["included_grant"], own["entity_id"], own["id"]) == (10, "e1", whole["id"])

    def test_one_plan_attached_twice_is_one_line(self, shop: Shop) -> None:
        customer, pack = shop.customer(monthly(5)), shop.plan(calls(100), add_on=True)
        shop.attach(customer, pack)
        shop.attach(customer, pack)
        lines = shop.balance(customer)["breakdown"]
        assert [amounts(line) for line in lines] == [(5, 5, 0), (200, 200, 0)]
        deductions = shop.track(customer, 155)["deductions"]
        assert [(d["balance_id"], d["value"]) for d in deductions] == [(lines[0]["id"], 5), (lines[1]["id"], 150)]
        named = {"customer_id": customer, "feature_id": "calls", "balance_id": lines[1]["id"]}
        shop.call("balances.update", {**named, "remaining": 120})
        assert [line["remaining"] for line in shop.balance(customer)["breakdown"]] == [0, 120]

    def test_lines_differ_by_interval_plan_and_how_they_are_paid(self, shop: Shop) -> None:
        bought: Any = {"billing_method": "prepaid", "amount": 1, "interval": "month"}
        customer = shop.customer(monthly(100, price=bought), monthly(0, price=PER_USE), calls(7))
        shop.attach(customer, shop.plan(monthly(50), add_on=True))
        assert sorted(line["included_grant"] for line in shop.balance(customer)["breakdown"]) == [0, 7, 50, 100]

    def test_balances_by_hand_have_a_line_each(self, shop: Shop) -> None:
        customer = shop.customer()
        for id in ("first", "second"):
            body = {
                "customer_id": customer,
                "feature_id": "calls",
                "included_grant": 5,
                "balance_id": f"{customer}-{id}",
            }
            shop.call("balances.create", body)
        assert len(shop.balance(customer)["breakdown"]) == 2

    def test_a_plan_of_an_entity_counts_without_a_line(self, shop: Shop) -> None:
        customer = shop.customer(monthly(10), entities=("e1", "e2"))
        for entity in ("e1", "e2"):
            shop.attach(customer, shop.plan(monthly(50)), entity_id=entity)
        balance, own = shop.balance(customer), shop.balance(customer, entity_id="e1")
        assert (balance["granted"], [line["included_grant"] for line in balance["breakdown"]]) == (110, [10])
        assert (own["granted"], sorted(line["included_grant"] for line in own["breakdown"])) == (60, [10, 50])
        middle = shop.balance(customer, version=V20)
        assert (middle["granted_balance"], middle["current_balance"], len(middle["breakdown"])) == (110, 110, 1)
        assert shop.check(customer, version=V12)["balance"] == 110

    def test_of_which_alone_it_has_a_balance_without_lines(self, shop: Shop) -> None:
        customer = shop.customer(entities=("e1",))
        shop.attach(customer, shop.plan(monthly(50)), entity_id="e1")
        balance = shop.balance(customer)
        assert (balance["granted"], balance["breakdown"]) == (50, [])
        assert shop.balance(customer, version=V20)["reset"] is None

    def test_rollovers_of_entities_that_expire_together_are_one(self, shop: Shop) -> None:
        roll = {"max": 500, "expiry_duration_type": "month", "expiry_duration_length": 1}
        customer = shop.customer(per_seat(100, rollover=roll), entities=("e1", "e2"))
        shop.track(customer, 30, entity_id="e1")
        resets_at = shop.balance(customer)["next_reset_at"]
        shop.call("customers.advance_test_clock", {"customer_id": customer, "frozen_time": resets_at + 1})
        whole, own = shop.balance(customer), shop.balance(customer, entity_id="e1")
        assert [r["balance"] for r in whole["rollovers"]] == [170]
        assert [r["balance"] for r in own["rollovers"]] == [70]
        assert whole["remaining"] == 370


class TestUnlimited:
    """autumn.md 1.5.3."""

    def test_what_stands_beside_it_is_not_shown(self, shop: Shop) -> None:
        customer = shop.customer(monthly(10))
        shop.track(customer, 4)
        shop.attach(customer, shop.plan(calls(unlimited=True), add_on=True))
        shop.track(customer, 3)
        balance = shop.balance(customer)
        (line,) = balance["breakdown"]
        assert (line["unlimited"], line["usage"], line["reset"], line["price"]) == (True, 3, None, None)
        assert (balance["unlimited"], balance["usage"], balance["next_reset_at"]) == (True, 3, None)
        assert (balance["max_purchase"], balance["overage_allowed"]) == (None, False)

    def test_it_is_a_line_of_zeros_in_1_2(self, shop: Shop) -> None:
        customer = shop.customer(calls(unlimited=True))
        shop.track(customer, 3)
        nothing = {
            **{"interval": None, "interval_count": None, "next_reset_at": None},
            **{"balance": 0, "usage": 0, "included_usage": 0, "overage_allowed": False},
        }
        for shown in (shop.check(customer, version=V12), shop.shown(customer, V12)["features"]["calls"]):
            assert shown["unlimited"] is True
            assert shown["breakdown"] == [nothing]
            assert {name: shown[name] for name in nothing} == nothing
        middle = shop.balance(customer, version=V20)
        assert (middle["usage"], middle["reset"], middle["breakdown"][0]["reset"]) == (3, None, None)


class TestWaitingShares:
    """autumn.md 1.5.4."""

    def test_before_any_entity_there_is_a_balance_of_nothing(self, shop: Shop) -> None:
        customer = shop.customer(per_seat(100))
        (deductions, tracked) = (answer := shop.track(customer, 1))["deductions"], answer["balance"]
        for balance in (shop.balance(customer), tracked, shop.shown(customer)["balances"]["calls"]):
            (line,) = balance["breakdown"]
            assert (balance["granted"], balance["remaining"], balance["usage"]) == (0, 0, 0)
            assert (amounts(line), line["reset"]["interval"]) == ((0, 0, 0), "month")
        assert deductions == []
        assert shop.check(customer)["allowed"] is False
        assert shop.check(customer, version=V12)["balance"] == 0
        shop.entity(customer, "b1", "bots")
        assert shop.balance(customer)["granted"] == 0
        shop.entity(customer, "e1")
        (own,) = shop.balance(customer)["breakdown"]
        assert (own["id"], own["included_grant"]) == (line["id"], 100)

    def test_a_pool_that_waits_is_asked_in_credits(self, shop: Shop) -> None:
        customer = shop.customer(monthly(100, "pool", entity_feature_id="seats"))
        checked = shop.check(customer, "write", V12, required_balance=5)
        assert (checked["feature_id"], checked["required_balance"], checked["balance"]) == ("pool", 1, 0)

    def test_what_nobody_grants_has_none(self, shop: Shop) -> None:
        assert shop.balance(shop.customer(monthly(5, "read"))) is None


class TestAnswers:
    """autumn.md 1.5.5."""

    def test_overage_is_allowed_where_a_line_allows_it(self, shop: Shop) -> None:
        control = {"overage_allowed": [{"feature_id": "calls", "enabled": True}]}
        plain, paid = shop.customer(monthly(5)), shop.customer(monthly(5, price=PER_USE))
        shop.call("customers.update", {"customer_id": plain, "billing_controls": control})
        control["overage_allowed"][0]["enabled"] = False
        shop.call("customers.update", {"customer_id": paid, "billing_controls": control})
        assert shop.check(plain, required_balance=9)["allowed"]
        assert not shop.check(paid, required_balance=9)["allowed"]
        assert [shop.balance(customer)["overage_allowed"] for customer in (plain, paid)] == [False, True]

    def test_a_cap_is_that_of_what_is_sold(self, shop: Shop) -> None:
        customer = shop.customer(monthly(100, price={**PER_USE, "max_purchase": 300}), calls(1000))
        assert shop.balance(customer)["max_purchase"] == 300
        assert shop.check(customer, version=V12)["usage_limit"] == 1400

    @pytest.mark.parametrize("version", [V12, V20, V21])
    def test_a_product_is_found_or_not(self, shop: Shop, version: str) -> None:
        customer, plan = shop.customer(), shop.plan(monthly(5))
        asked = {"customer_id": customer, "product_id": plan}
        found = {"allowed": False, "customer_id": customer, "product_id": plan, "code": "product_found"}
        assert shop.call("check", asked, version, function="check") == found
        shop.attach(customer, plan)
        expected = {**found, "allowed": True, "status": "active"}
        assert shop.call("check", asked, version, function="check") == expected

    def test_a_refund_answers_with_the_pool_where_it_landed(self, shop: Shop) -> None:
        customer = shop.customer(monthly(100, "write"), monthly(200, "pool"))
        shop.track(customer, 150, "write")
        assert shop.track(customer, -50, "write")["balance"]["feature_id"] == "write"
        refunded = shop.track(customer, -60, "write")
        assert [(d["feature_id"], d["value"]) for d in refunded["deductions"]] == [("write", -50), ("pool", -2)]
        assert (refunded["balance"]["feature_id"], refunded["balance"]["remaining"]) == ("pool", 192)

    @pytest.mark.parametrize("version", [V20, V21])
    def test_an_event_of_several_features_has_balances(self, shop: Shop, version: str) -> None:
        customer = shop.customer(monthly(10, "write"), monthly(10, "read"))
        answer = shop.track(customer, 2, version=version, event_name="said")
        left = "remaining" if version == V21 else "current_balance"
        assert answer["balance"] is None
        assert {id: found and found[left] for id, found in answer["balances"].items()} == {
            "write": 8,
            "read": 8,
            "pool": None,
        }
        assert ("deductions" in answer) == (version == V21)

    def test_2_0_has_neither_deductions_nor_other_balances(self, shop: Shop) -> None:
        customer = shop.customer(monthly(100, "write"), monthly(200, "pool"))
        tracked = shop.track(customer, 1, "write", V20)
        assert set(tracked) == {"customer_id", "value", "balance", "balances"}
        checked = shop.check(customer, "write", V20, send_event=True)
        assert set(checked) == {"allowed", "customer_id", "required_balance", "balance"}


class TestCustomers:
    """autumn.md 1.5.6."""

    def test_what_costs_nothing_has_no_period(self, shop: Shop) -> None:
        base = {"amount": 10, "interval": "month"}
        free, paid = shop.customer(monthly(5)), shop.customer(monthly(5), price=base)
        used = shop.customer(monthly(5, price=PER_USE))
        once = shop.customer(monthly(5), price={"amount": 10, "interval": "one_off"})
        for customer, has in ((free, False), (paid, True), (used, True), (once, False)):
            shown = shop.shown(customer, V20 if customer == once else V21)  # later, it is a purchase
            (held,) = shown["subscriptions"]
            assert [held["current_period_start"] is not None, held["current_period_end"] is not None] == [has, has]
            (product,) = shop.shown(customer, V12)["products"]
            assert (product["current_period_end"] is not None) == has

    def test_but_its_trial(self, shop: Shop) -> None:
        customer = shop.customer(monthly(5), free_trial={"duration_length": 7, "duration_type": "day"})
        (held,) = shop.shown(customer)["subscriptions"]
        assert held["current_period_start"] == held["started_at"]
        assert held["current_period_end"] == held["trial_ends_at"]

    def test_2_0_tells_what_is_to_start_apart(self, shop: Shop) -> None:
        customer, group = shop.customer(), f"group-{next(_numbers)}"
        dear = shop.plan(monthly(100), group=group, price={"amount": 20, "interval": "month"})
        cheap = shop.plan(monthly(10), group=group, price={"amount": 10, "interval": "month"})
        shop.attach(customer, dear)
        shop.attach(customer, cheap)
        shown = shop.shown(customer, V20)
        assert [held["plan_id"] for held in shown["subscriptions"]] == [dear]
        assert [held["plan_id"] for held in shown["scheduled_subscriptions"]] == [cheap]
        assert set(shown["subscriptions"][0]) == {
            *("plan_id", "plan_version", "default", "add_on", "status", "past_due", "canceled_at", "expires_at"),
            *("trial_ends_at", "started_at", "current_period_start", "current_period_end", "quantity"),
        }
        assert set(shown) == {
            *("id", "name", "email", "created_at", "fingerprint", "stripe_id", "env", "metadata", "balances"),
            *("send_email_receipts", "billing_controls", "subscriptions", "scheduled_subscriptions"),
        }
        assert [product["status"] for product in shop.shown(customer, V12)["products"]] == ["active", "scheduled"]
        assert [held["status"] for held in shop.shown(customer)["subscriptions"]] == ["active", "scheduled"]

    def test_1_2_shows_main_products_first_with_version_and_items(self, shop: Shop) -> None:
        customer = shop.customer()
        shop.attach(customer, shop.plan(calls(5), add_on=True))
        shop.attach(customer, shop.plan(monthly(5, price=PER_USE), {"feature_id": "export"}))
        shown = shop.shown(customer, V12)
        assert [product["is_add_on"] for product in shown["products"]] == [False, True]
        main = shown["products"][0]
        assert (main["version"], main["is_default"], len(main["items"])) == (1, False, 2)
        assert main["items"][0]["feature"] == {
            **{"id": "calls", "name": "Calls", "type": "single_use"},
            **{"display": None, "credit_schema": None, "archived": False},
        }
        assert [item["feature_type"] for item in main["items"]] == ["single_use", "static"]
        assert shown["send_email_receipts"] is False
        flag = shown["features"]["export"]
        assert (flag["type"], flag["interval"], flag["interval_count"], flag["balance"]) == ("static", None, None, 0)

    @pytest.mark.parametrize("version", [V12, V20, V21])
    def test_lists_are_in_the_same_shapes(self, shop: Shop, version: str) -> None:
        customer = shop.customer(monthly(5), entities=("e1",))
        listed = shop.call("customers.list", {"search": customer}, version)["list"]
        assert listed == [shop.shown(customer, version)]
        (entity,) = shop.call("entities.list", {"customer_id": customer}, version)["list"]
        assert entity == shop.call("entities.get", {"customer_id": customer, "entity_id": "e1"}, version)

    @pytest.mark.parametrize("version", [V12, V20, V21])
    def test_what_is_not_kept_expands_to_nothing(self, shop: Shop, version: str) -> None:
        customer = shop.customer(entities=("e1",))
        empty: dict[str, Any] = {"invoices": [], "trials_used": [], "referrals": [], "rewards": {"discounts": []}}
        plain = shop.shown(customer, version)
        assert not {*empty, "payment_method"} & set(plain)
        expanded = shop.shown(customer, version, expand=[*empty, "payment_method"])
        assert expanded == {**plain, **empty, "payment_method": None}
        route, query = f"GET /v1/customers/{customer}", "expand=invoices,payment_method"
        asked = shop.call(route, version=version, query=query)
        assert (asked["invoices"], asked["payment_method"]) == ([], None)
        body = {"customer_id": customer, "entity_id": "e1", "expand": ["invoices"]}
        assert version == V12 or shop.call("entities.get", body, version)["invoices"] == []

    def test_what_is_paid_once_is_a_purchase_and_up_to_2_0_a_subscription(self, shop: Shop) -> None:
        once = {"amount": 5, "interval": "one_off"}
        main, pack = shop.plan(monthly(10), price={"amount": 20, "interval": "month"}), shop.plan(calls(50), price=once)
        customer = shop.customer()
        shop.attach(customer, main)
        shop.attach(customer, pack)
        new = shop.shown(customer, expand=["subscriptions.plan"])
        (subscription,), (purchase,) = new["subscriptions"], new["purchases"]
        assert subscription["plan_id"] == main
        expected = {"plan_id": pack, "expires_at": None, "quantity": 1, "scope": "customer"}
        assert expected.items() <= purchase.items()
        assert (purchase["plan"]["id"], set(purchase) - set(expected)) == (pack, {"started_at", "plan"})
        assert [held["plan_id"] for held in shop.shown(customer, V20)["subscriptions"]] == [main, pack]
        assert [product["id"] for product in shop.shown(customer, V12)["products"]] == [main, pack]
        listed = {name: shop.call(f"{name}.list", {"customer_id": customer}) for name in ("subscriptions", "purchases")}
        assert [held["plan_id"] for held in listed["subscriptions"]["list"]] == [main]
        (of_list,) = listed["purchases"]["list"]
        more = {"id", "status", "customer_id", "entity_id", "created_at"}
        assert (of_list["plan_id"], of_list["status"], set(of_list) - set(purchase)) == (pack, "active", more)

    @pytest.mark.parametrize("version", [V12, V20, V21])
    def test_trials_that_were_given_are_told(self, shop: Shop, version: str) -> None:
        trial = {"duration_length": 7, "duration_type": "day"}
        customer, pro = shop.customer(), shop.plan(monthly(10), free_trial=trial)
        assert shop.shown(customer, version, expand=["trials_used"])["trials_used"] == []
        shop.attach(customer, pro)
        named = "product_id" if version == V12 else "plan_id"
        used = [{named: pro, "customer_id": customer, "fingerprint": None}]
        assert shop.shown(customer, version, expand=["trials_used"])["trials_used"] == used
        assert "trials_used" not in shop.shown(customer, version)


class TestPlans:
    """autumn.md 1.5.7."""

    @pytest.mark.parametrize(
        ("item", "primary", "secondary"),
        [
            (monthly(1000), "1,000 Calls", ""),
            (calls(unlimited=True), "Unlimited Calls", ""),
            ({"feature_id": "export"}, "Export", ""),
            (monthly(100, price={**PER_USE, "billing_units": 100}), "100 Calls", "then $0.5 per 100 Calls"),
            (
                {"feature_id": "seats", "price": {"billing_method": "prepaid", "amount": 10, "interval": "month"}},
                "$10 per Seats",
                "",
            ),
        ],
    )
    def test_items_are_called(self, shop: Shop, item: dict[str, Any], primary: str, secondary: str) -> None:
        plan = shop.plan(item, price={"amount": 1200.5, "interval": "quarter"})
        shown = shop.call("plans.get", {"plan_id": plan})
        display = {"primary_text": primary, "secondary_text": secondary}
        assert shown["items"][0]["display"] == display
        assert shown["price"]["display"] == {"primary_text": "$1,200.5", "secondary_text": "per quarter"}
        product = shop.call(f"GET /v1/products/{plan}", version=V12)
        assert [entry["display"] for entry in product["items"]] == [shown["price"]["display"], display]

    def test_2_0_calls_items_features(self, shop: Shop) -> None:
        plan = shop.plan(monthly(5, price=PER_USE), calls(2))
        shown = shop.call("plans.get", {"plan_id": plan}, V20)
        assert (shown["default"], "auto_enable" in shown, "items" in shown, shown["price"]) == (
            False,
            False,
            False,
            None,
        )
        priced, free = shown["features"]
        assert (priced["granted_balance"], priced["price"]["usage_model"]) == (5, "pay_per_use")
        assert priced["reset"] == {"interval": "month", "interval_count": 1, "reset_when_enabled": False}
        assert free["reset"]["interval"] == "one_off"
        assert "display" in free

    def test_1_2_has_one_type_for_a_feature(self, shop: Shop) -> None:
        shop.call("features.create", {"feature_id": "place", "name": "Place", "type": "static"})
        types = {
            **{"calls": "single_use", "seats": "continuous_use", "export": "boolean", "place": "boolean"},
            "pool": "credit_system",
        }
        listed = {found["id"]: found for found in shop.call("GET /v1/features", version=V12)["list"]}
        assert {id: listed[id]["type"] for id in types} == types
        assert listed["pool"] == {
            **{"id": "pool", "name": "Pool", "type": "credit_system", "display": None, "archived": False},
            "credit_schema": [{"metered_feature_id": "write", "credit_cost": 0.2}],
        }
        product = shop.call(f"GET /v1/products/{shop.plan(monthly(5, 'pool'))}", version=V12)
        for found in (
            shop.call("GET /v1/features/pool", version=V12),
            shop.call("features.get", {"feature_id": "pool"}, V12),
            product["items"][0]["feature"],
        ):
            assert found == listed["pool"]
        assert shop.call("features.get", {"feature_id": "pool"}, V20)["consumable"] is True

    def test_1_2_says_how_a_product_is_paid_for(self, shop: Shop) -> None:
        trial = {"duration_length": 7, "duration_type": "day"}
        bought: Any = {"feature_id": "seats", "included": 3}
        bought["price"] = {"billing_method": "prepaid", "amount": 10, "interval": "month"}
        plan = shop.plan(bought, price={"amount": 200, "interval": "year"}, free_trial=trial, group="paid-for")
        once = shop.plan(calls(5), price={"amount": 5, "interval": "one_off"})
        free = shop.plan(calls(5), group="paid-for")
        asked = {id: shop.call(f"GET /v1/products/{id}", version=V12) for id in (plan, once, free)}
        assert [product["properties"] for product in asked.values()] == [
            {"is_free": False, "is_one_off": False, "interval_group": "year", "has_trial": True, "updateable": True},
            {"is_free": False, "is_one_off": True, "interval_group": None, "has_trial": False, "updateable": False},
            {"is_free": True, "is_one_off": False, "interval_group": None, "has_trial": False, "updateable": False},
        ]
        assert asked[plan]["free_trial"]["trial_available"] is None
        customer = shop.customer()
        of_nobody = self.offered(shop, customer)
        assert (of_nobody[plan]["scenario"], of_nobody[plan]["free_trial"]["trial_available"]) == ("new", True)
        shop.attach(customer, plan, feature_quantities=[{"feature_id": "seats", "quantity": 5}])
        offered = self.offered(shop, customer)
        assert {id: offered[id]["scenario"] for id in (plan, once, free)} == {
            plan: "active",
            once: "new",
            free: "cancel",
        }
        assert offered[plan]["free_trial"]["trial_available"] is False
        (held,) = shop.shown(customer, V12)["products"]
        assert [item.get("quantity") for item in held["items"]] == [None, 2]

    def offered(self, shop: Shop, customer: str) -> dict[str, Any]:
        listed = shop.call("GET /v1/products", version=V12, query=f"customer_id={customer}")["list"]
        return {product["id"]: product for product in listed}

    def test_a_held_plan_is_shown_as_it_is_held(self, shop: Shop) -> None:
        plan = shop.plan(monthly(5), price={"amount": 10, "interval": "month"})
        customer = shop.customer()
        shop.attach(customer, plan, customize={"items": [monthly(50)], "price": {"amount": 7, "interval": "month"}})
        (held,) = shop.shown(customer, expand=["subscriptions.plan"])["subscriptions"]
        assert (held["plan"]["items"][0]["included"], held["plan"]["price"]["amount"]) == (50, 7)
        (product,) = shop.shown(customer, V12)["products"]
        assert [item.get("included_usage", item.get("price")) for item in product["items"]] == [7, 50]

    @pytest.mark.parametrize("version", [V12, V20, V21])
    def test_customers_are_listed_by_offset_where_it_is_asked_for(self, shop: Shop, version: str) -> None:
        made = [shop.customer() for _ in range(3)]
        ids: list[str] = []
        for offset in range(0, 4, 2):
            page = shop.call("POST /v1/customers/list", {"limit": 2, "offset": offset, "search": "shown-"}, version)
            assert (page["offset"], page["limit"], page["total"]) == (offset, 2, 2)
            ids += [customer["id"] for customer in page["list"]]
        assert ids[:3] == made[::-1]
        assert page["has_more"] is True

    def test_features_are_changed_and_deleted_by_their_paths(self, shop: Shop) -> None:
        shop.call("features.create", {"feature_id": "passing", "name": "Passing", "type": "boolean"})
        assert shop.call("POST /v1/features/passing", {"archived": True})["archived"] is True
        assert shop.call("POST /v1/features/passing", {"archived": False})["archived"] is False
        assert shop.call("DELETE /v1/features/passing") == {"success": True}
        assert "passing" not in [feature["id"] for feature in shop.call("features.list", {})["list"]]

    def test_a_sum_of_1_2_is_grouped_and_cut_as_asked(self, shop: Shop) -> None:
        customer = shop.customer(monthly(10))
        asked = {"customer_id": customer, "feature_id": "calls", "bin_size": "hour", "group_by": "properties.model"}
        found = shop.call("query", {**asked, "custom_range": {"start": HOUR * 480_000, "end": HOUR * 480_003}}, V12)
        assert [one["period"] for one in found["list"]] == [HOUR * at for at in (480_000, 480_001, 480_002)]

    def test_1_2_calls_plans_products(self, shop: Shop) -> None:
        plan = shop.plan(monthly(5))
        assert shop.call("plans.get", {"plan_id": plan}, V12) == shop.call(f"GET /v1/products/{plan}", version=V12)

    def test_an_expanded_plan_is_in_the_same_shape(self, shop: Shop) -> None:
        customer = shop.customer(monthly(5))
        for version in (V20, V21):
            (held,) = shop.shown(customer, version, expand=["subscriptions.plan"])["subscriptions"]
            assert held["plan"] == shop.call("plans.get", {"plan_id": held["plan_id"]}, version)


class TestListedSubscriptions:
    """autumn.md 1.4: an older list shows what the customer shows."""

    @pytest.mark.parametrize("once", [False, True])
    def test_before_flags_they_are_as_in_the_customer(self, shop: Shop, once: bool) -> None:
        interval = "one_off" if once else "month"
        id = shop.customer({"feature_id": "calls", "included": 5}, price={"amount": 5, "interval": interval})
        (listed,) = shop.call("subscriptions.list", {"customer_id": id}, V20)["list"]
        (shown,) = shop.call("customers.get", {"customer_id": id}, V20)["subscriptions"]
        own = {name: listed.pop(name) for name in ("id", "customer_id", "entity_id", "created_at")}
        assert own["customer_id"] == id
        assert listed == shown

    @pytest.mark.parametrize("once", [False, True])
    def test_before_plans_they_are_products(self, shop: Shop, once: bool) -> None:
        interval = "one_off" if once else "month"
        id = shop.customer({"feature_id": "calls", "included": 5}, price={"amount": 5, "interval": interval})
        (listed,) = shop.call("subscriptions.list", {"customer_id": id}, V12)["list"]
        (shown,) = shop.call("customers.get", {"customer_id": id}, V12)["products"]
        own = {name: listed.pop(name) for name in ("customer_id", "entity_id", "created_at")}
        assert own["customer_id"] == id
        assert listed == {name: shown[name] for name in listed}
        assert set(shown) - set(listed) <= {"version", "items"}

    @pytest.mark.parametrize("version", [V12, V20, V21])
    def test_those_that_have_ended_are_listed_where_they_are_asked_for(self, shop: Shop, version: str) -> None:
        id = shop.customer({"feature_id": "calls", "included": 5}, price={"amount": 5, "interval": "month"})
        (held,) = shop.call("subscriptions.list", {"customer_id": id})["list"]
        change = {"customer_id": id, "plan_id": held["plan_id"], "cancel_action": "cancel_immediately"}
        shop.call("billing.update", change)
        asked = {"customer_id": id, "statuses": ["expired"]}
        assert [one["status"] for one in shop.call("subscriptions.list", asked, version)["list"]] == ["expired"]


def test_an_expired_balance_is_listed_until_its_end_is_told(shop: Shop) -> None:
    """autumn.md 1.2.4: nothing reads the stream here, so nothing tells of it."""
    id = shop.customer({"feature_id": "calls", "included": 5})
    ends = int(time.time() * 1000) + 500
    own = {"customer_id": id, "feature_id": "calls", "included_grant": 7, "balance_id": "own", "expires_at": ends}
    shop.call("balances.create", own)
    time.sleep(max(0, ends / 1000 - time.time()) + 0.01)
    listed = shop.call("balances.list", {"customer_id": id, "statuses": ["expired"]})["list"]
    assert [(one["id"], one["status"]) for one in listed] == [("own", "expired")]


class TestRequests:
    """autumn.md 1.1, 1.5.2; management.md 4."""

    @pytest.mark.parametrize(
        ("path", "body", "message"),
        [
            ("customers.get_or_create", {"customer_id": "x", "email": "no"}, "email: must be an e-mail address"),
            (
                "events.list",
                {"feature_id": 5},
                "feature_id: must be a string (received number), or must be an array (received number)",
            ),
            ("balances.list", {"limit": 500}, "limit: must be at most 200"),
            ("check", {"customer_id": "x", "feature_id": "calls", "lock": {"lock_id": "l", "enabled": False}}, None),
        ],
    )
    def test_a_refusal_is_in_the_callers_words(self, shop: Shop, path: str, body: Any, message: str | None) -> None:
        function = "check" if path == "check" else "manage"
        status, answer = shop.here.call(function, f"POST /v1/{path}", body, headers={"x-api-version": V21})
        assert (status, answer["message"]) == (400, message or "lock.enabled: must be true")

    def test_1_2_makes_a_customer_of_an_address_and_with_a_plan(self, shop: Shop) -> None:
        plan = shop.plan(monthly(5))
        made = shop.call("customers", {"id": None, "email": "Ada@x.example", "auto_enable_plan_id": plan}, V12)
        assert [product["id"] for product in made["products"]] == [plan]
        assert shop.call("customers", {"id": None, "email": "ada@x.example"}, V12)["id"] == made["id"]

    def test_a_use_of_one_plan_held_twice_is_one_deduction_in_the_history_too(self) -> None:
        taken = [
            Taken(f"sub_{number}:{item}", "calls", "pack", Decimal(7), ("month", 1, NOW + number), entity)
            for number, item, entity in ((1, 0, None), (2, 0, None), (2, 1, None), (3, 0, "e1"))
        ]
        shown = taken_json(taken, {})
        assert [(each["balance_id"], each["value"]) for each in shown] == [
            ("sub_1:0", 14),
            ("sub_2:1", 7),
            ("sub_3:0", 7),
        ]
        assert shown[0]["reset"]["resets_at"] == NOW + 1
