"""invariants.md 6 at the edge: what cannot be understood is refused in Autumn's shape, by name, and changes nothing.

Rules: autumn.md 0.1, 1.1, 1.2.1, 1.2.3, 3.12, 3.13.
"""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest
import simplejson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.handlers.conftest import Here, botocores
from tests.http_events import authorized, http_event
from tests.profiles import examples
from tests.service import SANDBOX, item
from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef
from tollgate.store.keys import balance

CHECK = ("check", "POST /v1/balances.check")
TRACK = ("track", "POST /v1/balances.track")
GOOD = {"customer_id": "c1", "feature_id": "messages", "async": False}

BAD_IDS = ["", "a" * 257, "a#b", "a b", "\u200bcustomer", "caf\u00e9", "a\u0000b", 5, None, ["c1"], {"id": "c1"}, True]
BAD_NUMBERS = ["5", "NaN", True, [1], {"n": 1}]
BAD_LITERALS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "1e1000000",
    "1e15",
    "-1e15",
    "9" * 39,
    "9" * 5000,
    "0." + "1" * 39,
]


@pytest.fixture(scope="module")
def customer(here: Here) -> Here:
    here.service.customer("c1", [item(10)])
    return here


def refused(here: Here, call: tuple[str, str], body: Any, field: str, **more: Any) -> None:
    before = here.contents()
    status, answer = here.call(*call, body, **more)
    assert (status, answer["code"], answer["env"]) == (400, "invalid_inputs", "sandbox"), answer
    assert field in answer["message"]
    assert set(answer) == {"message", "code", "env"}
    assert here.contents() == before


@pytest.mark.parametrize("id", BAD_IDS, ids=lambda id: repr(id)[:20])
@pytest.mark.parametrize("field", ["customer_id", "feature_id"])
@pytest.mark.parametrize("call", [CHECK, TRACK], ids=["check", "track"])
def test_an_id_that_breaks_the_rule_is_refused(customer: Here, call: tuple[str, str], field: str, id: Any) -> None:
    refused(customer, call, {**GOOD, "send_event": True, field: id}, field)


@pytest.mark.parametrize(
    ("missing", "told"),
    [("customer_id", "customer_id: is required"), ("feature_id", "Either feature_id or event_name must be provided")],
)
def test_a_missing_field_is_refused_by_name(customer: Here, missing: str, told: str) -> None:
    refused(customer, TRACK, {name: value for name, value in GOOD.items() if name != missing}, told)


@pytest.mark.parametrize("number", BAD_NUMBERS, ids=repr)
@pytest.mark.parametrize(("call", "field"), [(CHECK, "required_balance"), (TRACK, "value")], ids=["check", "track"])
def test_numbers_of_the_wrong_type(customer: Here, call: tuple[str, str], field: str, number: Any) -> None:
    refused(customer, call, {**GOOD, "send_event": True, field: number}, field)


