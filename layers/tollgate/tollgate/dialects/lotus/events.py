"""`track`, `verify_idems_received` and `ping` (lotus.md 1.6, 1.7): request in, answer out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, ValidationError

from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus.fields import Params, Text, Whole, time_of
from tollgate.dialects.lotus.ids import organization_id
from tollgate.dialects.problems import problems
from tollgate.dialects.queue import messages
from tollgate.domain.errors import InvalidInput
from tollgate.domain.idempotency import DAY_MS
from tollgate.domain.ids import RULE, checked_id
from tollgate.usecases.usage_events import UsageEvents

Send = Callable[[list[str]], None]
"""Puts messages on the usage queue; raises Unavailable where it could not."""

NO_ID = "no_idempotency_id"
NO_ID_REASON = "No idempotency_id provided"
NO_CUSTOMER = "No customer_id provided"
NO_NAME = "No event_name provided"
BAD_TIME = "Invalid time_created"
TOO_FAR = (
    "Time created too far in the past or future. Events must be within 30 days before or 1 day ahead of current time."
)
PAST_MS, AHEAD_MS = 30 * DAY_MS, DAY_MS
MAX_IDS = 1000


class EventParams(Params):
    """One event. No field is required here: the answer names what is missing event by event."""

    event_name: Text | None = None
    idempotency_id: Text | None = None
    customer_id: Text | None = None
    time_created: Any = None
    properties: dict[str, Any] | None = None


class VerifyParams(Params):
    """The body of `verify_idems_received`."""

    idempotency_ids: Annotated[list[Text], Field(max_length=MAX_IDS)] | Text
    number_days_lookback: Annotated[Whole, Field(ge=1, le=3650)] = 30
    customer_id: Text | None = None


def track(send: Send, request: Request) -> Answer:
    """`POST /api/track/`: takes a batch, a list, or one event alone; each is counted once, within seconds.

    An event that is wrong is named in the answer with the reason, and the others are taken all the same.
    """
    request.caller.require_secret("track events")
    accepted: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for event in _events(request.body):
        item, reason = _item(event, request.now)
        if reason:
            failed[item["event_id"]] = reason
        else:
            accepted.append(item)
    for body in messages(request.caller, request.now, accepted):
        send([body])
    if not failed:
        return Answer({"success": "all"}, 201)
    success = "some" if accepted else "none"
    return Answer({"success": success, "failed_events": failed}, 201 if accepted else 400)


def _events(body: Any) -> list[Any]:
    if isinstance(body, dict) and isinstance(body.get("batch"), list):
        return list(body["batch"])
    return body if isinstance(body, list) else [body]


def _item(event: Any, now: int) -> tuple[dict[str, Any], str]:
    """An event as the queue carries it, and why it is not taken (empty where it is)."""
    try:
        params = EventParams.model_validate(event)
    except ValidationError as error:
        field = problems(error, event)[0].field or "event"
        id = event.get("idempotency_id") if isinstance(event, dict) else None
        return {"event_id": id if isinstance(id, str) and id else NO_ID}, f"Invalid {field}"
    item = {
        "event_id": params.idempotency_id or NO_ID,
        "event_name": params.event_name,
        "customer_id": params.customer_id,
        "properties": params.properties or {},
    }
    if params.idempotency_id is None:
        return item, NO_ID_REASON
    if params.customer_id is None:
        return item, NO_CUSTOMER
    if params.event_name is None:
        return item, NO_NAME
    at = time_of(params.time_created)
    if at is None:
        return item, BAD_TIME
    if not now - PAST_MS <= at <= now + AHEAD_MS:
        return item, TOO_FAR
    try:
        checked_id(params.customer_id, "customer_id")
    except InvalidInput:
        return item, f"customer_id {RULE}"
    return {**item, "timestamp": at, "receipt": True}, ""


def verify(usage_events: UsageEvents, request: Request) -> Answer:
    """`verify_idems_received`: which of these events' ids were not received.

    An event that waits for its customer counts as received.
    """
    request.caller.require_secret("read events")
    body = request.body if isinstance(request.body, dict) else {}
    if not body.get("idempotency_ids"):
        return Answer({"status": "failure", "error": "idempotency_ids is required"}, 400)
    params = VerifyParams.parsed(body)
    ids = [params.idempotency_ids] if isinstance(params.idempotency_ids, str) else params.idempotency_ids
    since = request.now - params.number_days_lookback * DAY_MS
    missing = usage_events.missing(request.caller.environment, ids, request.now, since, params.customer_id)
    return Answer({"status": "success", "ids_not_found": missing})


def ping(request: Request) -> Answer:
    """`GET /api/ping/`: that the key is good, and whose it is."""
    return Answer({"organization_id": organization_id(request.caller.environment)})
