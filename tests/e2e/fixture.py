"""The catalogue of autumn.md 5 on the deployed stack, its words for items, and customers who hold a plan of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from autumn_sdk import Autumn
from autumn_sdk.errors import AutumnDefaultError

from tollgate_cli.api import Api, ApiError
from tollgate_cli.stack import Stack

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

FEATURES: list[dict[str, Any]] = [
    {"feature_id": "dashboard", "type": "boolean"},
    *(
        {"feature_id": id, "type": "metered", "consumable": True}
        for id in ("messages", "words", "storage", "exports", "action2")
    ),
    *(
        {"feature_id": id, "type": "metered", "consumable": True, "event_names": ["action-event"]}
        for id in ("action1", "action3")
    ),
    *({"feature_id": id, "type": "metered", "consumable": False} for id in ("users", "workflows", "admin")),
    *(
        {
            "feature_id": id,
            "type": "credit_system",
            "credit_schema": [{"metered_feature_id": member, "credit_cost": cost} for member, cost in costs.items()],
        }
        for id, costs in (
            ("credits", {"action1": 0.2, "action2": 0.6}),
            ("credits2", {"action3": 1.4}),
            ("credits3", {"action1": 2}),
        )
    ),
]


class Item(NamedTuple):
    """A plan's item; `quantity` is bought of it when the plan is attached, the included units among them."""

    body: dict[str, Any]
    quantity: float | None = None


def flag(feature: str = "dashboard") -> Item:
    return Item({"feature_id": feature})


def every(interval: str, included: float, feature: str = "messages", **more: Any) -> Item:
    return Item({"feature_id": feature, "included": included, "reset": {"interval": interval}, **more})


def monthly(included: float, feature: str = "messages", **more: Any) -> Item:
    return every("month", included, feature, **more)


def lifetime(included: float, feature: str = "messages") -> Item:
    return every("one_off", included, feature)


def unlimited(feature: str = "messages") -> Item:
    return Item({"feature_id": feature, "unlimited": True})


def consumable(included: float, feature: str = "messages", most: float | None = None) -> Item:
    """Pay-per-use over what is included, `most` units of it."""
    price = {"billing_method": "usage_based", "amount": 0.5, "interval": "month", "max_purchase": most}
    return monthly(included, feature, price=price)


def prepaid(included: float, more: float, feature: str = "messages", interval: str = "month") -> Item:
    price = {"billing_method": "prepaid", "amount": 1, "interval": interval}
    return Item(every(interval, included, feature, price=price).body, included + more)


def seats(included: float, feature: str = "users", *, paid: bool = False) -> Item:
    price = {"price": {"billing_method": "usage_based", "amount": 50, "interval": "month"}} if paid else {}
    return Item({"feature_id": feature, "included": included, **price})


def per_entity(item: Item) -> Item:
    return Item({**item.body, "entity_feature_id": "users"}, item.quantity)


def rolling(**rule: Any) -> dict[str, Any]:
    """Unused units live on for one month."""
    return {"rollover": {"expiry_duration_type": "month", "expiry_duration_length": 1, **rule}}


def new(kind: str = "c") -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def gru(balance: Any) -> tuple[float, float, float]:
    """Granted, remaining and usage of a balance as the SDK parsed it."""
    assert balance is not None
    return balance.granted, balance.remaining, balance.usage


@contextmanager
def refused(status: int, code: str) -> Iterator[None]:
    """The SDK's call in here fails with that status, in Autumn's error shape."""
    with pytest.raises(AutumnDefaultError) as caught:
        yield
    body = json.loads(caught.value.body)
    assert (caught.value.status_code, body["code"], set(body)) == (status, code, {"message", "code", "env"}), body


