"""invariants.md 2 where a use changes several items, or uses up an idempotency key: one transaction, repeated under
its own token until it is answered. Never doubled; where nobody can tell, an error says so.

Rules: autumn.md 3.10.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import dynamodb_client
from tests.faults.conftest import CUT, THROTTLED
from tests.service import CALLER, NOW, Service, item
from tests.streams import drawn, recorded
from tollgate.domain.balances import BalanceKey
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import DuplicateRequest, OutcomeUnknown, Unavailable
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.store.table import Lost
from tollgate.usecases.commands import UseCommand
from tollgate_cli.servers import Server, set_rules

CUT_TRANSACTION = {**CUT, "operation": "TransactWriteItems"}
THROTTLED_TRANSACTION = {**THROTTLED, "operation": "TransactWriteItems"}
KEYS = (IdempotencyKey("track", "k1"),)
OWN, CREDITS, SHARE, MESSAGES = (
    BalanceKey("action1"),
    BalanceKey("credits"),
    BalanceKey("messages", "e1"),
    BalanceKey("messages"),
)


def spilling(here: Service) -> Callable[[], object]:
    """A use of 3 that takes 2 of its own and 0.2 credits for the third."""
    here.customer("c1", [item(2, feature="action1"), item(10, feature="credits")])
    return lambda: here.use("c1", 3, feature="action1")


def spilling_with_a_key(here: Service) -> Callable[[], object]:
    spilling(here)
    return lambda: here.use("c1", 3, feature="action1", idempotency_keys=KEYS)


def from_entity_and_customer(here: Service) -> Callable[[], object]:
    here.customer("c1", [replace(item(2), entity_feature_id="users"), item(10)])
    here.entity("c1", "e1")
    return lambda: here.use("c1", 3, entity="e1")


def with_a_key(here: Service) -> Callable[[], object]:
    here.customer("c1", [item(10)])
    return lambda: here.use("c1", 3, idempotency_keys=KEYS)


def event_of_two(here: Service) -> Callable[[], object]:
    here.customer("c1", [item(10, feature="action1"), item(10, feature="action3")])
    return lambda: here.tracking.track_event(CALLER, "action-event", UseCommand("c1", "", Decimal(3)), NOW)


USES = pytest.mark.parametrize(
    ("prepared", "once"),
    [
        (spilling, {OWN: 2, CREDITS: Decimal("0.2")}),
        (from_entity_and_customer, {SHARE: 2, MESSAGES: 1}),
        (with_a_key, {MESSAGES: 3}),
        (event_of_two, {OWN: 3, BalanceKey("action3"): 3}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
Prepared = Callable[[Service], Callable[[], object]]
Drawn = dict[BalanceKey, Decimal]


def told(here: Service, backend: Server) -> Drawn:
    return {p: v for p, v in drawn(dynamodb_client(backend.url), here.table.name, "c1").items() if v}


def moved(here: Service) -> Drawn:
    return {key: amount for key, amount in here.consumed("c1").items() if amount}


@USES
def test_one_lost_answer_is_resolved_and_counted_once(
    here: Service, proxy: Server, backend: Server, prepared: Prepared, once: Drawn
) -> None:
    use = prepared(here)
    set_rules(proxy, [{**CUT_TRANSACTION, "times": 1}])
    use()
    assert moved(here) == once
    assert told(here, backend) == once


@USES
def test_a_throttled_transaction_is_tried_again(
    here: Service, proxy: Server, backend: Server, prepared: Prepared, once: Drawn
) -> None:
    use = prepared(here)
    set_rules(proxy, [{**THROTTLED_TRANSACTION, "times": 2}])
    use()
    assert moved(here) == told(here, backend) == once


@USES
def test_a_database_that_never_answers_leaves_the_outcome_unknown_and_counts_once_at_most(
    here: Service, proxy: Server, backend: Server, prepared: Prepared, once: Drawn
) -> None:
    use = prepared(here)
    set_rules(proxy, [CUT_TRANSACTION])
    with pytest.raises(OutcomeUnknown):
        use()
    set_rules(proxy, [])
    assert moved(here) == told(here, backend)
    assert moved(here) in ({}, once)


def test_a_lost_answer_to_several_items_and_a_key_is_resolved_and_counted_once(
    here: Service, monkeypatch: pytest.MonkeyPatch, backend: Server
) -> None:
    """The fast path's transaction is refused; the answer to the slow path's, which is applied, is lost."""
    use = spilling_with_a_key(here)
    send: Any = here.table.client.transact_write_items
    tokens: list[str] = []

    def broken(**request: Any) -> Any:
        tokens.append(request["ClientRequestToken"])
        answer = send(**request)
        if len(tokens) == 2:
            raise Lost("applied, but the answer never came")
        return answer

    monkeypatch.setattr(here.table.client, "transact_write_items", broken)
    use()
    assert tokens[1] == tokens[2]
    assert moved(here) == told(here, backend) == {OWN: 2, CREDITS: Decimal("0.2")}


def test_a_lost_refusal_under_a_key_says_that_nobody_can_tell_and_the_call_may_be_repeated(
    here: Service, proxy: Server
) -> None:
    use = spilling_with_a_key(here)
    set_rules(proxy, [{**CUT_TRANSACTION, "times": 1}])
    with pytest.raises(OutcomeUnknown):
        use()
    assert moved(here) == {}
    use()
    assert moved(here) == {OWN: 2, CREDITS: Decimal("0.2")}


def test_a_key_whose_answer_was_lost_is_used_exactly_if_its_use_was_counted(here: Service, proxy: Server) -> None:
    use = spilling_with_a_key(here)
    set_rules(proxy, [CUT_TRANSACTION])
    with pytest.raises(OutcomeUnknown):
        use()
    set_rules(proxy, [])
    if moved(here):
        with pytest.raises(DuplicateRequest):
            use()
    else:
        use()
    assert moved(here) == {OWN: 2, CREDITS: Decimal("0.2")}


def test_a_key_that_is_in_use_is_refused_even_where_the_refusal_is_lost(here: Service, proxy: Server) -> None:
    use = with_a_key(here)
    use()
    set_rules(proxy, [{**CUT_TRANSACTION, "times": 1}])
    with pytest.raises((DuplicateRequest, OutcomeUnknown)):
        use()
    assert moved(here) == {MESSAGES: 3}


@pytest.mark.parametrize("prepared", [spilling, with_a_key], ids=["several items", "a key"])
def test_a_delayed_transaction_cannot_follow_its_retry(
    here: Service, monkeypatch: pytest.MonkeyPatch, prepared: Prepared
) -> None:
    """The try whose answer was given up is still on its way: whenever it arrives, it has been applied already."""
    use = prepared(here)
    send: Any = here.table.client.transact_write_items
    late: list[dict[str, Any]] = []

    def broken(**request: Any) -> Any:
        if late:
            return send(**request)
        late.append(request)
        raise Lost("still on its way")

    monkeypatch.setattr(here.table.client, "transact_write_items", broken)
    use()
    counted = moved(here)
    send(**late[0])  # answered as its retry was: the token is the same
    assert moved(here) == counted


def test_a_lost_try_under_a_key_that_is_then_refused_leaves_the_outcome_unknown(
    here: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the fast path asks of a balance may hold again later: the lost try could still take effect."""
    use = with_a_key(here)
    send: Any = here.table.client.transact_write_items
    late: list[dict[str, Any]] = []

    def broken(**request: Any) -> Any:
        if late:
            return send(**request)
        late.append(request)
        here.use("c1", 10)  # meanwhile, somebody takes all there is
        raise Lost("still on its way")

    monkeypatch.setattr(here.table.client, "transact_write_items", broken)
    with pytest.raises(OutcomeUnknown):
        use()
    here.use("c1", -5, Overage.CAP)
    send(**late[0])
    assert moved(here) == {MESSAGES: 10 - 5 + 3}  # once


