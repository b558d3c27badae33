"""Flexprice's official SDK (flexprice 2.1.43) against the deployed stack: only `server_url` is changed.

Rules: invariants.md 7; flexprice.md 1.6, 1.8, 2.6, 2.7, 4.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from flexprice import Flexprice, models

from tests.conftest import wait_for
from tests.flexprice import assert_entitlements
from tollgate_cli.api import Api
from tollgate_cli.stack import Stack


@pytest.fixture(scope="module")
def flexprice(stack: Stack) -> Flexprice:
    return Flexprice(api_key_auth=stack.secret_key, server_url=f"{stack.url}/v1")


@pytest.fixture(scope="module")
def autumn(stack: Stack) -> Api:
    return Api(stack.url, stack.secret_key)


def unique(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def send(stack: Stack, method: str, path: str, headers: dict[str, str], body: Any = None) -> httpx.Response:
    return httpx.request(method, f"{stack.url}/v1/{path}", headers=headers, json=body, trust_env=False, timeout=30)


def of_feature(flexprice: Flexprice, customer: str, feature: str) -> models.FeatureUsageSummary:
    found = flexprice.customers.get_customer_usage_summary(customer_lookup_key=customer, feature_ids=[feature]).features
    assert found
    return found[0]


def test_upstreams_probe_a_soft_limit_of_100_and_150_events(stack: Stack, flexprice: Flexprice) -> None:
    """The whole flow: set up, ask, report, and ask again until the usage is there."""
    event, customer = unique("call"), unique("customer")
    feature = flexprice.features.create_feature(
        name=unique("Calls"),
        type_="metered",
        meter=models.CreateMeterRequest(
            name="Calls",
            event_name=event,
            aggregation=models.MeterAggregation(type="COUNT"),
            reset_usage="BILLING_PERIOD",
        ),
    )
    plan = flexprice.plans.create_plan(name="Probe", lookup_key=unique("probe"))
    assert feature.id
    assert plan.id
    granted = flexprice.entitlements.create_entitlement(
        feature_id=feature.id,
        feature_type="metered",
        entity_type="PLAN",
        entity_id=plan.id,
        usage_limit=100,
        usage_reset_period="MONTHLY",
        is_soft_limit=True,
    )
    flexprice.customers.create_customer(external_id=customer, name="Ada")
    subscription = flexprice.subscriptions.create_subscription(
        external_customer_id=customer, plan_id=plan.id, currency="usd", billing_period="MONTHLY"
    )

    answer = flexprice.customers.get_customer_entitlements_by_external_id(external_id=customer)
    assert answer == flexprice.customers.get_customer_entitlements(id=customer)
    assert answer.features
    (found,) = answer.features
    assert found.entitlement
    assert (found.entitlement.usage_limit, found.entitlement.is_soft_limit) == (100, True)
    assert found.entitlement.usage_reset_period == "MONTHLY"
    assert found.sources
    (source,) = found.sources
    assert (source.subscription_id, source.entity_id, source.entity_type) == (subscription.id, plan.id, "plan")
    assert source.entitlement_id == granted.id

    events = [
        models.IngestEventRequest(event_name=event, external_customer_id=customer, event_id=f"{customer}-{number}")
        for number in range(149)
    ]
    flexprice.events.ingest_events_bulk(events=events)
    for _ in range(3):  # one event, reported thrice
        flexprice.events.ingest_event(event_name=event, external_customer_id=customer, event_id=f"{customer}-149")
    id = feature.id
    wait_for(lambda: of_feature(flexprice, customer, id).current_usage == "150", 60, "150 events counted")
    usage = of_feature(flexprice, customer, id)
    assert (usage.total_limit, usage.usage_percent, usage.is_unlimited) == (100, "1.5", False)
    assert usage.next_usage_reset_at

    raw = send(stack, "GET", f"customers/{customer}/usage", {"x-api-key": stack.secret_key}).json()
    assert raw["features"][0]["access"]["allowed"] is True  # soft: counted, not denied
    raw = send(stack, "GET", f"customers/{customer}/entitlements", {"x-api-key": stack.secret_key}).json()
    assert_entitlements(raw)


def test_reported_usage_goes_past_a_hard_limit_and_the_other_dialect_denies(flexprice: Flexprice, autumn: Api) -> None:
    """What Autumn's API set up, Flexprice's counts and shows."""
    event, customer, messages = unique("sent"), unique("customer"), unique("messages")
    autumn.call(
        "features.create",
        {"feature_id": messages, "name": "M", "type": "metered", "consumable": True, "event_names": [event]},
    )
    plan = unique("plan")
    item = {"feature_id": messages, "included": 10, "reset": {"interval": "month"}}
    autumn.call("plans.create", {"plan_id": plan, "name": "Ten", "items": [item]})
    flexprice.customers.create_customer(external_id=customer, name="Bob")
    autumn.call("billing.attach", {"customer_id": customer, "plan_id": plan})
    flexprice.events.ingest_event(event_name=event, external_customer_id=customer, properties={"value": "25.5"})
    wait_for(lambda: of_feature(flexprice, customer, messages).current_usage == "25.5", 60, "the event counted")
    assert of_feature(flexprice, customer, messages).usage_percent == "2.55"
    check = autumn.call("check", {"customer_id": customer, "feature_id": messages})
    assert (check["allowed"], check["balance"]["usage"]) == (False, 25.5)


def test_an_event_of_another_period_is_in_the_history_alone(flexprice: Flexprice) -> None:
    """flexprice.md 2.6, 2.7: last month's event does not count this month; both are found at their time."""
    event, customer = unique("call"), unique("customer")
    meter = models.CreateMeterRequest(
        name="Calls",
        event_name=event,
        aggregation=models.MeterAggregation(type="SUM", field="n"),
        reset_usage="BILLING_PERIOD",
    )
    feature = flexprice.features.create_feature(name=unique("Calls"), type_="metered", meter=meter)
    plan = flexprice.plans.create_plan(name="Hundred", lookup_key=unique("hundred"))
    assert feature.id
    assert feature.meter_id
    assert plan.id
    flexprice.entitlements.create_entitlement(
        feature_id=feature.id,
        feature_type="metered",
        entity_type="PLAN",
        entity_id=plan.id,
        usage_limit=100,
        usage_reset_period="MONTHLY",
    )
    flexprice.customers.create_customer(external_id=customer, name="Ada")
    flexprice.subscriptions.create_subscription(
        external_customer_id=customer, plan_id=plan.id, currency="usd", billing_period="MONTHLY"
    )
    now = datetime.now(UTC)
    late = now - timedelta(days=40)
    for at, number in ((late, "7"), (None, "5")):
        flexprice.events.ingest_event(
            event_name=event,
            external_customer_id=customer,
            timestamp=at.isoformat() if at else None,
            properties={"n": number},
        )
    id, meter_id = feature.id, feature.meter_id
    wait_for(lambda: of_feature(flexprice, customer, id).current_usage == "5", 60, "the timely event counted")

    def used(start: datetime, end: datetime) -> float | None:
        return flexprice.events.get_usage_by_meter(
            meter_id=meter_id, external_customer_id=customer, start_time=start, end_time=end
        ).value

    day = timedelta(days=1)
    wait_for(lambda: used(late - day, now + day) == 12, 60, "both events in the history")
    assert (used(late - day, late + day), used(now - day, now + day)) == (7, 5)
    assert of_feature(flexprice, customer, id).current_usage == "5"
    with pytest.raises(models.errors.FlexpriceError) as caught:
        flexprice.events.ingest_event(
            event_name=event, external_customer_id=customer, timestamp=(now + day).isoformat()
        )
    assert caught.value.status_code == 400


