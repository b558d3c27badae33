"""Reservations through the deployed stack and autumn-sdk: hold, confirm, release, expire (autumn.md 5.9)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import wait_for
from tests.e2e.fixture import Shop, lifetime, monthly, new, refused, seats
from tollgate.dialects.queue import messages
from tollgate.domain.api_keys import Caller, Scope
from tollgate.domain.environments import Environment
from tollgate.runtime import clock
from tollgate.store.due_times import DueTimeStore
from tollgate_cli import stack as local
from tollgate_cli.stack import Stack


def lock(shop: Shop, customer: str, value: float, id: str, feature: str = "messages", **more: Any) -> Any:
    terms: Any = {"lock_id": id, "enabled": True, **more}
    return shop.autumn.check(customer_id=customer, feature_id=feature, required_balance=value, lock=terms)


def test_an_estimate_is_held_and_the_true_amount_finalized(shop: Shop) -> None:
    c, id = shop.customer(monthly(100)), new("run")
    held = lock(shop, c, 80, id)
    assert held.allowed
    assert held.balance
    assert held.balance.remaining == 20
    assert not shop.may(c, 21)
    assert shop.autumn.balances.finalize(lock_id=id, action="confirm", override_value=35).success
    assert shop.left(c) == 65


def test_what_is_released_is_back(shop: Shop) -> None:
    c, id = shop.customer(monthly(100)), new("run")
    lock(shop, c, 80, id)
    assert shop.autumn.balances.finalize(lock_id=id, action="release").success
    assert shop.left(c) == 100


def test_a_balance_tells_what_is_reserved_and_what_is_finalized(shop: Shop) -> None:
    c, id = shop.customer(monthly(100)), new("run")
    shop.track(c, 10)
    lock(shop, c, 30, id)
    balance = shop.raw("check", {"customer_id": c, "feature_id": "messages"}).json()["balance"]
    told = {name: balance[name] for name in ("remaining", "usage", "reserved", "settled")}
    assert told == {"remaining": 60, "usage": 40, "reserved": 30, "settled": 10}
    (listed,) = shop.raw("balances.list_locks", {"customer_id": c}).json()["list"]
    assert (listed["lock_id"], listed["held"], listed["feature_id"]) == (id, 30, "messages")


def test_a_lock_that_cannot_be_made_is_refused(shop: Shop) -> None:
    """S194, S197, autumn.md 3.11."""
    c, id = shop.customer(monthly(20), seats(5)), new("run")
    lock(shop, c, 5, id)
    with refused(409, "lock_already_exists"):
        lock(shop, c, 5, id)
    assert shop.left(c) == 15
    with refused(400, "invalid_request"):
        lock(shop, c, 1, new("run"), "users")
    with refused(400, "invalid_inputs"):
        lock(shop, c, 1, new("run"), expires_at=(time.time() + 2 * 86_400) * 1000 // 1)
    assert not lock(shop, c, 16, new("run")).allowed
    shop.autumn.balances.finalize(lock_id=id, action="release")
    for finished in (id, new("run")):
        with refused(400, "invalid_request"):
            shop.autumn.balances.finalize(lock_id=finished, action="release")
    with refused(400, "invalid_inputs"):
        shop.autumn.balances.finalize(lock_id=id, action="release", override_value=1)
    assert shop.left(c) == 20


def test_a_confirmed_difference_is_drawn_from_credits(shop: Shop) -> None:
    """S199, CS-2: action1 5 left and credits 200; lock 8, confirm 12."""
    c, id = shop.customer(lifetime(5, "action1"), monthly(200, "credits")), new("run")
    lock(shop, c, 8, id, "action1")
    shop.autumn.balances.finalize(lock_id=id, action="confirm", override_value=12)
    assert shop.left(c, "action1") == 198.6  # nothing of its own is left, and the pool answers for it


def test_parallel_holds_grant_what_there_is(shop: Shop) -> None:
    """20 holds of 75 on 500 grant exactly six."""
    c = shop.customer(monthly(500))
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: lock(shop, c, 75, new("run")).allowed, range(20)))
    assert answers.count(True) == 6
    assert shop.left(c) == 50


class TestTold:
    """What becomes of a reservation reaches the bus, its expiry within a minute of its time."""

    @pytest.fixture
    def told(self, stack: Stack) -> Iterator[Any]:
        """Listens for a customer's reservation events; yields a function that gives those that came so far."""
        queues, events, bus = stack.client("sqs"), stack.client("events"), stack.outputs["BusName"]
        name = new("told")
        url = queues.create_queue(QueueName=name)["QueueUrl"]
        arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {"source": ["tollgate"], "detail-type": [{"prefix": "reservation."}, "usage.recorded"]}
        events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "test", "Arn": arn}])
        seen: list[tuple[str, dict[str, Any]]] = []

        def received() -> list[tuple[str, dict[str, Any]]]:
            batch = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in batch.get("Messages", []):
                event = json.loads(message["Body"])
                seen.append((event["detail-type"].removeprefix("reservation."), event["detail"]))
                queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return seen

        yield received
        events.remove_targets(Rule=name, EventBusName=bus, Ids=["test"])
        events.delete_rule(Name=name, EventBusName=bus)
        queues.delete_queue(QueueUrl=url)

    def test_held_confirmed_released_and_expired(self, shop: Shop, told: Any) -> None:
        c = shop.customer(monthly(100))
        confirmed, released, expired = new("run"), new("run"), new("run")
        lock(shop, c, 30, expired, expires_at=int(time.time() * 1000) + 4_000)
        lock(shop, c, 10, confirmed)
        shop.autumn.balances.finalize(lock_id=confirmed, action="confirm", override_value=7)
        lock(shop, c, 20, released)
        shop.autumn.balances.finalize(lock_id=released, action="release")
        wait_for(lambda: shop.left(c) == 93, 30, "the hold gives itself back")
        own: dict[str, list[str]] = {}

        def all_told() -> bool:
            own.clear()
            for kind, detail in told():
                if detail["customer_id"] == c and kind != "usage.recorded":
                    own.setdefault(detail["lock_id"], []).append(kind)
            return sum(map(len, own.values())) >= 6 and len(uses()) >= 6

        def uses() -> list[int]:
            return [
                detail["deducted"] for kind, detail in told() if kind == "usage.recorded" and detail["customer_id"] == c
            ]

        wait_for(all_told, 60, "six events, and six uses")
        assert own == {
            confirmed: ["held", "confirmed"],
            released: ["held", "released"],
            expired: ["held", "expired"],
        }
        assert sorted(uses()) == [-30, -20, -3, 10, 20, 30]  # what was held, and what came back of it
        finals = {(d["lock_id"], kind): d["final"] for kind, d in told() if kind != "usage.recorded"}
        assert finals[confirmed, "confirmed"] == 7
        assert finals[expired, "expired"] == 0


def test_what_waits_in_the_table_is_sent_when_it_is_due(stack: Stack, shop: Shop) -> None:
    """Decision 10: the schedule's function hands it to the usage queue. Any message of the queue may wait so."""
    customer = shop.customer(monthly(10))
    use = {"customer_id": customer, "feature_id": "messages", "value": 3}
    (message,) = messages(Caller(Environment.SANDBOX, Scope.SECRET, "key_test"), clock(), [use])
    DueTimeStore(stack.table).put(Environment.SANDBOX, clock() - 1000, message)
    cloudformation = stack.client("cloudformation")
    found = cloudformation.describe_stack_resource(StackName=local.NAME, LogicalResourceId="DueTimesFunction")
    name = found["StackResourceDetail"]["PhysicalResourceId"]
    answer = stack.client("lambda").invoke(FunctionName=name, Qualifier="live", Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()
    wait_for(lambda: shop.left(customer) == 7, 30, "the use is counted")
