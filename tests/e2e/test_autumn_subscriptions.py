"""`billing.attach` and `.update`, entities and billing controls through autumn-sdk (management.md 1, 5 to 7; autumn.md 1.2, 3.5).

Rules: autumn.md 1.2.5.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.e2e.fixture import (
    DAY,
    Shop,
    consumable,
    flag,
    gru,
    lifetime,
    monthly,
    new,
    per_entity,
    prepaid,
    refused,
    seats,
)


def plans(shop: Shop, customer: str) -> dict[str, Any]:
    """The customer's subscriptions, by plan."""
    return {held.plan_id: held for held in shop.autumn.customers.get(customer_id=customer).subscriptions}


def usage_limit(shop: Shop, customer: str) -> Any:
    """The customer's one usage limit."""
    limits = shop.autumn.customers.get(customer_id=customer).billing_controls.usage_limits or []
    assert len(limits) == 1
    return limits[0]


def cancel(shop: Shop, customer: str, plan: str, action: Any) -> None:
    done = shop.autumn.billing.update(customer_id=customer, plan_id=plan, cancel_action=action)
    assert (done.customer_id, done.payment_url) == (customer, None)


def costing(amount: float, group: str) -> dict[str, Any]:
    return {"group": group, "price": {"amount": amount, "interval": "month"}}


