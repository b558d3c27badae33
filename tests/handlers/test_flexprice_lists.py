"""Flexprice's lists of customers and subscriptions: what the list of all customers tells is what reading each would
(flexprice.md 1.6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.handlers.conftest import Here, a_place
from tests.service import SANDBOX, item
from tollgate import runtime
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.periods import Interval
from tollgate.domain.plans import FreeTrial, Plan
from tollgate.domain.subscriptions import Terms
from tollgate.usecases.customers import SubscriptionFilter, SubscriptionUpdate

HOUR = 3_600_000
IDS = [f"c{number}" for number in range(7)]


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with a_place() as place:
        fill(place)
        yield place


def fill(place: Here) -> None:
    """Customers with names, metadata and clocks; subscriptions that run, are on trial, are to come, have ended, and add-ons."""
    use, now = place.service.customers, runtime.clock()
    catalogs = place.service.catalogs
    catalogs.create_plan(SANDBOX, Plan("base", "base", items=(item(10),)))
    catalogs.create_plan(SANDBOX, Plan("try", "try", items=(item(10),), free_trial=FreeTrial(7, Interval.DAY)))
    catalogs.create_plan(SANDBOX, Plan("extra", "extra", add_on=True, items=(item(10),)))
    for number, id in enumerate(IDS):
        email = f"{id}@example.com" if number % 2 else None
        made = Customer(id, f"Name {9 - number}", email, metadata={"team": f"t{number % 2}"} if number else {})
        use.get_or_create(SANDBOX, made, None, now - (10 - number) * HOUR)
        at, ref = now - number * HOUR, CustomerRef(SANDBOX, id)
        plan = ("base", "try")[number % 2]
        terms = Terms(free_trial=catalogs.plan(SANDBOX, plan).free_trial)
        held, _ = use.attach(ref, plan, None, at, replace(terms, starts_at=now + HOUR if number == 4 else None))
        use.attach(ref, "extra", None, at, Terms(parent_id=held.id if number % 3 else None, stacks=True))
        if number == 2:
            use.update_subscription(ref, SubscriptionFilter(held.id), SubscriptionUpdate("cancel_immediately"), now)
        if number == 5:
            use.update(ref, lambda old: replace(old, frozen_time=now), now)
            use.advance_test_clock(ref, now + 30 * 24 * HOUR, now)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"order": "asc"},
        {"limit": 3},
        {"limit": 2, "offset": 3, "order": "asc"},
        {"limit": 3, "offset": 50},
        {"metadata": {"team": "t1"}},
        {"sort": [{"field": "name", "direction": "asc"}], "limit": 4},
        {"filters": [{"field": "email", "operator": "contains", "data_type": "string", "value": {"string": "3@"}}]},
        {"filters": [{"field": "name", "operator": "not_contains", "data_type": "string", "value": {"string": "7"}}]},
        {"start_time": "{start}", "end_time": "{end}"},
    ],
)
def test_a_list_of_all_customers_is_that_of_each_by_its_id(here: Here, asked: dict[str, Any]) -> None:
    all_of_them = [one["id"] for one in page(here, "customers", {"limit": 100})["items"]]
    assert set(IDS) <= set(all_of_them)
    body = {name: with_times(here, value) for name, value in asked.items()}
    assert page(here, "customers", body) == page(here, "customers", {**body, "customer_ids": all_of_them})


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"order": "asc", "limit": 2, "offset": 1},
        {"subscription_status": ["trialing"]},
        {"subscription_status": ["draft", "active"]},
        {"subscription_status": ["draft", "cancelled"]},
        {"plan_id": "base"},
        {"plan_id": "try", "limit": 1},
        {"plan_id": "none"},
        {"billing_period": ["MONTHLY"]},
        {"sort": [{"field": "plan_id", "direction": "asc"}]},
    ],
)
def test_a_list_of_all_subscriptions_is_that_of_each_customer(here: Here, asked: dict[str, Any]) -> None:
    everyone = [one["id"] for one in page(here, "customers", {"limit": 100})["items"]]
    found = page(here, "subscriptions", asked)
    assert found == page(here, "subscriptions", {**asked, "customer_ids": everyone})
    assert found["items"] or asked.get("plan_id") == "none" or "billing_period" in asked


def page(here: Here, what: str, body: dict[str, Any]) -> Any:
    status, answer = here.call("entitlements", f"POST /v1/{what}/search", body, headers={"x-api-key": "k"})
    assert status == 200, answer
    return answer


def with_times(here: Here, value: Any) -> Any:
    """The creation of the third and the fifth customer, where they are meant."""
    wanted = {"{start}": "c2", "{end}": "c4"}.get(value) if isinstance(value, str) else None
    if wanted is None:
        return value
    return page(here, "customers", {"customer_ids": [wanted]})["items"][0]["created_at"]
