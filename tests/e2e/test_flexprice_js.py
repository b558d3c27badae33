"""Flexprice's SDKs as applications have them, against the deployed stack: @flexprice/sdk 2.0.1 in Node, with the zod that
npm installs beside it, and PyPI's flexprice 2.1.43 with nothing but what it needs.

Rules: flexprice.md 1.5, 1.7, 2.7.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT, wait_for
from tests.e2e.programs import Program, running, script
from tollgate_cli.stack import Stack

PYTHON = ROOT / ".venv-flexprice" / "bin" / "python"
CLIENT = ROOT / "tests" / "e2e" / "flexprice_client.py"


@pytest.fixture(scope="module")
def flexprice(stack: Stack) -> Iterator[Program]:
    with running(*script("flexprice.mjs", stack.url, stack.secret_key)) as program:
        yield program


@pytest.fixture(scope="module")
def python(stack: Stack) -> Iterator[Program]:
    with running(PYTHON, CLIENT, f"{stack.url}/v1", stack.secret_key) as program:
        yield program


def unique(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def metered(event: str) -> dict[str, Any]:
    meter = {"name": "Calls", "eventName": event, "aggregation": {"type": "COUNT"}, "resetUsage": "BILLING_PERIOD"}
    return {"name": unique("Calls"), "type": "metered", "meter": meter}


def limit(entity: str, kind: str, feature: str, units: int) -> dict[str, Any]:
    return {
        "entityId": entity,
        "entityType": kind,
        "featureId": feature,
        "featureType": "metered",
        "usageLimit": units,
        "usageResetPeriod": "MONTHLY",
    }


def subscribed(flexprice: Program, customer: str, plan: str) -> Any:
    return flexprice(
        "subscriptions.createSubscription",
        externalCustomerId=customer,
        planId=plan,
        currency="usd",
        billingCadence="RECURRING",
        billingPeriod="MONTHLY",
    )


def test_a_customer_subscribes_uses_and_asks(flexprice: Program) -> None:
    """The whole flow: set up, ask, report, and ask again until the usage is there."""
    event, customer = unique("call"), unique("customer")
    feature = flexprice("features.createFeature", metered(event))["id"]
    plan = flexprice("plans.createPlan", name="Hundred", lookupKey=unique("hundred"))["id"]
    granted = flexprice("entitlements.createEntitlement", limit(plan, "PLAN", feature, 100))
    assert (granted["usageLimit"], granted["entityId"]) == (100, plan)
    flexprice("customers.createCustomer", externalId=customer, name="Ada", metadata={"tier": "x"})
    subscription = subscribed(flexprice, customer, plan)
    assert (subscription["planId"], subscription["subscriptionStatus"]) == (plan, "active")

    (found,) = flexprice("customers.getCustomerEntitlements", customer)["features"]
    assert (found["feature"]["id"], found["entitlement"]["usageLimit"]) == (feature, 100)
    assert found["entitlement"]["usageResetPeriod"] == "MONTHLY"
    assert found["sources"][0]["subscriptionId"] == subscription["id"]
    (held,) = flexprice("subscriptions.getSubscriptionEntitlements", subscription["id"])["features"]
    assert held["feature"]["id"] == feature

    addon = flexprice("addons.createAddon", name="More", lookupKey=unique("more"), type="onetime")["id"]
    flexprice("entitlements.createEntitlementsBulk", items=[limit(addon, "ADDON", feature, 50)])
    added = flexprice("subscriptions.addSubscriptionAddon", subscriptionId=subscription["id"], addonId=addon)
    assert (added["addonId"], added["addonStatus"]) == (addon, "active")

    events = [{"eventName": event, "externalCustomerId": customer, "eventId": unique("e")} for _ in range(74)]
    flexprice("events.ingestEventsBulk", events=events)
    flexprice("events.ingestEvent", eventName=event, externalCustomerId=customer, properties={"model": "small"})

    def usage() -> Any:
        call = {"customerLookupKey": customer, "featureIds": [feature]}
        return flexprice("customers.getCustomerUsageSummary", call)["features"][0]

    wait_for(lambda: bool(usage()["currentUsage"] == "75"), 60, "75 events counted")
    assert (usage()["totalLimit"], usage()["usagePercent"]) == (150, "0.5")

    flexprice("subscriptions.cancelSubscription", subscription["id"], {"cancellationType": "immediate"})
    assert flexprice("customers.getCustomerEntitlements", customer)["features"] == []


def test_a_subscriptions_add_ons_are_listed(flexprice: Program) -> None:
    customer = unique("customer")
    flexprice("customers.createCustomer", externalId=customer, name="Ada")
    subscription = subscribed(flexprice, customer, "pro")["id"]
    flexprice("subscriptions.addSubscriptionAddon", subscriptionId=subscription, addonId="token-pack")
    (association,) = flexprice("subscriptions.getSubscriptionAddonAssociations", subscription)
    assert association["addonId"] == "token-pack"


def test_customers(flexprice: Program) -> None:
    id = unique("customer")
    made = flexprice("customers.createCustomer", externalId=id, name="Ada", email="ada@example.com")
    assert (made["externalId"], made["name"], made["email"], made["status"]) == (
        id,
        "Ada",
        "ada@example.com",
        "published",
    )
    assert flexprice("customers.createCustomer", externalId=id, name="Ada")["error"]["status"] == 409
    assert flexprice("customers.updateCustomer", {"name": "Bo"}, made["id"])["name"] == "Bo"
    assert flexprice("customers.getCustomer", made["id"])["name"] == "Bo"
    assert flexprice("customers.getCustomerByExternalId", id)["id"] == made["id"]
    (found,) = flexprice("customers.queryCustomer", externalIds=[id])["items"]
    assert found["id"] == made["id"]
    flexprice("customers.deleteCustomer", made["id"])
    assert flexprice("customers.getCustomerByExternalId", id)["error"]["status"] == 404


def test_the_catalogue(flexprice: Program) -> None:
    feature = flexprice("features.createFeature", metered(unique("call")))
    assert flexprice("features.updateFeature", feature["id"], {"name": "Pings"})["name"] == "Pings"
    assert feature["id"] in [found["id"] for found in flexprice("features.queryFeature", limit=1000)["items"]]
    plan = flexprice("plans.createPlan", name="Ten", lookupKey=unique("ten"))["id"]
    assert flexprice("plans.updatePlan", plan, {"name": "Eleven"})["name"] == "Eleven"
    assert flexprice("plans.getPlan", plan)["name"] == "Eleven"
    assert plan in [found["id"] for found in flexprice("plans.queryPlan", limit=1000)["items"]]
    granted = flexprice("entitlements.createEntitlement", limit(plan, "PLAN", feature["id"], 10))["id"]
    assert flexprice("entitlements.updateEntitlement", granted, {"usageLimit": 20})["usageLimit"] == 20
    assert flexprice("entitlements.getEntitlement", granted)["usageLimit"] == 20
    (listed,) = flexprice("entitlements.queryEntitlement", planIds=[plan])["items"]
    assert listed["id"] == granted
    flexprice("entitlements.deleteEntitlement", granted)
    assert flexprice("entitlements.queryEntitlement", planIds=[plan])["items"] == []
    flexprice("plans.deletePlan", plan)
    assert flexprice("plans.getPlan", unique("nothing"))["error"]["status"] == 404


def test_an_add_on_says_its_type(flexprice: Program) -> None:
    made = flexprice("addons.createAddon", name="More", lookupKey=unique("more"), type="onetime")
    assert made["type"] == "onetime"


def test_whatever_else_it_can_call_parses(flexprice: Program) -> None:
    """flexprice.md 1.5: an answer that lacks a key is an error of this SDK's, as is what is not served."""
    customer, event = unique("customer"), unique("call")
    feature = flexprice("features.createFeature", metered(event))["id"]
    plan = flexprice("plans.createPlan", name="P", lookupKey=unique("p"))["id"]
    key = unique("a")
    addon = flexprice("addons.createAddon", name="A", lookupKey=key, type="multiple_instance")["id"]
    flexprice("entitlements.createEntitlement", limit(plan, "PLAN", feature, 5))
    flexprice("entitlements.createEntitlement", limit(addon, "ADDON", feature, 5))
    flexprice("customers.createCustomer", externalId=customer, name="Ada")
    held = subscribed(flexprice, customer, plan)["id"]
    added = flexprice("subscriptions.addSubscriptionAddon", subscriptionId=held, addonId=addon)["id"]
    for what, *arguments in (
        ("addons.getAddon", addon),
        ("addons.getAddonByLookupKey", key),
        ("addons.queryAddon", {"addonIds": [addon]}),
        ("addons.updateAddon", addon, {"name": "B"}),
        ("entitlements.getPlanEntitlements", plan),
        ("entitlements.getAddonEntitlements", addon),
        ("subscriptions.getSubscription", held),
        ("subscriptions.querySubscription", {"externalCustomerId": customer}),
        ("subscriptions.removeSubscriptionAddon", {"addonAssociationId": added}),
        ("subscriptions.cancelSubscription", held, {"cancellationType": "end_of_period"}),
        ("addons.deleteAddon", addon),
        ("features.deleteFeature", flexprice("features.createFeature", metered(unique("call")))["id"]),
    ):
        answer = flexprice(what, *arguments)
        assert "error" not in answer, (what, answer)
    refused = flexprice("features.deleteFeature", feature)["error"]
    assert (refused["status"], "part of a plan" in refused["message"]) == (400, True)
    unserved = flexprice("subscriptions.getSubscriptionV2", held)["error"]
    assert (unserved["status"], unserved["body"]["code"]) == (501, "not_implemented")