@pytest.mark.parametrize("literal", BAD_LITERALS, ids=lambda text: text[:12])
@pytest.mark.parametrize(("call", "field"), [(CHECK, "required_balance"), (TRACK, "value")], ids=["check", "track"])
def test_numbers_that_no_balance_can_hold(customer: Here, call: tuple[str, str], field: str, literal: str) -> None:
    text = f'{{"customer_id": "c1", "feature_id": "messages", "send_event": true, "{field}": {literal}}}'
    refused(
        customer, call, text, "body" if literal in ("NaN", "Infinity", "-Infinity") or len(literal) > 4300 else field
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{", "body"),
        ("nonsense", "body"),
        ("[]", "body"),
        ('"text"', "body"),
        ("null", "body"),
        ("[" * 100_000, "body"),
        ('{"customer_id": "c1", "feature_id": "messages", "properties": ' + "[" * 500 + "]" * 500 + "}", "body"),
        ('{"customer_id": "c1", "feature_id": "messages", "properties": {"a": "\\ud800"}}', "body"),
        ("x" * 300_000, "body"),
        ({**GOOD, "properties": []}, "properties"),
        ({**GOOD, "properties": {"a": "x" * 5000}}, "properties"),
        ({**GOOD, "send_event": "yes"}, "send_event"),
        ({**GOOD, "lock": {"enabled": True}}, "lock.lock_id"),
        ({**GOOD, "lock": {"lock_id": "x" * 257}}, "lock.lock_id"),
        ({**GOOD, "lock": {"lock_id": "l1", "expires_at": 1}}, "lock.expires_at"),
        ({**GOOD, "lock": {"lock_id": "l1", "overage_behavior": "never"}}, "lock.overage_behavior"),
        ({**GOOD, "product_id": "pro"}, "feature_id"),
        ({**GOOD, "expand": "balance.feature"}, "expand"),
        ("\U0001f600" * 70_000, "body"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_body_that_misfits_is_refused(customer: Here, body: Any, field: str) -> None:
    refused(customer, CHECK, body, field)


def test_bytes_that_are_no_text(customer: Here) -> None:
    event_body = base64.b64encode(b"\xff\xfe{}").decode()
    event = authorized({**http_event(CHECK[1], event_body), "isBase64Encoded": True})
    answer = customer.handlers["check"](event, None)
    assert answer["statusCode"] == 400
    assert simplejson.loads(answer["body"])["code"] == "invalid_inputs"


def test_several_problems_are_all_named(customer: Here) -> None:
    status, answer = customer.call(*TRACK, {"customer_id": 5, "value": "x", "timestamp": 0})
    assert status == 400
    assert answer["message"].startswith("[Validation Errors] ")
    for field in (
        "customer_id: must be a string (received number)",
        "timestamp: must be a time in epoch milliseconds",
        "value: must be a number",
    ):
        assert field in answer["message"]


ALERT = {"threshold": 10, "threshold_type": "usage"}
LIMIT = {"feature_id": "messages", "limit": 10, "interval": "day"}


@pytest.mark.parametrize(
    ("controls", "field"),
    [
        ({"usage_alerts": [{**ALERT, "name": "ü" * 101}]}, "usage_alerts.0.name"),
        ({"usage_alerts": [ALERT] * 21}, "usage_alerts"),
        ({"usage_limits": [{**LIMIT, "filter": {"properties": {"model": "x" * 500}}}]}, "filter.properties"),
        ({"usage_limits": [{**LIMIT, "filter": {"properties": {f"p{n}": n for n in range(60)}}}]}, "filter.properties"),
        ({"usage_limits": [LIMIT] * 51}, "usage_limits"),
        ({"spend_limits": [{"overage_limit": 1}] * 51}, "spend_limits"),
    ],
)
@pytest.mark.parametrize(
    ("route", "owner"),
    [("customers.update", {"customer_id": "c1"}), ("plans.create", {"plan_id": "controlled", "name": "Controlled"})],
    ids=["customer", "plan"],
)
def test_controls_that_would_make_every_balance_large(
    customer: Here, route: str, owner: dict[str, str], controls: dict[str, Any], field: str
) -> None:
    refused(customer, ("manage", f"POST /v1/{route}"), {**owner, "billing_controls": controls}, field)


def test_as_many_controls_as_may_be_are_a_small_part_of_what_an_item_holds(customer: Here) -> None:
    filter = {"properties": {"model": "x" * 480}}
    controls = {
        "usage_alerts": [{**ALERT, "threshold": n + 1, "name": "ü" * 100} for n in range(20)],
        "usage_limits": [{**LIMIT, "limit": n + 1, "filter": filter} for n in range(50)],
    }
    body = {"customer_id": "c1", "billing_controls": controls}
    assert customer.call("manage", "POST /v1/customers.update", body)[0] == 200
    found = customer.service.table.get(balance(CustomerRef(SANDBOX, "c1"), BalanceKey("messages")))
    assert found is not None
    assert 20_000 < len(found["limits"]["S"]) < 50_000
    none = {"customer_id": "c1", "billing_controls": {kind: [] for kind in controls}}
    assert customer.call("manage", "POST /v1/customers.update", none)[0] == 200


@pytest.mark.parametrize("version", ["9.9.9", "abc", "1.9", "", "2.5.0.0", "2026-01-01", "x" * 5000])
@pytest.mark.parametrize(
    ("function", "route"), [CHECK, TRACK, ("manage", "POST /v1/plans.list")], ids=["check", "track", "manage"]
)
def test_an_unknown_version_is_refused(customer: Here, function: str, route: str, version: str) -> None:
    before = customer.contents()
    status, answer = customer.call(function, route, GOOD, headers={"x-api-version": version})
    assert (status, answer["code"]) == (400, "invalid_api_version")
    assert customer.contents() == before


@pytest.mark.parametrize("version", ["2.5.0", "2.5", "2", "2.1", "2.3.0", "2026-05-13", "2026-03-17.clover", None])
def test_known_versions_are_served(customer: Here, version: str | None) -> None:
    headers = {"x-api-version": version} if version else {}
    assert customer.call(*CHECK, GOOD, headers=headers)[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({**GOOD, "customer_id": "nobody"}, 404, "customer_not_found"),
        ({**GOOD, "feature_id": "nothing"}, 404, "feature_not_found"),
        ({**GOOD, "entity_id": "seat-1"}, 404, "entity_not_found"),
    ],
)
@pytest.mark.parametrize("call", [CHECK, TRACK], ids=["check", "track"])
def test_what_does_not_exist(customer: Here, call: tuple[str, str], body: Any, status: int, code: str) -> None:
    before = customer.contents()
    answered, answer = customer.call(*call, {**body, "send_event": True})
    assert (answered, answer["code"], answer["env"]) == (status, code, "sandbox")
    assert customer.contents() == before


@pytest.mark.parametrize(
    ("route", "body", "status", "code"),
    [
        ("POST /v1/features.create", {"feature_id": "f", "name": "F", "type": "other"}, 400, "invalid_inputs"),
        ("POST /v1/features.create", {"feature_id": "messages", "name": "M", "type": "metered"}, 409, "duplicate_feature_id"),
        ("POST /v1/features.get", {"feature_id": "nope"}, 404, "feature_not_found"),
        ("POST /v1/plans.create", {"plan_id": "p"}, 400, "invalid_inputs"),
        ("POST /v1/plans.create", {"plan_id": "p", "name": "P", "items": [{"feature_id": "no"}]}, 404, "feature_not_found"),
        (
            "POST /v1/plans.create",
            {"plan_id": "p", "name": "P", "items": [{"feature_id": "messages", "included": "5"}]},
            400,
            "invalid_inputs",
        ),
        (
            "POST /v1/plans.create",
            {"plan_id": "p", "name": "P", "items": [{"feature_id": "messages", "price": {"amount": 1}}]},
            400,
            "invalid_inputs",
        ),
        (
            "POST /v1/plans.create",
            {"plan_id": "p", "name": "P", "items": [{"feature_id": "messages", "reset": {"interval": "fortnight"}}]},
            400,
            "invalid_inputs",
        ),
        (
            "POST /v1/plans.create",
            {"plan_id": "p", "name": "P", "items": [{"feature_id": "messages", "reset": {"interval": "year", "interval_count": 1e9}}]},
            400,
            "invalid_inputs",
        ),
        ("POST /v1/plans.get", {"plan_id": "nope"}, 404, "product_not_found"),
        ("POST /v1/customers.get", {"customer_id": "nope"}, 404, "customer_not_found"),
        ("POST /v1/customers.get_or_create", {"customer_id": "x", "name": "\U0001f600" * 2000}, 400, "invalid_inputs"),
        ("POST /v1/plans.create", {"plan_id": "p", "name": "P", "price": {"amount": 10}}, 400, "invalid_inputs"),
        ("POST /v1/customers.get_or_create", {"customer_id": "a#b"}, 400, "invalid_inputs"),
        ("POST /v1/customers.get_or_create", {"customer_id": "x", "metadata": {"a": "\ud800"}}, 400, "invalid_inputs"),
        ("POST /v1/customers.get_or_create", {"customer_id": "x", "auto_enable_plan_id": "no"}, 404, "product_not_found"),
        ("POST /v1/billing.attach", {"customer_id": "c1", "plan_id": "nope"}, 404, "product_not_found"),
        ("POST /v1/billing.attach", {"customer_id": "c1", "plan_id": "p", "customize": {"add_items": [{}]}}, 400, "invalid_inputs"),
        ("POST /v1/billing.update", {"customer_id": "c1", "plan_id": "p"}, 400, "invalid_inputs"),
        ("POST /v1/billing.update", {"customer_id": "c1", "plan_id": "p", "cancel_action": "uncancel"}, 404, "invalid_request"),
        ("POST /v1/entities.create", {"customer_id": "c1", "entity_id": "e", "feature_id": "nope"}, 404, "feature_not_found"),
        ("POST /v1/entities.get", {"customer_id": "c1", "entity_id": "nope"}, 404, "entity_not_found"),
        ("POST /v1/balances.create", {"customer_id": "c1", "feature_id": "messages"}, 400, "invalid_inputs"),
        ("POST /v1/balances.create", {"customer_id": "c1", "feature_id": "messages", "included_grant": -1}, 400, "invalid_inputs"),
        ("POST /v1/balances.update", {"customer_id": "c1", "feature_id": "messages"}, 400, "invalid_inputs"),
        ("POST /v1/balances.update", {"customer_id": "c1", "feature_id": "messages", "remaining": 1, "usage": 1}, 400, "invalid_inputs"),
        ("POST /v1/balances.finalize", {"lock_id": "nope", "action": "confirm"}, 400, "invalid_request"),
        ("POST /v1/balances.finalize", {"lock_id": "nope", "action": "release", "override_value": 5}, 400, "invalid_inputs"),
        ("POST /v1/balances.delete", {"customer_id": "c1", "balance_id": "nope"}, 404, "invalid_request"),
        ("POST /v1/customers.list", {"start_cursor": "@@@"}, 400, "invalid_inputs"),
        ("POST /v1/customers.list", {"limit": 1000}, 400, "invalid_inputs"),
        (
            "POST /v1/customers.update",
            {"customer_id": "c1", "billing_controls": {"usage_limits": [{"feature_id": "no", "limit": 1, "interval": "day"}]}},
            404,
            "feature_not_found",
        ),
        ("POST /v1/features.create", {"feature_id": "p", "name": "P", "type": "credit_system"}, 400, "invalid_inputs"),
        ("POST /v1/customers/c1/balances", {}, 400, "invalid_inputs"),
        ("POST /v1/attach", {"customer_id": "c1", "product_id": "nope"}, 404, "product_not_found"),
        ("POST /v1/keys.revoke", {"key_id": "nope"}, 404, "key_not_found"),
        ("POST /v1/invoices.list", {}, 404, "route_not_found"),
    ],
)  # fmt: skip
def test_refused_management_calls_change_nothing(customer: Here, route: str, body: Any, status: int, code: str) -> None:
    before = customer.contents()
    answered, answer = customer.call("manage", route, body)
    assert (answered, answer["code"], answer["env"]) == (status, code, "sandbox"), answer
    assert customer.contents() == before


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "customer_id",
        "feature_id",
        "entity_id",
        "required_balance",
        "value",
        "properties",
        "send_event",
        "timestamp",
        "async",
        "overage_behavior",
        "plan_id",
        "name",
        "items",
        "metadata",
        "type",
        "group",
        "version",
        "scope",
        "price",
        "included",
        "reset",
        "rollover",
        "credit_schema",
        "billing_controls",
        "lock",
        "lock_id",
        "action",
        "override_value",
        "remaining",
        "usage",
        "interval",
        "limit",
        "start_cursor",
        "balances",
        "id",
        "product_id",
    ]
)
ROUTES = st.sampled_from(
    [CHECK, TRACK]
    + [
        ("manage", f"POST /v1/{rpc}")
        for rpc in [
            "features.create",
            "features.get",
            "plans.create",
            "plans.get",
            "customers.get_or_create",
            "customers.get",
            "billing.attach",
            "billing.update",
            "subscriptions.list",
            "entities.create",
            "entities.list",
            "balances.create",
            "balances.update",
            "balances.delete",
            "balances.finalize",
            "balances.list_locks",
            "balances.explain",
            "balances.list",
            "customers.update",
            "customers.list",
            "plans.update",
            "features.update",
            "keys.create",
            "keys.revoke",
            "usage",
            "attach",
            "cancel",
            "products",
            "customers",
            "customers/c1",
            "customers/c1/balances",
            "customers/c1/entities",
        ]
    ]
)


