"""Axes of customers with many entities that hold shares of a plan, and of what else a customer may hold much of."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from tests.bench.growth.sites import Axis, Site, Work
from tests.service import SANDBOX, item
from tollgate.domain.customers import Customer, Entity
from tollgate.domain.environments import CustomerRef
from tollgate.runtime import clock

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


ENTITIES = (
    Axis("`entities.get`", "entities with shares", (10, 100, 1_000), read, (4, 7, 0)),
    Axis("`entities.create`", "entities with shares", (10, 100, 1_000), made, (7, 6, 11)),
)
