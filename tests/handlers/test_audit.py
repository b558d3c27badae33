"""The audit log: who changed what, and what it was before, in the transaction that changes it.

Rules: management.md 17.4, 17.5.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from dataclasses import replace
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.handlers.test_activity import Shop
from tests.handlers.test_activity import shop as watched_shop
from tests.handlers.test_events import ANSWERS, CONTEXT, sample
from tests.handlers.test_keys import HTTP, shop
from tollgate.store.codecs.plans import decode_plan

__all__ = ["shop", "watched_shop"]
MANAGED = re.compile(r"FEATURE#|PLAN#|CUSTOMER$|SUBSCRIPTION#|ENTITY#")
Contents = dict[tuple[str, str], Any]


def contents(here: Here) -> Contents:
    items = here.service.table.client.scan(TableName=here.service.table.name)["Items"]
    return {(item["pk"]["S"], item["sk"]["S"]): item for item in items}


def managed(before: Contents, after: Contents) -> set[tuple[str, str]]:
    """What was changed of features, plans, keys, webhooks, and of customers that were there before. That a plan is in use,
    or a key, and what the clock has told are no changes of somebody's."""
    changed = set()
    for pk, sk in before.keys() | after.keys():
        old, new = before.get((pk, sk)), after.get((pk, sk))
        mine = MANAGED.match(sk) or pk.startswith("KEYS#") or "#webhooks" in pk
        made_now = "#customer#" in pk and (pk, "CUSTOMER") not in before
        if not mine or made_now or old == new:
            continue
        if not (sk.startswith("PLAN#") and old and new) or replace(decode_plan(old), in_use=True) != decode_plan(new):
            changed.add((pk, sk))
    return changed


def entries(before: Contents, after: Contents) -> list[dict[str, Any]]:
    new = [item for key, item in after.items() if key not in before]
    return [json.loads(item["detail"]["S"]) for item in new if item.get("type") == {"S": "api.called"}]


@pytest.mark.parametrize("name", HTTP)
def test_whatever_is_changed_is_in_the_audit_log_and_nothing_else(shop: Here, name: str) -> None:
    """Of every route of the three APIs."""
    function = re.sub(r"(?<!^)(?=[A-Z])", "_", ANSWERS[name]["function"].removesuffix("Function")).lower()
    if function not in shop.handlers:
        return  # the reference's and the console's: they have no table
    before = contents(shop)
    event = sample(name)
    shop.handlers[function](event, CONTEXT)
    after = contents(shop)
    told, changed = entries(before, after), managed(before, after)
    if changed:
        assert told, changed
    for entry in told:
        assert entry["key_id"] == event["requestContext"]["authorizer"]["lambda"]["key_id"]
        assert entry["environment"] in ("sandbox", "live")
        assert entry["changes"] or changed, entry


