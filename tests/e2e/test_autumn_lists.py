"""Lists by cursor through autumn-sdk: paging through everything gives each thing once (autumn.md 1.2, 1.4).

Rules: autumn.md 1.2.4, 1.2.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.fixture import Shop, monthly, new, refused

WANTED = 3


class Made:
    """Customers of the live environment, which holds few, with two entities and two plans each."""

    def __init__(self, live: Shop) -> None:
        self.features = [new("f") for _ in range(2)]
        seats = new("f")
        for id in (*self.features, seats):
            body = {"feature_id": id, "name": id, "type": "metered", "consumable": id != seats}
            live.api.call("features.create", body)
        self.customers = [live.customer(monthly(5, self.features[0]), name=new("name")) for _ in range(WANTED)]
        self.plan = live.plan(monthly(5, self.features[0]))
        self.add_on = live.plan(monthly(7, self.features[1]), add_on=True)
        self.entities = []
        for number, customer in enumerate(self.customers):
            live.api.call("billing.attach", {"customer_id": customer, "plan_id": self.add_on})
            for name in ("a", "b"):
                id = f"{name}{number}-{new()}"
                live.api.call("entities.create", {"customer_id": customer, "entity_id": id, "feature_id": seats})
                self.entities.append(id)


@pytest.fixture(scope="module")
def made(live: Shop) -> Made:
    return Made(live)


def pages(listed: Callable[..., Any], limit: int, **filters: Any) -> list[Any]:
    """Everything, page by page; each page but the last is full."""
    found, cursor = [], ""
    while True:
        page = listed(limit=limit, start_cursor=cursor, **filters)
        assert len(page.list) <= limit
        found += page.list
        if page.next_cursor is None:
            return found
        assert len(page.list) == limit
        cursor = page.next_cursor


def test_customers_are_listed_in_pages(live: Shop, made: Made) -> None:
    whole = live.autumn.customers.list(limit=200).list
    assert set(made.customers) <= {customer.id for customer in whole}
    for limit in (1, 2):
        assert [c.id for c in pages(live.autumn.customers.list, limit)] == [c.id for c in whole]
    oldest = pages(live.autumn.customers.list, 2, sort_order="asc")
    assert [c.id for c in oldest] == [c.id for c in reversed(whole)]
    (found,) = live.autumn.customers.list(search=made.customers[1][:10]).list
    assert (found.id, set(found.balances)) == (made.customers[1], set(made.features))
    on_plan: Any = [{"id": made.add_on, "versions": [1]}]
    assert {c.id for c in pages(live.autumn.customers.list, 2, plans=on_plan)} == set(made.customers)
    none: Any = [{"id": made.add_on, "versions": [2]}]
    assert live.autumn.customers.list(plans=none).list == []


def test_entities_are_listed_in_pages(live: Shop, made: Made) -> None:
    for limit in (1, 2):
        ids = [entity.id for entity in pages(live.autumn.entities.list, limit)]
        assert len(ids) == len(set(ids))
        assert [id for id in ids if id in made.entities] == made.entities[::-1]
    mine = made.entities[:2][::-1]  # the newest first
    assert [e.id for e in pages(live.autumn.entities.list, 1, customer_id=made.customers[0])] == mine
    assert [e.id for e in live.autumn.entities.list(search=made.entities[3]).list] == [made.entities[3]]
    assert live.autumn.entities.get(entity_id=made.entities[5]).customer_id == made.customers[2]
    with refused(404, "entity_not_found"):
        live.autumn.entities.get(entity_id="nobody")


def test_balances_are_listed_in_pages(live: Shop, made: Made) -> None:
    whole = live.autumn.balances.list(limit=200).list
    for limit in (1, 2):
        found = pages(live.autumn.balances.list, limit)
        assert [grant.id for grant in found] == [grant.id for grant in whole]
        assert len({grant.id for grant in found}) == len(found)
    assert {(grant.customer_id, grant.feature_id) for grant in whole} >= {
        (customer, feature) for customer in made.customers for feature in made.features
    }
    assert len(pages(live.autumn.balances.list, 2, plan_id=made.add_on)) == WANTED


def test_subscriptions_are_listed_in_pages(live: Shop, made: Made) -> None:
    whole = live.autumn.customers.list_subscriptions(limit=200).list
    for limit in (1, 2):
        found = pages(live.autumn.customers.list_subscriptions, limit)
        assert [s.id for s in found] == [s.id for s in whole]
        assert len({s.id for s in found}) == len(found)
    pairs = {(s.customer_id, s.plan_id) for s in whole}
    assert pairs >= {(customer, plan) for customer in made.customers for plan in (made.plan, made.add_on)}
    own = pages(live.autumn.customers.list_subscriptions, 1, customer_id=made.customers[0])
    assert [s.plan_id for s in own] == [made.plan, made.add_on]
    assert live.autumn.customers.list_subscriptions(customer_id=made.customers[0], plan_id=made.plan).list == own[:1]


@pytest.mark.parametrize("name", ["customers.list", "entities.list", "balances.list", "subscriptions.list"])
def test_what_is_no_page_is_refused(shop: Shop, name: str) -> None:
    bodies: Any = ({"limit": 0}, {"limit": 201}, {"limit": 1.5}, {"start_cursor": "x"}, {"start_cursor": 1}, [])
    for body in bodies:
        answer = shop.raw(name, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_inputs")
