"""Changes of more balances than one transaction takes: all of them happen or none, whoever looks, whatever breaks off.

Transactions are made small here, so that few balances are many; one test has as many as DynamoDB's own bound parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial, update_wrapper
from typing import Any

import pytest

from tests.conftest import create_table
from tests.contract.test_concurrency import assert_told, at_once
from tests.memory import fresh_url, memory
from tests.service import FIXTURE, HOUR, NOW, SANDBOX, Service, item, service
from tests.streams import recorded
from tollgate.domain.balances import BalanceKey
from tollgate.domain.controls import NO_CONTROLS, Controls, UsageControl
from tollgate.domain.customers import Customer, Entity
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import DuplicateRequest, TollgateError, Unavailable
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.periods import Interval
from tollgate.domain.plans import PlanItem
from tollgate.store import balances, keys, large_changes
from tollgate.store.codecs.customers import encode_entity
from tollgate.store.table import Lost, put_new
from tollgate.usecases.customers import SubscriptionFilter, SubscriptionUpdate

C1 = CustomerRef(SANDBOX, "c1")
SHARES = [replace(item(10), entity_feature_id="users")]
LIMIT = Controls(usage=(UsageControl("messages", Decimal(1000), Interval.MONTH),))


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction takes two writes, and an open change is given up as soon as somebody meets it."""
    monkeypatch.setattr(large_changes, "MOST_WRITES", 2)
    monkeypatch.setattr(balances, "MOST_IN_ONE", 0)


@pytest.fixture
def alone() -> Service:
    """The service over the table store in this process."""
    client = memory(fresh_url())
    return service(client, create_table(client), FIXTURE)


def with_entities(here: Service, number: int) -> None:
    """A customer with so many entities and nothing granted."""
    here.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    ids = [f"e{n:04}" for n in range(number)]
    for start in range(0, number, 100):
        writes = [
            put_new(here.table.name, {**keys.entity(C1, id), **encode_entity(Entity(id, "users", created_at=NOW))})
            for id in ids[start : start + 100]
        ]
        here.table.client.transact_write_items(TransactItems=writes)


def staged(here: Service) -> list[Any]:
    """The balances on which a change is staged."""
    items = here.table.query(keys.customer_partition(C1), keys.BALANCE)
    return [one for one in items if any(name in one for name in ("change", "next", "fresh_then", "made", "gone"))]


def limited(here: Service, controls: Controls) -> None:
    here.customers.update(C1, lambda customer: replace(customer, controls=controls), NOW)


@pytest.mark.parametrize("number", [97, 98, 99, 100, 101, 203])
def test_there_is_no_number_of_entities_at_which_anything_fails(alone: Service, number: int) -> None:
    here = alone
    with_entities(here, number)
    here.attach("c1", SHARES)
    assert here.remaining("c1") == 10 * number
    for controls in (LIMIT, NO_CONTROLS):
        limited(here, controls)
    assert here.use("c1", 10 * number - 5).allowed
    assert not here.use("c1", 6).allowed
    assert here.use("c1", -(10 * number - 5), Overage.CAP).drawn == 5 - 10 * number
    assert here.remaining("c1") == 10 * number
    keys_taken = (IdempotencyKey("track", "k1"),)
    here.track("c1", 10 * number, idempotency_keys=keys_taken)
    with pytest.raises(DuplicateRequest):
        here.track("c1", 10 * number, idempotency_keys=keys_taken)
    assert_told(here)
    here.customers.advance_test_clock(C1, NOW + HOUR, NOW)
    here.customers.delete_entity(C1, "e0001", NOW)
    here.attach("c1", SHARES, add_on=True)
    assert here.remaining("c1", NOW + HOUR) == 10 * (number - 1)
    here.customers.update_subscription(
        C1, SubscriptionFilter(next(iter(here.customers.get(C1).subscriptions))), SubscriptionUpdate("cancel_immediately"), NOW
    )  # fmt: skip
    assert staged(here) == []
    here.customers.delete(C1)
    assert here.table.query(keys.customer_partition(C1)) == []


@pytest.mark.usefixtures("in_small_parts")
def test_uses_and_changes_at_once_lose_nothing_and_overspend_nothing(here: Service) -> None:
    with_entities(here, 4)
    here.attach("c1", SHARES)
    calls: list[Callable[[], object]] = []
    for number in range(4):
        calls += [partial(here.use, "c1", 3, entity=f"e{number:04}"), lambda: here.use("c1", 1)]
    calls += [lambda: limited(here, LIMIT), lambda: here.attach("c1", SHARES, add_on=True), lambda: here.use("c1", 17)]

    def tried(call: Callable[[], object]) -> None:
        try:
            call()
        except Unavailable:
            return

    at_once([partial(tried, call) for call in calls], 6)
    assert_told(here)
    held = here.held("c1")
    assert all(grant.used <= grant.total for balance in held.values() for grant in balance.grants)
    assert staged(here) == []


# ------------------------------------------------------------------ what breaks off


class Stopped(BaseException):
    """The function was killed."""


def attached(here: Service) -> None:
    here.attach("c1", SHARES, add_on=True)


def used(here: Service) -> None:
    here.use("c1", 25)


def canceled(here: Service) -> None:
    id = next(iter(here.customers.get(C1).subscriptions))
    here.customers.update_subscription(C1, SubscriptionFilter(id), SubscriptionUpdate("cancel_immediately"), NOW)


def deleted(here: Service) -> None:
    here.customers.delete_entity(C1, "e0001", NOW)


CHANGES = pytest.mark.parametrize("change", [attached, used, canceled, deleted], ids=lambda one: one.__name__)


