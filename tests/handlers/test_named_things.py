"""What a body names and is not there, or is there already: refused as the documents say, with nothing changed.

Every answer here is held against its document (`tests.described`): a code or status that it does not name fails the test.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.conftest import Here
from tollgate_cli import openapi

ITEM = {"feature_id": "messages", "included": 10, "reset": {"interval": "month"}}
MISSING = "no-such-feature"
CONTROLS: dict[str, list[dict[str, Any]]] = {
    "usage_limits": [{"feature_id": MISSING, "limit": 3, "interval": "month"}],
    "spend_limits": [{"feature_id": MISSING, "overage_limit": 3, "enabled": True}],
    "usage_alerts": [{"feature_id": MISSING, "threshold": 3, "threshold_type": "usage"}],
    "overage_allowed": [{"feature_id": MISSING, "enabled": True}],
}
TAKE_CONTROLS: dict[str, dict[str, Any]] = {
    "POST /v1/customers.get_or_create": {"customer_id": "new"},
    "POST /v1/customers": {"id": "new"},
    "POST /v1/customers.update": {"customer_id": "ada"},
    "POST /v1/customers/ada": {},
    "POST /v1/entities.create": {"customer_id": "ada", "entity_id": "new", "feature_id": "users"},
    "POST /v1/entities.update": {"customer_id": "ada", "entity_id": "e1"},
    "POST /v1/plans.create": {"plan_id": "new", "name": "New"},
    "POST /v1/plans.update": {"plan_id": "pro"},
}
CUSTOMIZE: dict[str, dict[str, Any]] = {
    "POST /v1/billing.attach": {"customer_id": "ada", "plan_id": "extra"},
    "POST /v1/billing.preview_attach": {"customer_id": "ada", "plan_id": "extra"},
    "POST /v1/billing.update": {"customer_id": "ada", "subscription_id": "held"},
    "POST /v1/billing.preview_update": {"customer_id": "ada", "subscription_id": "held"},
}


@pytest.fixture
def shop(here: Here) -> Here:
    """A customer `ada` with an entity `e1` and a plan `pro`, held as the subscription `held`; another plan, `extra`, that
    somebody else has."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("features.create", {"feature_id": "users", "name": "Users", "type": "metered", "consumable": False}),
        ("customers.get_or_create", {"customer_id": "ada"}),
        ("customers.get_or_create", {"customer_id": "bob"}),
        ("entities.create", {"customer_id": "ada", "entity_id": "e1", "feature_id": "users"}),
    ]
    for plan, customer, held in (("pro", "ada", "held"), ("extra", "bob", "other")):
        calls += [
            ("plans.create", {"plan_id": plan, "name": plan, "items": [ITEM], "group": plan}),
            ("billing.attach", {"customer_id": customer, "plan_id": plan, "subscription_id": held}),
        ]
    for name, body in calls:
        status, answer = here.call("manage", f"POST /v1/{name}", body)
        assert status in (200, 400, 409), answer  # the first test of this module has made it
    return here


def refused(here: Here, route: str, body: dict[str, Any]) -> tuple[int, Any]:
    before = here.contents()
    function = "entitlements" if route == "POST /v1/customers" else "manage"
    status, answer = here.call(function, route, body, headers={"authorization": "Bearer key"})
    assert here.contents() == before, "nothing is changed"
    return status, answer


@pytest.mark.parametrize("kind", CONTROLS)
@pytest.mark.parametrize("route", [*TAKE_CONTROLS, *CUSTOMIZE])
def test_controls_of_a_feature_that_is_not_there(shop: Here, route: str, kind: str) -> None:
    controls = {"billing_controls": {kind: CONTROLS[kind]}}
    body = (
        {**TAKE_CONTROLS[route], **controls} if route in TAKE_CONTROLS else {**CUSTOMIZE[route], "customize": controls}
    )
    status, answer = refused(shop, route, body)
    assert (status, answer["code"]) == (404, "feature_not_found"), answer


@pytest.mark.parametrize("route", ["POST /v1/billing.attach", "POST /v1/billing.preview_attach"])
def test_an_id_of_a_subscription_that_is_taken(shop: Here, route: str) -> None:
    body = {"customer_id": "ada", "plan_id": "extra", "subscription_id": "held"}
    status, answer = refused(shop, route, body)
    assert (status, answer["code"]) == (409, "duplicate_subscription_id"), answer


def test_every_route_that_takes_controls_is_tried() -> None:
    """Those whose bodies have `billing_controls` themselves; what customizes a plan has them below that."""
    document = openapi.document(openapi.AUTUMN, ())
    tried = {route.replace("/ada", "/{customer_id}") for route in TAKE_CONTROLS}
    schemas = document["components"]["schemas"]
    takes = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
        for shape in operation["requestBody"]["content"].values()
        if "billing_controls"
        in schemas.get(shape["schema"].get("$ref", "").rpartition("/")[2], {}).get("properties", {})
    }
    assert takes == tried