def test_under_a_storm_every_use_of_several_items_is_counted_exactly_once(
    here: Service, proxy: Server, backend: Server
) -> None:
    """10 % of answers cut after the write took effect, 5 % throttled, over uses of own units, credits, entities and
    keys, each key used by two calls: what is told is what moved; of a call, or of a key, one event at most."""
    here.customer("c1", [item(30, feature="action1"), item(20, feature="credits")])
    here.customer("c2", [replace(item(30), entity_feature_id="users"), item(30)])
    here.entity("c2", "e1", "e2")
    set_rules(
        proxy,
        [
            {**rule, "probability": share}
            for rule, share in ((CUT, 0.1), (CUT_TRANSACTION, 0.1), (THROTTLED, 0.05), (THROTTLED_TRANSACTION, 0.05))
        ],
    )
    lock, batch, allowed = threading.Lock(), Counter[str](), set[int]()

    def call(number: int) -> None:
        key = (IdempotencyKey("track", f"k{number // 6}"),) if number % 6 < 2 else ()
        feature, entity = ("action1", "") if number % 2 else ("messages", f"e{number // 2 % 2 + 1}")
        properties = {"call": number}
        try:
            outcome = here.use(
                f"c{2 - number % 2}", 1, feature=feature, entity=entity, properties=properties, idempotency_keys=key
            )
            kind = "allowed" if outcome.allowed else "denied"
        except DuplicateRequest:
            kind = "duplicate"
        except Unavailable as error:
            kind = "unknown" if isinstance(error, OutcomeUnknown) else "busy"
        with lock:
            batch[kind] += 1
            if kind == "allowed":
                allowed.add(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(call, range(240)))
    set_rules(proxy, [])
    direct = dynamodb_client(backend.url)
    calls: dict[int, set[str]] = {}
    for use in recorded(direct, here.table.name):
        calls.setdefault(int(use.event.properties["call"]), set()).add(use.event.id)
    assert all(len(ids) == 1 for ids in calls.values())
    assert allowed <= calls.keys()
    assert len(calls) <= len(allowed) + batch["unknown"]
    for customer in ("c1", "c2"):
        events = drawn(direct, here.table.name, customer)
        assert {p: v for p, v in here.consumed(customer).items() if v} == {p: v for p, v in events.items() if v}
    assert batch["unknown"] + batch["busy"] < 80, batch  # about 15 are usual
    assert batch["denied"] > 0