def test_lists_are_sorted_and_filtered(flexprice: Program) -> None:
    group = unique("Plan")
    made = [flexprice("plans.createPlan", name=f"{group} {letter}", lookupKey=unique("plan"))["id"] for letter in "bca"]
    condition = {"field": "name", "operator": "contains", "dataType": "string", "value": {"string": group}}
    sort = [{"field": "name", "direction": "asc"}]
    page = flexprice("plans.queryPlan", filters=[condition], sort=sort, limit=2)
    assert [plan["id"] for plan in page["items"]] == [made[2], made[0]]
    assert page["pagination"] == {"total": 3, "limit": 2, "offset": 0}
    refused = flexprice("plans.queryPlan", sort=[{"field": "colour", "direction": "asc"}])["error"]
    assert (refused["status"], "colour" in refused["message"] or "sort" in refused["message"]) == (400, True)


def test_usage_is_asked_for(flexprice: Program) -> None:
    """Reported, counted, told by the stream, and then in the history."""
    event, customer = unique("call"), unique("customer")
    feature = flexprice("features.createFeature", metered(event))
    flexprice("customers.createCustomer", externalId=customer, name="Ada")
    reported = [
        {"eventName": event, "externalCustomerId": customer, "eventId": unique("e"), "properties": {"n": str(n)}}
        for n in range(3)
    ]
    flexprice("events.ingestEventsBulk", events=reported)
    of = {"externalCustomerId": customer}

    def listed() -> bool:
        return len(flexprice("events.listRawEvents", **of)["events"]) == 3

    wait_for(listed, 60, "three events in the history")
    page = flexprice("events.listRawEvents", **of, pageSize=2)
    assert (len(page["events"]), page["hasMore"]) == (2, True)
    (last,) = flexprice("events.listRawEvents", **of, pageSize=2, iterLastKey=page["iterLastKey"])["events"]
    ids = {found["id"] for found in (*page["events"], last)}
    assert ids == {one["eventId"] for one in reported}
    assert (last["eventName"], last["customerId"]) == (event, customer)

    asked = {"eventName": event, "aggregationType": "SUM", "propertyName": "n", **of}
    assert flexprice("events.getUsageStatistics", **asked)["value"] == 3
    by_day = flexprice("events.getUsageByMeter", meterId=feature["meterId"], windowSize="DAY", **of)
    assert (by_day["value"], sum(result["value"] for result in by_day["results"])) == (3, 3)
    (item,) = flexprice("events.getUsageAnalytics", **of, groupBy=["feature_id"])["items"]
    assert (item["featureId"], item["totalUsage"], item["eventCount"]) == (feature["id"], "3", 3)
    unheard = flexprice("events.getUsageStatistics", eventName=unique("unheard"), aggregationType="COUNT")
    assert (unheard["error"]["status"], "no feature counts" in unheard["error"]["message"]) == (400, True)