@settings(max_examples=examples(5))
@given(ROUTES, json_values | st.dictionaries(FIELDS, json_values | st.just("c1") | st.just("messages"), max_size=8))
def test_no_input_gives_a_500(customer: Here, call: tuple[str, str], body: Any) -> None:
    text = simplejson.dumps(body, use_decimal=True)
    status, answer = customer.call(*call, text)
    assert status in (200, 202, 400, 404, 409), (body, answer)
    if status >= 400:
        assert set(answer) == {"message", "code", "env"}


def test_values_keep_their_digits(customer: Here) -> None:
    body = '{"customer_id": "c1", "feature_id": "messages", "value": 0.1234567891, "async": false}'
    answer = customer.handlers["track"](authorized(http_event(TRACK[1], body)), None)
    parsed = simplejson.loads(answer["body"], use_decimal=True)
    assert parsed["value"] == Decimal("0.1234567891")
    assert parsed["balance"]["remaining"] == Decimal("9.8765432109")


def test_required_quantity_is_another_name_for_required_balance(customer: Here) -> None:
    assert customer.call(*CHECK, {**GOOD, "required_quantity": 50})[1]["allowed"] is False


def test_a_use_cannot_have_happened_in_the_future(customer: Here) -> None:
    refused(customer, TRACK, {**GOOD, "timestamp": 4_000_000_000_000}, "timestamp")
    assert customer.call(*TRACK, {**GOOD, "value": 0, "timestamp": 1_700_000_000_000})[0] == 200


