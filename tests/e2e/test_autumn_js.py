"""autumn-js 1.3.13 against the deployed stack: its client, its handler in an application's backend, and its React hooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import wait_for
from tests.e2e.fixture import Shop, consumable, flag, monthly, new, seats, unlimited
from tests.e2e.programs import Application, Program, running, script
from tollgate_cli.stack import Stack


@pytest.fixture(scope="module")
def autumn(stack: Stack) -> Iterator[Program]:
    with running(*script("autumn.mjs", stack.url, stack.secret_key)) as program:
        yield program


def gru(balance: Any) -> tuple[float, float, float]:
    return balance["granted"], balance["remaining"], balance["usage"]


def refusal(answer: Any) -> tuple[int, str]:
    return answer["error"]["status"], answer["error"]["body"]["code"]


class TestClient:
    def test_check_and_track(self, autumn: Program, shop: Shop) -> None:
        c = shop.customer(monthly(100), flag(), unlimited("words"))
        asked = autumn("check", customerId=c, featureId="messages", requiredBalance=40)
        assert (asked["allowed"], asked["customerId"], asked["requiredBalance"]) == (True, c, 40)
        counted = autumn("check", customerId=c, featureId="messages", requiredBalance=40, sendEvent=True)
        assert gru(counted["balance"]) == (100, 60, 40)
        used = autumn("track", customerId=c, featureId="messages", value=10, properties={"kind": "test"})
        assert (used["value"], gru(used["balance"])) == (10, (100, 50, 50))
        assert not autumn("check", customerId=c, featureId="messages", requiredBalance=51)["allowed"]
        held = autumn("check", customerId=c, featureId="dashboard")
        assert (held["allowed"], held["balance"], held["flag"]["featureId"]) == (True, None, "dashboard")
        assert autumn("check", customerId=c, featureId="words")["balance"]["unlimited"]
        assert refusal(autumn("track", customerId=new(), featureId="messages")) == (404, "customer_not_found")
        assert refusal(autumn("check", customerId=c, featureId="nothing")) == (404, "feature_not_found")

    def test_credits_pay(self, autumn: Program, shop: Shop) -> None:
        c = shop.customer(monthly(10, "credits"))
        found = autumn("check", customerId=c, featureId="action1", requiredBalance=10)
        assert (found["allowed"], found["requiredBalance"], found["balance"]["featureId"]) == (True, 2, "credits")
        used = autumn("track", customerId=c, eventName="action-event", value=5)
        assert gru(used["balances"]["credits"]) == (10, 9, 1)

    def test_a_use_is_held_and_finalized(self, autumn: Program, shop: Shop) -> None:
        c, lock = shop.customer(monthly(100)), new("lock")
        held = autumn(
            "check",
            customerId=c,
            featureId="messages",
            requiredBalance=30,
            lock={"enabled": True, "lockId": lock},
        )
        assert (held["allowed"], held["balance"]["remaining"]) == (True, 70)
        assert autumn("balances.finalize", lockId=lock, action="confirm", overrideValue=20) == {"success": True}
        assert shop.left(c) == 80

    def test_a_batch_is_taken(self, autumn: Program, shop: Shop) -> None:
        c = shop.customer(monthly(100))
        body = [{"customerId": c, "featureId": "messages", "value": value} for value in (1, 2)]
        assert autumn("batchTrack", body) == {"success": True}
        wait_for(lambda: shop.left(c) == 97, 60, "the batch counted")

    def test_a_batch_is_counted(self, autumn: Program, shop: Shop) -> None:
        """Whatever the client makes of the answer."""
        c = shop.customer(monthly(100))
        autumn("batchTrack", [{"customerId": c, "featureId": "messages", "value": value} for value in (1, 2)])
        wait_for(lambda: shop.left(c) == 97, 60, "the batch counted")

    def test_customers(self, autumn: Program) -> None:
        id = new()
        made = autumn("customers.getOrCreate", customerId=id, name="Ada", email="ada@example.com", metadata={"a": 1})
        assert (made["id"], made["name"], made["env"], made["metadata"]) == (id, "Ada", "sandbox", {"a": 1})
        assert (made["subscriptions"], made["purchases"], made["balances"], made["flags"]) == ([], [], {}, {})
        assert autumn("customers.update", customerId=id, name="Bo")["name"] == "Bo"
        found = autumn("customers.get", customerId=id)
        assert (found["name"], found["createdAt"]) == ("Bo", made["createdAt"])
        page = autumn("customers.list", limit=1)
        assert len(page["list"]) == 1
        assert page["nextCursor"]
        assert autumn("customers.list", limit=1, startCursor=page["nextCursor"])["list"] != page["list"]
        assert autumn("customers.delete", customerId=id) == {"success": True}
        assert refusal(autumn("customers.get", customerId=id)) == (404, "customer_not_found")

    def test_what_a_customer_holds_is_expanded(self, autumn: Program, shop: Shop) -> None:
        plan = shop.plan(monthly(100), flag())
        c = shop.customer(monthly(100), flag())
        expand = ["subscriptions.plan", "balances.feature", "flags.feature", "invoices", "entities"]
        found = autumn("customers.get", customerId=c, expand=expand)
        assert found["subscriptions"][0]["plan"]["id"] == plan
        assert found["balances"]["messages"]["feature"]["name"] == "Messages"
        assert found["flags"]["dashboard"]["feature"]["type"] == "boolean"
        assert found["entities"] == []

    def test_entities(self, autumn: Program, shop: Shop) -> None:
        c = shop.customer(monthly(100), seats(3))
        made = autumn("entities.create", customerId=c, entityId="e1", featureId="users", name="Eve")
        assert (made["id"], made["customerId"], made["featureId"], made["name"]) == ("e1", c, "users", "Eve")
        assert shop.left(c, "users") == 2
        assert autumn("check", customerId=c, entityId="e1", featureId="messages")["allowed"]
        assert autumn("entities.get", customerId=c, entityId="e1")["balances"]["messages"]["granted"] == 100
        assert [entity["id"] for entity in autumn("entities.list", customerId=c)["list"]] == ["e1"]
        limits = {"spendLimits": [{"featureId": "messages", "enabled": True, "overageLimit": 5}]}
        changed = autumn("entities.update", customerId=c, entityId="e1", billingControls=limits)
        assert changed["billingControls"]["spendLimits"][0]["overageLimit"] == 5
        assert autumn("entities.delete", customerId=c, entityId="e1") == {"success": True}
        assert refusal(autumn("entities.get", customerId=c, entityId="e1")) == (404, "entity_not_found")

    def test_the_catalogue(self, autumn: Program, shop: Shop) -> None:
        feature, plan = new("feature"), new("plan")
        made = autumn("features.create", featureId=feature, name="Calls", type="metered", consumable=True)
        assert (made["id"], made["type"], made["consumable"]) == (feature, "metered", True)
        assert autumn("features.update", featureId=feature, name="Pings")["name"] == "Pings"
        schema = autumn("features.get", featureId="credits")["creditSchema"]
        assert {"meteredFeatureId": "action1", "creditCost": 0.2} in schema
        assert feature in [found["id"] for found in autumn("features.list")["list"]]
        items = [{"featureId": feature, "included": 10, "reset": {"interval": "month"}}]
        autumn("plans.create", planId=plan, name="Ten", items=items)
        (item,) = autumn("plans.get", planId=plan)["items"]
        assert (item["included"], item["reset"], item["unlimited"]) == (
            10,
            {"interval": "month", "intervalCount": 1},
            False,
        )
        assert autumn("plans.update", planId=plan, name="Eleven")["name"] == "Eleven"
        assert plan in [found["id"] for found in autumn("plans.list")["list"]]
        c = shop.customer()
        attached = autumn("billing.attach", customerId=c, planId=plan, successUrl="https://app.example/")
        assert (attached["customerId"], attached["paymentUrl"]) == (c, None)
        assert shop.left(c, feature) == 10
        canceled = autumn("billing.update", customerId=c, planId=plan, cancelAction="cancel_immediately")
        assert canceled["customerId"] == c
        assert autumn("customers.get", customerId=c)["balances"] == {}
        assert autumn("plans.delete", planId=plan) == {"success": True}
        refused = autumn("features.delete", featureId=feature)
        assert refused["error"]["body"]["code"] == "invalid_request"  # customers have had the plan: it is archived

    def test_plans_say_what_attaching_them_would_do(self, autumn: Program, shop: Shop) -> None:
        group = new("group")
        small = shop.plan(monthly(10), group=group, price={"amount": 5, "interval": "month"})
        large = shop.plan(monthly(100), group=group, price={"amount": 50, "interval": "month"})
        c = shop.customer()
        shop.api.call("billing.attach", {"customer_id": c, "plan_id": small})
        found = {plan["id"]: plan["customerEligibility"] for plan in autumn("plans.list", customerId=c)["list"]}
        assert (found[small]["status"], found[small]["attachAction"]) == ("active", "none")
        assert found[large]["attachAction"] == "upgrade"

    def test_balances(self, autumn: Program, shop: Shop) -> None:
        c = shop.customer(monthly(100))
        gift = {"customerId": c, "featureId": "messages", "includedGrant": 5, "balanceId": "gift"}
        assert autumn("balances.create", gift) == {"success": True}
        assert shop.left(c) == 105
        gone = autumn("balances.delete", customerId=c, featureId="messages", balanceId="gift")
        assert gone == {"success": True}
        assert autumn("balances.update", customerId=c, featureId="messages", remaining=30) == {"success": True}
        assert shop.left(c) == 30

    def test_events(self, autumn: Program, shop: Shop) -> None:
        c = shop.customer(monthly(100))
        for value in (1, 2):
            autumn("track", customerId=c, featureId="messages", value=value, properties={"model": "small"})
        listed: list[Any] = []

        def all_there() -> bool:
            listed[:] = autumn("events.list", customerId=c)["list"]
            return len(listed) == 2

        wait_for(all_there, 60, "both uses in the history")
        assert [event["value"] for event in listed] == [2, 1]
        assert listed[0]["properties"] == {"model": "small"}
        summed = autumn("events.aggregate", customerId=c, featureId="messages", range="7d", binSize="day")
        assert summed["total"] == {"messages": {"count": 2, "sum": 3}}
        assert summed["list"][-1]["values"] == {"messages": 3}


@pytest.fixture(scope="module")
def app(stack: Stack) -> Iterator[Application]:
    application = Application(stack, "1")
    yield application
    application.stop()


class TestBackend:
    def test_the_customer_is_whom_the_backend_knows(self, app: Application, shop: Shop) -> None:
        c, other = new(), shop.customer(monthly(100))
        made = app.send(c, "getOrCreateCustomer", customerId=other)
        assert (made.status_code, made.json()["id"], made.json()["name"]) == (200, c, "Ada")
        nobody = app.send(None, "getOrCreateCustomer")
        assert (nobody.status_code, nobody.json()["code"]) == (401, "no_customer_id")

    def test_a_plan_is_attached_and_canceled(self, app: Application, shop: Shop) -> None:
        c, plan = shop.customer(), shop.plan(monthly(100), flag())
        attached = app.send(c, "attach", planId=plan)
        assert (attached.status_code, attached.json()["paymentUrl"]) == (200, None)
        again = app.send(c, "attach", planId=plan)
        assert (again.status_code, again.json()["code"]) == (409, "plan_already_attached")
        ended = app.send(c, "updateSubscription", planId=plan, cancelAction="cancel_immediately")
        assert ended.status_code == 200
        assert shop.autumn.customers.get(customer_id=c).subscriptions == []

    def test_plans_entities_and_events(self, app: Application, shop: Shop) -> None:
        c = shop.customer(monthly(100), seats(3), entities=1)
        plans = app.send(c, "listPlans").json()["list"]
        assert shop.plan(monthly(100), seats(3)) in [plan["id"] for plan in plans]
        assert app.send(c, "getEntity", entityId="e1").json()["customerId"] == c
        shop.track(c, 3)
        wait_for(lambda: len(app.send(c, "listEvents").json()["list"]) == 1, 60, "the use in the history")
        summed = app.send(c, "aggregateEvents", featureId="messages", range="7d").json()
        assert summed["total"]["messages"] == {"count": 1, "sum": 3}

    def test_what_is_not_served_is_refused(self, app: Application, shop: Shop) -> None:
        refused = app.send(shop.customer(), "openCustomerPortal")
        assert (refused.status_code, refused.json()["code"]) == (404, "route_not_found")


class TestHooks:
    def test_a_page_asks_without_a_call(self, app: Application, shop: Shop) -> None:
        c = shop.customer(monthly(100), flag(), consumable(5, "words", most=10))
        shown = app.page(
            c,
            "useCustomer",
            {},
            ["check", {"featureId": "messages", "requiredBalance": 100}],
            ["check", {"featureId": "messages", "requiredBalance": 101}],
            ["check", {"featureId": "dashboard"}],
            ["check", {"featureId": "words", "requiredBalance": 15}],
            ["check", {"featureId": "words", "requiredBalance": 16}],
            ["check", {"featureId": "storage"}],
        )
        assert (shown["data"]["id"], shown["error"]) == (c, None)
        assert [found["allowed"] for found in shown["results"]] == [True, False, True, True, False, False]
        assert shown["results"][0]["balance"]["remaining"] == 100

    def test_a_page_knows_which_credits_pay(self, app: Application, shop: Shop) -> None:
        c = shop.customer(monthly(1, "action1"), monthly(10, "credits"))
        enough, too_much = app.page(
            c,
            "useCustomer",
            {},
            ["check", {"featureId": "action1", "requiredBalance": 50}],
            ["check", {"featureId": "action1", "requiredBalance": 51}],
        )["results"]
        assert (enough["allowed"], enough["requiredBalance"], enough["balance"]["featureId"]) == (True, 10, "credits")
        assert not too_much["allowed"]

    def test_a_page_attaches_and_shows_what_was_given(self, app: Application, shop: Shop) -> None:
        c, plan = new(), shop.plan(monthly(100), flag())
        call = {"featureId": "messages"}
        shown = app.page(c, "useCustomer", {}, ["check", call], ["attach", {"planId": plan}], ["check", call])
        before, attached, after = shown["results"]
        assert (before["allowed"], attached["paymentUrl"], after["allowed"]) == (False, None, True)
        assert shown["data"]["subscriptions"][0]["planId"] == plan

    def test_a_page_shows_plans(self, app: Application, shop: Shop) -> None:
        c, plan = shop.customer(monthly(100)), shop.plan(monthly(100))
        shown = app.page(c, "useListPlans", {})
        assert plan in [found["id"] for found in shown["data"]]

    def test_a_page_knows_the_customers_own_plan(self, app: Application, shop: Shop) -> None:
        c, plan = shop.customer(monthly(100)), shop.plan(monthly(100))
        found = {each["id"]: each for each in app.page(c, "useListPlans", {})["data"]}
        assert found[plan]["customerEligibility"]["status"] == "active"

    def test_a_page_shows_an_entity(self, app: Application, shop: Shop) -> None:
        c = shop.customer(monthly(100), seats(3), entities=1)
        shown = app.page(c, "useEntity", {"entityId": "e1"})["data"]
        assert (shown["id"], shown["balances"]["messages"]["remaining"]) == ("e1", 100)

    def test_a_page_shows_the_history(self, app: Application, shop: Shop) -> None:
        c = shop.customer(monthly(100))
        shop.track(c, 3)
        wait_for(lambda: len(app.send(c, "listEvents").json()["list"]) == 1, 60, "the use in the history")
        (event,) = app.page(c, "useListEvents", {"featureId": "messages"})["list"]
        assert (event["featureId"], event["value"]) == ("messages", 3)
        summed = app.page(c, "useAggregateEvents", {"featureId": "messages", "range": "7d"})
        assert summed["total"]["messages"] == {"count": 1, "sum": 3}

    def test_a_page_is_told_what_is_refused(self, app: Application, shop: Shop) -> None:
        shown = app.page(shop.customer(), "useEntity", {"entityId": "nobody"})
        assert shown["error"]["code"] == "entity_not_found"