def audit(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop("audit.list", limit=100)["list"]
    return found


def test_a_catalog_is_changed_by_somebody(watched_shop: Shop) -> None:
    shop, id = watched_shop, f"f{uuid.uuid4().hex[:8]}"
    shop("features.create", feature_id=id, name="One", type="metered", consumable=True)
    shop("features.update", feature_id=id, name="Two")
    shop("plans.create", plan_id=id, name="Plan", items=[{"feature_id": id, "included": 5}])
    shop("plans.update", plan_id=id, items=[{"feature_id": id, "included": 7}])
    shop("plans.delete", plan_id=id)
    shop("features.delete", feature_id=id)
    mine = [one for one in audit(shop) if id in (change["id"] for change in one["changes"])]
    told = [(one["call"], one["changes"][0]["type"], one["key_id"], one["customer_id"]) for one in reversed(mine)]
    assert sorted(told) == sorted(
        (f"{noun}s.{verb}", noun, "key_test", None)
        for noun in ("feature", "plan")
        for verb in ("create", "update", "delete")
    )
    by_call = {one["call"]: one["changes"][0] for one in mine}
    renamed = by_call["features.update"]
    assert (renamed["before"]["name"], renamed["after"]["name"]) == ("One", "Two")
    assert by_call["features.create"]["before"] is None
    assert by_call["plans.delete"]["after"] is None
    included = [by_call["plans.update"][when]["items"][0]["included"] for when in ("before", "after")]
    assert included == [5, 7]


def test_keys_and_webhooks_are_changed_by_somebody_and_no_secret_is_told(watched_shop: Shop) -> None:
    shop, id = watched_shop, f"w{uuid.uuid4().hex[:8]}"
    key = shop("keys.create", name=id)
    shop("keys.revoke", key_id=key["id"])
    made = shop("webhooks.create", id=id, url="https://example.com/hook")
    again = shop("webhooks.rotate_secret", id=id)
    shop("webhooks.update", id=id, description="Ours")
    shop("webhooks.delete", id=id)
    mine = [one for one in audit(shop) if {id, key["id"]} & {change["id"] for change in one["changes"]}]
    calls = {one["call"] for one in mine}
    assert calls == {
        "keys.create",
        "keys.revoke",
        *(f"webhooks.{verb}" for verb in ("create", "rotate_secret", "update", "delete")),
    }
    whole = json.dumps(audit(shop))
    for secret in (key["key"], made["secret"], again["secret"]):
        assert secret not in whole


def test_a_customers_balances_and_plans_are_changed_by_somebody(watched_shop: Shop) -> None:
    shop = watched_shop
    id = shop.customer()
    shop("balances.create", customer_id=id, feature_id="messages", included_grant=5)
    shop("customers.update", customer_id=id, name="New", email="new@example.com")
    limits = {"usage_limits": [{"feature_id": "messages", "limit": 3, "interval": "month", "enabled": True}]}
    shop("customers.update", customer_id=id, billing_controls=limits)
    shop("customers.delete", customer_id=id)
    logged = [one for one in shop("customers.list_log", customer_id=id)["list"] if one["type"] == "api.called"]
    by_call = {one["call"]: one for one in logged}
    attached = {change["type"]: change for change in by_call["billing.attach"]["changes"]}
    assert attached["subscription"]["before"] is None
    assert attached["balance"]["after"]["granted"] == 100
    (made,) = by_call["balances.create"]["changes"]
    assert (made["before"]["granted"], made["after"]["granted"]) == (100, 105)
    assert all(one["key_id"] == "key_test" for one in logged)
    changes = [change for one in logged if one["call"] == "customers.update" for change in one["changes"]]
    controls = next(change for change in changes if change["type"] == "customer")
    assert controls["after"]["billing_controls"]["usage_limits"][0]["limit"] == 3
    assert {change["type"] for change in by_call["customers.delete"]["changes"]} == {
        "customer",
        "subscription",
        "balance",
    }
    assert "new@example.com" not in json.dumps(logged)


def test_a_balance_is_told_as_it_was_before_with_what_had_been_used(watched_shop: Shop) -> None:
    """Of uses that were counted since the balance was last written whole, and of those of a period that is over."""
    shop = watched_shop
    id = shop.customer()
    shop.use(id, 7)
    shop("balances.update", customer_id=id, feature_id="messages", add_to_balance=5)
    shop.use(id, 2)
    shop("balances.update", customer_id=id, feature_id="messages", included_grant=50)
    shop.use(id, 1)
    shop("customers.delete", customer_id=id)
    logged = [one for one in shop("customers.list_log", customer_id=id)["list"] if one["type"] == "api.called"]
    told = [change for one in logged for change in one["changes"] if change["id"] == "messages"]
    left = {
        tuple(one[side] and (one[side]["granted"], one[side]["remaining"]) for side in ("before", "after"))
        for one in told
    }
    assert left == {(None, (100, 100)), ((100, 93), (100, 98)), ((100, 96), (50, 96)), ((50, 95), None)}


def test_the_bus_is_told_of_each_entry_as_it_stands(watched_shop: Shop) -> None:
    shop = watched_shop
    bus: Any = sys.modules["functions.usage_events.app"]._events
    id = shop.customer()
    shop("keys.create", name="told")
    told = [json.loads(entry["Detail"]) for entry in bus.entries if entry["DetailType"] == "api.called"]
    key = next(one for one in audit(shop) if '"told"' in json.dumps(one))
    assert {"type": "api.called", **next(one for one in told if one["id"] == key["id"])} == key
    (attach,) = [one for one in told if one["call"] == "billing.attach" and one["customer_id"] == id]
    logged = [one for one in shop("customers.list_log", customer_id=id)["list"] if one["type"] == "api.called"]
    assert [one["id"] for one in logged] == [attach["id"]]


def test_a_call_that_is_refused_is_not_told(watched_shop: Shop) -> None:
    shop = watched_shop
    before = audit(shop)
    assert shop("features.update", feature_id="nothing", name="x")[0] == 404
    assert shop("keys.revoke", key_id="nothing")[0] == 404
    assert shop("webhooks.delete", id="nothing")[0] == 404
    assert audit(shop) == before


def test_much_is_told_as_far_as_an_event_holds_it(watched_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, id = watched_shop, f"p{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr("tollgate.usecases.audit.MOST_BYTES", 500)
    shop("plans.create", plan_id=id, name="Plan")
    shop("plans.update", plan_id=id, name="Other")
    (cut,) = [one for one in audit(shop) if one["omitted"]]
    assert (cut["call"], cut["changes"], cut["omitted"]) == ("plans.update", [], 1)


def test_environments_see_their_own(watched_shop: Shop) -> None:
    shop = watched_shop
    shop("keys.create", name="sandbox only")
    status, live = shop.here.call("manage", "POST /v1/audit.list", {}, environment="live")
    assert (status, live["list"]) == (200, [])
    assert shop.here.call("manage", "POST /v1/audit.list", {}, scope="publishable")[0] == 403