def test_header_names_have_no_case(customer: Here) -> None:
    assert customer.call(*CHECK, GOOD, headers={"X-Api-Version": "nonsense"})[1]["code"] == "invalid_api_version"


@pytest.mark.parametrize(
    ("function", "route", "body", "code"),
    [
        ("track", "POST /v1/track", GOOD, "insufficient_scopes"),
        ("manage", "POST /v1/plans.list", {}, "insufficient_scopes"),
        ("check", "POST /v1/check", {**GOOD, "send_event": True}, "invalid_request"),
    ],
)
def test_a_publishable_key_reads_checks_and_nothing_else(
    customer: Here, function: str, route: str, body: Any, code: str
) -> None:
    before = customer.contents()
    assert customer.call(function, route, body, scope="publishable")[1]["code"] == code
    assert customer.contents() == before
    assert customer.call(*CHECK, GOOD, scope="publishable")[0] == 200


def test_a_use_of_nothing_needs_no_entitlement(customer: Here) -> None:
    """autumn.md 2.6: with send_event, required 0 is allowed without one; anything more is not."""
    customer.call("manage", "POST /v1/features.create", {"feature_id": "ungranted", "name": "U", "type": "metered"})
    body = {"customer_id": "c1", "feature_id": "ungranted", "send_event": True}
    assert customer.call(*CHECK, {**body, "required_balance": 0})[1]["allowed"] is True
    assert customer.call(*CHECK, body)[1]["allowed"] is False


