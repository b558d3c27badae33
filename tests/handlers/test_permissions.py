"""Calls that few requests make: each function makes them behind its own role (tests/permissions.py), which refuses here
what it does not allow."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.handlers.lotus import Lotus
from tests.handlers.test_events import CONTEXT
from tests.permissions import ASKED, Ask, Names, asks, roles
from tollgate import runtime
from tollgate.domain.environments import Environment

NAMES = Names("table", "usage", "dead", "bus")


def _has_asked(function: str, action: str, kind: str) -> bool:
    """Whether a function has done so with a partition of this kind."""
    asked = (ask for name, ask in ASKED if (name, ask.action) == (function, f"dynamodb:{action}"))
    return any(key.split("#")[1] == kind for ask in asked for key in ask.keys)


@pytest.fixture
def limited(here: Here) -> str:
    """A customer and its entity e1, who pay for every message, and a spend limit that counts what both draw."""
    lotus, id = Lotus(here), f"limited-{uuid.uuid4().hex[:8]}"
    if here.call("manage", "POST /v1/features.get", {"feature_id": "users"})[0] == 404:
        users = {"feature_id": "users", "name": "Users", "type": "metered", "consumable": False}
        here.call("manage", "POST /v1/features.create", users)
    limit = {"spend_limits": [{"feature_id": "messages", "enabled": True, "overage_limit": 50}]}
    lotus.manage("customers.get_or_create", customer_id=id, billing_controls=limit)
    price = {"price": {"billing_method": "usage_based", "amount": 0.5, "interval": "month"}}
    month = {"feature_id": "messages", "included": 0, "reset": {"interval": "month"}, **price}
    lotus.attach(id, month, {**month, "entity_feature_id": "users"})
    lotus.manage("entities.create", customer_id=id, entity_id="e1", feature_id="users")
    return id


USE = {"feature_id": "messages", "entity_id": "e1"}


@pytest.mark.parametrize(
    ("function", "route", "more"),
    [
        ("check", "POST /v1/balances.check", {"required_balance": 1, "send_event": True}),
        ("track", "POST /v1/balances.track", {"value": 1, "async": False}),
        ("entitlements", "POST /v1/events", {"value": 1, "async": False}),
    ],
)
def test_what_a_shared_spend_limit_counted_must_not_change(
    here: Here, limited: str, function: str, route: str, more: dict[str, Any]
) -> None:
    """autumn.md 3.5: a transaction with a condition on the balance that was only looked at."""
    bearer = {"authorization": "Bearer k"}
    status, answer = here.call(function, route, {"customer_id": limited, **USE, **more}, headers=bearer)
    assert status == 200, answer
    assert _has_asked(function, "ConditionCheckItem", "customer")


def test_so_it_is_where_a_reservation_is_finalized_with_more(here: Here, limited: str) -> None:
    lock = {"lock_id": f"lock-{limited}", "enabled": True}
    held = {"customer_id": limited, **USE, "required_balance": 1, "lock": lock}
    assert here.call("check", "POST /v1/balances.check", held)[0] == 200
    final = {"lock_id": lock["lock_id"], "action": "confirm", "override_value": 3}
    status, answer = here.call("manage", "POST /v1/balances.finalize", final)
    assert status == 200, answer
    assert _has_asked("manage", "ConditionCheckItem", "customer")


def test_a_check_that_fails_gives_its_idempotency_key_back(here: Here) -> None:
    body = {"customer_id": "nobody", "feature_id": "no-such-feature"}
    status, _ = here.call("check", "POST /v1/check", body, headers={"idempotency-key": uuid.uuid4().hex})
    assert status == 404
    assert _has_asked("check", "DeleteItem", "once")


def test_a_unique_value_that_waited_is_counted_for_its_customer(here: Here) -> None:
    lotus = Lotus(here)
    name, customer = f"e-{uuid.uuid4().hex[:8]}", f"c-{uuid.uuid4().hex[:8]}"
    metric = lotus.feature(meter={"event_name": name, "aggregation": {"type": "COUNT_UNIQUE", "field": "n"}})
    lotus.report(lotus.event(customer, name, n="a"))
    lotus.manage("customers.get_or_create", customer_id=customer)
    lotus.attach(customer, {"feature_id": metric, "included": 10})
    lotus.stream(customer)
    assert lotus.access(customer, metric) == (True, [(1, 10, 10)])
    assert _has_asked("waiting_events", "PutItem", "unique")
    assert _has_asked("waiting_events", "DeleteItem", "waiting")


def test_a_message_that_comes_before_its_time_waits_on(here: Here) -> None:
    """By its consumer's clock, which may be behind."""
    due = {"due": {"env": "sandbox", "lock": "l", "expires_at": runtime.clock() + 60_000}}
    record = {"messageId": "m", "body": json.dumps(due, separators=(",", ":")), "attributes": {}}
    assert here.handlers["usage_queue"]({"Records": [record]}, None) == {"batchItemFailures": []}
    assert ("usage_queue", Ask("sqs:SendMessage", "UsageQueue")) in ASKED


