"""`billing.update` with `customize`, and what `billing.attach` takes of it beside items (management.md 18)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.handlers.conftest import Here

MONTH = {"interval": "month"}
MESSAGES = {"feature_id": "messages", "included": 10, "reset": MONTH}
LIMIT = {"usage_limits": [{"feature_id": "messages", "limit": 3, "interval": "month"}]}


class Shop:
    def __init__(self, here: Here) -> None:
        self.here = here

    def __call__(self, name: str, /, **body: Any) -> tuple[int, Any]:
        function = {"check": "check", "track": "track"}.get(name, "manage")
        return self.here.call(function, f"POST /v1/{name}", body)

    def done(self, name: str, /, **body: Any) -> Any:
        status, answer = self(name, **body)
        assert status == 200, answer
        return answer

    def plan(self, *items: dict[str, Any], **more: Any) -> str:
        id = f"p-{uuid.uuid4().hex[:8]}"
        price = {"price": {"amount": 5, "interval": "month"}}
        self.done("plans.create", plan_id=id, name=id, items=list(items or (MESSAGES,)), **{**price, **more})
        return id

    def customer(self, plan_id: str, **more: Any) -> str:
        id = f"c-{uuid.uuid4().hex[:8]}"
        self.done("customers.get_or_create", customer_id=id)
        self.done("billing.attach", customer_id=id, plan_id=plan_id, **more)
        return id

    def use(self, id: str, value: int) -> None:
        self.done("track", customer_id=id, feature_id="messages", value=value, **{"async": False})

    def held(self, id: str) -> dict[str, Any]:
        """The customer's balance of messages."""
        balance = self.done("check", customer_id=id, feature_id="messages")["balance"]
        return {name: balance[name] for name in ("granted", "remaining", "usage", "next_reset_at")} if balance else {}


@pytest.fixture
def shop(here: Here) -> Shop:
    return Shop(here)


def test_a_running_plan_gets_more_and_keeps_what_was_used_its_period_and_its_id(shop: Shop) -> None:
    id = shop.customer(shop.plan(MESSAGES, {"feature_id": "dashboard"}), subscription_id="mine-1")
    shop.use(id, 4)
    before = shop.held(id)
    customize = {
        "remove_items": [{"feature_id": "messages"}, {"feature_id": "dashboard"}],
        "add_items": [{**MESSAGES, "included": 25}],
    }
    told = shop.done("billing.preview_update", customer_id=id, customize=customize)
    assert told["intent"] == "update_plan"
    assert [len(told[side]) for side in ("incoming", "outgoing")] == [1, 1]
    assert shop.held(id) == before, "a preview changes nothing"
    shop.done("billing.update", customer_id=id, subscription_id="mine-1", customize=customize)
    assert shop.held(id) == {**before, "granted": 25, "remaining": 21}
    assert shop.done("check", customer_id=id, feature_id="dashboard")["allowed"] is False
    (held,) = shop.done("customers.get", customer_id=id)["subscriptions"]
    assert held["id"] == "mine-1"
    again = {"add_items": [{"feature_id": "dashboard"}]}
    shop.done("billing.update", customer_id=id, customize=again)
    assert shop.held(id)["granted"] == 25, "what is added is added to what there is"


def test_what_is_taken_away_and_given_again_is_given_once(shop: Shop) -> None:
    id = shop.customer(shop.plan())
    shop.use(id, 7)
    before = shop.held(id)
    shop.done("billing.update", customer_id=id, customize={"items": []})
    assert shop.held(id) in ({}, {"granted": 0, "remaining": 0, "usage": 0, "next_reset_at": None})
    shop.done("billing.update", customer_id=id, customize={"items": [MESSAGES]})
    assert shop.held(id) == before


