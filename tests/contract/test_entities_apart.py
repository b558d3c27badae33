"""Entities that are made side by side, each from a part of what the customer holds, all take their seat, amid uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest

from tests.contract.test_concurrency import at_once
from tests.service import NOW, SANDBOX, Service, item
from tollgate.domain.balances import BalanceKey
from tollgate.domain.customers import Customer, Entity
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import AlreadyExists, Unavailable
from tollgate.store import customers, listing

C1 = CustomerRef(SANDBOX, "c1")


def test_entities_made_at_once_take_a_seat_each(here: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (customers, listing):
        monkeypatch.setattr(module, "MOST_PARTS", 0)
    monkeypatch.setattr(customers, "THINGS_IN_A_UNIT", Decimal("0.01"))
    here.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    here.attach("c1", [replace(item(3), entity_feature_id="users"), item(100, None, "users")])
    here.entity("c1", "e0")

    def make(id: str) -> str:
        try:
            here.customers.create_entity(C1, Entity(id, "users"), NOW)
        except (AlreadyExists, Unavailable) as error:
            return type(error).__name__
        return "made"

    def use() -> str:
        return str(here.use("c1", 1, entity="e0").allowed)

    calls: list[Callable[[], str]] = [partial(make, f"e{number % 8 + 1}") for number in range(12)]
    told = at_once([*calls, use, use, use], 6)
    held = here.held("c1")
    entities = here.customers.get(C1).entities
    made = sum(one == "made" for one in told)
    assert made == len(entities) - 1
    assert made >= 1
    assert sum(grant.used for grant in held[BalanceKey("users")].grants) == len(entities)
    assert {key.entity_id for key in held if key.feature_id == "messages" and key.entity_id} == set(entities)
    assert here.consumed("c1")[BalanceKey("messages", "e0")] == 3
