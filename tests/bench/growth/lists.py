"""Axes of lists, histories and of what stands beside a check: customers, subscriptions, events, properties."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from tests.bench.growth.sites import Axis, Site, Work
from tests.service import SANDBOX, item
from tollgate.domain.customers import Customer, Entity
from tollgate.domain.environments import CustomerRef
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.history import Entry, additions
from tollgate.domain.plans import Plan
from tollgate.domain.subscriptions import Terms
from tollgate.runtime import clock
from tollgate.store.history import HistoryStore
from tollgate.usecases.customers import SubscriptionFilter, SubscriptionUpdate

HOUR = 3_600_000
DAY = 24 * HOUR
AUTUMN = {"x-api-version": "2.1"}


def customers(site: Site, number: int) -> None:
    """So many customers with one plan each; the last one is on a plan of its own and has an entity. A site gets them once."""
    if "customers" in site.filled:
        return
    site.filled["customers"] = number
    here, now = site.service, clock()
    for plan in ("everybody", "rare"):
        here.catalogs.create_plan(SANDBOX, Plan(plan, plan, items=(item(1000),)))

    def make(index: int) -> None:
        id = f"customer-{index:06}"
        made = Customer(id, f"Customer {index}", f"{id}@example.com")
        here.customers.get_or_create(SANDBOX, made, "rare" if index == number // 2 else "everybody", now - index)

    site.each(make, range(number))
    here.customers.create_entity(CustomerRef(SANDBOX, f"customer-{number // 2:06}"), Entity("seat-1", "users"), now)


def a_page(site: Site, number: int) -> Work:
    customers(site, number)
    return site.http("manage", "POST /v1/customers.list", {"limit": 50}, headers=AUTUMN)


def by_plan(site: Site, number: int) -> Work:
    customers(site, number)
    body = {"limit": 50, "plans": [{"id": "rare"}]}
    return site.http("manage", "POST /v1/customers.list", body, headers=AUTUMN)


def by_words(site: Site, number: int) -> Work:
    customers(site, number)
    body = {"limit": 50, "search": f"{number // 2:06}"}
    return site.http("manage", "POST /v1/customers.list", body, headers=AUTUMN)


def an_entity(site: Site, number: int) -> Work:
    customers(site, number)
    return site.http("manage", "POST /v1/entities.get", {"entity_id": "seat-1"}, headers=AUTUMN)


def by_email(site: Site, number: int) -> Work:
    customers(site, number)
    body = {"email": f"customer-{number // 2:06}@example.com"}
    return site.http("entitlements", "POST /v1/customers/search", body, headers={"x-api-key": "k"})


def flexprice_page(body: dict[str, Any], what: str = "customers") -> Callable[[Site, int], Work]:
    def made(site: Site, number: int) -> Work:
        customers(site, number)
        return site.http("entitlements", f"POST /v1/{what}/search", body, headers={"x-api-key": "k"})

    return made


def by_ids(site: Site, number: int) -> Work:
    return flexprice_page({"customer_ids": [f"customer-{index:06}" for index in range(50)]})(site, number)


def subscriptions(site: Site, number: int) -> Work:
    customers(site, number)
    return site.http("entitlements", "POST /v1/subscriptions/search", {"plan_id": "rare"}, headers={"x-api-key": "k"})


def rare_id(site: Site, number: int) -> str:
    """The id of the subscription to the plan that one customer has; its own ids name no customer."""
    holdings = site.service.customers.get(CustomerRef(SANDBOX, f"customer-{number // 2:06}"))
    return next(iter(holdings.subscriptions))


def a_subscription(site: Site, number: int) -> Work:
    customers(site, number)
    route = f"GET /v1/subscriptions/{rare_id(site, number)}"
    return site.http("entitlements", route, headers={"x-api-key": "k"})


def subscriptions_by_id(site: Site, number: int) -> Work:
    customers(site, number)
    body = {"subscription_ids": [rare_id(site, number)]}
    return site.http("entitlements", "POST /v1/subscriptions/search", body, headers={"x-api-key": "k"})


def entities_by_plan(site: Site, number: int) -> Work:
    customers(site, number)
    body = {"limit": 50, "plans": [{"id": "rare"}]}
    return site.http("manage", "POST /v1/entities.list", body, headers=AUTUMN)


def offset(site: Site, number: int) -> Work:
    customers(site, number)
    return site.http("manage", "GET /v1/customers", None, headers={"x-api-version": "1.2"}, query="limit=50")


# ------------------------------------------------------------------ history


def history(site: Site, number: int, *, days: int = 30) -> tuple[int, int]:
    """So many uses of one customer, spread evenly over the days before today; the range [start, end) of them.
    A site gets them once."""
    if "uses" in site.filled:
        start, end = site.filled["uses"]
        return start, end
    here, now = site.service, clock()
    here.customer("c1", [item(10**6)], now)
    end = now - now % DAY
    start = end - days * DAY
    uses = [
        Entry(
            f"use-{index:06}", start + index * (end - start) // number, "c1", "messages", None, Decimal(1),
            {"model": "large"}, item="messages##use", version=index + 1,
        )
        for index in range(number)
    ]  # fmt: skip
    store = HistoryStore(here.table, 400)

    def write(first: int) -> None:
        store.write((SANDBOX, entry, now) for entry in uses[first : first + 500])

    site.each(write, range(0, number, 500))
    store.add(SANDBOX, additions(uses), now)
    site.filled["uses"] = start, end
    return start, end


def events(site: Site, number: int) -> Work:
    start, end = history(site, number)
    body = {"customer_id": "c1", "limit": 100, "custom_range": {"start": start, "end": end}}
    return site.http("manage", "POST /v1/events.list", body, headers={"x-api-version": "2.4"})


def events_by_offset(site: Site, number: int) -> Work:
    start, end = history(site, number)
    body = {"customer_id": "c1", "limit": 100, "offset": 0, "custom_range": {"start": start, "end": end}}
    return site.http("manage", "POST /v1/events.list", body, headers={"x-api-version": "2.0"})


def by_day(zone: str) -> Any:
    def made(site: Site, number: int) -> Work:
        start, end = history(site, number)
        body = {
            "customer_id": "c1",
            "feature_id": "messages",
            "custom_range": {"start": start, "end": end},
            "bin_size": "day",
            "timezone": zone,
        }
        return site.http("manage", "POST /v1/events.aggregate", body, headers=AUTUMN)

    return made


# ------------------------------------------------------------------ beside a check


def features(site: Site, number: int) -> list[str]:
    """The customer c1, who holds so many features, up to 50 from one plan."""
    here, now = site.service, clock()
    ids = [f"feature-{index:03}" for index in range(number)]
    for id in ids:
        here.catalogs.create_feature(SANDBOX, Feature(id, id, FeatureType.METERED))
    here.customer("c1", [item(1000)], now)
    for first in range(0, number, 50):
        here.attach("c1", [item(1000, feature=id) for id in ids[first : first + 50]], now)
    return ids


def with_customer_data(site: Site, number: int) -> Work:
    features(site, number)
    body = {"customer_id": "c1", "feature_id": "messages", "customer_data": {"name": "Ada"}}
    return site.http("check", "POST /v1/check", body, headers={"x-api-version": "1.2"})


def one_feature(site: Site, number: int) -> Work:
    ids = features(site, number)
    path = "GET /v1/customers/c1/entitlements"
    return site.http("entitlements", path, query=f"feature_ids={ids[0]}", headers={"x-api-key": "k"})


def ended(site: Site, number: int) -> Work:
    here, now = site.service, clock()
    c1 = CustomerRef(SANDBOX, "c1")
    here.customer("c1", [item(1000)], now)
    here.catalogs.create_plan(SANDBOX, Plan("extra", "extra", add_on=True, items=(item(10),)))
    for _ in range(number):
        held, _ = here.customers.attach(c1, "extra", None, now, Terms(stacks=True))
        change = SubscriptionUpdate("cancel_immediately")
        here.customers.update_subscription(c1, SubscriptionFilter(held.id), change, now)
    return site.http("manage", "POST /v1/customers.get", {"customer_id": "c1"}, headers=AUTUMN)


def after_properties(site: Site, size: int) -> Work:
    here, now = site.service, clock()
    here.customer("c1", [item(10**6)], now)
    use = {"customer_id": "c1", "feature_id": "messages", "send_event": True}
    large = site.http("check", "POST /v1/balances.check", {**use, "properties": {"text": "x" * size}})
    plain = site.http("check", "POST /v1/balances.check", use)
    return Work(plain.call, large.call)


# ------------------------------------------------------------------ the stream's consumer


class Bus:
    """Stands for EventBridge, and for the queue of dead letters."""

    def __init__(self) -> None:
        self.requests = 0

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - botocore's name
        self.requests += 1
        return {"Entries": [{} for _ in Entries], "FailedEntryCount": 0}

    def send_message(self, **_: Any) -> None:
        raise AssertionError("nothing here is unreadable")


@contextmanager
def told_to(bus: Bus) -> Iterator[None]:
    """The consumer of the stream with this bus in site of EventBridge."""
    module: Any = sys.modules["functions.usage_events.app"]
    before = module._events, module._queue
    module._events = module._queue = bus
    try:
        yield
    finally:
        module._events, module._queue = before


LISTS = (
    Axis("`customers.list`, 50 a page", "customers", (100, 1_000, 10_000), a_page, (4, None, 0)),
    Axis("`customers.list` of a plan that one has", "customers", (100, 1_000, 10_000), by_plan, (3, 4, 0)),
    Axis("`customers.list` by a rare word", "customers", (100, 1_000, 10_000), by_words, (6, None, 0)),
    Axis("`entities.get` without the customer", "customers", (100, 1_000, 10_000), an_entity, (4, 5, 0)),
    Axis("Flexprice: customers by e-mail", "customers", (100, 1_000, 10_000), by_email, (2, 4, 0)),
    Axis("Flexprice: customers, 50 a page", "customers", (100, 1_000, 10_000), flexprice_page({}), (5, None, 0)),
    Axis(
        "Flexprice: customers by a part of the name",
        "customers",
        (100, 1_000, 10_000),
        flexprice_page(
            {
                "filters": [
                    {"field": "name", "operator": "contains", "data_type": "string", "value": {"string": "er 42"}}
                ]
            }
        ),
        (5, None, 0),
    ),
    Axis("Flexprice: customers by 50 ids", "customers", (100, 1_000, 10_000), by_ids, (1, 50, 0)),
    Axis(
        "Flexprice: subscriptions, 50 a page",
        "customers",
        (100, 1_000, 10_000),
        flexprice_page({}, "subscriptions"),
        (7, None, 0),
    ),
    Axis("Flexprice: subscriptions of a plan", "customers", (100, 1_000, 10_000), subscriptions, (3, 4, 0)),
    Axis("Flexprice: a subscription by its id", "customers", (100, 1_000, 10_000), a_subscription, (3, 4, 0)),
    Axis("Flexprice: subscriptions by their ids", "customers", (100, 1_000, 10_000), subscriptions_by_id, (3, 4, 0)),
    Axis("`entities.list` of a plan that one has", "customers", (100, 1_000, 10_000), entities_by_plan, (3, 4, 0)),
    Axis("`GET /v1/customers` (1.2), 50 a page", "customers", (100, 1_000, 10_000), offset, (6, None, 0)),
    Axis("`events.list`, 100 a page", "uses", (200, 2_000, 20_000), events, (2, 8, 0)),
    Axis("the same by offset (2.2 and older)", "uses", (200, 2_000, 20_000), events_by_offset, (2, 8, 0), held=False),
    Axis(
        "`events.aggregate` by day, Asia/Tokyo",
        "uses",
        (200, 2_000, 20_000),
        by_day("Asia/Tokyo"),
        (None, 40, 0),
    ),
    Axis("the same, Asia/Kolkata", "uses", (200, 2_000, 20_000), by_day("Asia/Kolkata"), (None, 40, 0)),
    Axis("`check` (1.2) with `customer_data`", "features held", (2, 20, 200), with_customer_data, (2, 2, 0)),
    Axis("Flexprice: entitlements of one feature", "features held", (2, 200, 1_000), one_feature, (4, None, 0)),
    Axis("a use after one with properties", "bytes of them", (100, 1_000, 4_000), after_properties, (1, 0, 1)),
    Axis("`customers.get`", "ended subscriptions", (1, 10, 100), ended, (2, 3, 0)),
)
