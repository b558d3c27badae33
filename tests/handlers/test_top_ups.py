"""`auto_topups` as callers state and see them, and as webhooks tell of them.

Rules: autumn.md 1.2.6, 7.3.
"""

from __future__ import annotations

import json
import sys
import uuid
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.handlers.test_usage_events import Bus
from tests.service import NOW
from tests.streams import records
from tollgate.dialects.events_models import MODELS
from tollgate.dialects.webhook_payloads import told
from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.periods import Interval, after
from tollgate.domain.top_ups import PurchaseLimit, TopUp
from tollgate.domain.webhooks import PayloadDialect
from tollgate.exact_json import loads
from tollgate.runtime import clock

LIMIT = {"interval": "month", "limit": 5}
TOP_UP = {"feature_id": "messages", "threshold": 20, "quantity": 100, "enabled": True}
ITEM = {"feature_id": "messages", "included": 50, "reset": {"interval": "month"}}


class Shop:
    def __init__(self, here: Here) -> None:
        self.here = here

    def __call__(self, name: str, /, **body: Any) -> tuple[int, Any]:
        return self.here.call("manage", f"POST /v1/{name}", body)

    def done(self, name: str, /, **body: Any) -> Any:
        status, answer = self(name, **body)
        assert status == 200, answer
        return answer

    def plan(self, *stated: Any) -> str:
        id = f"p-{uuid.uuid4().hex[:8]}"
        controls = {"billing_controls": {"auto_topups": list(stated)}} if stated else {}
        self.done("plans.create", plan_id=id, name=id, group=id, items=[ITEM], **controls)
        return id

    def customer(self, *plans: str, **fields: Any) -> str:
        id = f"c-{uuid.uuid4().hex[:8]}"
        self.done("customers.get_or_create", customer_id=id, **fields)
        for plan in plans:
            self.done("billing.attach", customer_id=id, plan_id=plan)
        return id

    def held(self, id: str) -> TopUp | None:
        """How the customer's messages are topped up, as their balance has it."""
        held = self.here.service.customers.get(CustomerRef(Environment.SANDBOX, id))
        return held.balances[BalanceKey("messages")].limits.top_up


@pytest.fixture
def shop(here: Here) -> Shop:
    return Shop(here)


def test_a_customers_top_up_is_kept_shown_and_lies_in_the_balance(shop: Shop) -> None:
    id = shop.customer(shop.plan())
    stated = {**TOP_UP, "threshold": 0.5, "purchase_limit": {**LIMIT, "count": 2}, "invoice_mode": True}
    shown = shop.done("customers.update", customer_id=id, billing_controls={"auto_topups": [stated]})
    assert shown["billing_controls"]["auto_topups"] == [
        {**TOP_UP, "threshold": 0.5, "purchase_limit": {**LIMIT, "interval_count": 1}, "invoice_mode": True}
        | {"source": "customer"}
    ]
    held = shop.held(id)
    assert held is not None
    assert (str(held.threshold), held.quantity, held.invoice_mode, held.of_plan) == ("0.5", 100, True, False)
    assert held.purchase_limit is not None
    assert held.purchase_limit._replace(said=None) == PurchaseLimit(5, Interval.MONTH)
    said = held.purchase_limit.said
    assert said is not None
    assert said[0] == 2
    again = {**TOP_UP, "purchase_limit": {**LIMIT, "limit": 9}}
    shop.done("customers.update", customer_id=id, billing_controls={"auto_topups": [again]})
    held = shop.held(id)
    assert held is not None
    assert held.purchase_limit == PurchaseLimit(9, Interval.MONTH, 1, said), "a count that is left out stays"
    shop.done("customers.update", customer_id=id, billing_controls={"usage_alerts": []})
    assert shop.held(id) == held, "another kind replaces none of this"
    shop.done("customers.update", customer_id=id, billing_controls={"auto_topups": []})
    assert shop.held(id) is None


def test_a_customers_own_stands_over_its_plans_and_the_newest_plans_over_others(shop: Shop) -> None:
    plans = [shop.plan({**TOP_UP, "threshold": threshold}) for threshold in (1, 2)]
    id = shop.customer(*plans)
    held = shop.held(id)
    assert held is not None
    assert (held.threshold, held.of_plan) == (2, True)
    (shown,) = shop.done("customers.get", customer_id=id)["billing_controls"]["auto_topups"]
    assert (shown["threshold"], shown["source"]) == (2, "plan")
    off = {**TOP_UP, "enabled": False}
    shop.done("customers.update", customer_id=id, billing_controls={"auto_topups": [off]})
    assert shop.held(id) is None, "the customer's own, which is off, stands over its plans'"
    (shown,) = shop.done("customers.get", customer_id=id)["billing_controls"]["auto_topups"]
    assert (shown["enabled"], shown["source"]) == (False, "customer")
    unsaid = shop.customer(shop.plan({name: TOP_UP[name] for name in ("feature_id", "threshold", "quantity")}))
    assert shop.held(unsaid) is None, "off unless told"


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"quantity": 0.5}, 400, "invalid_inputs"),
    ({"quantity": None}, 400, "invalid_inputs"),
    ({"threshold": "low"}, 400, "invalid_inputs"),
    ({"feature_id": "nothing"}, 404, "feature_not_found"),
    ({"purchase_limit": {"interval": "year", "limit": 1}}, 400, "invalid_inputs"),
    ({"purchase_limit": {"interval": "month", "limit": 0}}, 400, "invalid_inputs"),
    ({"purchase_limit": {"interval": "month", "limit": 1, "interval_count": 10**6}}, 400, "invalid_inputs"),
    ({"purchase_limit": {"interval": "month", "limit": 1, "count": -1}}, 400, "invalid_inputs"),
    ({"purchase_limit": {"interval": "month"}}, 400, "invalid_inputs"),
]


