"""Autumn's official SDK (autumn-sdk 1.2.0) against the deployed stack: only the base URL is changed.

Rules: invariants.md 1, 2, 5, 7; autumn.md 0.6, 1.1, 1.2.2; management.md 9.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from autumn_sdk import Autumn
from autumn_sdk.errors import AutumnDefaultError

from tests.conftest import wait_for
from tollgate_cli.api import Api
from tollgate_cli.stack import Stack


@pytest.fixture(scope="module")
def autumn(stack: Stack) -> Autumn:
    return Autumn(secret_key=stack.secret_key, server_url=stack.url, fail_open=False)


@pytest.fixture(scope="module")
def api(stack: Stack) -> Api:
    return Api(stack.url, stack.secret_key)


@pytest.fixture
def customer(autumn: Autumn) -> str:
    """A new customer of the example plan `pro`: 1,000 messages a month, 5 seats, the dashboard."""
    id = f"c-{uuid.uuid4().hex}"
    assert autumn.customers.get_or_create(customer_id=id, name="Ada", email="ada@example.com").id == id
    attached = autumn.billing.attach(customer_id=id, plan_id="pro")
    assert (attached.customer_id, attached.payment_url) == (id, None)
    return id


def test_check_reads_and_counts_nothing(autumn: Autumn, customer: str) -> None:
    for _ in range(2):
        answer = autumn.check(customer_id=customer, feature_id="messages")
        assert answer.allowed
        assert answer.balance
        assert (answer.balance.granted, answer.balance.remaining, answer.balance.usage) == (1000, 1000, 0)
        assert answer.balance.next_reset_at
        assert answer.flag is None


def test_check_and_track_counts_in_the_same_step(autumn: Autumn, customer: str) -> None:
    answer = autumn.check(customer_id=customer, feature_id="messages", required_balance=990.5, send_event=True)
    assert answer.allowed
    assert answer.balance
    assert (answer.balance.remaining, answer.balance.usage) == (9.5, 990.5)
    denied = autumn.check(customer_id=customer, feature_id="messages", required_balance=10, send_event=True)
    assert not denied.allowed
    assert denied.balance
    assert denied.balance.remaining == 9.5


def test_a_check_right_after_a_track_sees_it(autumn: Autumn, customer: str) -> None:
    tracked = autumn.track(customer_id=customer, feature_id="messages", value=3, async_=False)
    assert tracked.value == 3
    assert tracked.balance
    assert tracked.balance.remaining == 997
    checked = autumn.check(customer_id=customer, feature_id="messages")
    assert checked.balance
    assert checked.balance.usage == 3


def test_track_caps_at_the_grant_and_echoes_what_was_asked(autumn: Autumn, customer: str) -> None:
    """Seats that cost nothing may be overdrawn instead (autumn.md 3.4)."""
    tracked = autumn.track(customer_id=customer, feature_id="messages", value=1500, async_=False)
    assert tracked.value == 1500
    assert tracked.balance
    assert (tracked.balance.remaining, tracked.balance.usage) == (0, 1000)
    seats = autumn.track(customer_id=customer, feature_id="seats", value=7, async_=False)
    assert seats.balance
    assert (seats.balance.remaining, seats.balance.usage) == (0, 7)


def test_a_track_is_counted_after_its_answer_unless_told_otherwise(autumn: Autumn, customer: str) -> None:
    """autumn.md 1.2.3: from 2.5 on, which is also what a caller without a version gets."""
    tracked = autumn.track(customer_id=customer, feature_id="messages", value=3)
    assert (tracked.customer_id, tracked.value, tracked.balance) == (customer, 3, None)

    def counted() -> bool:
        balance = autumn.check(customer_id=customer, feature_id="messages").balance
        return balance is not None and balance.usage == 3

    wait_for(counted, 30, "the use among the counted")


def test_a_boolean_feature_is_a_flag(autumn: Autumn, customer: str) -> None:
    answer = autumn.check(customer_id=customer, feature_id="dashboard")
    assert answer.allowed
    assert answer.balance is None
    assert answer.flag
    assert (answer.flag.plan_id, answer.flag.feature_id) == ("pro", "dashboard")


def test_an_unlimited_feature_allows_anything_and_counts(autumn: Autumn) -> None:
    id = f"c-{uuid.uuid4().hex}"
    autumn.customers.get_or_create(customer_id=id)
    autumn.billing.attach(customer_id=id, plan_id="scale")
    answer = autumn.check(customer_id=id, feature_id="messages", required_balance=12345, send_event=True)
    assert answer.allowed
    assert answer.balance
    assert (answer.balance.unlimited, answer.balance.usage) == (True, 12345)


def test_a_customer_shows_all_it_holds(autumn: Autumn, customer: str) -> None:
    found = autumn.customers.get(customer_id=customer)
    assert (found.name, found.email, found.env) == ("Ada", "ada@example.com", "sandbox")
    assert [held.plan_id for held in found.subscriptions] == ["pro"]
    assert found.balances["messages"].remaining == 1000
    assert set(found.flags) == {"dashboard"}
    again = autumn.customers.get_or_create(customer_id=customer)
    assert [held.id for held in again.subscriptions] == [held.id for held in found.subscriptions]


def test_plans_are_created_read_and_listed(autumn: Autumn) -> None:
    id = f"plan-{uuid.uuid4().hex[:8]}"
    item: Any = {"feature_id": "messages", "included": 7.5, "reset": {"interval": "week", "interval_count": 2}}
    created = autumn.plans.create(plan_id=id, name="Mine", items=[item])
    assert (created.id, created.version, created.items[0].included) == (id, 1, 7.5)
    assert autumn.plans.get(plan_id=id).name == "Mine"
    assert id in [plan.id for plan in autumn.plans.list().list]


def test_features_are_created_read_and_listed(api: Api) -> None:
    """Over plain HTTP: this release of the SDK cannot import its own features module."""
    id = f"f-{uuid.uuid4().hex[:8]}"
    created = api.call("features.create", {"feature_id": id, "name": "F", "type": "metered", "event_names": ["f.used"]})
    assert (created["id"], created["consumable"], created["event_names"]) == (id, False, ["f.used"])
    assert api.call("features.get", {"feature_id": id}) == created
    assert created in api.call("features.list", {})["list"]


def test_a_feature_can_be_checked_as_soon_as_it_is_created(api: Api, customer: str) -> None:
    id = f"f-{uuid.uuid4().hex[:8]}"
    api.call("features.create", {"feature_id": id, "name": "F", "type": "metered"})
    answer = api.call("check", {"customer_id": customer, "feature_id": id})
    assert (answer["allowed"], answer["balance"]) == (False, None)


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ({"customer_id": "nobody-at-all", "feature_id": "messages"}, 404, "customer_not_found"),
        ({"customer_id": "customer-1", "feature_id": "nothing"}, 404, "feature_not_found"),
        ({"customer_id": "customer-1", "feature_id": "messages", "entity_id": "e1"}, 404, "entity_not_found"),
        ({"customer_id": "a#b", "feature_id": "messages"}, 400, "invalid_inputs"),
    ],
)
def test_errors_reach_the_sdk_in_its_own_shape(autumn: Autumn, arguments: Any, status: int, code: str) -> None:
    with pytest.raises(AutumnDefaultError) as caught:
        autumn.check(**arguments)
    assert caught.value.status_code == status
    assert json.loads(caught.value.body)["code"] == code


def test_concurrent_calls_through_the_whole_stack_grant_exactly_what_there_is(api: Api) -> None:
    """invariants.md 1, from HTTP to the table: 40 calls of 200 against 1,000."""
    id = f"c-{uuid.uuid4().hex}"
    api.call("customers.get_or_create", {"customer_id": id})
    api.call("billing.attach", {"customer_id": id, "plan_id": "pro"})
    body = {"customer_id": id, "feature_id": "messages", "required_balance": 200, "send_event": True}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: api.call("check", body)["allowed"], range(40)))
    assert answers.count(True) == 5


class TestKeys:
    """invariants.md 5, through the authorizer."""

    @pytest.fixture
    def http(self, stack: Stack) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=stack.url, trust_env=False, timeout=30) as client:
            yield client

    def post(self, http: httpx.Client, key: str | None, name: str, body: Any) -> httpx.Response:
        return http.post(f"/v1/{name}", json=body, headers={"authorization": f"Bearer {key}"} if key else {})

    def test_no_key_and_a_wrong_one_are_401(self, http: httpx.Client) -> None:
        assert self.post(http, None, "check", {}).status_code == 401
        for name in ("check", "track", "features.list"):
            refused = self.post(http, "am_sk_test_wrong", name, {})
            assert (refused.status_code, refused.json()["code"]) == (401, "invalid_secret_key")

    def test_a_publishable_key_checks_and_nothing_else(self, http: httpx.Client, stack: Stack, customer: str) -> None:
        key, body = stack.publishable_key, {"customer_id": customer, "feature_id": "messages"}
        assert self.post(http, key, "check", body).json()["allowed"]
        tracked = self.post(http, key, "track", body)
        assert (tracked.status_code, tracked.json()["code"]) == (403, "insufficient_scopes")
        sent = self.post(http, key, "balances.check", {**body, "send_event": True})
        assert (sent.status_code, sent.json()["code"]) == (400, "invalid_request")
        managed = self.post(http, key, "customers.get", {"customer_id": customer})
        assert (managed.status_code, managed.json()["code"]) == (403, "insufficient_scopes")
        assert self.post(http, stack.secret_key, "check", body).json()["balance"]["usage"] == 0

    def test_environments_do_not_mix(self, http: httpx.Client, stack: Stack, customer: str) -> None:
        body = {"customer_id": customer, "feature_id": "messages"}
        live = self.post(http, stack.live_secret_key, "check", body)
        assert (live.status_code, live.json()["env"]) == (404, "live")
        assert self.post(http, stack.live_secret_key, "customers.get", {"customer_id": customer}).status_code == 404

    def test_a_created_key_works_and_a_revoked_one_does_not(self, http: httpx.Client, stack: Stack) -> None:
        created = self.post(http, stack.secret_key, "keys.create", {"name": "mine", "scope": "secret"}).json()
        assert created["key"].startswith("am_sk_test_")
        listed = self.post(http, stack.secret_key, "keys.list", {}).json()["list"]
        assert created["id"] in [key["id"] for key in listed]
        assert all("key" not in key for key in listed)
        second = self.post(http, stack.secret_key, "keys.create", {}).json()
        revoked = self.post(http, stack.secret_key, "keys.revoke", {"key_id": second["id"]})
        assert revoked.json() == {"success": True}
        assert self.post(http, created["key"], "features.list", {}).status_code == 200
        assert self.post(http, second["key"], "features.list", {}).status_code == 401


def test_what_is_not_served_is_404_in_autumns_shape(stack: Stack) -> None:
    answer = httpx.post(
        f"{stack.url}/v1/invoices.list",
        json={},
        headers={"authorization": f"Bearer {stack.secret_key}"},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 404
    assert set(answer.json()) == {"message", "code", "env"}


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/api/invoices/", {"type", "detail", "title"}),
    ],
)
def test_what_is_to_come_is_501_in_its_own_shape(stack: Stack, path: str, keys: set[str]) -> None:
    answer = httpx.get(f"{stack.url}{path}", headers={"x-api-key": stack.secret_key}, trust_env=False, timeout=30)
    assert answer.status_code == 501
    assert set(answer.json()) == keys


class TestEvents:
    """invariants.md 2: every deduction reaches the bus, once, in order, and nothing else does."""

    def test_each_deduction_is_one_event_in_order(self, stack: Stack, api: Api) -> None:
        id = f"c-{uuid.uuid4().hex}"
        queues, events = stack.client("sqs"), stack.client("events")
        queue = queues.create_queue(QueueName=id)["QueueUrl"]
        arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        bus = stack.outputs["BusName"]
        pattern = {"source": ["tollgate"], "detail-type": ["usage.recorded"], "detail": {"customer_id": [id]}}
        events.put_rule(Name=id, EventBusName=bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=id, EventBusName=bus, Targets=[{"Id": "test", "Arn": arn}])

        api.call("customers.get_or_create", {"customer_id": id})
        api.call("billing.attach", {"customer_id": id, "plan_id": "pro"})
        body = {"customer_id": id, "feature_id": "messages"}
        for amount in (100, 200, 300):
            api.call("check", {**body, "required_balance": amount, "send_event": True, "properties": {"n": amount}})
        api.call("check", {**body, "required_balance": 900, "send_event": True})  # denied
        api.call("check", body)  # read only
        api.call("track", {**body, "value": 500, "async": False})  # capped at 400
        api.call("track", {**body, "value": -50, "async": False})

        received: list[dict[str, Any]] = []

        def queued() -> bool:
            batch = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            received.extend(json.loads(message["Body"]) for message in batch.get("Messages", []))
            return len(received) >= 5

        wait_for(queued, 30, "five events on the bus")
        assert not queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages")
        details = [event["detail"] for event in received]
        assert [detail["value"] for detail in details] == [100, 200, 300, 500, -50]
        assert [detail["deducted"] for detail in details] == [100, 200, 300, 400, -50]
        assert [detail["balance"]["remaining"] for detail in details] == [900, 700, 400, 0, 50]
        assert details[0]["properties"] == {"n": 100}
        assert {event["detail-type"] for event in received} == {"usage.recorded"}
        assert {(detail["environment"], detail["feature_id"]) for detail in details} == {("sandbox", "messages")}
        assert len({detail["id"] for detail in details}) == 5

    def test_a_poisoned_record_goes_to_the_dead_letters_and_stops_nobody(self, stack: Stack) -> None:
        table, dynamodb, queues = stack.outputs["TableName"], stack.client("dynamodb"), stack.client("sqs")
        id = f"c-{uuid.uuid4().hex}"
        key = {"pk": {"S": f"sandbox#customer#{id}"}, "sk": {"S": "BALANCE#messages#"}}
        dynamodb.put_item(TableName=table, Item={**key, "event": {"S": "no JSON"}})
        url = stack.outputs["DeadLetterQueueUrl"]
        letters: list[dict[str, Any]] = []

        def queued(number: int) -> bool:
            """Takes the letters about it off the queue."""
            for message in queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                if id in message["Body"]:
                    letters.append(json.loads(message["Body"]))
                    queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return len(letters) >= number

        wait_for(lambda: queued(1), 30, "the poisoned record among the dead letters")
        dynamodb.delete_item(TableName=table, Key=key)
        wait_for(lambda: queued(2), 30, "its removal, which says no more")
        assert all(letter["reason"] for letter in letters)
