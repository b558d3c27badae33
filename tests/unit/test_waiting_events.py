"""Events that wait for their customer: which of them a new balance makes worth looking at, and for how long one call looks."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import create_table, dynamodb_client
from tests.memory import fresh_url
from tests.service import FIXTURE, NOW, SANDBOX, Service, item, service
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import Unavailable
from tollgate.domain.usage_events import UsageEvent
from tollgate.store.stream import new_holders
from tollgate.store.usage_events import UsageEventStore
from tollgate.usecases.usage_events import QueuedEvent, UsageEvents
from tollgate.usecases.usage_queue import UsageQueue
from tollgate.usecases.waiting_events import SECONDS, WaitingEvents


def balance_of(customer: str, feature: str, name: str = "INSERT") -> dict[str, Any]:
    keys = {"pk": {"S": f"sandbox#customer#{customer}"}, "sk": {"S": f"BALANCE#{feature}#"}}
    return {"eventName": name, "dynamodb": {"Keys": keys}}


def test_new_balances_are_gathered_by_customer() -> None:
    records = [
        balance_of("c1", "action1"),
        balance_of("c1", "credits"),
        balance_of("c2", "action1"),
        balance_of("c2", "action3", "MODIFY"),
    ]
    assert new_holders(records) == {
        CustomerRef(SANDBOX, "c1"): {"action1", "credits"},
        CustomerRef(SANDBOX, "c2"): {"action1"},
    }


@pytest.fixture
def here() -> Service:
    client = dynamodb_client(fresh_url())
    return service(client, create_table(client), FIXTURE)


def waiting(here: Service, names: list[str]) -> UsageEvents:
    """Events of these names that wait for the customer `late`, who then gets units of `messages` and `credits`."""
    usage_events = UsageEvents(here.ledger, here.idempotency, UsageEventStore(here.table))
    queue = UsageQueue(here.ledger, usage_events, here.idempotency, lambda _: None)
    told = [UsageEvent(f"e{number}", "late", name, NOW, {"value": 1}) for number, name in enumerate(names)]
    queue.count([QueuedEvent(SANDBOX, event, "key", True) for event in told], NOW)
    here.customer("late", [item(100), item(100, feature="credits")])
    return usage_events


@pytest.mark.parametrize(
    ("new", "looked_at", "left"),
    [
        ({"messages"}, 0, 2),
        ({"credits"}, 2, 0),  # a pool that pays for action1, which both are a use of
        ({"action1"}, 2, 0),
        ({"action3"}, 2, 0),
        (set(), 0, 2),
    ],
)
def test_only_what_a_new_balance_may_pay_for_is_looked_at(
    here: Service, new: set[str], looked_at: int, left: int
) -> None:
    usage_events, looked = waiting(here, ["action-event", "action-event"]), []
    customer = CustomerRef(SANDBOX, "late")
    usage_events.count_waiting(customer, NOW, new, lambda: looked.append(1))
    assert len(looked) == looked_at
    assert len(UsageEventStore(here.table).waiting(customer, "", 10)) == left


def test_a_call_that_runs_out_of_time_leaves_the_rest_for_the_next(here: Service) -> None:
    """The stream sends the batch again: it goes on where it stopped, and each event is counted once."""
    usage_events, now = waiting(here, ["action-event"] * 5), [0.0]
    each = usage_events._count_waiting

    def slow(*arguments: Any) -> None:
        each(*arguments)
        now[0] += SECONDS / 2 + 1

    usage_events._count_waiting = slow  # type: ignore[method-assign,assignment]
    events, customer = WaitingEvents(usage_events, lambda: now[0]), CustomerRef(SANDBOX, "late")
    lengths, call = [], _counting(events)
    for _ in range(2):
        with pytest.raises(Unavailable):
            call()
        lengths.append(len(UsageEventStore(here.table).waiting(customer, "", 10)))
    call()
    assert lengths == [3, 1]
    assert UsageEventStore(here.table).waiting(customer, "", 10) == []
    assert here.totals("late", "credits").remaining == Decimal(100) - 5 * Decimal("0.2")


def _counting(events: WaitingEvents) -> Callable[[], None]:
    return lambda: events.count([balance_of("late", "credits")], NOW)