@pytest.mark.parametrize(("wrong", "status", "code"), WRONG)
def test_what_makes_no_sense_is_refused_and_nothing_is_changed(
    shop: Shop, wrong: dict[str, Any], status: int, code: str
) -> None:
    id = shop.customer(shop.plan(), billing_controls={"auto_topups": [TOP_UP]})
    before = shop.here.contents()
    controls = {"auto_topups": [{**TOP_UP, **wrong}]}
    answer = shop("customers.update", customer_id=id, billing_controls=controls)
    assert (answer[0], answer[1]["code"]) == (status, code)
    answer = shop("plans.create", plan_id="none", name="None", items=[ITEM], billing_controls=controls)
    assert (answer[0], answer[1]["code"]) == (status, code)
    assert shop.here.contents() == before


def test_each_feature_is_named_once_entities_are_not_topped_up_and_a_plan_counts_nothing(shop: Shop) -> None:
    id = shop.customer(shop.plan())
    twice = {"auto_topups": [TOP_UP, {**TOP_UP, "threshold": 1}]}
    status, answer = shop("customers.update", customer_id=id, billing_controls=twice)
    assert (status, answer["message"]) == (400, "billing_controls.auto_topups: must name each feature once")
    shop.done("features.create", feature_id="people", name="People", type="metered", consumable=False)
    seat = {"customer_id": id, "entity_id": "e1", "feature_id": "people"}
    assert shop("entities.create", **seat, billing_controls={"auto_topups": [TOP_UP]})[0] == 400
    shop.done("entities.create", **seat)
    assert shop("entities.update", customer_id=id, entity_id="e1", billing_controls={"auto_topups": [TOP_UP]})[0] == 400
    shop.done("entities.update", customer_id=id, entity_id="e1", billing_controls={"auto_topups": []})
    counted = {**TOP_UP, "purchase_limit": {**LIMIT, "count": 1}}
    body = {"plan_id": "counted", "name": "P", "items": [ITEM], "billing_controls": {"auto_topups": [counted]}}
    assert shop("plans.create", **body)[0] == 400
    plan = shop.plan(TOP_UP)
    shop.done("billing.attach", customer_id=id, plan_id=plan, entity_id="e1")
    assert shop.held(id) is None, "a plan of an entity tops nothing up"
    shown = shop.done("entities.get", customer_id=id, entity_id="e1")["billing_controls"]
    assert "auto_topups" not in shown


