"""Flexprice's SDK sets everything up: customers, features, plans, entitlements, subscriptions, add-ons (flexprice.md 2.3).

Rules: flexprice.md 1.2.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from flexprice import Flexprice, models

from tests.flexprice import assert_entitlements, assert_error, call, sdk
from tests.handlers.conftest import Here

_numbers = itertools.count()


@pytest.fixture
def flexprice(here: Here) -> Flexprice:
    return sdk(here.handlers["entitlements"])


def unique(kind: str) -> str:
    return f"{kind}_{next(_numbers)}"


def entitlements(here: Here, customer: str) -> dict[str, Any]:
    status, body = call(here.handlers["entitlements"], f"GET /v1/customers/{customer}/entitlements")
    assert status == 200
    assert_entitlements(body)
    return {entry["feature"]["id"]: entry for entry in body["features"]}


class Set:
    """A customer, three features and a plan of them, made through the SDK."""

    def __init__(self, flexprice: Flexprice) -> None:
        self.sdk = flexprice
        self.customer = unique("customer")
        assert flexprice.customers.create_customer(external_id=self.customer, name="Ada").id == self.customer
        self.calls = self.feature(
            "metered",
            meter={
                "name": "Calls",
                "event_name": unique("call"),
                "aggregation": {"type": "COUNT"},
                "reset_usage": "BILLING_PERIOD",
            },
        )
        self.sso, self.sla = self.feature("boolean"), self.feature("static")
        plan = flexprice.plans.create_plan(name="Pro", lookup_key=unique("pro"))
        assert plan.id
        self.plan = plan.id
        self.grants = {
            "calls": self.grant(self.calls, "metered", usage_limit=100, usage_reset_period="MONTHLY"),
            "sso": self.grant(self.sso, "boolean", is_enabled=True),
            "sla": self.grant(self.sla, "static", static_value="gold"),
        }

    def feature(self, type: str, **more: Any) -> str:
        key = unique(type)
        feature = self.sdk.features.create_feature(name=key.upper(), type_=type, lookup_key=key, **more)  # type: ignore[arg-type]
        assert feature.lookup_key == key
        assert feature.id
        return feature.id

    def grant(self, feature: str, type: str, **more: Any) -> str:
        made = self.sdk.entitlements.create_entitlement(
            feature_id=feature,
            feature_type=type,  # type: ignore[arg-type]
            entity_type="PLAN",
            entity_id=self.plan,
            **more,
        )
        assert (made.feature_id, made.plan_id, made.status) == (feature, self.plan, "published")
        assert made.id
        return made.id

    def subscribe(self, **more: Any) -> models.SubscriptionResponse:
        made = self.sdk.subscriptions.create_subscription(
            customer_id=self.customer, plan_id=self.plan, currency="usd", billing_period="MONTHLY", **more
        )
        assert made.subscription_status == "active" or more
        assert made.id
        return made


@pytest.fixture
def made(flexprice: Flexprice) -> Set:
    return Set(flexprice)


def test_a_subscription_grants_what_the_plan_has_the_newest_first(here: Here, made: Set) -> None:
    subscription = made.subscribe()
    found = entitlements(here, made.customer)
    assert list(found) == [made.sla, made.sso, made.calls]
    (source,) = found[made.calls]["sources"]
    assert source == {
        "subscription_id": subscription.id,
        "entity_id": made.plan,
        "entity_type": "plan",
        "entity_name": "Pro",
        "quantity": 1,
        "entitlement_id": made.grants["calls"],
        "is_enabled": True,
        "usage_limit": 100,
        "static_value": None,
        "usage_reset_period": "MONTHLY",
    }
    assert found[made.sla]["entitlement"]["static_values"] == ["gold"]


def test_overrides_replace_what_the_plan_grants(here: Here, made: Set) -> None:
    subscription = made.subscribe(
        override_entitlements=[
            {"entitlement_id": made.grants["calls"], "usage_limit": 5000},
            {"entitlement_id": made.grants["sla"], "static_value": "platinum"},
            {"entitlement_id": made.grants["sso"], "is_enabled": False},
        ]
    )
    found = entitlements(here, made.customer)
    assert list(found) == [made.sla, made.calls]  # a disabled override hides the feature
    assert found[made.calls]["entitlement"]["usage_limit"] == 5000
    assert found[made.sla]["entitlement"]["static_values"] == ["platinum"]
    (source,) = found[made.calls]["sources"]
    assert (source["entity_type"], source["entity_id"]) == ("subscription", subscription.id)
    assert source["entity_name"] == ""


def test_a_metered_override_without_a_limit_is_unlimited(here: Here, made: Set) -> None:
    made.subscribe(override_entitlements=[{"entitlement_id": made.grants["calls"], "is_enabled": True}])
    assert entitlements(here, made.customer)[made.calls]["entitlement"]["usage_limit"] is None


def test_add_ons_stack_and_are_their_subscriptions(here: Here, made: Set) -> None:
    subscription = made.subscribe()
    assert subscription.id
    addon = made.sdk.addons.create_addon(name="More calls", lookup_key=unique("more"))
    assert addon.id
    made.sdk.entitlements.create_entitlement(
        feature_id=made.calls, feature_type="metered", entity_type="ADDON", entity_id=addon.id, usage_limit=50
    )
    with pytest.warns(DeprecationWarning, match="DEPRECATED"):  # the SDK's
        added = [
            made.sdk.subscriptions.add_subscription_addon(subscription_id=subscription.id, addon_id=addon.id)
            for _ in range(2)
        ]
    found = entitlements(here, made.customer)[made.calls]
    assert found["entitlement"]["usage_limit"] == 200
    assert [s["entity_type"] for s in found["sources"]] == ["plan", "addon", "addon"]
    assert {s["subscription_id"] for s in found["sources"]} == {subscription.id}
    assert {s["entity_id"] for s in found["sources"][1:]} == {addon.id}
    listed = made.sdk.subscriptions.get_subscription_addon_associations(id=subscription.id)
    assert {a.id for a in listed.items or ()} == {a.id for a in added}
    first = added[0].id
    assert first
    with pytest.warns(DeprecationWarning, match="DEPRECATED"):
        made.sdk.subscriptions.remove_subscription_addon(addon_association_id=first)
    assert entitlements(here, made.customer)[made.calls]["entitlement"]["usage_limit"] == 150
    made.sdk.subscriptions.cancel_subscription(id=subscription.id, cancellation_type="immediate")
    assert entitlements(here, made.customer) == {}


def test_a_subscription_can_be_read_found_and_cancelled(here: Here, made: Set) -> None:
    subscription = made.subscribe(metadata={"k": "v"}, lookup_key="main")
    assert subscription.id
    read = made.sdk.subscriptions.get_subscription(id=subscription.id)
    assert (read.plan_id, read.currency, read.billing_period, read.metadata) == (
        made.plan,
        "usd",
        "MONTHLY",
        {"k": "v"},
    )
    assert read.current_period_start
    assert read.current_period_end
    for found in (
        made.sdk.subscriptions.query_subscription(customer_id=made.customer),
        made.sdk.subscriptions.query_subscription(subscription_ids=[subscription.id]),
        made.sdk.customers.get_subscriptions_for_customer(external_id=made.customer),
    ):
        assert [s.id for s in found.items or ()] == [subscription.id]
    cancelled = made.sdk.subscriptions.cancel_subscription(id=subscription.id, cancellation_type="end_of_period")
    assert cancelled.status == "active"
    assert cancelled.effective_date == read.current_period_end
    assert made.calls in entitlements(here, made.customer)
    made.sdk.subscriptions.cancel_subscription(id=subscription.id, cancellation_type="immediate")
    assert made.sdk.subscriptions.get_subscription(id=subscription.id).subscription_status == "cancelled"
    assert entitlements(here, made.customer) == {}
    assert not made.sdk.subscriptions.query_subscription(customer_id=made.customer).items


def test_a_trial_is_trialing(made: Set) -> None:
    subscription = made.subscribe(trial_period_days=14)
    assert (subscription.subscription_status, subscription.trial_end is not None) == ("trialing", True)


def test_a_cycle_is_the_subscriptions_not_the_plans(made: Set) -> None:
    body = made.sdk.subscriptions.create_subscription(
        external_customer_id=made.customer,
        plan_id=made.plan,
        currency="usd",
        billing_period="QUARTERLY",
        billing_cycle="calendar",
    )
    assert body.current_period_start
    assert body.current_period_end
    start, end = body.current_period_start, body.current_period_end
    assert (start.month % 3, start.day, end.day) == (1, 1, 1)
    assert (end.year - start.year) * 12 + end.month - start.month == 3


def test_entitlements_are_listed_changed_and_deleted(made: Set) -> None:
    calls = made.grants["calls"]
    listed = made.sdk.entitlements.get_plan_entitlements(id=made.plan)
    assert [e.id for e in listed.items or ()] == [made.grants["sla"], made.grants["sso"], calls]
    found = made.sdk.entitlements.query_entitlement(entity_ids=[made.plan], feature_type="metered")
    assert [e.id for e in found.items or ()] == [calls]
    updated = made.sdk.entitlements.update_entitlement(id=calls, usage_limit=0, is_soft_limit=True)
    assert (updated.usage_limit, updated.is_soft_limit, updated.usage_reset_period) == (0, True, "MONTHLY")
    assert made.sdk.entitlements.get_entitlement(id=calls).usage_limit == 0
    made.sdk.entitlements.delete_entitlement(id=calls)
    with pytest.raises(models.errors.FlexpriceError) as caught:
        made.sdk.entitlements.get_entitlement(id=calls)
    assert caught.value.status_code == 404


def test_who_has_subscribed_keeps_what_it_has(here: Here, made: Set) -> None:
    made.subscribe()
    updated = made.sdk.entitlements.update_entitlement(id=made.grants["calls"], usage_limit=7)
    assert (updated.id, updated.usage_limit) == (made.grants["calls"], 7)
    assert entitlements(here, made.customer)[made.calls]["entitlement"]["usage_limit"] == 100
    other = unique("customer")
    made.sdk.customers.create_customer(external_id=other, name="Bob")
    made.customer = other
    made.subscribe()
    assert entitlements(here, other)[made.calls]["entitlement"]["usage_limit"] == 7


def test_entitlements_are_made_in_bulk(made: Set) -> None:
    features = [made.feature("metered") for _ in range(3)]
    answer = made.sdk.entitlements.create_entitlements_bulk(
        items=[
            models.CreateEntitlementRequest(
                feature_id=id, feature_type="metered", entity_type="PLAN", entity_id=made.plan, usage_limit=0
            )
            for id in features
        ]
    )
    assert answer
    listed = made.sdk.entitlements.get_plan_entitlements(id=made.plan).items or []
    assert [(e.feature_id, e.usage_limit) for e in listed[:3]] == [(id, 0) for id in reversed(features)]


def test_features_plans_customers_and_add_ons_are_found_changed_and_deleted(made: Set) -> None:
    client = made.sdk
    changed = client.features.update_feature(id=made.calls, name="Calls", description="of the API")
    assert (changed.name, changed.description) == ("Calls", "of the API")
    assert [f.id for f in client.features.query_feature(feature_ids=[made.calls]).items or ()] == [made.calls]
    assert client.features.query_feature(name_contains="no such name").items == []
    unused = made.feature("boolean")
    client.features.delete_feature(id=unused)
    assert client.features.query_feature(feature_ids=[unused]).items == []

    assert client.plans.update_plan(id=made.plan, name="Pro 2").name == "Pro 2"
    assert client.plans.get_plan(id=made.plan).name == "Pro 2"
    assert [p.id for p in client.plans.query_plan(plan_ids=[made.plan]).items or ()] == [made.plan]

    addon = client.addons.create_addon(name="Extra", lookup_key=unique("extra"))
    assert addon.id
    assert addon.lookup_key
    assert client.addons.get_addon_by_lookup_key(lookup_key=addon.lookup_key).id == addon.id
    assert [a.id for a in client.addons.query_addon(addon_ids=[addon.id]).items or ()] == [addon.id]
    client.addons.delete_addon(id=addon.id)
    client.plans.delete_plan(id=made.plan)
    assert client.plans.query_plan(plan_ids=[made.plan]).items == []

    updated = client.customers.update_customer(id=made.customer, email="ada@example.com", metadata={"a": "b"})
    assert (updated.email, updated.name, updated.metadata) == ("ada@example.com", "Ada", {"a": "b"})
    assert client.customers.get_customer_by_external_id(external_id=made.customer) == updated
    found = client.customers.query_customer(external_ids=[made.customer, "nobody"])
    assert [c.id for c in found.items or ()] == [made.customer]
    client.customers.delete_customer(id=made.customer)
    with pytest.raises(models.errors.FlexpriceError) as caught:
        client.customers.get_customer(id=made.customer)
    assert caught.value.status_code == 404


def test_lists_come_in_pages(made: Set) -> None:
    features = [made.feature("boolean") for _ in range(3)]
    page = made.sdk.features.query_feature(feature_ids=features, limit=2, offset=1, order="asc")
    assert page.pagination
    assert (len(page.items or ()), page.pagination.total, page.pagination.offset) == (2, 3, 1)


REFUSED: list[tuple[str, Any, tuple[int, str]]] = [
    ("POST /v1/customers", {"external_id": "c"}, (400, "validation_error")),
    ("POST /v1/customers", {"external_id": "a#b", "name": "A"}, (400, "validation_error")),
    ("POST /v1/customers", {"external_id": "{customer}", "name": "A"}, (409, "already_exists")),
    ("POST /v1/features", {"name": "X", "type": "config"}, (400, "validation_error")),
    ("POST /v1/features", {"name": "X", "type": "boolean", "lookup_key": "{calls_key}"}, (409, "already_exists")),
    ("POST /v1/features", {"name": "X", "type": "metered", "meter_id": "m"}, (400, "validation_error")),
    (
        "POST /v1/features",
        {
            "name": "X",
            "type": "metered",
            "meter": {"name": "m", "event_name": "e", "aggregation": {"type": "SUM"}, "reset_usage": "NEVER"},
        },
        (400, "validation_error"),
    ),
    (
        "POST /v1/features",
        {"name": "X", "type": "metered", "alert_settings": {"warning": {"threshold": "1", "condition": "above"}}},
        (400, "validation_error"),
    ),
    (
        "POST /v1/features",
        {
            "name": "X",
            "type": "metered",
            "alert_settings": {
                "critical": {"threshold": "5", "condition": "above"},
                "info": {"threshold": "6", "condition": "above"},
            },
        },
        (400, "validation_error"),
    ),
    (
        "POST /v1/features",
        {"name": "X", "type": "metered", "reporting_unit": {"conversion_rate": 0}},
        (400, "validation_error"),
    ),
    ("POST /v1/plans", {}, (400, "validation_error")),
    ("POST /v1/plans", {"name": "P", "lookup_key": "{plan_key}"}, (409, "already_exists")),
    ("GET /v1/plans/nope", None, (404, "not_found")),
    ("GET /v1/addons/{plan}", None, (404, "not_found")),
    (
        "POST /v1/entitlements",
        {"feature_id": "{calls}", "feature_type": "metered", "entity_type": "PLAN", "entity_id": "{plan}"},
        (409, "already_exists"),
    ),
    (
        "POST /v1/entitlements",
        {"feature_id": "{calls}", "feature_type": "boolean", "entity_type": "PLAN", "entity_id": "{plan}"},
        (400, "validation_error"),
    ),
    (
        "POST /v1/entitlements",
        {"feature_id": "nope", "feature_type": "metered", "entity_type": "PLAN", "entity_id": "{plan}"},
        (404, "not_found"),
    ),
    (
        "POST /v1/entitlements",
        {"feature_id": "{calls}", "feature_type": "metered", "entity_type": "ADDON", "entity_id": "{plan}"},
        (404, "not_found"),
    ),
    ("POST /v1/entitlements", {"feature_id": "{calls}", "feature_type": "metered"}, (400, "validation_error")),
    (
        "POST /v1/entitlements",
        {"feature_id": "{calls}", "feature_type": "metered", "entity_id": "{plan}", "aggregation_mode": "parallel"},
        (400, "validation_error"),
    ),
    (
        "POST /v1/entitlements",
        {"feature_id": "{calls}", "feature_type": "metered", "entity_id": "{plan}", "grant_quota": "9.99"},
        (400, "validation_error"),
    ),
    ("PUT /v1/entitlements/{sso_grant}", {"usage_limit": 5}, (400, "validation_error")),
    ("PUT /v1/entitlements/{calls_grant}", {"usage_limit": 10.5}, (400, "validation_error")),
    ("PUT /v1/entitlements/{calls_grant}", {"usage_limit": -1}, (400, "validation_error")),
    ("DELETE /v1/entitlements/nope", None, (404, "not_found")),
    ("POST /v1/entitlements/search", {"filters": [{"field": "id"}]}, (400, "validation_error")),
    (
        "POST /v1/subscriptions",
        {"plan_id": "{plan}", "currency": "usd", "billing_period": "MONTHLY"},
        (400, "validation_error"),
    ),
    (
        "POST /v1/subscriptions",
        {"customer_id": "nobody", "plan_id": "{plan}", "currency": "usd", "billing_period": "MONTHLY"},
        (404, "not_found"),
    ),
    (
        "POST /v1/subscriptions",
        {
            "customer_id": "{customer}",
            "plan_id": "{plan}",
            "currency": "usd",
            "billing_period": "MONTHLY",
            "override_entitlements": [{"entitlement_id": "nope", "usage_limit": 1}],
        },
        (404, "not_found"),
    ),
    (
        "POST /v1/subscriptions",
        {
            "customer_id": "{customer}",
            "plan_id": "{plan}",
            "currency": "usd",
            "billing_period": "MONTHLY",
            "override_entitlements": [{"entitlement_id": "{addon_grant}", "usage_limit": 1}],
        },
        (400, "validation_error"),
    ),
    (
        "POST /v1/subscriptions",
        {
            "customer_id": "{customer}",
            "plan_id": "{plan}",
            "currency": "usd",
            "billing_period": "MONTHLY",
            "phases": [{}],
        },
        (400, "validation_error"),
    ),
    (
        "POST /v1/subscriptions",
        {"customer_id": "{subscribed}", "plan_id": "{plan}", "currency": "usd", "billing_period": "MONTHLY"},
        (400, "invalid_operation"),
    ),
    ("GET /v1/subscriptions/nope", None, (404, "not_found")),
    ("POST /v1/subscriptions/nope/cancel", {"cancellation_type": "immediate"}, (404, "not_found")),
    ("POST /v1/subscriptions/nope/cancel", {"cancellation_type": "scheduled_date"}, (400, "validation_error")),
    ("DELETE /v1/subscriptions/addon", {"addon_association_id": "{subscription}"}, (404, "not_found")),
    *(
        (
            "POST /v1/subscriptions/addon",
            {"subscription_id": "{subscription}", "addon_id": "{plan}", **more},
            (400, "validation_error"),
        )
        for more in ({"change_at": "period_end"}, {"cadence": "ONETIME"}, {"checkout": {"x": 1}})
    ),
    ("POST /v1/customers", "{", (400, "validation_error")),
    ("POST /v1/customers", [1], (400, "validation_error")),
]


@pytest.fixture(scope="module")
def known(here: Here) -> dict[str, str]:
    made = Set(sdk(here.handlers["entitlements"]))
    subscribed = unique("customer")
    made.sdk.customers.create_customer(external_id=subscribed, name="Eve")
    first, made.customer = made.customer, subscribed
    subscription = made.subscribe()
    addon = made.sdk.addons.create_addon(name="A", lookup_key=unique("addon"))
    assert addon.id
    granted = made.sdk.entitlements.create_entitlement(
        feature_id=made.sso, feature_type="boolean", entity_type="ADDON", entity_id=addon.id, is_enabled=True
    )
    return {
        "customer": first,
        "subscribed": subscribed,
        "subscription": str(subscription.id),
        "calls": made.calls,
        "calls_key": made.calls.removeprefix("feat_"),
        "plan": made.plan,
        "plan_key": made.plan.removeprefix("plan_"),
        "calls_grant": made.grants["calls"],
        "sso_grant": made.grants["sso"],
        "addon_grant": str(granted.id),
    }


def _named(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, id in known.items():
            value = value.replace("{" + name + "}", id)
        return value
    if isinstance(value, dict):
        return {name: _named(inner, known) for name, inner in value.items()}
    return [_named(inner, known) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("route", "body", "expected"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_is_refused_changes_nothing(
    here: Here, known: dict[str, str], route: str, body: Any, expected: tuple[int, str]
) -> None:
    before = here.contents()
    status, answer = call(here.handlers["entitlements"], _named(route, known), _named(body, known))
    assert_error(status, answer, expected)
    assert here.contents() == before