def test_the_python_sdk_alone(python: Program) -> None:
    event, customer = unique("call"), unique("customer")
    meter = {"name": "Calls", "event_name": event, "aggregation": {"type": "COUNT"}, "reset_usage": "BILLING_PERIOD"}
    feature = python("features.create_feature", name=unique("Calls"), type_="metered", meter=meter)["id"]
    plan = python("plans.create_plan", name="Ten", lookup_key=unique("ten"))["id"]
    python(
        "entitlements.create_entitlement",
        entity_id=plan,
        entity_type="PLAN",
        feature_id=feature,
        feature_type="metered",
        usage_limit=10,
        usage_reset_period="MONTHLY",
    )
    assert python("customers.create_customer", external_id=customer, name="Ada")["external_id"] == customer
    python(
        "subscriptions.create_subscription",
        external_customer_id=customer,
        plan_id=plan,
        currency="usd",
        billing_period="MONTHLY",
    )
    (found,) = python("customers.get_customer_entitlements", id=customer)["features"]
    assert (found["feature"]["id"], found["entitlement"]["usage_limit"]) == (feature, 10)
    python("events.ingest_event", event_name=event, external_customer_id=customer)

    def counted() -> bool:
        usage = python("customers.get_customer_usage_summary", customer_lookup_key=customer, feature_ids=[feature])
        return bool(usage["features"][0]["current_usage"] == "1")

    wait_for(counted, 60, "the event counted")
    assert python("plans.get_plan", id=unique("nothing"))["error"] == 404