def test_a_customers_subscription_can_be_cancelled(flexprice: Flexprice) -> None:
    customer = unique("customer")
    flexprice.customers.create_customer(external_id=customer, name="Eve")
    subscription = flexprice.subscriptions.create_subscription(
        customer_id=customer, plan_id="pro", currency="usd", billing_period="MONTHLY"
    )
    assert subscription.id
    assert len(flexprice.customers.get_customer_entitlements(id=customer).features or ()) == 4
    flexprice.subscriptions.cancel_subscription(id=subscription.id, cancellation_type="immediate")
    assert flexprice.customers.get_customer_entitlements(id=customer).features == []
    flexprice.customers.delete_customer(id=customer)
    with pytest.raises(models.errors.FlexpriceError) as caught:
        flexprice.customers.get_customer_entitlements_by_external_id(external_id=customer)
    assert caught.value.status_code == 404


class TestKeys:
    def test_a_missing_and_a_wrong_key(self, stack: Stack) -> None:
        path = "customers/customer-1/entitlements"
        assert send(stack, "GET", path, {}).status_code == 401
        wrong = send(stack, "GET", path, {"x-api-key": "wrong"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthenticated")
        assert send(stack, "GET", path, {"x-api-key": stack.secret_key}).status_code == 200
        refused = send(stack, "GET", path, {"x-api-key": stack.publishable_key})
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")

    def test_shared_paths_take_either_header(self, stack: Stack) -> None:
        key, bearer = {"x-api-key": stack.secret_key}, {"authorization": f"Bearer {stack.secret_key}"}
        assert send(stack, "GET", "customers/customer-1", key).json()["external_id"] == "customer-1"
        assert send(stack, "GET", "customers/customer-1", bearer).json()["env"] == "sandbox"
        body = {"customer_id": "customer-1", "feature_id": "messages", "value": 0, "async": False}
        assert send(stack, "POST", "events", bearer, body).status_code == 200
        event = {"event_name": "nobody.counts", "external_customer_id": "customer-1"}
        assert send(stack, "POST", "events", key, event).status_code == 202
        for path in ("features", "plans"):
            assert send(stack, "POST", path, bearer, {"name": "X"}).json()["env"] == "sandbox"  # Autumn's 404
            assert send(stack, "POST", path, key, {}).json()["code"] == "validation_error"

    @pytest.mark.parametrize(
        "headers", [{"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"authorization": "ANY /v1/events"}]
    )
    def test_shared_paths_refuse_a_wrong_key(self, stack: Stack, headers: dict[str, str]) -> None:
        for method, path in (("POST", "events"), ("GET", "customers/customer-1"), ("POST", "features")):
            assert send(stack, method, path, headers, {} if method == "POST" else None).status_code == 401

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("customers/customer-1", "unauthenticated"),
            ("customers", "unauthenticated"),
            ("wallets", "unauthenticated"),
            ("plans", "unauthenticated"),
            ("events/query", "no_secret_key"),
            ("features.list", None),
        ],
    )
    def test_a_missing_key_is_401(self, stack: Stack, path: str, code: str | None) -> None:
        """flexprice.md 1.8: in the dialect's shape, where a function answers."""
        answer = send(stack, "GET", path, {})
        assert (answer.status_code, answer.json().get("code")) == (401, code)

    @pytest.mark.parametrize(
        "path",
        [
            "wallets",
            "wallets/w1/transactions",
            "prices/p1",
            "groups",
            "invoices/search",
            "customers/customer-1/wallets",
            "customers/customer-1/invoices/summary",
            "events/e1",
            "features/f1/clone",
            "subscriptions/s1/v2",
            "meters/m1/disable",
            "secrets/api/keys",
            "customer/portal/info",
            "tasks/scheduled",
        ],
    )
    def test_a_right_key_is_never_401(self, stack: Stack, path: str) -> None:
        """flexprice.md 1.8: what is not served is 501 for `x-api-key`, and Autumn's 404 for a bearer key."""
        for method in ("GET", "POST"):
            answer = send(stack, method, path, {"x-api-key": stack.secret_key}, {} if method == "POST" else None)
            assert (answer.status_code, answer.json()["code"]) == (501, "not_implemented"), (method, path)
        bearer = send(stack, "GET", path, {"authorization": f"Bearer {stack.secret_key}"})
        assert (bearer.status_code, set(bearer.json())) == (404, {"message", "code", "env"})

    @pytest.mark.parametrize(
        "noun", ["customers", "features", "plans", "addons", "entitlements", "subscriptions", "meters"]
    )
    def test_lists(self, stack: Stack, noun: str) -> None:
        """flexprice.md 1.6."""
        answer = send(stack, "GET", f"{noun}?limit=2&sort=created_at&order=asc", {"x-api-key": stack.secret_key})
        assert (answer.status_code, set(answer.json())) == (200, {"items", "pagination"})

    def test_events_are_listed_by_get(self, stack: Stack) -> None:
        """flexprice.md 2.7."""
        answer = send(stack, "GET", "events?page_size=2", {"x-api-key": stack.secret_key})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["events"]) <= 2
        bearer = send(stack, "GET", "events", {"authorization": f"Bearer {stack.secret_key}"})
        assert (bearer.status_code, set(bearer.json())) == (404, {"message", "code", "env"})

    def test_autumns_older_paths_of_a_customer_are_where_they_were(self, stack: Stack) -> None:
        bearer = {"authorization": f"Bearer {stack.secret_key}"}
        id = unique("customer")
        assert send(stack, "POST", "customers", bearer, {"id": id, "name": "Old"}).status_code == 200
        assert send(stack, "POST", f"customers/{id}", bearer, {"name": "New"}).json()["name"] == "New"
        assert send(stack, "GET", f"customers/{id}", bearer).json()["name"] == "New"
        assert send(stack, "POST", "customers/list", bearer, {"limit": 1}).status_code == 200
        assert send(stack, "POST", "events/list", bearer, {"customer_id": id}).json()["list"] == []
        assert "list" in send(stack, "GET", "features", bearer).json()

    def test_what_is_not_served_says_so(self, stack: Stack) -> None:
        answer = send(stack, "POST", "subscriptions/s1/pause", {"x-api-key": stack.secret_key}, {})
        assert (answer.status_code, answer.json()["code"]) == (501, "not_implemented")

    def test_a_live_key_sees_nothing_of_the_sandbox(self, stack: Stack) -> None:
        answer = send(stack, "GET", "customers/customer-1/entitlements", {"x-api-key": stack.live_secret_key})
        assert (answer.status_code, answer.json()["features"]) == (200, [])
