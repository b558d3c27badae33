"""A customer with many ended subscriptions: who asks for them finds them, and nobody else reads them (management.md 20)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Spent
from tests.handlers.conftest import Here, a_place
from tests.handlers.test_events import CONTEXT
from tests.handlers.test_usage_events import Bus, Letters
from tests.service import SANDBOX, item
from tests.streams import as_sent
from tollgate import runtime
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.plans import Plan
from tollgate.domain.subscriptions import Terms
from tollgate.store import customers as stored
from tollgate.usecases.customers import SubscriptionFilter, SubscriptionUpdate

ENDED = 45
AUTUMN = {"x-api-version": "2.1"}
FLEXPRICE = {"x-api-key": "k"}
C1 = CustomerRef(SANDBOX, "c1")
IDS = {f"sub-{number:03}" for number in range(ENDED)}


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with a_place() as place:
        fill(place)
        yield place


def fill(place: Here) -> None:
    use, now = place.service, runtime.clock()
    use.customer("c1", [item(1000)], now)
    use.customers.get_or_create(SANDBOX, Customer("c2"), None, now)
    for plan in ("extra", "last"):
        use.catalogs.create_plan(SANDBOX, Plan(plan, plan, add_on=True, items=(item(10),)))
    for id in sorted(IDS):
        churn(place, id, now)
    use.customers.attach(C1, "last", None, now, Terms(stacks=True), "running")


def churn(place: Here, id: str, now: int) -> None:
    """A subscription that is attached and ends at once."""
    place.service.customers.attach(C1, "extra", None, now, Terms(stacks=True), id)
    end = SubscriptionUpdate("cancel_immediately")
    place.service.customers.update_subscription(C1, SubscriptionFilter(id), end, now)


def flexprice(here: Here, route: str, body: Any = None, **more: Any) -> Any:
    status, answer = here.call("entitlements", route, body, headers=FLEXPRICE, **more)
    assert status == 200, answer
    return answer


def found_ids(answer: Any) -> set[str]:
    return {one["id"] for one in answer["items"]}


def test_what_has_ended_is_read_by_nobody_who_does_not_ask_for_it(here: Here) -> None:
    spent = Spent(runtime.client("dynamodb"))
    try:
        for function, route, body, most in (
            ("manage", "POST /v1/customers.get", {"customer_id": "c1"}, 3),
            ("manage", "POST /v1/customers.list", {}, 8),
        ):
            here.call(function, route, body, headers=AUTUMN)
            units = sum(units for _, units in spent.of(lambda: here.call(function, route, body, headers=AUTUMN)))  # noqa: B023 - called at once
            assert units <= most, (route, units)
    finally:
        spent.stop()


@pytest.mark.parametrize(
    "asked",
    [
        {"customer_id": "c1", "subscription_status": ["cancelled"]},
        {"subscription_status": ["cancelled"]},
        {"subscription_status": ["cancelled"], "plan_id": "extra"},
        {"subscription_status": ["cancelled"], "subscription_ids": sorted(IDS)},
    ],
)
def test_flexprice_finds_them_by_customer_plan_and_id(here: Here, asked: dict[str, Any]) -> None:
    found = flexprice(here, "POST /v1/subscriptions/search", {**asked, "limit": 100})
    assert found_ids(found) == IDS
    other = flexprice(here, "POST /v1/subscriptions/search", {**asked, "plan_id": "last"})
    assert found_ids(other) == set()


def test_each_is_there_by_its_id_in_every_dialect(here: Here) -> None:
    for id in sorted(IDS)[::11]:
        assert flexprice(here, f"GET /v1/subscriptions/{id}")["subscription_status"] == "cancelled"
    query = "customer_id=c1&status=ended"
    status, found = here.call("metric_access", "GET /api/subscriptions/", None, query=query, headers=FLEXPRICE)
    assert status == 200
    assert len(found) == ENDED
    listed: Any = found
    one = listed[3]["subscription_id"]
    status, read = here.call("metric_access", f"GET /api/subscriptions/{one}/", None, headers=FLEXPRICE)
    assert (status, read["subscription_id"]) == (200, one)


def test_an_id_stays_taken(here: Here) -> None:
    body = {"customer_id": "c1", "plan_id": "extra", "subscription_id": "sub-003"}
    status, answer = here.call("manage", "POST /v1/billing.attach", body, headers=AUTUMN)
    assert status == 409, answer


def test_that_they_move_is_told_to_nobody(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ends once, for whoever listens, also where its customer is deleted."""
    module: Any = sys.modules["functions.usage_events.app"]
    bus = Bus()
    monkeypatch.setattr(module, "_events", bus)
    monkeypatch.setattr(module, "_queue", Letters())
    now = runtime.clock()
    here.service.customers.get_or_create(SANDBOX, Customer("gone"), None, now)
    gone = CustomerRef(SANDBOX, "gone")
    for number in range(3):
        here.service.customers.attach(gone, "extra", None, now, Terms(stacks=True), f"g{number}")
        end = SubscriptionUpdate("cancel_immediately")
        here.service.customers.update_subscription(gone, SubscriptionFilter(f"g{number}"), end, now)
    here.service.customers.delete(gone)
    table = here.service.table
    sent = [
        r for r in as_sent(table.client, table.name) if r["dynamodb"]["Keys"]["sk"]["S"].startswith("SUBSCRIPTION#")
    ]
    here.handlers["usage_events"]({"Records": sent}, CONTEXT)
    told = [(entry["DetailType"], json.loads(entry["Detail"])["subscription"]["id"]) for entry in bus.entries]
    ended = [id for what, id in told if what == "subscription.ended"]
    assert sorted(ended) == sorted([*IDS, "g0", "g1", "g2"])
    left = [one["pk"]["S"] for one in table.client.scan(TableName=table.name)["Items"]]
    assert not {
        "sandbox#ended#gone",
        "sandbox#customer#gone",
        "sandbox#subscription#g0",
        "sandbox#subscription#g1",
    }.intersection(left)


def test_those_of_an_older_release_move_with_the_next_changes() -> None:
    with a_place() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "over", lambda *_: [])
        fill(place)
        assert len(place.service.customers.get(C1).subscriptions) == ENDED + 2
        patch.undo()
        for number in range(6):
            churn(place, f"later-{number}", runtime.clock())
        held = place.service.customers.get(C1)
        assert len(held.subscriptions) == 3
        assert set(place.service.customers.with_ended(SANDBOX, held).subscriptions) >= IDS
