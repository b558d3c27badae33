"""autumn-js 0.1.85 (API 1.2) against the deployed stack: its client, its backend handler, and its React hooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import wait_for
from tests.e2e.fixture import Shop, flag, monthly, new, seats, unlimited
from tests.e2e.programs import Application, Program, running, script
from tollgate_cli.stack import Stack


class Client:
    """The SDK, whose answers are what they hold, or the status and code of a refusal."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __call__(self, what: str, *arguments: Any, **named: Any) -> Any:
        answer = self._program(what, *arguments, **named)
        if answer["error"]:
            return answer["statusCode"], answer["error"]["code"]
        return answer["data"]


@pytest.fixture(scope="module")
def autumn(stack: Stack) -> Iterator[Client]:
    with running(*script("autumn-0.mjs", stack.url, stack.secret_key)) as program:
        yield Client(program)


@pytest.fixture(scope="module")
def app(stack: Stack) -> Iterator[Application]:
    application = Application(stack, "0")
    yield application
    application.stop()


class TestClient:
    def test_check_and_track(self, autumn: Client, shop: Shop) -> None:
        c = shop.customer(monthly(100), flag(), unlimited("words"))
        found = autumn("check", customer_id=c, feature_id="messages", required_balance=40)
        assert (found["allowed"], found["code"], found["balance"]) == (True, "feature_found", 100)
        counted = autumn("check", customer_id=c, feature_id="messages", required_balance=40, send_event=True)
        assert (counted["balance"], counted["usage"], counted["included_usage"]) == (60, 40, 100)
        used = autumn("track", customer_id=c, feature_id="messages", value=10)
        assert (used["code"], used["customer_id"], used["feature_id"]) == ("event_received", c, "messages")
        assert autumn("usage", customer_id=c, feature_id="messages", value=70)["success"]
        assert not autumn("check", customer_id=c, feature_id="messages", required_balance=31)["allowed"]
        assert autumn("check", customer_id=c, feature_id="dashboard")["allowed"]
        assert autumn("check", customer_id=c, feature_id="words")["unlimited"]
        assert autumn("check", customer_id=c, feature_id="nothing") == (404, "feature_not_found")

    def test_credits_pay(self, autumn: Client, shop: Shop) -> None:
        c = shop.customer(monthly(10, "credits"))
        found = autumn("check", customer_id=c, feature_id="action1", required_balance=10)
        assert (found["allowed"], found["feature_id"], found["required_balance"]) == (True, "credits", 2)

    def test_a_check_says_what_credits_cost(self, autumn: Client, shop: Shop) -> None:
        c = shop.customer(monthly(10, "credits"))
        found = autumn("check", customer_id=c, feature_id="action1")
        assert {"feature_id": "action1", "credit_amount": 0.2} in found["credit_schema"]

    def test_customers(self, autumn: Client) -> None:
        id = new()
        made = autumn("customers.create", id=id, name="Ada", email="ada@example.com", metadata={"tier": "x"})
        assert (made["id"], made["name"], made["metadata"], made["env"]) == (id, "Ada", {"tier": "x"}, "sandbox")
        assert (made["products"], made["features"]) == ([], {})
        assert autumn("customers.update", id, {"name": "Bo"})["name"] == "Bo"
        assert autumn("customers.get", id, {"expand": ["entities", "invoices"]})["entities"] == []
        page = autumn("customers.list", limit=1)
        assert (len(page["list"]), page["limit"], page["offset"]) == (1, 1, 0)
        assert autumn("customers.delete", id)["success"]
        assert autumn("customers.get", id) == (404, "customer_not_found")

    def test_what_a_customer_holds(self, autumn: Client, shop: Shop) -> None:
        c = shop.customer(monthly(100), seats(3), monthly(10, "credits"))
        found = autumn("customers.get", c)
        (product,) = found["products"]
        assert (product["status"], product["is_add_on"], product["is_default"]) == ("active", False, False)
        kinds = {id: (feature["type"], feature["balance"]) for id, feature in found["features"].items()}
        assert kinds == {
            "messages": ("single_use", 100),
            "users": ("continuous_use", 3),
            "credits": ("single_use", 10),
        }
        assert autumn("customers.updateBalances", c, {"feature_id": "messages", "balance": 55}) == {"success": True}
        assert autumn("customers.get", c)["features"]["messages"]["balance"] == 55

    def test_a_boolean_feature_is_static(self, autumn: Client, shop: Shop) -> None:
        assert autumn("customers.get", shop.customer(flag()))["features"]["dashboard"]["type"] == "static"

    def test_a_credit_system_says_what_it_pays_for(self, autumn: Client, shop: Shop) -> None:
        credits = autumn("customers.get", shop.customer(monthly(10, "credits")))["features"]["credits"]
        assert {"feature_id": "action1", "credit_amount": 0.2} in credits["credit_schema"]

    def test_a_customers_product_says_what_it_is(self, autumn: Client, shop: Shop) -> None:
        (product,) = autumn("customers.get", shop.customer(monthly(100), flag()))["products"]
        assert product["version"] == 1
        items = {item["feature_id"]: item["feature_type"] for item in product["items"]}
        assert items == {"messages": "single_use", "dashboard": "static"}

    def test_a_feature_without_an_interval_counts_one(self, autumn: Client, shop: Shop) -> None:
        assert autumn("customers.get", shop.customer(seats(3)))["features"]["users"]["interval_count"] == 1

    def test_a_customer_says_how_it_is_billed(self, autumn: Client, shop: Shop) -> None:
        found = autumn("customers.get", shop.customer())
        assert (found["send_email_receipts"], found["billing_controls"]) == (False, {})

    def test_entities(self, autumn: Client, shop: Shop) -> None:
        c = shop.customer(monthly(100), seats(3))
        made = autumn("entities.create", c, {"id": "e1", "name": "Eve", "feature_id": "users"})
        assert (made["id"], made["name"], made["customer_id"]) == ("e1", "Eve", c)
        both = autumn("entities.create", c, [{"id": id, "feature_id": "users"} for id in ("e2", "e3")])
        assert [entity["id"] for entity in both] == ["e2", "e3"]
        assert autumn("entities.get", c, "e1")["features"]["messages"]["balance"] == 100
        assert autumn("check", customer_id=c, entity_id="e1", feature_id="messages")["allowed"]
        assert autumn("entities.delete", c, "e1") == {"success": True}
        assert autumn("entities.get", c, "e1") == (404, "entity_not_found")

    def test_products(self, autumn: Client, shop: Shop) -> None:
        id, c = new("product"), shop.customer()
        items = [{"feature_id": "messages", "included_usage": 10, "interval": "month"}, {"feature_id": "users"}]
        made = autumn("products.create", id=id, name="Ten", items=items)
        assert (made["id"], made["version"], made["items"][0]["included_usage"]) == (id, 1, 10)
        assert autumn("products.get", id)["name"] == "Ten"
        attached = autumn("attach", customer_id=c, product_id=id)
        assert (attached["customer_id"], attached["product_ids"]) == (c, [id])
        found = autumn("check", customer_id=c, product_id=id)
        assert (found["allowed"], found["status"]) == (True, "active")
        assert autumn("cancel", customer_id=c, product_id=id, cancel_immediately=True)["success"]
        assert not autumn("check", customer_id=c, product_id=id)["allowed"]
        assert autumn("products.delete", id) == {"success": True}

    def test_a_boolean_item_is_static(self, autumn: Client, shop: Shop) -> None:
        assert autumn("products.get", shop.plan(flag()))["items"][0]["feature_type"] == "static"

    def test_products_are_listed(self, autumn: Client, shop: Shop) -> None:
        plan = shop.plan(monthly(100))
        assert plan in [product["id"] for product in autumn("products.list", customer_id=shop.customer())["list"]]

    def test_features_are_listed(self, autumn: Client) -> None:
        assert "messages" in [feature["id"] for feature in autumn("features.list")["list"]]

    def test_a_feature_is_read(self, autumn: Client) -> None:
        assert autumn("features.get", "messages")["name"] == "Messages"

    def test_history(self, autumn: Client, shop: Shop) -> None:
        c = shop.customer(monthly(100))
        shop.track(c, 3)

        def counted() -> bool:
            found = autumn("query", customer_id=c, feature_id="messages", range="7d")
            return bool(found["list"][-1]["messages"] == 3)

        wait_for(counted, 60, "the use in the history")

    def test_events_are_listed(self, autumn: Client, shop: Shop) -> None:
        found = autumn("events.list", customer_id=shop.customer(monthly(100)), feature_id="messages")
        assert (found["list"], found["has_more"], found["offset"]) == ([], False, 0)

    def test_events_are_summed(self, autumn: Client, shop: Shop) -> None:
        c = shop.customer(monthly(100))
        found = autumn("events.aggregate", customer_id=c, feature_id="messages", range="7d")
        assert found["total"] == {"messages": {"count": 0, "sum": 0}}

    def test_newer_calls_of_it(self, autumn: Client, shop: Shop) -> None:
        """`v2` sends 2.1.0."""
        c, plan = shop.customer(), shop.plan(monthly(100))
        attached = autumn("v2.billing.attach", customer_id=c, plan_id=plan)
        assert (attached["customer_id"], attached["payment_url"]) == (c, None)
        assert autumn("v2.balances.update", customer_id=c, feature_id="messages", remaining=5) == {"success": True}
        assert autumn("balances.create", customer_id=c, feature_id="messages", granted_balance=7)["success"]
        assert shop.left(c) == 12


