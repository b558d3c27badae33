"""`billing.preview_attach` and `.preview_update`, and what `billing.attach` puts together (management.md 18)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.conftest import Here

MONTH = {"interval": "month"}


@pytest.fixture(scope="module")
def shop(here: Here) -> Here:
    plans: list[dict[str, Any]] = [
        {"plan_id": "small", "price": {"amount": 5, "interval": "month"}},
        {"plan_id": "big", "price": {"amount": 50, "interval": "month"}},
        {"plan_id": "extra", "add_on": True, "price": {"amount": 1, "interval": "month"}},
    ]
    for number, plan in enumerate(plans):
        items = [{"feature_id": "messages", "included": 10 * (number + 1), "reset": MONTH}, {"feature_id": "dashboard"}]
        assert here.call("manage", "POST /v1/plans.create", {"name": "P", "items": items, **plan})[0] == 200
    return here


def call(here: Here, verb: str, customer: str, **more: Any) -> tuple[int, dict[str, Any]]:
    here.call("manage", "POST /v1/customers.get_or_create", {"customer_id": customer})
    return here.call("manage", f"POST /v1/billing.{verb}", {"customer_id": customer, **more})


def test_an_upgrade_and_a_cancellation_are_shown_and_nothing_is_changed(shop: Here) -> None:
    assert call(shop, "attach", "up", plan_id="small")[0] == 200
    before = shop.contents()
    status, answer = shop.call("manage", "POST /v1/billing.preview_attach", {"customer_id": "up", "plan_id": "big"})
    assert status == 200
    assert [one["plan_id"] for one in answer["incoming"]] == ["big"]
    (gone,) = answer["outgoing"]
    assert (gone["plan_id"], gone["effective_at"]) == ("small", None)
    assert (answer["line_items"], answer["subtotal"], answer["total"], answer["checkout_type"]) == ([], 0, 0, None)
    cancels = {"customer_id": "up", "plan_id": "small", "cancel_action": "cancel_end_of_cycle"}
    status, answer = shop.call("manage", "POST /v1/billing.preview_update", cancels)
    assert (status, answer["intent"], answer["incoming"]) == (200, "cancel_end_of_cycle", [])
    (gone,) = answer["outgoing"]
    assert gone["effective_at"] == gone["expires_at"] > gone["canceled_at"]
    assert shop.contents() == before


def test_a_preview_is_refused_as_the_call_is(shop: Here) -> None:
    assert call(shop, "attach", "again", plan_id="small")[0] == 200
    for verb, more in (
        ("attach", {"plan_id": "small"}),
        ("attach", {"plan_id": "none"}),
        ("update", {"plan_id": "big"}),
    ):
        assert call(shop, f"preview_{verb}", "again", **more) == call(shop, verb, "again", **more)


def test_items_are_left_out_and_added(shop: Here) -> None:
    customize = {
        "remove_items": [{"feature_id": "dashboard"}, {"interval": "month", "included": 10}],
        "add_items": [{"feature_id": "messages", "included": 77, "reset": MONTH}],
    }
    assert call(shop, "attach", "mixed", plan_id="small", customize=customize)[0] == 200
    status, answer = shop.call("check", "POST /v1/check", {"customer_id": "mixed", "feature_id": "messages"})
    assert (status, answer["balance"]["granted"]) == (200, 77)
    assert (
        shop.call("check", "POST /v1/check", {"customer_id": "mixed", "feature_id": "dashboard"})[1]["allowed"] is False
    )


@pytest.mark.parametrize(
    "customize",
    [
        {"remove_items": [{"feature_id": "messages", "included": 3}]},
        {"remove_items": [{"billing_method": "prepaid"}]},
        {"remove_items": [{}, {}]},
        {"items": [], "add_items": [{"feature_id": "dashboard"}]},
        {"add_items": [{"feature_id": "nothing"}]},
        {"add_items": [{"feature_id": "messages", "included": 1, "reset": MONTH}]},
    ],
)
def test_what_cannot_be_put_together_is_refused(shop: Here, customize: dict[str, Any]) -> None:
    call(shop, "attach", "refused", plan_id="none")
    before = shop.contents()
    status, _ = call(shop, "attach", "refused", plan_id="small", customize=customize)
    assert status in (400, 404)
    assert shop.contents() == before


def test_plans_that_are_named_go_when_the_new_one_comes(shop: Here) -> None:
    assert call(shop, "attach", "goes", plan_id="extra")[0] == 200
    more = {"plan_id": "big", "remove_plan_ids": ["extra"]}
    _, told = call(shop, "preview_attach", "goes", **more)
    assert [one["plan_id"] for one in told["outgoing"]] == ["extra"]
    assert call(shop, "attach", "goes", **more)[0] == 200
    _, held = shop.call("manage", "POST /v1/subscriptions.list", {"customer_id": "goes"})
    assert [one["plan_id"] for one in held["list"]] == ["big"]
    assert call(shop, "attach", "goes", plan_id="small", remove_plan_ids=["extra"])[0] == 400
    later = {"plan_id": "extra", "remove_plan_ids": ["big"], "starts_at": 2_000_000_000_000}
    assert call(shop, "attach", "goes", **later)[0] == 400
