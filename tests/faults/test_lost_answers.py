"""invariants.md 2: with answers cut after the write took effect and with throttling, no use is lost or counted twice.

Rules: autumn.md 2.9.
"""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import dynamodb_client
from tests.faults.conftest import CUT, THROTTLED
from tests.service import NOW, SANDBOX, Service, item
from tests.streams import used
from tollgate.aws.client import Answered
from tollgate.domain.balances import BalanceKey
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import OutcomeUnknown, Unavailable
from tollgate.domain.idempotency import DAY_MS
from tollgate.domain.ids import time_ordered_id
from tollgate.runtime import clock
from tollgate.store.balances import BalanceStore
from tollgate.store.dynamodb import DynamoDB
from tollgate.store.keys import balance
from tollgate.store.table import Busy, Lost
from tollgate.usecases.commands import Outcome
from tollgate_cli.servers import Server, set_rules


def test_one_lost_answer_is_resolved_and_counted_once(here: Service, proxy: Server, backend: Server) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [{**CUT, "times": 1}])
    outcome = here.use("c1", 3)
    assert outcome.allowed
    assert here.remaining("c1") == 7
    assert [value for _, value in used(dynamodb_client(backend.url), here.table.name)] == [3]


def test_a_lost_denial_is_still_a_denial(here: Service, proxy: Server, backend: Server) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [{**CUT, "times": 1}])
    assert not here.use("c1", 11).allowed
    assert here.remaining("c1") == 10
    assert used(dynamodb_client(backend.url), here.table.name) == []


def test_a_lost_slow_write_is_resolved_and_counted_once(here: Service, proxy: Server, backend: Server) -> None:
    here.customer("c1", [item(10)])
    here.use("c1", 4)
    set_rules(proxy, [{**CUT, "times": 1}])
    assert here.use("c1", -3, Overage.CAP).drawn == -3
    assert here.remaining("c1") == 9
    assert [value for _, value in used(dynamodb_client(backend.url), here.table.name)] == [4, -3]


def test_a_throttled_write_is_tried_again(here: Service, proxy: Server) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [{**THROTTLED, "times": 2}])
    assert here.use("c1", 3).allowed
    assert here.remaining("c1") == 7


def test_a_write_that_is_always_throttled_is_refused_and_changes_nothing(here: Service, proxy: Server) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [THROTTLED])
    with pytest.raises(Unavailable):
        here.use("c1", 3)
    set_rules(proxy, [])
    assert here.remaining("c1") == 10


def test_a_database_that_never_answers_leaves_the_outcome_unknown(
    here: Service, proxy: Server, backend: Server
) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [CUT])
    with pytest.raises(OutcomeUnknown):
        here.use("c1", 3)
    set_rules(proxy, [])
    counted = sum((value for _, value in used(dynamodb_client(backend.url), here.table.name)), Decimal(0))
    assert counted in (0, 3)
    assert here.remaining("c1") == 10 - counted


def losing(here: Service, monkeypatch: pytest.MonkeyPatch, *, applied: bool, error: Exception) -> list[dict[str, Any]]:
    """Makes the answer of the next deduction an error, whether or not it was `applied`; returns where its request is."""
    sent: list[dict[str, Any]] = []
    update_item: Any = here.table.client.update_item

    def broken(**request: Any) -> Any:
        if sent or "event" not in request["UpdateExpression"]:
            return update_item(**request)
        sent.append(request)
        if applied:
            update_item(**request)
        raise error

    monkeypatch.setattr(here.table.client, "update_item", broken)
    return sent


