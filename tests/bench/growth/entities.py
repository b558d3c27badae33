"""Axes of customers with many entities that hold shares of a plan, and of what else a customer may hold much of."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from tests.bench.growth.sites import Axis, Site, Work
from tests.service import SANDBOX, item
from tollgate.domain.customers import Customer, Entity
from tollgate.domain.environments import CustomerRef
from tollgate.runtime import clock

USE = {"customer_id": "c1", "feature_id": "messages", "send_event": True}
AUTUMN = {"x-api-version": "2.1"}


def shares(site: Site, number: int) -> None:
    """The customer c1, whose plan gives each of so many entities messages, and seats to the customer. A site gets it once."""
    if "entities" in site.filled:
        return
    site.filled["entities"] = number
    here, now = site.service, clock()
    here.customers.get_or_create(SANDBOX, Customer("c1"), None, now)
    here.attach("c1", [replace(item(5), entity_feature_id="users"), item(10**6, None, "users")], now)
    for index in range(number):
        here.customers.create_entity(CustomerRef(SANDBOX, "c1"), Entity(f"seat-{index:05}", "users"), now)


def read(site: Site, number: int) -> Work:
    shares(site, number)
    body = {"customer_id": "c1", "entity_id": f"seat-{number // 2:05}"}
    return site.http("manage", "POST /v1/entities.get", body, headers=AUTUMN)


def made(site: Site, number: int) -> Work:
    shares(site, number)
    numbers = count()

    def one() -> object:
        body = {"customer_id": "c1", "entity_id": f"more-{next(numbers)}", "feature_id": "users"}
        return site.http("manage", "POST /v1/entities.create", body, headers=AUTUMN).call()

    return Work(one)


def grants(site: Site, number: int) -> Work:
    """A use of a feature that so many plans grant, each attached at a time of its own."""
    here, now = site.service, clock()
    here.customers.get_or_create(SANDBOX, Customer("c1"), None, now)
    for index in range(number):
        here.attach("c1", [item(1000)], now + index * 7_919)
    return site.http("check", "POST /v1/balances.check", USE)


def holds(site: Site, number: int) -> Work:
    """A use beside so many open reservations."""
    site.service.customer("c1", [item(10**6)], clock())
    for index in range(number):
        lock = {"lock": {"enabled": True, "lock_id": f"lock-{index}"}, "required_balance": 3}
        site.http("check", "POST /v1/balances.check", {**USE, **lock}).call()
    return site.http("check", "POST /v1/balances.check", USE)


ENTITIES = (
    Axis("`entities.get`", "entities with shares", (10, 100, 1_000), read, (4, 7, 0)),
    Axis("`entities.create`", "entities with shares", (10, 100, 1_000), made, (7, 6, 11)),
    Axis("a use", "grants of its feature", (1, 10, 50), grants, (1, 0, 3)),
    Axis("a use", "open holds", (1, 10, 200), holds, (1, 0, 6)),
)