class TestAttach:
    def test_a_plan_replaces_that_of_its_group(self, shop: Shop) -> None:
        """management.md 6 (billing.attach); an add-on and another group's plan stay."""
        c, group = shop.customer(), new("group")
        first = shop.attach(c, monthly(100), group=group)
        shop.attach(c, monthly(10, "words"), group=new("group"))
        add_on = shop.attach(c, lifetime(50), add_on=True)
        shop.track(c, 30)
        second = shop.attach(c, monthly(1000), group=group)
        held = plans(shop, c)
        assert first not in held
        assert {second, add_on} <= set(held)
        assert len(held) == 3
        assert gru(shop.balance(c)) == (1050, 1050, 0)
        with refused(409, "plan_already_attached"):
            shop.autumn.billing.attach(customer_id=c, plan_id=second)

    @pytest.mark.parametrize(
        ("carried", "left"),
        [
            ({"carry_over_usages": {"enabled": True}}, (1000, 970, 30)),
            ({"carry_over_usages": {"enabled": True, "feature_ids": ["words"]}}, (1000, 1000, 0)),
            ({"carry_over_balances": {"enabled": True}}, (1070, 1070, 0)),
            ({}, (1000, 1000, 0)),
        ],
    )
    def test_what_goes_over_is_said_by_the_attach(self, shop: Shop, carried: Any, left: Any) -> None:
        c, group = shop.customer(), new("group")
        shop.attach(c, monthly(100), group=group)
        shop.track(c, 30)
        pro = shop.plan(monthly(1000), **costing(20, group))
        shop.api.call("billing.attach", {"customer_id": c, "plan_id": pro, **carried})
        assert gru(shop.balance(c)) == left

    def test_no_group_is_one_group(self, shop: Shop) -> None:
        c = shop.customer()
        shop.attach(c, monthly(10), group=None)
        pro = shop.attach(c, monthly(1000), **costing(20, ""))
        assert set(plans(shop, c)) == {pro}
        assert shop.left(c) == 1000

    def test_a_start_in_the_past_is_the_start_of_the_period(self, shop: Shop) -> None:
        c, began = shop.customer(), int(time.time() * 1000) - 10 * DAY
        plan = shop.plan(monthly(100), **costing(10, new("group")))
        shop.api.call("billing.attach", {"customer_id": c, "plan_id": plan, "starts_at": began})
        held = plans(shop, c)[plan]
        assert (held.status, held.started_at, held.current_period_start) == ("active", began, began)
        assert shop.balance(c).next_reset_at == held.current_period_end

    def test_an_add_on_stacks(self, shop: Shop) -> None:
        c = shop.customer(monthly(10))
        for total in (15, 20):
            shop.attach(c, lifetime(5), add_on=True)
            assert shop.left(c) == total

    def test_quantities_are_bought_and_changed(self, shop: Shop) -> None:
        """management.md 6: a quantity includes what is included; what was used stays used."""
        c = shop.customer(prepaid(100, 500))
        (plan,) = plans(shop, c)
        shop.track(c, 50)
        (grant,) = shop.balance(c).breakdown
        assert (grant.included_grant, grant.prepaid_grant, grant.remaining, grant.price.billing_method) == (
            100,
            500,
            550,
            "prepaid",
        )
        quantities: Any = [{"feature_id": "messages", "quantity": 300}]
        shop.autumn.billing.update(customer_id=c, plan_id=plan, feature_quantities=quantities)
        assert gru(shop.balance(c)) == (300, 250, 50)
        with refused(400, "invalid_inputs"):
            shop.autumn.billing.update(customer_id=c, plan_id=plan)
        with refused(404, "invalid_request"):
            shop.autumn.billing.update(customer_id=c, plan_id="nothing", cancel_action="cancel_immediately")
        assert gru(shop.balance(c)) == (300, 250, 50)

    def test_a_downgrade_waits_for_the_end_of_the_cycle(self, shop: Shop) -> None:
        """And can be told not to; uncancel takes it back."""
        c, group = shop.customer(), new("group")
        dear = shop.attach(c, monthly(1000), **costing(20, group))
        cheap = shop.attach(c, monthly(100), **costing(10, group))
        held = plans(shop, c)
        assert (held[dear].status, held[cheap].status) == ("active", "scheduled")
        assert held[dear].expires_at == held[cheap].started_at == held[dear].current_period_end
        assert gru(shop.balance(c)) == (1000, 1000, 0)
        cancel(shop, c, dear, "uncancel")
        held = plans(shop, c)
        assert set(held) == {dear}
        assert (held[dear].canceled_at, held[dear].expires_at) == (None, None)
        shop.autumn.billing.attach(customer_id=c, plan_id=cheap, plan_schedule="immediate")
        assert set(plans(shop, c)) == {cheap}
        assert shop.left(c) == 100

    def test_a_plan_is_canceled_at_the_end_or_at_once(self, shop: Shop) -> None:
        c = shop.customer()
        plan = shop.attach(c, monthly(100), **costing(10, new("group")))
        with refused(400, "invalid_request"):
            cancel(shop, c, plan, "uncancel")
        cancel(shop, c, plan, "cancel_end_of_cycle")
        held = plans(shop, c)[plan]
        assert held.canceled_at
        assert (held.status, held.expires_at) == ("active", held.current_period_end)
        assert shop.may(c)
        cancel(shop, c, plan, "uncancel")
        assert plans(shop, c)[plan].expires_at is None
        free = shop.attach(c, monthly(5, "words"))
        with refused(400, "invalid_request"):  # it has no billing cycle
            cancel(shop, c, free, "cancel_end_of_cycle")
        cancel(shop, c, free, "cancel_immediately")
        cancel(shop, c, plan, "cancel_immediately")
        assert plans(shop, c) == {}
        assert shop.balance(c) is None
        assert shop.autumn.customers.list_subscriptions(customer_id=c, statuses=["expired"]).list[0].plan_id == plan

    def test_a_trial_is_active_until_it_ends(self, shop: Shop) -> None:
        c = shop.customer()
        plan = shop.attach(c, monthly(100), free_trial={"duration_length": 7, "duration_type": "day"})
        held = plans(shop, c)[plan]
        assert held.status == "active"
        assert held.trial_ends_at == held.started_at + 7 * DAY
        without = shop.customer()
        shop.autumn.billing.attach(customer_id=without, plan_id=plan, customize={"free_trial": None})
        assert plans(shop, without)[plan].trial_ends_at is None

    def test_a_version_and_items_can_be_chosen(self, shop: Shop) -> None:
        plan = shop.plan(monthly(100), plan_id=new("plan"))
        shop.autumn.billing.attach(customer_id=shop.customer(), plan_id=plan)
        items: Any = [monthly(200).body]
        assert shop.autumn.plans.update(plan_id=plan, items=items).version == 2
        granted = []
        for terms in ({}, {"version": 1}, {"customize": {"items": [monthly(7).body]}}):
            c = shop.customer()
            body: Any = {"customer_id": c, "plan_id": plan, **terms}
            shop.autumn.billing.attach(**body)
            granted.append(shop.left(c))
        assert granted == [200, 100, 7]

    def test_a_running_plan_is_put_together_anew(self, shop: Shop) -> None:
        """management.md 18: through the SDK's `customize`; what was used stays used, and the plan stays the same one."""
        c = shop.customer(monthly(10), flag())
        ((plan, before),) = plans(shop, c).items()
        shop.track(c, 4)
        more: Any = {"remove_items": [{"feature_id": "dashboard"}], "add_items": [monthly(5, "words").body]}
        shop.autumn.billing.update(customer_id=c, plan_id=plan, customize=more)
        assert gru(shop.balance(c)) == (10, 6, 4), "what is not named is not touched"
        assert (shop.left(c, "words"), shop.may(c, feature="dashboard")) == (5, False)
        limit = {"usage_limits": [{"feature_id": "messages", "limit": 6, "interval": "month"}]}
        own: Any = {"items": [monthly(25).body], "billing_controls": limit, "price": None}
        shop.autumn.billing.update(customer_id=c, plan_id=plan, customize=own)
        assert (gru(shop.balance(c)), shop.balance(c, "words")) == ((25, 21, 4), None)
        assert [shop.may(c, required) for required in (6, 7)] == [True, False]
        ((_, after),) = plans(shop, c).items()
        assert (after.id, after.started_at, after.status) == (before.id, before.started_at, "active")
        other = shop.customer()
        shop.api.call("billing.attach", {"customer_id": other, "plan_id": plan})
        assert (shop.left(other), shop.may(other, feature="dashboard")) == (10, True), "it is this customer's alone"
        with refused(404, "feature_not_found"):
            shop.autumn.billing.update(customer_id=c, plan_id=plan, customize={"items": [{"feature_id": "nothing"}]})
        assert gru(shop.balance(c)) == (25, 21, 4)

    @pytest.mark.parametrize(
        ("terms", "status", "code"),
        [
            ({"plan_id": "nothing"}, 404, "product_not_found"),
            ({"customer_id": "nobody-at-all"}, 404, "customer_not_found"),
            ({"entity_id": "nobody"}, 404, "entity_not_found"),
            ({"version": 99}, 404, "product_not_found"),
            ({"ends_at": 1}, 400, "invalid_inputs"),
            ({"feature_quantities": [{"feature_id": "seats", "quantity": 5}]}, 400, "invalid_inputs"),
            ({"carry_over_balances": {"enabled": "yes"}}, 400, "invalid_inputs"),
            ({"carry_over_usages": {"enabled": True, "feature_ids": ["nothing"]}}, 404, "feature_not_found"),
            ({"remove_plan_ids": ["free"]}, 400, "invalid_inputs"),
            ({"starts_at": "soon"}, 400, "invalid_inputs"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, shop: Shop, terms: Any, status: int, code: str) -> None:
        answer = shop.raw("billing.attach", {"customer_id": "customer-1", "plan_id": "free", **terms})
        assert (answer.status_code, answer.json()["code"]) == (status, code)


class TestEntities:
    def test_an_entity_is_made_read_changed_and_deleted(self, shop: Shop) -> None:
        """autumn.md 1.2; it takes a seat, and its share of a per-entity plan comes and goes with it."""
        c = shop.customer(seats(5), per_entity(monthly(50)), flag())
        entities = shop.autumn.entities
        made = entities.create(customer_id=c, entity_id="e1", feature_id="users", name="One")
        assert (made.id, made.name, made.customer_id, made.feature_id) == ("e1", "One", c, "users")
        assert (set(made.flags), made.balances["messages"].remaining) == ({"dashboard"}, 50)
        assert gru(shop.balance(c, "users")) == (5, 4, 1)
        assert shop.left(c) == 50
        with refused(409, "entity_already_exists"):
            entities.create(customer_id=c, entity_id="e1", feature_id="users")
        controls: Any = {"usage_limits": [{"feature_id": "messages", "limit": 5, "interval": "month"}]}
        entities.update(customer_id=c, entity_id="e1", billing_controls=controls)
        shop.track(c, 9, entity_id="e1")
        found = entities.get(customer_id=c, entity_id="e1")
        assert found.balances["messages"].remaining == 45
        assert found.billing_controls
        assert [(limit.limit, limit.usage) for limit in found.billing_controls.usage_limits or ()] == [(5, 5)]
        assert [entity.id for entity in entities.list(customer_id=c).list] == ["e1"]
        assert entities.delete(customer_id=c, entity_id="e1").success
        with refused(404, "entity_not_found"):
            entities.get(customer_id=c, entity_id="e1")
        assert gru(shop.balance(c, "users")) == (5, 5, 0)
        assert (gru(shop.balance(c)), len(shop.balance(c).breakdown)) == ((0, 0, 0), 1)

    def test_a_plan_is_attached_to_an_entity(self, shop: Shop) -> None:
        """S149: monthly 100 on the customer and again on e1; S229: set on one entity, seen by all."""
        c = shop.customer(monthly(100), entities=2)
        attached = shop.attach(c, monthly(100), entity="e1")
        assert gru(shop.balance(c)) == (200, 200, 0)
        assert sorted(grant.source for grant in shop.balance(c, entity="e1").breakdown) == ["customer", "entity"]
        shop.track(c, 50, entity_id="e1")
        assert [shop.left(c, entity=e) for e in (None, "e1", "e2")] == [150, 150, 100]
        assert gru(shop.track(c, 120, entity_id="e1").balance) == (200, 30, 170)
        assert [shop.left(c, entity=e) for e in (None, "e2")] == [30, 30]
        held = shop.autumn.customers.list_subscriptions(customer_id=c, entity_id="e1").list
        assert [(s.plan_id, s.entity_id) for s in held] == [(attached, "e1")]


class TestControls:
    def test_a_usage_limit_clamps_and_is_counted(self, shop: Shop) -> None:
        """S241, S247, S121: of the customer, with its counter in the reply."""
        limit = {"feature_id": "messages", "limit": 5, "interval": "month"}
        c = shop.customer(monthly(100), billing_controls={"usage_limits": [limit]})
        tracked = shop.track(c, 3)
        assert (tracked.value, tracked.balance.remaining) == (3, 97)
        assert [shop.may(c, required) for required in (2, 3)] == [True, False]
        assert (shop.track(c, 10).value, shop.left(c)) == (10, 95)
        assert shop.track(c, 3).balance.remaining == 95
        shown = usage_limit(shop, c)
        assert (shown.limit, shown.usage, shown.source) == (5, 5, "customer")
        assert shop.track(c, 10, overage_behavior="overflow").balance.remaining == 85

    def test_a_plans_controls_hold_where_there_are_none_of_ones_own(self, shop: Shop) -> None:
        """autumn.md 3.5, 1.2.6: and `source` in replies since 2.3."""
        limit: Any = {"feature_id": "messages", "limit": 5, "interval": "day", "enabled": True}
        c = shop.customer()
        plan = shop.attach(c, monthly(1000), consumable(5, "words"), billing_controls={"usage_limits": [limit]})
        stated = shop.autumn.plans.get(plan_id=plan).billing_controls
        assert stated
        assert [shown.limit for shown in stated.usage_limits or ()] == [5]
        shop.track(c, 5)
        assert not shop.may(c)
        shop.raw("usage", {"customer_id": c, "feature_id": "messages", "value": 0})
        assert not shop.may(c)  # S250: setting the usage does not move the counter
        shown = usage_limit(shop, c)
        assert (shown.source, shown.usage, shown.limit) == ("plan", 5, 5)
        own: Any = {"usage_limits": [{**limit, "limit": 7}]}
        shop.autumn.customers.update(customer_id=c, billing_controls=own)
        shown = usage_limit(shop, c)
        assert (shown.source, shown.usage, shown.limit) == ("customer", 5, 7)
        assert [shop.may(c, required) for required in (2, 3)] == [True, False]

    def test_overage_is_allowed_or_forbidden_by_hand(self, shop: Shop) -> None:
        """S025, S026."""
        controls = {"overage_allowed": [{"feature_id": "messages", "enabled": True}]}
        c = shop.customer(lifetime(100), billing_controls=controls)
        shop.track(c, 100)
        answer = shop.autumn.check(customer_id=c, feature_id="messages", required_balance=25, send_event=True)
        assert (answer.allowed, gru(answer.balance)) == (True, (100, 0, 125))
        controls = {"overage_allowed": [{"feature_id": "messages", "enabled": False}]}
        c = shop.customer(consumable(100), billing_controls=controls)
        assert shop.may(c, 50)
        shop.track(c, 100)
        assert not shop.may(c)

    def test_a_spend_limit_may_be_a_percentage_or_off(self, shop: Shop) -> None:
        """S032: monthly 100 and consumable 0 max 300, 120 % is 120; S262: a limit that is off holds nothing back."""
        limit = {"feature_id": "messages", "enabled": True, "limit_type": "usage_percentage", "overage_limit": 120}
        c = shop.customer(monthly(100), consumable(0, most=300), billing_controls={"spend_limits": [limit]})
        shop.track(c, 210)
        assert gru(shop.track(c, 10).balance) == (100, 0, 220)
        assert shop.rejected(c, 1) == "insufficient_balance"
        off: Any = {"spend_limits": [{**limit, "enabled": False}]}
        assert shop.autumn.customers.update(customer_id=c, billing_controls=off).billing_controls.spend_limits
        assert shop.rejected(c, 10) is None
        assert gru(shop.balance(c)) == (100, 0, 230)

    def test_an_entitys_limit_stands_over_the_customers(self, shop: Shop) -> None:
        """S122, overflow 6: consumable 100 attached to e1, spend limit 25 on e1."""
        c = shop.customer(entities=1)
        shop.attach(c, consumable(100), entity="e1")
        limit: Any = {"feature_id": "messages", "enabled": True, "overage_limit": 25}
        shop.autumn.entities.update(customer_id=c, entity_id="e1", billing_controls={"spend_limits": [limit]})
        shop.track(c, 120, entity_id="e1")
        assert gru(shop.track(c, 10, entity_id="e1", overage_behavior="overflow").balance) == (100, 0, 125)

    def test_a_control_of_an_unknown_feature_is_refused(self, shop: Shop) -> None:
        controls: Any = {"overage_allowed": [{"feature_id": "nothing", "enabled": True}]}
        with refused(404, "feature_not_found"):
            shop.autumn.customers.update(customer_id="customer-1", billing_controls=controls)
        assert not shop.autumn.customers.get(customer_id="customer-1").billing_controls.overage_allowed
