"""Previews through the deployed stack and Autumn's SDK (management.md 18)."""

from __future__ import annotations

from tests.e2e.fixture import Shop, monthly


def test_a_preview_says_what_attaching_then_does(shop: Shop) -> None:
    customer, plan = shop.customer(), shop.plan(monthly(5))
    told = shop.autumn.billing.preview_attach(customer_id=customer, plan_id=plan)
    assert [one.plan_id for one in told.incoming] == [plan]
    assert (told.outgoing, told.total, told.line_items) == ([], 0, [])
    shop.autumn.billing.attach(customer_id=customer, plan_id=plan)
    ends = shop.autumn.billing.preview_update(customer_id=customer, plan_id=plan, cancel_action="cancel_immediately")
    assert (ends.intent, [one.plan_id for one in ends.outgoing]) == ("cancel_immediately", [plan])
    shop.autumn.billing.update(customer_id=customer, plan_id=plan, cancel_action="cancel_immediately")
    assert not shop.api.call("subscriptions.list", {"customer_id": customer})["list"]