def test_prepaid_units_are_bought_of_what_there_is_then(shop: Shop) -> None:
    id = shop.customer(shop.plan())
    pack = {**MESSAGES, "included": 0, "price": {"amount": 1, "interval": "month", "billing_method": "prepaid"}}
    bought = [{"feature_id": "messages", "quantity": 30}]
    shop.done("billing.update", customer_id=id, customize={"items": [pack]}, feature_quantities=bought)
    assert shop.held(id)["granted"] == 30
    shop.done("billing.update", customer_id=id, customize={"items": [MESSAGES]})
    assert shop.held(id)["granted"] == 10


def test_controls_of_a_plan_are_this_customer_s_own(shop: Shop) -> None:
    plan = shop.plan()
    attached = shop.customer(plan, customize={"billing_controls": LIMIT})
    other = shop.customer(plan)
    for id, allowed in ((attached, False), (other, True)):
        assert shop.done("check", customer_id=id, feature_id="messages", required_balance=5)["allowed"] is allowed
    shop.done("billing.update", customer_id=other, customize={"billing_controls": LIMIT})
    assert shop.done("check", customer_id=other, feature_id="messages", required_balance=5)["allowed"] is False
    shop.done("billing.update", customer_id=other, customize={"billing_controls": {"usage_limits": []}})
    assert shop.done("check", customer_id=other, feature_id="messages", required_balance=5)["allowed"] is True


def test_what_a_plan_costs_this_customer_decides_what_an_upgrade_is(shop: Shop) -> None:
    cheap, dear = shop.plan(), shop.plan(price={"amount": 20, "interval": "month"})
    for price, scheduled in ((None, False), ({"amount": 50, "interval": "month"}, True)):
        id = shop.customer(cheap, customize={"price": price})
        shop.done("billing.attach", customer_id=id, plan_id=dear)
        found = {
            each["plan_id"]: each["status"] for each in shop.done("customers.get", customer_id=id)["subscriptions"]
        }
        assert found[dear] == ("scheduled" if scheduled else "active")
        id = shop.customer(cheap)
        shop.done("billing.update", customer_id=id, customize={"price": price})
        shop.done("billing.attach", customer_id=id, plan_id=dear)
        found = {
            each["plan_id"]: each["status"] for each in shop.done("customers.get", customer_id=id)["subscriptions"]
        }
        assert found[dear] == ("scheduled" if scheduled else "active")


@pytest.mark.parametrize(
    ("customize", "status"),
    [
        ({"items": [{"feature_id": "nothing"}]}, 404),
        ({"items": [MESSAGES, MESSAGES]}, 400),
        ({"items": [], "add_items": [MESSAGES]}, 400),
        ({"remove_items": [{"feature_id": "dashboard"}]}, 400),
        ({"add_items": [MESSAGES]}, 400),
        ({"items": [{**MESSAGES, "included": -1}]}, 400),
        ({"price": {"amount": 5, "interval": "year"}}, 400),
        ({"price": {"amount": 5, "interval": "one_off"}}, 400),
        ({"price": {"amount": 5}}, 400),
        ({"free_trial": None}, 400),
        ({"free_trial": {"duration_length": 7}}, 400),
        ({"upsert_licenses": [{"license_plan_id": "x"}]}, 400),
        ({"billing_controls": {"usage_limits": [{"feature_id": "none", "limit": 3, "interval": "month"}]}}, 404),
        ({"billing_controls": {"usage_limits": [{"feature_id": "messages", "limit": -3, "interval": "month"}]}}, 400),
        ([], 400),
    ],
)
def test_what_cannot_be_put_together_changes_nothing(shop: Shop, customize: Any, status: int) -> None:
    id = shop.customer(shop.plan())
    shop.use(id, 2)
    before = shop.done("customers.get", customer_id=id)
    answer = shop("billing.update", customer_id=id, customize=customize)
    assert answer[0] == status, answer
    assert shop.done("customers.get", customer_id=id) == before


def test_what_has_not_started_is_attached_anew_instead(shop: Shop) -> None:
    id = shop.customer(shop.plan(), starts_at=4_000_000_000_000, subscription_id="later")
    status, answer = shop("billing.update", customer_id=id, subscription_id="later", customize={"items": []})
    assert (status, answer["code"]) == (400, "invalid_request")