class Shop:
    """An application on one stack: Autumn's SDK, plain HTTP, and the catalogue."""

    def __init__(self, stack: Stack, key: str) -> None:
        patience = 30_000  # of the emulator's cold starts, several at once; the SDK's own is 5 s
        self.autumn = Autumn(secret_key=key, server_url=stack.url, fail_open=False, timeout_ms=patience)
        self.api = Api(stack.url, key)
        self.http = httpx.Client(
            base_url=stack.url, headers={"authorization": f"Bearer {key}"}, timeout=30, trust_env=False
        )
        self._plans: dict[str, str] = {}

    def fill(self) -> None:
        """Creates the catalogue's features, but for those that the stack has."""
        for feature in FEATURES:
            try:
                self.api.call("features.create", {"name": feature["feature_id"].title(), **feature})
            except ApiError as error:
                if error.status != 409:
                    raise

    def plan(self, *items: Item, **fields: Any) -> str:
        """A plan of these items, one for all who ask for the same. It stacks, unless a group is named: each has its
        own."""
        body = {"items": [item.body for item in items], **fields}
        text = json.dumps(body, sort_keys=True)
        if text not in self._plans:
            id = fields.get("plan_id") or new("plan")
            self.api.call("plans.create", {"plan_id": id, "name": id.title(), "group": id, **body})
            self._plans[text] = id
        return self._plans[text]

    def attach(self, customer: str, *items: Item, entity: str | None = None, **fields: Any) -> str:
        """Attaches a plan of these items, bought as they say; the plan's id."""
        plan = self.plan(*items, **fields)
        bought = [
            {"feature_id": item.body["feature_id"], "quantity": item.quantity}
            for item in items
            if item.quantity is not None
        ]
        body = {"customer_id": customer, "plan_id": plan, "entity_id": entity, "feature_quantities": bought or None}
        self.api.call("billing.attach", {name: value for name, value in body.items() if value is not None})
        return plan

    def customer(self, *items: Item, entities: int = 0, **fields: Any) -> str:
        """A new customer on a plan of these items, with the entities e1, e2 ... of users."""
        id = new()
        self.api.call("customers.get_or_create", {"customer_id": id, **fields})
        if items:
            self.attach(id, *items)
        for number in range(entities):
            body = {"customer_id": id, "entity_id": f"e{number + 1}", "feature_id": "users"}
            self.api.call("entities.create", body)
        return id

    def track(self, customer: str, value: float = 1, feature: str = "messages", **more: Any) -> Any:
        """The SDK's answer to a use that is counted at once."""
        return self.autumn.track(customer_id=customer, feature_id=feature, value=value, async_=False, **more)

    def rejected(self, customer: str, value: float, feature: str = "messages", **more: Any) -> str | None:
        """The error code of a use that is to be rejected where it is too much, which the SDK's types do not know."""
        body = {"customer_id": customer, "feature_id": feature, "value": value, "overage_behavior": "reject", **more}
        answer = self.raw("balances.track", body | {"async": False})
        return answer.json()["code"] if answer.status_code == 400 else None

    def may(self, customer: str, required: float = 1, feature: str = "messages", **more: Any) -> bool:
        return self.autumn.check(customer_id=customer, feature_id=feature, required_balance=required, **more).allowed

    def balance(self, customer: str, feature: str = "messages", entity: str | None = None) -> Any:
        """A balance as a check shows it."""
        return self.autumn.check(customer_id=customer, feature_id=feature, entity_id=entity).balance

    def left(self, customer: str, feature: str = "messages", entity: str | None = None) -> float:
        balance = self.balance(customer, feature, entity)
        assert balance is not None
        return float(balance.remaining)

    def grants(self, customer: str, feature: str = "messages", entity: str | None = None) -> list[float]:
        """What each grant holds."""
        return [grant.remaining for grant in self.balance(customer, feature, entity).breakdown]

    def now(self, customer: str, ms: int) -> None:
        """Sets the customer's test clock."""
        done = self.autumn.customers.advance_test_clock(customer_id=customer, frozen_time=ms)
        assert (done.customer_id, done.frozen_time) == (customer, ms)

    def raw(
        self, path: str, body: Any = None, version: str | None = None, *, method: str = "POST", **headers: str
    ) -> httpx.Response:
        """Plain HTTP under a version; nothing is ever a 5xx, and every refusal has Autumn's shape."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if version is not None:
            sent["x-api-version"] = version
        content = body if isinstance(body, str | bytes) else json.dumps(body) if body is not None else None
        answer = self.http.request(method, f"/v1/{path}", content=content, headers=sent)
        assert answer.status_code < 500, answer.text
        if answer.is_error:
            assert set(answer.json()) == {"message", "code", "env"}
        return answer