def state_of(here: Service) -> dict[BalanceKey, tuple[Decimal, Decimal]]:
    """Of each balance, what was granted and what was used."""
    return {
        key: (sum((g.total for g in balance.grants), Decimal(0)), sum((g.used for g in balance.grants), Decimal(0)))
        for key, balance in here.held("c1").items()
    }


def breaking(here: Service, monkeypatch: pytest.MonkeyPatch, at: int, how: str) -> Iterator[int]:
    """Breaks the write of this number: before it is sent (`killed`), or after it was applied (`lost` once, or for good
    `silent`). Yields the number of writes so far."""
    count = iter(range(10**6))
    sent = [0]
    client: Any = here.table.client
    for name in ("transact_write_items", "update_item", "put_item"):

        def broken(do: Any, **request: Any) -> Any:
            sent[0] = number = next(count)
            if how == "killed" and number >= at:
                raise Stopped
            if how == "silent" and number >= at:
                if number == at:
                    do(**request)
                raise Lost("no answer")
            answer = do(**request)
            if how == "lost" and number == at:
                raise Lost("applied, but the answer never came")
            return answer

        operation = getattr(client, name)
        monkeypatch.setattr(client, name, update_wrapper(partial(broken, operation), operation))
    yield sent[0]
    monkeypatch.undo()
    yield sent[0]


@CHANGES
@pytest.mark.parametrize("how", ["killed", "lost", "silent"])
def test_whatever_breaks_off_all_of_it_happened_or_none(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Service], None], how: str
) -> None:
    """At every write of the change. Afterwards the balances may be read at once, and written once its time is over."""
    monkeypatch.setattr(large_changes, "MOST_WRITES", 2)
    monkeypatch.setattr(large_changes, "THREADS", 1)
    monkeypatch.setattr(balances, "MOST_IN_ONE", 0)
    outcomes = set()
    for at in range(60):
        client = memory(fresh_url())
        here = service(client, create_table(client), FIXTURE)
        monkeypatch.setattr(here.table, "_sleep", lambda _: None)
        with_entities(here, 4)
        here.attach("c1", SHARES)
        before = state_of(here)
        plans = here.plan(SHARES, add_on=True) if change is attached else ""
        with monkeypatch.context() as patched:
            patched.setattr(here.__class__, "plan", lambda *_, id=plans, **__: id)
            steps = breaking(here, patched, at, how)
            next(steps)
            try:
                change(here)
                error = None
            except (Stopped, TollgateError) as stopped:
                error = stopped
            broken = next(steps) >= at
        seen = state_of(here)
        with monkeypatch.context() as patched:  # time passes
            patched.setattr(here.balance_store, "_clock", lambda: int(2e12) + large_changes.LEASE_MS + 10)
            patched.setattr("time.time_ns", lambda: int(4e18))
            for entity in ("e0000", "e0002", "e0003"):
                if seen.get(BalanceKey("messages", entity), (0, 0))[0]:
                    here.use("c1", -1, entity=entity)
                    here.use("c1", 0, Overage.CAP, entity=entity)
            limited(here, LIMIT)
            limited(here, NO_CONTROLS)
        assert staged(here) == []
        outcomes.add(seen == before)
        if error is None:
            assert how != "killed" or seen != before
        whole = len({total for key, (total, _) in seen.items() if key.entity_id and key.feature_id == "messages"})
        if change in (attached, canceled):
            assert whole <= 1, seen
        if change is used:
            assert sum(one for _, one in seen.values()) in (0, 25)
            assert len({use.event.id for use in recorded(client, here.table.name) if use.event.value == 25}) <= 1
        if not broken:  # there was no such write: all of them have been broken
            break
    assert outcomes == {True, False} or (how == "lost" and outcomes == {False})


@pytest.mark.usefixtures("in_small_parts")
def test_who_meets_an_open_change_waits_for_it_and_counts_once_it_is_over(
    alone: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While balances are staged, a check answers from what they were; a use waits."""
    here = alone
    with_entities(here, 4)
    here.attach("c1", SHARES)
    decide = large_changes.LargeChanges._decide
    seen = []

    def slow(self: large_changes.LargeChanges, claim: large_changes.Claim, others: Any) -> None:
        assert staged(here)
        seen.append(here.remaining("c1"))
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(here.use, "c1", 10, entity="e0001")
            decide(self, claim, others)
            self._finish(claim, [])
            seen.append(here.remaining("c1"))
            large_changes.LargeChanges(here.table).resolve(
                keys.balance(C1, BalanceKey("messages", f"e000{n}")) for n in range(4)
            )
            assert waiting.result().allowed

    monkeypatch.setattr(large_changes.LargeChanges, "_decide", slow)
    monkeypatch.setattr(large_changes.LargeChanges, "_finish", lambda *_: None)
    here.attach("c1", SHARES, add_on=True)
    assert seen == [40, 80]
    assert here.remaining("c1") == 70
    assert_told(here)


def test_an_entity_gets_more_balances_than_a_transaction_takes(alone: Service) -> None:
    here = alone
    ids = [f"feature-{n:03}" for n in range(60)]
    for id in ids:
        here.catalogs.create_feature(SANDBOX, Feature(id, id, FeatureType.METERED))
    here.ledger.features.catalog(SANDBOX, ids[-1])
    here.customer("c1", [PlanItem(id, Decimal(5), entity_feature_id="users") for id in ids])
    here.entity("c1", "e1")
    assert {key.feature_id for key in here.held("c1") if key.entity_id == "e1"} == set(ids)
    assert here.remaining("c1", feature=ids[7], entity="e1") == 5
    here.customers.delete_entity(C1, "e1", NOW)
    assert not any(key.entity_id for key in here.held("c1"))
    assert staged(here) == []