class TestBackend:
    def test_the_customer_is_whom_the_backend_knows(self, app: Application, shop: Shop) -> None:
        c = new()
        made = app.send(c, "customers", id=shop.customer())
        assert (made.status_code, made.json()["id"], made.json()["name"]) == (200, c, "Ada")
        assert app.send(None, "customers").status_code == 401

    def test_it_attaches_checks_and_tracks(self, app: Application, shop: Shop) -> None:
        c, plan = shop.customer(), shop.plan(monthly(100))
        assert app.send(c, "attach", product_id=plan).json()["product_ids"] == [plan]
        assert app.send(c, "check", feature_id="messages").json()["balance"] == 100
        assert app.send(c, "track", feature_id="messages", value=3).json()["code"] == "event_received"
        assert shop.left(c) == 97
        assert app.send(c, "cancel", product_id=plan).json()["success"]


class TestHooks:
    def test_a_page_asks_without_a_call(self, app: Application, shop: Shop) -> None:
        c, plan = shop.customer(), shop.plan(monthly(100), unlimited("words"))
        shop.api.call("billing.attach", {"customer_id": c, "plan_id": plan})
        shown = app.page(
            c,
            "useCustomer",
            {},
            ["check", {"featureId": "messages", "requiredBalance": 100}],
            ["check", {"featureId": "messages", "requiredBalance": 101}],
            ["check", {"featureId": "words", "requiredBalance": 1000}],
            ["check", {"featureId": "storage"}],
            ["check", {"productId": plan}],
        )
        assert shown["customer"]["id"] == c
        assert [found["data"]["allowed"] for found in shown["results"]] == [True, False, True, False, True]

    def test_a_page_knows_a_boolean_feature(self, app: Application, shop: Shop) -> None:
        c = shop.customer(flag())
        (found,) = app.page(c, "useCustomer", {}, ["check", {"featureId": "dashboard"}])["results"]
        assert found["data"]["allowed"]

    def test_a_page_knows_which_credits_pay(self, app: Application, shop: Shop) -> None:
        c = shop.customer(monthly(10, "credits"))
        call = {"featureId": "action1", "requiredBalance": 50}
        (found,) = app.page(c, "useCustomer", {}, ["check", call])["results"]
        assert (found["data"]["allowed"], found["data"]["required_balance"]) == (True, 10)

    def test_a_page_attaches_and_shows_what_was_given(self, app: Application, shop: Shop) -> None:
        c, plan = new(), shop.plan(monthly(100))
        call = {"featureId": "messages"}
        shown = app.page(c, "useCustomer", {}, ["check", call], ["attach", {"productId": plan}], ["check", call])
        before, attached, after = (found["data"] for found in shown["results"])
        assert (before["allowed"], attached["product_ids"], after["allowed"]) == (False, [plan], True)

    def test_a_page_shows_a_pricing_table(self, app: Application, shop: Shop) -> None:
        c, plan = shop.customer(monthly(100)), shop.plan(monthly(100))
        assert plan in [product["id"] for product in app.page(c, "usePricingTable", {})["products"]]

    def test_a_page_shows_an_entity(self, app: Application, shop: Shop) -> None:
        c = shop.customer(monthly(100), seats(3), entities=1)
        shown = app.page(c, "useEntity", "e1", ["check", {"featureId": "messages"}])
        assert (shown["entity"]["id"], shown["results"][0]["data"]["allowed"]) == ("e1", True)

    def test_a_page_shows_the_history(self, app: Application, shop: Shop) -> None:
        c = shop.customer(monthly(100))
        shop.track(c, 3)
        call = {"featureId": "messages", "range": "7d"}
        wait_for(lambda: bool(app.page(c, "useAnalytics", call)["data"][-1]["messages"] == 3), 60, "the use is there")

    def test_a_page_lists_events(self, app: Application, shop: Shop) -> None:
        assert app.page(shop.customer(monthly(100)), "useListEvents", {"featureId": "messages"})["list"] == []

    def test_a_page_sums_events(self, app: Application, shop: Shop) -> None:
        call = {"featureId": "messages", "range": "7d"}
        summed = app.page(shop.customer(monthly(100)), "useAggregateEvents", call)
        assert summed["total"] == {"messages": {"count": 0, "sum": 0}}