def test_metadata_keeps_its_numbers(customer: Here) -> None:
    body = {"customer_id": "meta", "metadata": {"score": 0.5, "deep": [{"n": 1}]}}
    for _ in range(2):
        assert customer.call("manage", "POST /v1/customers.get_or_create", body)[1]["metadata"] == body["metadata"]


def test_automatic_plans_that_no_customer_could_hold_together_are_refused(customer: Here) -> None:
    plan = {"name": "A", "auto_enable": True, "group": "auto"}
    assert customer.call("manage", "POST /v1/plans.create", {**plan, "plan_id": "auto-1"})[0] == 200
    status, answer = customer.call("manage", "POST /v1/plans.create", {**plan, "plan_id": "auto-2"})
    assert (status, answer["code"]) == (400, "invalid_request")
    assert customer.call("manage", "POST /v1/customers.get_or_create", {"customer_id": "newcomer"})[0] == 200


def test_the_functions_client_never_repeats_a_write_by_itself(customer: Here) -> None:
    assert customer
    config = botocores("dynamodb").meta.config
    assert config.retries["total_max_attempts"] == 1
    assert (config.connect_timeout, config.read_timeout) == (1, 1.5)


def test_a_time_in_seconds_is_refused(customer: Here) -> None:
    """autumn.md 3.13."""
    refused(customer, TRACK, {**GOOD, "timestamp": 1_767_225_600}, "timestamp: must be a time in epoch milliseconds")


def test_a_clock_and_a_start_beyond_the_calendar_are_refused(customer: Here) -> None:
    """autumn.md 3.13."""
    late = 253_402_214_400_000  # 9999-12-31
    clock = ("manage", "POST /v1/customers.advance_test_clock")
    refused(customer, clock, {"customer_id": "c1", "frozen_time": late}, "frozen_time: must be before the year 8000")
    attach = ("manage", "POST /v1/billing.attach")
    refused(customer, attach, {"customer_id": "c1", "plan_id": "p", "starts_at": late}, "starts_at: must be before")


def test_a_range_may_start_at_0(customer: Here) -> None:
    """autumn.md 3.13."""
    range = {"customer_id": "c1", "custom_range": {"start": 0}}
    assert customer.call("manage", "POST /v1/events.list", range)[0] == 200


def test_a_use_is_dated_by_the_customers_own_time(here: Here) -> None:
    """autumn.md 3.12: not by the wall clock, where it has a test clock."""
    ahead = 4_000_000_000_000
    here.service.customer("ahead", [item(10)])
    whose = {**GOOD, "customer_id": "ahead"}
    refused(here, TRACK, {**whose, "timestamp": ahead}, "timestamp: must not be in the future")
    status, _ = here.call(
        "manage", "POST /v1/customers.advance_test_clock", {"customer_id": "ahead", "frozen_time": ahead}
    )
    assert status == 200
    status, answer = here.call(*TRACK, {**whose, "timestamp": ahead})
    assert (status, answer["balance"]["usage"]) == (200, 1)
    refused(here, TRACK, {**whose, "timestamp": ahead + 1}, "timestamp: must not be in the future")
    assert here.call(*TRACK, {**whose, "timestamp": ahead + 1, "async": True})[0] == 202
