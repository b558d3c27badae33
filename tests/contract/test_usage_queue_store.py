"""The queue's side of counting: each use exactly once by its id, one write for a busy customer, in full, at its own time.

Rules: management.md 11.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import Spent, dynamodb_client
from tests.contract.conftest import Backend
from tests.service import HOUR, HOURLY, NOW, SANDBOX, Service, item, pay_per_use
from tests.streams import records
from tollgate.domain.controls import Controls, SpendControl, UsageControl
from tollgate.domain.customers import Customer
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import InvalidRequest, NotFound, Unavailable
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.grants import RolloverRule
from tollgate.domain.history import Entry, entries_of
from tollgate.domain.idempotency import DAY_MS, IdempotencyKey
from tollgate.domain.periods import Interval
from tollgate.domain.usage_events import UsageEvent
from tollgate.store.stream import change_of
from tollgate.store.usage_events import UsageEventStore
from tollgate.usecases.commands import UseCommand
from tollgate.usecases.usage_events import QueuedEvent, UsageEvents
from tollgate.usecases.usage_queue import QueuedUse, UsageQueue


def queued(id: str, value: float | str = 1, customer: str = "c1", feature: str = "messages", **more: Any) -> QueuedUse:
    return QueuedUse(
        SANDBOX,
        id,
        customer,
        None if "event" in more else feature,
        more.pop("event", None),
        Decimal(str(value)),
        more.pop("at", NOW),
        "key_test",
        more.pop("once", (IdempotencyKey("reported", id, 45 * DAY_MS),)),
        more.pop("entity", ""),
        more.pop("overage", Overage.REPORTED),
        more.pop("properties", {}),
        more.pop("by_its_time", True),
    )


def usage_queue_of(here: Service, *more: Any) -> UsageQueue:
    usage_events = UsageEvents(here.ledger, here.idempotency, UsageEventStore(here.table))
    return UsageQueue(here.ledger, usage_events, here.idempotency, *more)


@pytest.fixture
def usage_queue(here: Service) -> UsageQueue:
    def defect(message: str) -> None:
        raise AssertionError(message)

    return usage_queue_of(here, defect)


def history(here: Service, backend: Backend) -> list[Entry]:
    """The uses that the table's stream tells of, in order; each with what it moved on one item."""
    found = records(dynamodb_client(backend.url), here.table.name)
    return [entry for record in found if (change := change_of(record)) for entry in entries_of(change)]


def test_a_busy_customers_uses_are_one_write(here: Service, usage_queue: UsageQueue, backend: Backend) -> None:
    here.customer("c1", [item(2000)])
    version = here.stored("c1").version
    here.ledger.features.catalog(SANDBOX)
    spent = Spent(here.table.client)
    requests = spent.of(lambda: usage_queue.count([queued(f"e{n}", n) for n in range(1, 61)], NOW))
    spent.stop()
    assert [name for name, _ in requests] == ["BatchGetItem", "GetItem", "PutItem", "TransactWriteItems"]
    assert here.stored("c1").version == version + 1
    assert here.remaining("c1") == 2000 - 1830
    told = history(here, backend)
    assert [(entry.use_id, entry.value) for entry in told] == [(f"e{n}", n) for n in range(1, 61)]
    assert all(sum(taken.value for taken in entry.deductions) == entry.value for entry in told)


def test_each_id_counts_once_in_a_batch_across_batches_and_across_days(here: Service, usage_queue: UsageQueue) -> None:
    here.customer("c1", [item(100)])
    twice = [queued("a", 5), queued("b", 7), queued("a", 5)]
    assert usage_queue.count(twice, NOW) == [None, None, None]
    assert usage_queue.count([*twice, queued("c", 1)], NOW + 10) == [None] * 4
    assert here.remaining("c1") == 87
    assert usage_queue.count([queued("a", 5)], NOW + 44 * DAY_MS) == [None]
    assert here.totals("c1", now=NOW).usage == 13


def test_more_uses_than_a_transaction_holds_are_several(
    here: Service, usage_queue: UsageQueue, backend: Backend
) -> None:
    here.customer("c1", [item(1000)])
    assert usage_queue.count([queued(f"e{n}") for n in range(250)], NOW) == [None] * 250
    assert here.remaining("c1") == 750
    assert len({entry.use_id for entry in history(here, backend)}) == 250


def test_large_properties_do_not_make_the_item_too_large(
    here: Service, usage_queue: UsageQueue, backend: Backend
) -> None:
    here.customer("c1", [item(1000)])
    uses = [queued(f"e{n}", properties={"text": "x" * 4000, "n": n}) for n in range(60)]
    assert usage_queue.count(uses, NOW) == [None] * 60
    assert here.remaining("c1") == 940
    assert [entry.properties["n"] for entry in history(here, backend)] == list(range(60))


