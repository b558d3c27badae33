"""A member of a credit system that is priced in lots: so many credits for so many units (`billing_units`).

Rules: management.md 2 (features.create); autumn.md 3.7.
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.handlers.conftest import Here
from tollgate.exact_json import dumps

amounts = st.integers(1, 10**6).map(Decimal) | st.decimals("0.01", "1000", places=2)


def number(shown: float) -> Decimal:
    """A number of an answer, exact."""
    return Decimal(str(shown))


def made(here: Here, schema: dict[str, Any]) -> tuple[str, str]:
    """A member and the credit system that pays for it."""
    member, pool = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("member", "pool"))
    body = {"feature_id": member, "name": "M", "type": "metered", "consumable": True}
    assert here.call("manage", "POST /v1/features.create", body)[0] == 200
    schema_of = [{"metered_feature_id": member, **schema}]
    text = dumps({"feature_id": pool, "name": "P", "type": "credit_system", "credit_schema": schema_of})
    status, answer = here.call("manage", "POST /v1/features.create", text)
    assert status == 200, answer
    return member, pool


@given(cost=amounts, units=amounts, lots=st.integers(1, 50))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_set_is_read_and_a_whole_lot_costs_what_was_set(
    here: Here, cost: Decimal, units: Decimal, lots: int
) -> None:
    member, pool = made(here, {"credit_cost": cost, "billing_units": units})
    status, shown = here.call("manage", "POST /v1/features.get", {"feature_id": pool})
    assert status == 200
    (entry,) = shown["credit_schema"]
    assert (entry["metered_feature_id"], number(entry["credit_cost"])) == (member, cost)
    assert number(entry.get("billing_units", 1)) == units
    customer, granted = f"c-{uuid.uuid4().hex[:8]}", Decimal(10**12)
    body = {"customer_id": customer, "feature_id": pool, "included_grant": int(granted)}
    assert here.call("manage", "POST /v1/balances.create", body)[0] == 200
    for value, left in ((units * lots, granted - cost * lots), (-units * lots, granted)):
        use = {"customer_id": customer, "feature_id": member, "value": value, "async": False}
        status, answer = here.call("track", "POST /v1/track", dumps(use))
        assert (status, number(answer["balance"]["remaining"])) == (200, left)


@pytest.mark.parametrize("units", [0, -1, "3", 1e400])
def test_a_lot_of_no_units_is_refused_and_nothing_is_made(here: Here, units: object) -> None:
    before = here.contents()
    schema_of = [{"metered_feature_id": "messages", "credit_cost": 1, "billing_units": units}]
    body = {"feature_id": "lots", "name": "P", "type": "credit_system", "credit_schema": schema_of}
    status, answer = here.call("manage", "POST /v1/features.create", body)
    assert (status, answer["code"]) == (400, "invalid_inputs")
    assert here.contents() == before


def test_1_2_shows_what_one_unit_costs(here: Here) -> None:
    member, pool = made(here, {"credit_cost": 1, "billing_units": 3})
    body: dict[str, Any] = {"customer_id": f"c-{pool}", "feature_id": pool, "included_grant": 10}
    assert here.call("manage", "POST /v1/balances.create", body)[0] == 200
    asked = {"customer_id": f"c-{pool}", "feature_id": member}
    status, shown = here.call("check", "POST /v1/check", asked, headers={"x-api-version": "1.2"})
    assert (status, shown["credit_schema"]) == (200, [{"feature_id": member, "credit_amount": 0.3333333333}])


def test_an_update_of_something_else_keeps_it_and_one_unit_takes_it_away(here: Here) -> None:
    member, pool = made(here, {"credit_cost": 5, "billing_units": 3})
    _, shown = here.call("manage", "POST /v1/features.update", {"feature_id": pool, "name": "Q"})
    assert shown["credit_schema"] == [{"metered_feature_id": member, "credit_cost": 5, "billing_units": 3}]
    schema = [{"metered_feature_id": member, "credit_cost": 5}]
    _, shown = here.call("manage", "POST /v1/features.update", {"feature_id": pool, "credit_schema": schema})
    assert shown["credit_schema"] == schema
