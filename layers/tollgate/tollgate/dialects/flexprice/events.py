"""`POST /v1/events` and `/v1/events/bulk` (flexprice.md 1.2): usage that has happened, taken in and counted soon
after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field

from tollgate.dialects.flexprice.fields import Id, Params, Properties, Text, Time
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.queue import messages
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import InvalidInput
from tollgate.usecases.ids import new_id

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
            "properties": self.properties or None,
            "timestamp": self.timestamp,
            "overage_behavior": Overage.OVERFLOW.value,
        }
        return {name: value for name, value in full.items() if value is not None}


class BulkParams(Params):
    """The body of `POST /v1/events/bulk`."""

    events: Annotated[list[EventParams], Field(min_length=1, max_length=MAX_BULK)]


def ingest(send: Send, request: Request) -> Answer:
    """`POST /v1/events`: takes one event, to be counted within seconds. Raises InvalidInput or Unavailable."""
    item = EventParams.of(request.body).item()
    _put(send, request, [item])
    return Answer({"message": "Event accepted for processing", "event_id": item["event_id"]}, 202)


def ingest_bulk(send: Send, request: Request) -> Answer:
    """`POST /v1/events/bulk`: takes up to 1000 events; a wrong one refuses them all.

    Raises InvalidInput, or Unavailable where the queue could not be reached.
    """
    events = BulkParams.of(request.body).events
    _put(send, request, [event.item(f"events.{index}.") for index, event in enumerate(events)])
    return Answer({"message": "Events accepted for processing"}, 202)


def _put(send: Send, request: Request, items: Sequence[dict[str, Any]]) -> None:
    send(list(messages(request.caller, request.now, items)))