def one_pool_for(here: Service, features: int) -> None:
    """A customer with credits for so many features that all hear `many`."""
    ids = [f"many{n}" for n in range(features)]
    for id in ids:
        here.catalogs.create_feature(SANDBOX, Feature(id, id, FeatureType.METERED, event_names=("many",)))
    schema = tuple((id, Decimal(1)) for id in ids)
    here.catalogs.create_feature(SANDBOX, Feature("pot", "Pot", FeatureType.CREDIT_SYSTEM, credit_schema=schema))
    here.customer("c1", [item(10_000, feature="pot")])


def test_a_pool_that_pays_for_many_features_remembers_a_use_once_for_each(
    here: Service, usage_queue: UsageQueue, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all uses together it would be more than an item can hold: no write may be tried that cannot succeed."""
    one_pool_for(here, 12)
    tried: list[object] = []
    commit = here.balance_store.commit

    def subject(*given: Any) -> str | None:
        tried.append(given)
        written = commit(*given)
        tried.pop()
        return written

    monkeypatch.setattr(here.balance_store, "commit", subject)
    uses = [queued(f"e{n}", event="many", properties={"text": "x" * 4000}) for n in range(11)]
    assert usage_queue.count(uses, NOW) == [None] * 11
    assert tried == []
    assert here.remaining("c1", feature="pot") == 10_000 - 11 * 12
    assert len(history(here, backend)) == 11 * 12


def test_a_use_that_no_item_could_remember_is_refused_with_its_reason_and_the_rest_is_counted(
    here: Service, usage_queue: UsageQueue
) -> None:
    """Of 70 features at once, with all the properties that a use may have."""
    one_pool_for(here, 70)
    large = {"text": "x" * 4000}
    uses = [queued("a", event="many"), queued("b", event="many", properties=large), queued("c", event="many")]
    first, refused, last = usage_queue.count(uses, NOW)
    assert (first, last) == (None, None)
    assert isinstance(refused, InvalidRequest)
    assert "pot cannot remember this use" in str(refused)
    assert here.remaining("c1", feature="pot") == 10_000 - 2 * 70


def test_an_event_that_no_item_could_remember_is_refused_too(here: Service, usage_queue: UsageQueue) -> None:
    one_pool_for(here, 70)
    events = [
        QueuedEvent(SANDBOX, UsageEvent(id, "c1", "many", NOW, properties), "key_test")
        for id, properties in (("a", {}), ("b", {"text": "x" * 4000}), ("c", {}))
    ]
    first, refused, last = usage_queue.count(events, NOW)
    assert (first, last) == (None, None)
    assert isinstance(refused, InvalidRequest)
    assert here.remaining("c1", feature="pot") == 10_000 - 2 * 70


def test_uses_that_turn_out_more_than_an_item_should_remember_are_parted(
    here: Service, usage_queue: UsageQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollgate.usecases.use_batch.MOST_BYTES", 2_000)
    here.customer("c1", [item(100)])
    version = here.stored("c1").version
    assert usage_queue.count([queued(f"e{n}") for n in range(20)], NOW) == [None] * 20
    assert here.remaining("c1") == 80
    assert here.stored("c1").version == version + 4


def test_what_happened_is_counted_in_full_past_any_limit(here: Service, usage_queue: UsageQueue) -> None:
    controls = Controls(
        spend=(SpendControl("messages", limit=Decimal(5)),),
        usage=(UsageControl("messages", Decimal(8), Interval.DAY),),
    )
    here.customer("c1", [pay_per_use(10, 3)], controls=controls)
    here.customer("c2", [item(10)])
    assert usage_queue.count([queued("a", 30), queued("b", 25, "c2")], NOW) == [None, None]
    assert (here.totals("c1").usage, here.totals("c2").usage) == (30, 25)
    assert here.remaining("c2") == 0
    assert not here.checks.check(SANDBOX, UseCommand("c2", "messages", Decimal(1)), NOW).allowed
    assert here.stored("c1").balance.limits.windows[0].used == 30


def test_uses_draw_on_all_that_pays_and_are_one_event_of_parts(
    here: Service, usage_queue: UsageQueue, backend: Backend
) -> None:
    here.customer("c1", [item(5, feature="action1"), item(100, feature="credits")])
    uses = [queued("a", 3, feature="action1"), queued("b", 4, feature="action1")]
    assert usage_queue.count(uses, NOW) == [None, None]
    assert here.remaining("c1", feature="action1") == 0
    assert here.remaining("c1", feature="credits") == Decimal("99.6")
    told = sorted((e.use_id, e.part, e.feature_id, e.value, e.deductions[0].value) for e in history(here, backend))
    assert told == [
        ("a", False, "action1", 3, 3),
        ("b", False, "action1", 4, 2),
        ("b", True, "action1", 4, Decimal("0.4")),
    ]


def test_an_event_name_is_a_use_of_every_feature_that_lists_it(here: Service, usage_queue: UsageQueue) -> None:
    here.customer("c1", [item(100, feature="action1"), item(100, feature="action3")])
    assert usage_queue.count([queued(f"e{n}", 5, event="action-event") for n in range(3)], NOW) == [None] * 3
    assert (here.remaining("c1", feature="action1"), here.remaining("c1", feature="action3")) == (85, 85)


def test_a_use_of_what_nothing_grants_is_an_event_that_moved_nothing(
    here: Service, usage_queue: UsageQueue, backend: Backend
) -> None:
    here.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    for _ in range(2):
        assert usage_queue.count([queued("a", 5), queued("b", 6)], NOW) == [None, None]
    here.track("c1", 7)
    told = history(here, backend)
    assert [(entry.value, entry.deductions) for entry in told] == [(5, ()), (6, ()), (7, ())]


def test_a_late_use_belongs_to_the_period_of_its_time_while_that_is_open(
    here: Service, usage_queue: UsageQueue
) -> None:
    here.customer("c1", [item(10, HOURLY)])
    here.customer("c2", [item(10, HOURLY)])
    now = NOW + HOUR + 5
    before = NOW + HOUR - 1
    usage_queue.count([queued("a", 4, at=before), queued("b", 3, "c2", at=now)], now)
    assert here.remaining("c1", now) == 10  # the old period took it, and has been reset since
    assert here.totals("c1", now=NOW + HOUR - 1).usage == 4
    usage_queue.count([queued("c", 2, "c2", at=before)], now)
    assert here.remaining("c2", now) == 5  # the old period is closed: the one that runs takes it


def test_late_and_timely_uses_of_one_batch_fall_on_both_sides_of_the_reset(
    here: Service, usage_queue: UsageQueue, backend: Backend
) -> None:
    here.customer("c1", [item(10, HOURLY)])
    now = NOW + HOUR + 5
    usage_queue.count([queued("b", 3, at=now), queued("a", 4, at=NOW + 1)], now)
    assert here.remaining("c1", now) == 7
    assert [(entry.use_id, entry.at) for entry in history(here, backend)] == [("a", NOW + 1), ("b", now)]


def told_of_grants(here: Service, backend: Backend) -> list[tuple[str, Decimal | None]]:
    """What the stream tells of the grants beside uses, in order."""
    found = [
        change for record in records(dynamodb_client(backend.url), here.table.name) if (change := change_of(record))
    ]
    return [(changed.what.value, changed.value) for change in found for changed in change.grant_changes]


@pytest.mark.parametrize("rollover", [None, RolloverRule(months=1)], ids=["plain", "rolls over"])
def test_a_reset_between_the_uses_of_one_batch_is_told_between_them(
    here: Service, usage_queue: UsageQueue, backend: Backend, rollover: RolloverRule | None
) -> None:
    """Two writes: the late use closes the old period, and what the reset puts back is all that was used in it."""
    here.customer("c1", [replace(item(150, HOURLY), rollover=rollover)])
    here.use("c1", 10)
    version = here.stored("c1").version
    now = NOW + HOUR + 5
    uses = [queued("b", 3, at=now), queued("d", 1, at=now + 1), queued("a", 95, at=NOW + HOUR - 1)]
    assert usage_queue.count(uses, now) == [None] * 3
    assert here.stored("c1").version == version + 2
    assert told_of_grants(here, backend) == [("granted", 150), ("reset", 105)]
    assert [entry.use_id for entry in history(here, backend)][1:] == ["a", "b", "d"]
    assert here.remaining("c1", now) == (146 if rollover is None else 146 + 45)


def test_uses_of_many_periods_are_a_write_for_each_and_no_more(
    here: Service, usage_queue: UsageQueue, backend: Backend
) -> None:
    """More periods than a write has turns: each write has its own. A second delivery counts nothing again."""
    here.customer("c1", [item(10, HOURLY)])
    version = here.stored("c1").version
    now = NOW + 20 * HOUR
    uses = [queued(f"e{n}-{k}", n + 1, at=NOW + n * HOUR + k) for k in (1, 2) for n in range(20)]
    assert usage_queue.count(uses, now) == [None] * 40
    assert here.stored("c1").version == version + 20
    assert usage_queue.count(uses, now) == [None] * 40
    assert here.stored("c1").version == version + 20
    assert [value for what, value in told_of_grants(here, backend) if what == "reset"] == [2 * n for n in range(1, 20)]


def test_what_was_written_before_a_failure_is_not_written_again(
    here: Service, usage_queue: UsageQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.customer("c1", [item(10, HOURLY)])
    uses = [queued("a", 4, at=NOW + 1), queued("b", 3, at=NOW + HOUR + 1)]
    commit, calls = here.balance_store.commit, iter(range(10))

    def once_only(*given: Any) -> str | None:
        if next(calls):
            raise Unavailable("busy")
        return commit(*given)

    monkeypatch.setattr(here.balance_store, "commit", once_only)
    assert [type(outcome) for outcome in usage_queue.count(uses, NOW + HOUR + 1)] == [Unavailable] * 2
    assert here.totals("c1", now=NOW + 1).usage == 4
    monkeypatch.undo()
    assert usage_queue.count(uses, NOW + HOUR + 1) == [None] * 2
    assert here.totals("c1", now=NOW + HOUR + 1).usage == 3


def test_a_use_from_the_future_counts_now(here: Service, usage_queue: UsageQueue, backend: Backend) -> None:
    here.customer("c1", [item(10, HOURLY)])
    usage_queue.count([queued("a", 4, at=NOW + HOUR)], NOW)
    assert here.remaining("c1", NOW) == 6
    assert [entry.at for entry in history(here, backend)] == [NOW + HOUR]


def test_an_accepted_track_keeps_its_own_rules(here: Service, usage_queue: UsageQueue) -> None:
    """`cap` stops at the grant, `reject` refuses what is too much and is done with, an idempotency key holds."""
    here.customer("c1", [item(10)])
    key = IdempotencyKey("track", "k1")
    uses = [
        queued("a", 8, overage=Overage.CAP, by_its_time=False, idempotency_keys=(IdempotencyKey("queue", "a"), key)),
        queued("b", 8, overage=Overage.CAP, by_its_time=False, idempotency_keys=(IdempotencyKey("queue", "b"), key)),
        queued("c", 8, overage=Overage.REJECT, by_its_time=False),
        queued("d", 8, overage=Overage.CAP, by_its_time=False),
    ]
    assert usage_queue.count(uses, NOW) == [None] * 4
    assert here.totals("c1").usage == 10


def test_what_does_not_exist_is_told_and_the_rest_is_counted(here: Service, usage_queue: UsageQueue) -> None:
    here.customer("c1", [item(10)])
    uses = [
        queued("a", 1, "nobody"),
        queued("b", 2),
        queued("c", 1, feature="nothing"),
        queued("d", event="no"),
    ]
    outcomes = usage_queue.count(uses, NOW)
    assert [type(outcome) for outcome in outcomes] == [NotFound, type(None), NotFound, NotFound]
    assert here.remaining("c1") == 8


def test_time_that_runs_out_leaves_the_rest_for_the_next_delivery(here: Service) -> None:
    here.customer("c1", [item(10)])
    ticks = iter([0.0, *([100.0] * 10)])
    slow = usage_queue_of(here, lambda _: None, lambda: next(ticks))
    (outcome,) = slow.count([queued("a")], NOW)
    assert isinstance(outcome, Unavailable)
    assert here.remaining("c1") == 10


def test_consumers_that_meet_on_one_customer_count_each_use_once(
    here: Service, usage_queue: UsageQueue, backend: Backend
) -> None:
    """Four consumers, half of their uses the same ones, and uses on the fast path in between."""
    here.customer("c1", [item(100_000)])
    batches = [[queued(f"e{n}", 2) for n in range(start, start + 40)] for start in (0, 20, 40, 60, 80, 100)]
    with ThreadPoolExecutor(8) as threads:
        fast_path = [threads.submit(here.use, "c1", 3) for _ in range(30)]
        found = list(threads.map(lambda batch: usage_queue.count(batch, NOW), batches))
        assert all(use.result().allowed for use in fast_path)
    again = [batch for batch, outcomes in zip(batches, found, strict=True) if any(outcomes)]
    for batch in again:  # what met too often comes again, as the queue does it
        assert any(usage_queue.count(batch, NOW) == [None] * 40 for _ in range(5))
    assert here.totals("c1").usage == 140 * 2 + 30 * 3
    told = history(here, backend)
    assert sum(entry.value for entry in told) == 140 * 2 + 30 * 3
    assert len({entry.use_id for entry in told}) == 170


def test_an_item_made_anew_goes_on_counting_its_versions(here: Service) -> None:
    """The sums of the history add each version of an item once: a customer made again must not repeat them."""
    here.customer("c1", [item(10)])
    here.use("c1", 1)
    before = here.stored("c1").version
    while time.time_ns() // 1_000_000 <= before:  # in this process all of it may happen within one millisecond
        continue
    here.customers.delete(CustomerRef(SANDBOX, "c1"))
    here.customer("c1", [item(10)])
    assert here.stored("c1").version > before
