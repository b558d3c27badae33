"""Invariant 2: with answers cut after the write took effect and with throttling, no use is lost or counted twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.servers import Server, microburst, set_rules
from tests.conftest import create_table, dynamodb_client
from tests.streams import used
from tests.world import World, item, world
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import OutcomeUnknown, Unavailable
from tollgate.store.table import Lost
from tollgate.usecases.usage import Outcome

CUT = {"service": "dynamodb", "operation": "UpdateItem", "response": {"abort_frac": 0.0}}
THROTTLED = {
    "service": "dynamodb",
    "operation": "UpdateItem",
    "error": {"code": "ProvisionedThroughputExceededException"},
}


@pytest.fixture
def proxy(backend: Server, tmp_path: Path) -> Iterator[Server]:
    with microburst(backend.url, [], tmp_path / "microburst.log") as server:
        yield server


@pytest.fixture
def here(backend: Server, proxy: Server) -> World:
    """A world whose requests all pass the proxy; its table was made without it."""
    return world(dynamodb_client(proxy.url), create_table(dynamodb_client(backend.url)))


def test_one_lost_answer_is_resolved_and_counted_once(here: World, proxy: Server, backend: Server) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [{**CUT, "times": 1}])
    outcome = here.use("c1", 3)
    assert outcome.allowed
    assert here.remaining("c1") == 7
    assert [value for _, value in used(dynamodb_client(backend.url), here.table.name)] == [3]


def test_a_lost_denial_is_still_a_denial(here: World, proxy: Server, backend: Server) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [{**CUT, "times": 1}])
    assert not here.use("c1", 11).allowed
    assert here.remaining("c1") == 10
    assert used(dynamodb_client(backend.url), here.table.name) == []


def test_a_lost_slow_write_is_resolved_and_counted_once(here: World, proxy: Server, backend: Server) -> None:
    here.customer("c1", [item(10)])
    here.use("c1", 4)
    set_rules(proxy, [{**CUT, "times": 1}])
    assert here.use("c1", -3, Overage.CAP).drawn == -3
    assert here.remaining("c1") == 9
    assert [value for _, value in used(dynamodb_client(backend.url), here.table.name)] == [4, -3]


def test_a_throttled_write_is_tried_again(here: World, proxy: Server) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [{**THROTTLED, "times": 2}])
    assert here.use("c1", 3).allowed
    assert here.remaining("c1") == 7


def test_a_write_that_is_always_throttled_is_refused_and_changes_nothing(here: World, proxy: Server) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [THROTTLED])
    with pytest.raises(Unavailable):
        here.use("c1", 3)
    set_rules(proxy, [])
    assert here.remaining("c1") == 10


def test_a_database_that_never_answers_leaves_the_outcome_unknown(here: World, proxy: Server, backend: Server) -> None:
    here.customer("c1", [item(10)])
    set_rules(proxy, [CUT])
    with pytest.raises(OutcomeUnknown):
        here.use("c1", 3)
    set_rules(proxy, [])
    counted = sum((value for _, value in used(dynamodb_client(backend.url), here.table.name)), Decimal(0))
    assert counted in (0, 3)
    assert here.remaining("c1") == 10 - counted


def test_a_delayed_write_cannot_follow_its_fence(here: World) -> None:
    """The write whose answer was given up is still on its way; once it was judged lost, it must never arrive."""
    here.customer("c1", [item(10)])
    late: list[dict[str, Any]] = []
    update_item: Any = here.table.client.update_item

    def delayed(**request: Any) -> Any:
        if not late:
            late.append(request)
            raise Lost("no answer came, and the request is still on its way")
        return update_item(**request)

    here.table.client.update_item = delayed  # type: ignore[method-assign]
    assert here.use("c1", 3).allowed
    with pytest.raises(here.table.client.exceptions.ConditionalCheckFailedException):
        update_item(**late[0])
    assert here.remaining("c1") == 7


def test_under_a_storm_every_use_is_counted_exactly_once(here: World, proxy: Server, backend: Server) -> None:
    """10 % of answers cut after the write took effect, 5 % throttled: an allowed answer has exactly one event, a denial
    none, an error at most one; granted - remaining is the events' sum, to the unit."""
    grant, calls, amount = 2000, 600, 5
    for customer in ("c1", "c2", "c3"):
        here.customer(customer, [item(grant)])
    set_rules(proxy, [{**CUT, "probability": 0.1}, {**THROTTLED, "probability": 0.05}])
    lock, tally = threading.Lock(), Counter[str]()

    def call(number: int) -> None:
        try:
            outcome: Outcome | None = here.use(f"c{number % 3 + 1}", amount)
        except Unavailable as error:
            outcome = None
            kind = "unknown" if isinstance(error, OutcomeUnknown) else "busy"
        if outcome is not None:
            kind = "allowed" if outcome.allowed else "denied"
        with lock:
            tally[kind] += 1

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(call, range(calls * 3)))
    set_rules(proxy, [])
    direct = dynamodb_client(backend.url)
    events = used(direct, here.table.name)
    assert len({id for id, _ in events}) == len(events)
    spent = sum((value for _, value in events), Decimal(0))
    assert spent == sum(grant - here.remaining(customer) for customer in ("c1", "c2", "c3"))
    assert tally["allowed"] <= len(events) <= tally["allowed"] + tally["unknown"]
    assert tally["denied"] > 0
    assert spent <= 3 * grant
    assert tally["unknown"] + tally["busy"] < calls * 3 * 0.1, tally
