"""Lotus's official SDK (lotus-python 0.12.0, strict) against the deployed stack: only the host is changed.

Rules: invariants.md 7; lotus.md 0.1, 1.1, 1.2, 1.4, 1.8.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT, wait_for
from tests.e2e.programs import Program, running
from tollgate_cli.api import Api
from tollgate_cli.stack import Stack

PYTHON = ROOT / ".venv-lotus" / "bin" / "python"
CLIENT = ROOT / "tests" / "e2e" / "lotus_client.py"


@pytest.fixture(scope="module")
def sdk(stack: Stack) -> Iterator[Program]:
    with running(PYTHON, CLIENT, stack.url, stack.secret_key) as program:
        yield program


@pytest.fixture(scope="module")
def api(stack: Stack) -> Api:
    return Api(stack.url, stack.secret_key)


@pytest.fixture(scope="module")
def metric(api: Api) -> dict[str, Any]:
    """A metric that counts events of its own name."""
    id = f"calls-{uuid.uuid4().hex[:8]}"
    made: dict[str, Any] = api.call(
        "features.create",
        {
            "feature_id": id,
            "name": "Calls",
            "type": "metered",
            "consumable": True,
            "meter": {"event_name": id, "aggregation": {"type": "COUNT"}},
        },
    )
    return made


@pytest.fixture(scope="module")
def plan(api: Api, metric: dict[str, Any]) -> str:
    """One call free, five in all, and the dashboard."""
    id = f"plan-{uuid.uuid4().hex[:8]}"
    price = {"amount": 1, "interval": "month", "billing_method": "usage_based", "max_purchase": 4}
    items: list[Any] = [
        {"feature_id": metric["id"], "included": 1, "reset": {"interval": "month"}, "price": price},
        {"feature_id": "dashboard"},
    ]
    api.call("plans.create", {"plan_id": id, "name": "Starter", "items": items})
    return id


@pytest.fixture
def customer(sdk: Program) -> str:
    id = f"c-{uuid.uuid4().hex}"
    made = sdk("create_customer", customer_id=id, customer_name="Ada", email="ada@example.com")
    assert (made["customer_id"], made["email"]) == (id, "ada@example.com")
    return id


def subscribe(sdk: Program, customer: str, plan: str, **more: Any) -> dict[str, Any]:
    start = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    made: dict[str, Any] = sdk("create_subscription", customer_id=customer, plan_id=plan, start_date=start, **more)
    assert "error" not in made, made
    return made


def usage(sdk: Program, customer: str, metric: dict[str, Any]) -> Any:
    answer = sdk("check_metric_access", customer_id=customer, metric_id=metric["metric_id"])
    return [row["metric_usage"] for row in answer.get("access_per_subscription", ())]


def test_the_flow_of_an_application(sdk: Program, metric: dict[str, Any], plan: str, customer: str) -> None:
    held = subscribe(sdk, customer, plan)
    answer = sdk("check_metric_access", customer_id=customer, metric_id=metric["metric_id"])
    assert answer["access"]
    assert answer["metric"] == {
        "metric_id": metric["metric_id"],
        "event_name": metric["id"],
        "metric_name": "Calls",
    }
    (row,) = answer["access_per_subscription"]
    assert (row["metric_usage"], row["metric_free_limit"], row["metric_total_limit"]) == (0, 1, 5)
    assert row["subscription"]["plan"]["plan_name"] == "Starter"

    events = [
        {
            "customer_id": customer,
            "event_name": metric["id"],
            "idempotency_id": f"{customer}-{number}",
            "properties": {"number": number},
        }
        for number in range(4)
    ]
    assert sdk("track_events", [*events, events[0]]) == []
    wait_for(lambda: usage(sdk, customer, metric) == [4], 30, "usage is visible to metric_access within seconds")
    assert sdk("track_alone", {**events[0], "idempotency_id": f"{customer}-alone"}) == {"success": "all"}
    wait_for(lambda: usage(sdk, customer, metric) == [5], 30, "one event alone is counted too")
    answer = sdk("check_metric_access", customer_id=customer, metric_id=metric["metric_id"])
    assert not answer["access"]  # usage = limit

    assert [held["subscription_id"]] == [s["subscription_id"] for s in sdk("list_subscriptions", customer_id=customer)]
    assert sdk("cancel_subscription", subscription_id=held["subscription_id"])["auto_renew"] is False
    answer = sdk("check_metric_access", customer_id=customer, metric_id=metric["metric_id"])
    assert (answer["access"], answer["access_per_subscription"]) == (False, [])


def test_a_subscription_gives_access_to_its_features(sdk: Program, plan: str, customer: str) -> None:
    answer = sdk("check_feature_access", customer_id=customer, feature_id="dashboard")
    assert (answer["access"], answer["access_per_subscription"]) == (False, [])
    subscribe(sdk, customer, plan)
    answer = sdk("check_feature_access", customer_id=customer, feature_id="dashboard")
    assert (answer["access"], answer["feature"]["feature_name"]) == (True, "Dashboard")
    (older,) = sdk("get_customer_feature_access", customer_id=customer, feature_name="Dashboard")
    assert older["access"]


def test_the_deprecated_metric_access(sdk: Program, metric: dict[str, Any], plan: str, customer: str) -> None:
    subscribe(sdk, customer, plan)
    (row,) = sdk("get_customer_metric_access", customer_id=customer, event_name=metric["id"])
    (component,) = row["usage_per_component"]
    assert (component["metric_usage"], component["metric_total_limit"]) == (0, 5)


def test_an_event_counts_for_the_subscriptions_whose_filters_it_matches(
    sdk: Program, stack: Stack, metric: dict[str, Any], plan: str, customer: str
) -> None:
    for region in ("US", "EU"):
        subscribe(sdk, customer, plan, subscription_filters=[{"property_name": "region", "value": region}])
    event = {"customer_id": customer, "event_name": metric["id"], "properties": {"region": "US"}}
    assert sdk("track_events", [event]) == []
    wait_for(lambda: usage(sdk, customer, metric) == [1, 0], 30, "the event counts where it matches")
    asked = [{"property_name": "region", "value": "US"}]  # the SDK loses the values: it asks for nothing
    lost = sdk("check_metric_access", customer_id=customer, metric_id=metric["metric_id"], subscription_filters=asked)
    assert len(lost["access_per_subscription"]) == 2
    nested = {"subscription_filters[0][property_name]": "region", "subscription_filters[0][value]": "US"}
    answer = httpx.get(
        f"{stack.url}/api/metric_access/",
        params={"customer_id": customer, "metric_id": metric["metric_id"], **nested},
        headers={"X-API-KEY": stack.secret_key},
    ).json()
    assert [row["metric_usage"] for row in answer["access_per_subscription"]] == [1]


def test_events_of_a_customer_to_come(sdk: Program, stack: Stack, metric: dict[str, Any], plan: str) -> None:
    """Accepted at once, counted when the customer appears (lotus.md 1.6)."""
    id = f"c-{uuid.uuid4().hex}"
    events = [
        {"customer_id": id, "event_name": metric["id"], "idempotency_id": f"{id}-{number}"} for number in range(3)
    ]
    assert sdk("track_events", events) == []

    def received() -> bool:
        answer = httpx.post(
            f"{stack.url}/api/verify_idems_received/",
            json={"idempotency_ids": [event["idempotency_id"] for event in events]},
            headers={"X-API-KEY": stack.secret_key},
        )
        return bool(answer.json() == {"status": "success", "ids_not_found": []})

    wait_for(received, 30, "the events are received")
    error = sdk("check_metric_access", customer_id=id, metric_id=metric["metric_id"])["error"]
    assert (error[0], error[1]["title"]) == (400, "does_not_exist")
    sdk("create_customer", customer_id=id, customer_name="Late", email="late@example.com")
    subscribe(sdk, id, plan)
    wait_for(lambda: usage(sdk, id, metric) == [3], 30, "the events that waited are counted")


def test_customers_and_plans_parse(sdk: Program, plan: str, customer: str) -> None:
    subscribe(sdk, customer, plan)
    found = sdk("get_customer", customer_id=customer)
    assert [held["billing_plan"]["plan_name"] for held in found["subscriptions"]] == ["Starter"]
    assert {"Starter", "Pro"} <= {each["plan_name"] for each in sdk("list_plans")}
    error = sdk("get_customer", customer_id="nobody")["error"]
    assert (error[0], error[1]["title"]) == (404, "not_found")
    error = sdk("create_customer", customer_id=customer, customer_name="Ada", email="ada@example.com")["error"]
    assert (error[0], error[1]["title"]) == (400, "duplicate_resource")


@pytest.mark.parametrize("slash", ["", "/"])
def test_every_route_is_served_with_and_without_a_slash(stack: Stack, slash: str) -> None:
    headers = {"X-API-KEY": stack.secret_key}
    for path in ("metric_access", "feature_access", "customer_access", "customer_metric_access"):
        answer = httpx.get(f"{stack.url}/api/{path}{slash}", headers=headers)
        assert answer.status_code == 400
        assert "required" in answer.text
    assert httpx.get(f"{stack.url}/api/ping{slash}", headers=headers).status_code == 200
    assert httpx.post(f"{stack.url}/api/track{slash}", json={"batch": []}, headers=headers).status_code == 201
    answer = httpx.post(f"{stack.url}/api/verify_idems_received{slash}", json={}, headers=headers)
    assert answer.json()["status"] == "failure"


def test_without_a_key_and_with_a_wrong_one(stack: Stack) -> None:
    """The first is API Gateway's own answer (lotus.md 0.4)."""
    for headers, body in (({}, {"message"}), ({"X-API-KEY": "am_sk_test_wrong"}, {"type", "detail", "title"})):
        answer = httpx.get(f"{stack.url}/api/metric_access/", headers=headers)
        assert (answer.status_code, set(answer.json())) == (401, body)