def test_what_is_due_is_handed_over(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    now = runtime.clock()
    runtime.due_times().keep(Environment.LIVE, now + 1_200_000, "later", now)
    monkeypatch.setattr(runtime, "clock", lambda: now + 600_000)
    assert here.handlers["due_times"]({}, None) == {}
    assert ("due_times", Ask("sqs:SendMessage", "UsageQueue")) in ASKED
    assert _has_asked("due_times", "BatchWriteItem", "due")


def test_the_end_of_a_reservation_is_asked_for_when_it_is_held(here: Here, limited: str) -> None:
    lock = {"lock_id": f"soon-{limited}", "enabled": True, "expires_at": runtime.clock() + 60_000}
    held = {"customer_id": limited, **USE, "required_balance": 1, "lock": lock}
    assert here.call("check", "POST /v1/balances.check", held)[0] == 200
    client: Any = here.service.table.client
    records = client.records(here.service.table.name)
    locks = [one for one in records if one["dynamodb"]["Keys"]["sk"]["S"] == "LOCK"]
    here.handlers["usage_events"]({"Records": locks[-1:]}, CONTEXT)
    assert ("usage_events", Ask("sqs:SendMessage", "UsageQueue")) in ASKED


def test_a_record_that_cannot_be_read_is_put_aside(here: Here) -> None:
    key = {"pk": {"S": "sandbox#customer#c"}, "sk": {"S": "BALANCE#messages#"}}
    record = {"eventName": "MODIFY", "dynamodb": {"Keys": key, "SequenceNumber": "1", "NewImage": {"v": {"N": "x"}}}}
    here.handlers["usage_events"]({"Records": [record]}, CONTEXT)
    assert ("usage_events", Ask("sqs:SendMessage", "DeadLetterQueue")) in ASKED


def test_a_message_that_cannot_be_read_is_put_aside(here: Here) -> None:
    record = {"messageId": "m", "body": "no message of ours", "attributes": {}}
    assert here.handlers["usage_queue"]({"Records": [record]}, None) == {"batchItemFailures": []}
    assert ("usage_queue", Ask("sqs:SendMessage", "DeadLetterQueue")) in ASKED


# ------------------------------------------------------------------ how IAM is read


def _write(kind: str, key: str) -> dict[str, Any]:
    place = {"pk": {"S": key}, "sk": {"S": "s"}}
    return {kind: {"TableName": "table", ("Item" if kind == "Put" else "Key"): place}}


def test_a_transaction_is_asked_about_with_each_members_key_and_with_all() -> None:
    request = {"TransactItems": [_write("Put", "sandbox#once#1"), _write("Delete", "sandbox#waiting#c")]}
    once, waiting = frozenset({"sandbox#once#1"}), frozenset({"sandbox#waiting#c"})
    assert set(asks(NAMES, "dynamodb", "TransactWriteItems", request)) == {
        Ask("dynamodb:PutItem", "Table", once),
        Ask("dynamodb:PutItem", "Table", once | waiting),
        Ask("dynamodb:DeleteItem", "Table", waiting),
        Ask("dynamodb:DeleteItem", "Table", once | waiting),
    }


@pytest.mark.parametrize(
    ("function", "ask", "allowed"),
    [
        ("authorizer", Ask("dynamodb:GetItem", "Table", frozenset({"KEY#1"})), True),
        ("authorizer", Ask("dynamodb:GetItem", "Table", frozenset({"live#customer#1"})), False),
        ("authorizer", Ask("dynamodb:PutItem", "Table", frozenset({"KEY#1"})), False),
        ("check", Ask("dynamodb:GetItem", "Table", frozenset({"KEY#1"})), False),
        ("check", Ask("dynamodb:BatchGetItem", "Table", frozenset({"live#customer#1", "KEY#1"})), False),
        ("check", Ask("dynamodb:DeleteItem", "Table", frozenset({"live#once#1"})), True),
        ("check", Ask("dynamodb:DeleteItem", "Table", frozenset({"live#customer#1"})), False),
        ("check", Ask("sqs:SendMessage", "UsageQueue"), False),
        ("track", Ask("sqs:SendMessage", "UsageQueue"), True),
        ("track", Ask("sqs:SendMessage", "DeadLetterQueue"), False),
        ("usage_queue", Ask("events:PutEvents", "Bus"), False),
    ],
)
def test_a_role_allows_what_its_function_needs_and_no_more(function: str, ask: Ask, allowed: bool) -> None:
    assert roles()[function].allows(ask) is allowed
