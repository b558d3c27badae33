"""Limits of calls as one container keeps them: whose calls a request counts among, and what is told beside it.

Rules: management.md 19.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.service import CALLER, NOW, SANDBOX
from tollgate.dialects.call_limits import customer_named
from tollgate.dialects.http import Request
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TooManyCalls
from tollgate.usecases.call_limits import Caller, CallLimits

KEY = Caller(SANDBOX, "key", "key_1")
ANN, BOB = Caller(SANDBOX, "customer", "ann"), Caller(SANDBOX, "customer", "bob")
LIVE_ANN = Caller(Environment.LIVE, "customer", "ann")


class Containers:
    """Containers whose threads run when they are told to, over one table that may fail."""

    def __init__(self, per_key: int = 0, per_customer: int = 0) -> None:
        self.limits = per_key, per_customer
        self.told: dict[tuple[str, str, int], int] = {}
        self.fails: list[Exception | None] = []
        """What the next requests end with; None: their answer is lost."""
        self.defects: list[str] = []
        self.threads: list[Callable[[], None]] = []

    def one(self) -> CallLimits:
        return CallLimits(*self.limits, self._tell, self.threads.append, self.defects.append)

    def _tell(self, env: Environment, caller: str, window: int, calls: int) -> int | None:
        failure = self.fails.pop(0) if self.fails else ()
        if isinstance(failure, Exception):
            raise failure
        which = env.value, caller, window
        self.told[which] = self.told.get(which, 0) + calls
        return None if failure is None else self.told[which]

    def run(self) -> None:
        while self.threads:
            self.threads.pop()()


def allowed(limits: CallLimits, *callers: Caller, times: int = 1, now: int = NOW) -> int:
    """How many of these calls are answered."""
    answered = 0
    for _ in range(times):
        try:
            limits.count(callers, now)
        except TooManyCalls:
            continue
        answered += 1
    return answered


def test_a_caller_is_answered_up_to_its_limit_and_again_in_the_next_window() -> None:
    limits = Containers(per_customer=30).one()
    assert allowed(limits, ANN, times=50) == 30
    with pytest.raises(TooManyCalls, match="this customer: try again in 4 s") as refused:
        limits.count([ANN], NOW + 6_000)
    assert refused.value.retry_after_s == 4
    assert allowed(limits, BOB) == allowed(limits, LIVE_ANN) == 1, "others are not its concern"
    assert allowed(limits, ANN, times=50, now=NOW + 10_000) == 30


def test_a_refused_call_counts_for_nobody() -> None:
    limits = Containers(per_key=10, per_customer=4).one()
    assert allowed(limits, KEY, ANN, times=100) == 4
    assert allowed(limits, KEY, BOB, times=100) == 4
    assert allowed(limits, KEY, times=100) == 2


def test_what_has_no_limit_is_not_counted() -> None:
    containers = Containers(per_key=10)
    assert allowed(containers.one(), ANN, times=100) == 100
    assert not containers.threads


def test_nothing_is_sent_while_a_call_waits_and_little_beside_it() -> None:
    containers = Containers(per_customer=100)
    limits = containers.one()
    allowed(limits, ANN, times=4)
    assert not containers.threads, "one that calls little tells nothing"
    allowed(limits, ANN, times=96)
    assert not containers.told
    assert len(containers.threads) == 1
    containers.run()
    assert containers.told == {("sandbox", "customer#ann", NOW): 100}


def test_containers_hear_of_each_other() -> None:
    containers = Containers(per_customer=100)
    one, other = containers.one(), containers.one()
    assert allowed(one, ANN, times=60) == 60
    containers.run()
    assert allowed(other, ANN, times=5) == 5
    containers.run()
    assert allowed(other, ANN, times=100) == 35, "with the 60 it is the limit"


def test_an_answer_that_is_lost_makes_nobody_s_own_calls_another_s() -> None:
    containers = Containers(per_customer=100)
    limits = containers.one()
    containers.fails = [None]
    for _ in range(20):
        allowed(limits, ANN, times=5)
        containers.run()
    assert sum(containers.told.values()) == 100
    assert allowed(limits, ANN, times=5, now=NOW + 9_999) == 0
    other = Containers(per_customer=100)
    limits = other.one()
    other.fails = [None]
    allowed(limits, ANN, times=5)
    other.run()
    allowed(limits, ANN, times=5)
    other.run()
    assert allowed(limits, ANN, times=100) == 90


def test_a_defect_is_logged_and_the_container_counts_on() -> None:
    containers = Containers(per_customer=20)
    limits = containers.one()
    containers.fails = [ValueError("odd")]
    assert allowed(limits, ANN, times=1) == 1
    containers.run()
    assert containers.defects
    assert allowed(limits, ANN, times=30) == 19
    containers.run()
    assert sum(containers.told.values()) == 19, "the thread goes on"


def test_what_was_before_this_window_is_told_to_nobody() -> None:
    containers = Containers(per_customer=20)
    limits = containers.one()
    allowed(limits, ANN, times=20)
    allowed(limits, BOB, times=1, now=NOW + 10_000)
    containers.run()
    assert set(containers.told) == {("sandbox", "customer#bob", NOW + 10_000)}


@pytest.mark.parametrize(
    ("path", "more", "named"),
    [
        ("/v1/check", {"body": {"customer_id": "ann"}}, "ann"),
        ("/v1/events", {"body": {"external_customer_id": "ann", "event_name": "e"}}, "ann"),
        ("/api/metric_access/", {"query": {"customer_id": ["ann"]}}, "ann"),
        ("/v1/customers/ann/entitlements", {}, "ann"),
        ("/v1/customers/external/ann/entitlements", {}, "ann"),
        ("/v1/customers/lookup/ann", {}, "ann"),
        ("/api/customers/a%40b/", {}, "a@b"),
        ("/v1/customers/usage", {"query": {"external_customer_id": ["ann"]}}, "ann"),
        ("/v1/customers/search", {}, ""),
        ("/v1/customers", {}, ""),
        ("/v1/customers/", {}, ""),
        ("/v1/check", {"body": {"customer_id": 7}}, ""),
        ("/v1/check", {"body": {"customer_id": "a#b"}}, ""),
        ("/v1/check", {"body": {"customer_id": "a" * 257}}, ""),
        ("/v1/balances.batch_track", {"body": [{"customer_id": "ann"}]}, ""),
        ("/v1/check", {"body": None}, ""),
    ],
)
def test_a_customer_is_found_where_a_request_names_one(path: str, more: dict[str, Any], named: str) -> None:
    request = Request(CALLER, NOW, {}, more.get("body"), f"POST {path}", path, more.get("query", {}))
    assert customer_named(request) == named
