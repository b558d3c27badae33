"""Reported usage: taken in at once, counted in full and once, for every feature that counts it (flexprice.md 0, 2.5).

Rules: flexprice.md 0.1, 0.7, 1.2; management.md 11.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from flexprice import models

from tests.conftest import Spent
from tests.flexprice import assert_error, call, sdk
from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.service import MONTHLY, NOW, SANDBOX
from tollgate import runtime
from tollgate.dialects.flexprice.fields import time_text
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.plans import Plan, PlanItem


def meter(name: str, type: str, **more: Any) -> dict[str, Any]:
    filters = more.pop("filters", [])
    return {"meter": {"event_name": name, "aggregation": {"type": type, **more}, "filters": filters}}


EU = [{"key": "region", "values": ["eu"]}]
FEATURES = (
    Feature("listed", "Listed", FeatureType.METERED, event_names=("call",)),
    Feature("count", "Count", FeatureType.METERED, extra=meter("call", "COUNT")),
    Feature("tokens", "Tokens", FeatureType.METERED, extra=meter("call", "SUM", field="tokens")),
    Feature("eu", "EU", FeatureType.METERED, extra=meter("call", "COUNT", filters=EU)),
    Feature("peak", "Peak", FeatureType.METERED, extra=meter("peak", "MAX", field="n")),
)


@pytest.fixture(scope="module")
def stocked(here: Here) -> Here:
    for feature in FEATURES:
        here.service.catalogs.create_feature(SANDBOX, feature)
    items = tuple(PlanItem(feature.id, Decimal(100), reset=MONTHLY) for feature in FEATURES)
    here.service.catalogs.create_plan(SANDBOX, Plan("all", "All", items=items))
    return here


@pytest.fixture
def customer(stocked: Here, request: pytest.FixtureRequest) -> str:
    id = request.node.name[:100].replace("[", "-").replace("]", "")
    stocked.service.customers.get_or_create(SANDBOX, Customer(id), None, NOW)
    stocked.service.customers.attach(CustomerRef(SANDBOX, id), "all", None, runtime.clock())
    return str(id)


def taken() -> list[str]:
    """The messages on the usage queue, taken off it."""
    queue, url = runtime.client("sqs"), os.environ["TOLLGATE_USAGE_QUEUE_URL"]
    bodies = []
    while found := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in found:
            bodies.append(message["Body"])
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


@pytest.fixture
def deliver(stocked: Here) -> Callable[..., list[str]]:
    """Delivers messages (those that wait on the queue); returns the ids of those that failed."""
    taken()

    def run(bodies: list[str] | None = None) -> list[str]:
        records = [
            {"messageId": str(n), "body": body, "eventSource": "aws:sqs", "attributes": {}, "messageAttributes": {}}
            for n, body in enumerate(taken() if bodies is None else bodies)
        ]
        failed = stocked.handlers["usage_queue"]({"Records": records}, CONTEXT)["batchItemFailures"] if records else []
        return [entry["itemIdentifier"] for entry in failed]

    return run


def ingest(stocked: Here, body: Any, route: str = "POST /v1/events") -> tuple[int, Any]:
    return call(stocked.handlers["entitlements"], route, body)


def used(stocked: Here, customer: str) -> dict[str, str]:
    _, body = call(stocked.handlers["entitlements"], f"GET /v1/customers/{customer}/usage")
    return {entry["feature"]["id"]: entry["current_usage"] for entry in body["features"]}


def test_an_event_counts_for_every_feature_that_counts_it(
    stocked: Here, customer: str, deliver: Callable[..., list[str]]
) -> None:
    event = {
        "event_name": "call",
        "external_customer_id": customer,
        "event_id": f"{customer}-1",
        "timestamp": time_text(runtime.clock()),
        "properties": {"tokens": "12.5", "region": "us"},
    }
    status, body = ingest(stocked, event)
    assert (status, body) == (202, {"message": "Event accepted for processing", "event_id": f"{customer}-1"})
    assert deliver() == []
    assert used(stocked, customer) == {"listed": "1", "count": "1", "tokens": "12.5", "eu": "0", "peak": "0"}


def test_an_event_counts_once_however_often_it_is_reported_or_delivered(
    stocked: Here, customer: str, deliver: Callable[..., list[str]]
) -> None:
    event = {"event_name": "call", "external_customer_id": customer, "event_id": f"{customer}-1", "properties": {}}
    for _ in range(2):
        assert ingest(stocked, event)[0] == 202
    bodies = taken()
    assert len(bodies) == 2
    for _ in range(3):
        assert deliver(bodies) == []
    assert used(stocked, customer)["count"] == "1"
    ingest(stocked, {**event, "event_id": f"{customer}-2"})
    deliver()
    assert used(stocked, customer)["count"] == "2"


def test_without_an_id_each_report_is_an_event(stocked: Here, customer: str, deliver: Callable[..., list[str]]) -> None:
    ids = {ingest(stocked, {"event_name": "call", "external_customer_id": customer})[1]["event_id"] for _ in range(3)}
    assert len(ids) == 3
    deliver()
    assert used(stocked, customer)["count"] == "3"


def test_reported_usage_goes_past_the_limit_and_then_denies(
    stocked: Here, customer: str, deliver: Callable[..., list[str]]
) -> None:
    """Upstream: 500 units against an allowance of 100."""
    events = [
        {"event_name": "call", "external_customer_id": customer, "properties": {"tokens": "5"}} for _ in range(100)
    ]
    assert ingest(stocked, {"events": events}, "POST /v1/events/bulk") == (
        202,
        {"message": "Events accepted for processing"},
    )
    assert deliver() == []
    _, body = call(stocked.handlers["entitlements"], f"GET /v1/customers/{customer}/usage", None, "feature_ids=tokens")
    (tokens,) = body["features"]
    assert (tokens["current_usage"], tokens["usage_percent"], tokens["access"]["allowed"]) == ("500", "5", False)
    _, check = stocked.call("check", "POST /v1/check", {"customer_id": customer, "feature_id": "tokens"})
    assert check["allowed"] is False
    assert (check["balance"]["remaining"], check["balance"]["usage"]) == (0, 500)


def test_a_thousand_events_are_taken_at_once(stocked: Here, customer: str, deliver: Callable[..., list[str]]) -> None:
    events = [{"event_name": "nobody.counts", "external_customer_id": customer}] * 1000
    assert ingest(stocked, {"events": events}, "POST /v1/events/bulk")[0] == 202
    bodies = taken()
    assert [len(json.loads(body)["items"]) for body in bodies] == [20] * 50
    spent = Spent(runtime.client("dynamodb"))
    assert deliver(bodies) == []  # an event that no feature counts is a use of nothing
    assert [name for name, _ in spent.requests] == ["GetItem"]  # whether the catalog has changed
    spent.stop()
    for wrong in ([], [*events, events[0]]):
        answer = ingest(stocked, {"events": wrong}, "POST /v1/events/bulk")
        assert_error(*answer, (400, "validation_error"))


def test_events_of_an_unknown_customer_wait_for_it_and_hold_nothing_up(
    stocked: Here, customer: str, deliver: Callable[..., list[str]]
) -> None:
    events = [
        {"event_name": "call", "external_customer_id": customer},
        {"event_name": "call", "external_customer_id": f"{customer}-later"},
        {"event_name": "peak", "external_customer_id": customer, "properties": {"n": "3"}},
        {"event_name": "peak", "external_customer_id": customer, "properties": {"n": "2"}},
        {"event_name": "call", "external_customer_id": customer},
    ]
    assert ingest(stocked, {"events": events}, "POST /v1/events/bulk")[0] == 202
    (body,) = taken()
    for _ in range(2):
        assert deliver([body]) == []
        assert (used(stocked, customer)["count"], used(stocked, customer)["peak"]) == ("2", "3")
    stocked.service.customers.get_or_create(SANDBOX, Customer(f"{customer}-later"), None, NOW)
    stocked.service.customers.attach(CustomerRef(SANDBOX, f"{customer}-later"), "all", None, runtime.clock())
    for _ in range(2):
        runtime.usage_events().count_waiting(CustomerRef(SANDBOX, f"{customer}-later"), runtime.clock())
        assert used(stocked, f"{customer}-later")["count"] == "1"


def test_the_sdk_reports(stocked: Here, customer: str, deliver: Callable[..., list[str]]) -> None:
    client = sdk(stocked.handlers["entitlements"])
    one = client.events.ingest_event(event_name="call", external_customer_id=customer, properties={"tokens": "2"})
    assert one
    client.events.ingest_events_bulk(
        events=[models.IngestEventRequest(event_name="call", external_customer_id=customer)]
    )
    deliver()
    assert (used(stocked, customer)["count"], used(stocked, customer)["tokens"]) == ("2", "2")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event_name": "call"},
        {"external_customer_id": "c"},
        {"event_name": "call", "external_customer_id": "c", "customer_id": "d"},
        {"event_name": "call", "external_customer_id": "c", "timestamp": "yesterday"},
        {"event_name": "call", "external_customer_id": "c", "properties": {"a": {"b": 1}}},
        {"event_name": "call", "external_customer_id": "c", "properties": {"a": "x" * 5000}},
        {"event_name": "call", "external_customer_id": "c", "event_id": 5},
        [],
        "{",
    ],
    ids=lambda body: str(body)[:50],
)
def test_what_is_no_event_is_refused(stocked: Here, deliver: Callable[..., list[str]], body: Any) -> None:
    assert deliver() == []
    assert_error(*ingest(stocked, body), (400, "validation_error"))
    assert taken() == []


def test_a_queue_that_takes_nothing_is_told(
    stocked: Here, monkeypatch: pytest.MonkeyPatch, deliver: Callable[..., list[str]]
) -> None:
    assert deliver() == []

    class Full:
        def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> dict[str, Any]:  # noqa: ARG002, N803
            return {"Failed": [{"Id": entry["Id"]} for entry in Entries]}

    monkeypatch.setattr(runtime, "client", lambda _: Full())
    event = {"event_name": "call", "external_customer_id": "c"}
    assert_error(*ingest(stocked, event), (503, "service_unavailable"))
