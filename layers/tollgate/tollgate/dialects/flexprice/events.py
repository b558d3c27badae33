"""`POST /v1/events` and `/v1/events/bulk` (flexprice.md 1.2): usage that has happened, taken in and counted soon
after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tollgate.dialects.flexprice.fields import Id, Params, Properties, Text, Time
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.queue import messages
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput, NotFound
from tollgate.domain.use_records import EARLY_MS, LATE_MS
from tollgate.usecases.ids import new_id

if TYPE_CHECKING:
    from tollgate.usecases.customers import Customers

MAX_BULK = 1000
EventId = Annotated[str, Field(max_length=255)]

Send = Callable[[list[str]], None]
"""Puts messages on the usage queue; raises Unavailable where it could not."""


class EventParams(Params):
    """One event: the body of `POST /v1/events`."""

    event_name: Id
    external_customer_id: Id
    customer_id: Id | None = None
    event_id: EventId | None = None
    timestamp: Time | None = None
    source: Text | None = None
    properties: Properties | None = None

    def item(self, where: str = "") -> dict[str, Any]:
        """The event as the queue carries it; raises InvalidInput where its two customers differ."""
        if self.customer_id not in (None, self.external_customer_id):
            raise InvalidInput(f"{where}customer_id", "must be external_customer_id: a customer has one id")
        full = {
            "event_id": self.event_id or new_id("event"),
            "customer_id": self.external_customer_id,
            "event_name": self.event_name,
            "source": self.source or None,
            "properties": self.properties or None,
            "timestamp": self.timestamp,
            "overage_behavior": Overage.OVERFLOW.value,
            "recorded": True,
            "in_its_period": True if self.timestamp is not None else None,
        }
        return {name: value for name, value in full.items() if value is not None}


class BulkParams(Params):
    """The body of `POST /v1/events/bulk`."""

    events: Annotated[list[EventParams], Field(min_length=1, max_length=MAX_BULK)]


def ingest(send: Send, customers: Customers, request: Request) -> Answer:
    """`POST /v1/events`: takes one event, to be counted within seconds. Raises InvalidInput or Unavailable."""
    event = EventParams.of(request.body)
    item = event.item()
    _check_times(customers, request, {"": event})
    _put(send, request, [item])
    return Answer({"message": "Event accepted for processing", "event_id": item["event_id"]}, 202)


def ingest_bulk(send: Send, customers: Customers, request: Request) -> Answer:
    """`POST /v1/events/bulk`: takes up to 1000 events; a wrong one refuses them all.

    Raises InvalidInput, or Unavailable where the queue could not be reached.
    """
    events = {f"events.{index}.": event for index, event in enumerate(BulkParams.of(request.body).events)}
    items = [event.item(where) for where, event in events.items()]
    _check_times(customers, request, events)
    _put(send, request, items)
    return Answer({"message": "Events accepted for processing"}, 202)


def _check_times(customers: Customers, request: Request, events: Mapping[str, EventParams]) -> None:
    """Raises InvalidInput where an event is dated further back or ahead than a use may be (flexprice.md 2.6).

    Ahead of its customer's time, that is: only in the sandbox can it be another than the wall clock's, and only for an
    event dated after that is it looked up.
    """
    env, now = request.caller.environment, request.now
    clocks: dict[str, int] = {}
    for where, event in events.items():
        at, customer = event.timestamp, event.external_customer_id
        if at is None or now - LATE_MS <= at <= now + EARLY_MS:
            continue
        if at > now and env is Environment.SANDBOX and customer not in clocks:
            with suppress(NotFound):
                clocks[customer] = customers.get(request.customer(customer)).time(now)
        if not now < at <= clocks.get(customer, now) + EARLY_MS:
            raise InvalidInput(
                f"{where}timestamp", "must be at most a year ago, and an hour ahead of the customer's time"
            )


def _put(send: Send, request: Request, items: Sequence[dict[str, Any]]) -> None:
    send(list(messages(request.caller, request.now, items)))