@pytest.mark.parametrize("retried", [True, False])
@pytest.mark.parametrize(("before", "amount"), [(0, 3), (2, -2)], ids=["the fast path", "the slow path"])
def test_a_delayed_write_cannot_follow_its_fence(
    here: Service, monkeypatch: pytest.MonkeyPatch, before: int, amount: int, retried: bool
) -> None:
    """The write whose answer was given up is still on its way; once it was taken for lost, it must never arrive: neither
    beside its retry, nor after the caller was told that nothing was counted."""
    here.customer("c1", [item(10)])
    if before:
        here.use("c1", before)
    update_item: Any = here.table.client.update_item
    late: list[dict[str, Any]] = []

    def broken(**request: Any) -> Any:
        if "event" not in request["UpdateExpression"] or (late and retried):
            return update_item(**request)
        late.append(request)
        raise Lost("still on its way") if len(late) == 1 else Busy("throttled from now on")

    monkeypatch.setattr(here.table.client, "update_item", broken)
    if retried:
        assert here.use("c1", amount, Overage.CAP).allowed
    else:
        with pytest.raises(Unavailable) as caught:
            here.use("c1", amount, Overage.CAP)
        assert not isinstance(caught.value, OutcomeUnknown)
    with pytest.raises((ClientError, Answered), match="ConditionalCheckFailedException"):
        update_item(**late[0])
    assert here.remaining("c1") == 10 - before - (amount if retried else 0)


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("status", [500, 503, 408])
def test_a_server_error_is_resolved_whether_or_not_the_write_took_effect(
    here: Service, monkeypatch: pytest.MonkeyPatch, applied: bool, status: int
) -> None:
    here.customer("c1", [item(10)])
    answer: Any = {
        "Error": {"Code": "InternalServerError", "Message": ""},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    own = isinstance(here.table.client, DynamoDB)
    error = Answered("UpdateItem", answer) if own else ClientError(answer, "UpdateItem")
    losing(here, monkeypatch, applied=applied, error=error)
    assert here.use("c1", 3).allowed
    assert here.remaining("c1") == 7


def test_a_clock_that_is_behind_a_fence_costs_a_try_and_never_a_use(here: Service) -> None:
    """The fence was written by a container whose clock is a minute ahead."""
    here.customer("c1", [item(10)])
    ahead = BalanceStore(here.table, clock=lambda: clock() + 60_000)
    key = balance(CustomerRef(SANDBOX, "c1"), BalanceKey("messages"))
    fenced = ahead._fenced(key, time_ordered_id(clock() + 60_000, bytes(10)))
    assert fenced
    assert here.use("c1", 3).allowed
    assert here.use("c1", 3).allowed
    behind = here.balance_store._fenced(key, time_ordered_id(clock(), bytes(10)))
    assert behind
    assert behind.fence >= fenced.fence  # a fence never moves back
    assert here.remaining("c1") == 4


def test_an_answer_that_was_cut_short_is_no_answer(here: Service, proxy: Server) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [{"service": "dynamodb", "times": 1, "response": {"truncate_frac": 0.5}}])
    assert here.use("c1", 3).allowed
    for operation in ("GetItem", "Query"):
        set_rules(
            proxy, [{"service": "dynamodb", "operation": operation, "times": 1, "response": {"truncate_frac": 0.5}}]
        )
        assert here.remaining("c1") == 7
        assert here.customers.get(CustomerRef(SANDBOX, "c1")).balances[BalanceKey("messages")].spent == 3


def test_a_black_hole_is_given_up_before_the_function_is(here: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check function has ten seconds, and a request 1.5: the caller gets our 503, not the gateway's."""
    here.customer("c1", [item(10)])
    now = [0.0]

    def swallowed(**_: Any) -> Any:
        now[0] += 1.5
        raise Lost("no answer in 1.5 s")

    monkeypatch.setattr(here.table.client, "update_item", swallowed)
    monkeypatch.setattr("tollgate.store.table.time.monotonic", lambda: now[0])
    with pytest.raises(OutcomeUnknown):
        here.use("c1", 3)
    assert now[0] <= 9


def test_a_use_that_meets_another_each_time_is_given_up_within_the_time_of_one(
    here: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fast path's write is within the four seconds too."""
    here.customer("c1", [item(10)])
    now, send = [0.0], here.table.client.update_item

    def overtaken(**request: Any) -> Any:
        now[0] += 2.1
        send(
            TableName=request["TableName"],
            Key=request["Key"],
            UpdateExpression="SET version = version + :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
        return send(**request)

    monkeypatch.setattr(here.table.client, "update_item", overtaken)
    monkeypatch.setattr("tollgate.store.table.time.monotonic", lambda: now[0])
    with pytest.raises(Unavailable):
        here.use("c1", 3, now=NOW + 40 * DAY_MS)  # past its reset: the fast path declines
    assert now[0] <= 4.2


def test_under_a_storm_every_use_is_counted_exactly_once(here: Service, proxy: Server, backend: Server) -> None:
    """10 % of answers cut after the write took effect, 5 % throttled: an allowed answer has exactly one event, a denial
    none, an error at most one; granted - remaining is the events' sum, to the unit."""
    grant, calls, amount = 1000, 300, 5
    for customer in ("c1", "c2", "c3"):
        here.customer(customer, [item(grant)])
    set_rules(proxy, [{**CUT, "probability": 0.1}, {**THROTTLED, "probability": 0.05}])
    lock, batch = threading.Lock(), Counter[str]()

    def call(number: int) -> None:
        try:
            outcome: Outcome | None = here.use(f"c{number % 3 + 1}", amount)
        except Unavailable as error:
            outcome = None
            kind = "unknown" if isinstance(error, OutcomeUnknown) else "busy"
        if outcome is not None:
            kind = "allowed" if outcome.allowed else "denied"
        with lock:
            batch[kind] += 1

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(call, range(calls * 3)))
    set_rules(proxy, [])
    direct = dynamodb_client(backend.url)
    events = used(direct, here.table.name)
    assert len({id for id, _ in events}) == len(events)
    spent = sum((value for _, value in events), Decimal(0))
    assert spent == sum(grant - here.remaining(customer) for customer in ("c1", "c2", "c3"))
    assert batch["allowed"] <= len(events) <= batch["allowed"] + batch["unknown"]
    assert batch["denied"] > 0
    assert spent <= 3 * grant
    assert batch["unknown"] + batch["busy"] < calls * 3 * 0.1, batch