def test_the_consumer_tells_what_was_asked_for_as_its_model_says(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a batch that comes again tells the same."""
    plan = shop.plan({**TOP_UP, "purchase_limit": {"interval": "month", "limit": 1}})
    id = shop.customer(plan)
    client, table = shop.here.service.table.client, shop.here.service.table.name
    done = len(records(client, table))
    for _ in range(2):
        use = {"customer_id": id, "feature_id": "messages", "value": 40, "async": False}
        assert shop.here.call("track", "POST /v1/track", use)[0] == 200
        shop.done("balances.create", customer_id=id, feature_id="messages", included_grant=40)
    batch = records(client, table)[done:]
    module = sys.modules["functions.usage_events.app"]
    seen: list[list[Any]] = []
    for _ in range(2):
        bus = Bus()
        monkeypatch.setattr(module, "_events", bus)
        shop.here.handlers["usage_events"]({"Records": batch}, CONTEXT)
        seen.append([entry for entry in bus.entries if ".top_up_" in entry["DetailType"]])
    assert seen[0] == seen[1]
    assert [entry["DetailType"] for entry in seen[0]] == ["balance.top_up_requested", "balance.top_up_blocked"]
    for entry in seen[0]:
        detail = loads(entry["Detail"])
        assert TypeAdapter(MODELS[entry["DetailType"]]).validate_python(detail) == detail
        assert (detail["remaining"], detail["quantity"], detail["scope"]) == (10, 100, "plan")
        assert detail["cause"]


def test_how_many_were_asked_for_is_shown_where_it_is_asked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the end of the window; a count that the caller states counts from then on."""
    expand = ["billing_controls.auto_topups.purchase_limit"]

    def limits(**body: Any) -> list[Any]:
        shown = shop.done("customers.get", customer_id=id, **body)["billing_controls"]["auto_topups"]
        return [one.get("purchase_limit") for one in shown]

    limit = {"interval": "week", "interval_count": 2, "limit": 5}
    id = shop.customer(shop.plan(), billing_controls={"auto_topups": [{**TOP_UP, "purchase_limit": limit}]})
    end = after(clock(), Interval.WEEK, 2)
    assert limits() == [limit]
    (fresh,) = limits(expand=expand)
    assert fresh == {**limit, "count": 0, "next_reset_at": fresh["next_reset_at"]}
    assert abs(fresh["next_reset_at"] - end) < 60_000
    done = len(records(shop.here.service.table.client, shop.here.service.table.name))
    use = {"customer_id": id, "feature_id": "messages", "value": 40, "async": False}
    assert shop.here.call("track", "POST /v1/track", use)[0] == 200
    monkeypatch.setattr(sys.modules["functions.usage_events.app"], "_events", Bus())
    batch = records(shop.here.service.table.client, shop.here.service.table.name)[done:]
    shop.here.handlers["usage_events"]({"Records": batch}, CONTEXT)
    (asked,) = limits(expand=expand)
    assert asked["count"] == 1
    assert abs(asked["next_reset_at"] - end) < 60_000
    said = {"auto_topups": [{**TOP_UP, "purchase_limit": {**limit, "count": 3}}]}
    shown = shop.done("customers.update", customer_id=id, billing_controls=said, expand=expand)
    (told_of,) = shown["billing_controls"]["auto_topups"]
    assert told_of["purchase_limit"] == {**asked, "count": 3}, "the window runs on"
    shop.done("customers.update", customer_id=id, billing_controls={"auto_topups": [TOP_UP]})
    assert limits(expand=expand) == [None], "what has no limit shows none"
    of_plan = shop.plan({**TOP_UP, "purchase_limit": LIMIT})
    id = shop.customer(of_plan)
    assert [one["count"] for one in limits(expand=expand)] == [0]


def test_a_customer_that_is_made_again_has_been_topped_up_never(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """management.md 4 (customers.delete): its purchase limit counts what is asked for it alone."""
    module = sys.modules["functions.usage_events.app"]
    client, table = shop.here.service.table.client, shop.here.service.table.name
    plan = shop.plan({**TOP_UP, "purchase_limit": {"interval": "month", "limit": 1}})
    id = shop.customer(plan)
    for again in (False, True):
        if again:
            shop.done("customers.delete", customer_id=id)
            shop.done("customers.get_or_create", customer_id=id)
            shop.done("billing.attach", customer_id=id, plan_id=plan)
        done, bus = len(records(client, table)), Bus()
        monkeypatch.setattr(module, "_events", bus)
        use = {"customer_id": id, "feature_id": "messages", "value": 40, "async": False}
        assert shop.here.call("track", "POST /v1/track", use)[0] == 200
        shop.here.handlers["usage_events"]({"Records": records(client, table)[done:]}, CONTEXT)
        told_of = [entry["DetailType"] for entry in bus.entries if ".top_up_" in entry["DetailType"]]
        assert told_of == ["balance.top_up_requested"]


DETAIL: dict[str, Any] = {
    "version": 1,
    "id": "event-1",
    "environment": "sandbox",
    "customer_id": "c1",
    "entity_id": None,
    "timestamp": NOW,
    "feature_id": "messages",
    "quantity": 100,
    "threshold": 20,
    "remaining": 15,
    "invoice_mode": False,
    "scope": "customer",
    "purchase_limit": {"interval": "month", "interval_count": 1, "limit": 5},
    "balance": {},
    "cause": None,
}


def test_a_request_and_a_block_in_autumns_words() -> None:
    """As docs.useautumn.com, "billing.auto_topup_failed", has the fields."""
    said = {"customer_id": "c1", "feature_id": "messages", "quantity": 100, "threshold": 20, "balance": 15}
    said |= {"invoice_mode": False}
    for what, type, more in (
        ("requested", "billing.auto_topup_requested", {}),
        (
            "blocked",
            "billing.auto_topup_failed",
            {"reason": "purchase_limit_reached", "retryable": True, "invoice": None},
        ),
    ):
        (one,) = told(f"balance.top_up_{what}", DETAIL, PayloadDialect.AUTUMN)
        body = {"type": type, "id": "event-1", "occurred_at": NOW, "data": {**said, **more}}
        assert (one.type, json.loads(one.payload)) == (type, body)
        (own,) = told(f"balance.top_up_{what}", DETAIL, PayloadDialect.TOLLGATE)
        assert json.loads(own.payload)["data"] == DETAIL
