"""Counts what has happened: `POST /v1/track` and its kin, at once or through the usage queue, whose messages end here too;
Lotus's routes that write (`POST /api/track/` and its kin); and, from the table's stream, the events that waited for a
customer that now holds something."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tollgate import runtime
from tollgate.dialects import reservations
from tollgate.dialects.autumn.edge import handle
from tollgate.dialects.autumn.track import TrackUseCases, batch_track, track
from tollgate.dialects.events_in import is_reported, reported_use
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus import customers, events, subscriptions
from tollgate.dialects.lotus.edge import handle as handle_lotus
from tollgate.dialects.lotus.routes import Route, dispatch
from tollgate.dialects.queue import items_in
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import NotFound, TollgateError, Unavailable
from tollgate.exact_json import dumps, loads
from tollgate.store.stream import new_holders
from tollgate.usecases.usage_events import QueuedEvent
from tollgate.usecases.usage_queue import QueuedUse

_RECEIVES = 5  # the queue's maxReceiveCount: after it, it moves a message aside without a reason
_KNOWN = (TollgateError, KeyError, TypeError, ValueError, ArithmeticError)  # what a message may be wrong in
_queue = runtime.client("sqs")
_usage_queue = runtime.usage_queue()
_usage_events = runtime.usage_events()
_management = runtime.management()
_access = runtime.access()

_use_cases = TrackUseCases(
    runtime.tracking(), runtime.ledger().features, runtime.idempotency(), runtime.management, runtime.to_usage_queue
)

Message = Mapping[str, Any]

LOTUS: dict[str, Route] = {
    "/api/track": partial(events.track, runtime.to_usage_queue),
    "/api/verify_idems_received": partial(events.verify, _usage_events),
    "/api/customers": partial(customers.create, _management, _access),
    "/api/subscriptions": partial(subscriptions.create, _management, _access),
    "/api/subscriptions/{}/cancel": partial(subscriptions.cancel, _management, _access),
}


def _take_in(records: Sequence[Message]) -> dict[str, Any]:
    """Counts what the messages carry; those that are to come again are the answer's failures. What would fail again goes
    to the dead letters with its reason, and alone: the rest of its message is settled."""
    now = runtime.clock()
    items: list[tuple[Message, int, QueuedUse | QueuedEvent]] = []
    problems: list[tuple[Message, int | None, Exception]] = []
    for record in records:
        try:
            items += [(record, number, one) for number, one in enumerate(_items(record["body"], now))]
        except Exception as error:  # noqa: BLE001 - one message's trouble must not hold up the others: told, and given back
            if not isinstance(error, _KNOWN):
                runtime.defect(f"message {record['messageId']} could not be dealt with")
            problems.append((record, None, error))
    outcomes = _usage_queue.count([one for _, _, one in items], now)
    problems += [(r, n, problem) for (r, n, _), problem in zip(items, outcomes, strict=True) if problem is not None]
    again = dict.fromkeys(record["messageId"] for record, number, problem in problems if _again(record, problem))
    for record, number, problem in problems:
        if record["messageId"] not in again and not _put_aside(record, number, problem):
            again[record["messageId"]] = None
    return {"batchItemFailures": [{"itemIdentifier": id} for id in again]}


def _items(body: str, now: int) -> list[QueuedUse | QueuedEvent]:
    """What a message carries. One about a reservation that is due carries no use: it is dealt with here."""
    if reservations.is_due(body):
        later = reservations.on_due(runtime.reservations(), body, now)
        if later is not None:
            url = os.environ["TOLLGATE_USAGE_QUEUE_URL"]
            _queue.send_message(QueueUrl=url, MessageBody=later.body, DelaySeconds=later.seconds)
        return []
    message = loads(body)
    return [reported_use(message, now)] if is_reported(message) else items_in(message)


def _again(record: Message, problem: Exception) -> bool:
    """Whether the message is to come again: another time it may be counted, and it has not come too often."""
    early = isinstance(problem, NotFound) and problem.kind in ("customer", "entity")  # it may be about to be made
    passing = early or isinstance(problem, Unavailable) or not isinstance(problem, _KNOWN)
    return passing and int(record.get("attributes", {}).get("ApproximateReceiveCount", 1)) < _RECEIVES


def _put_aside(record: Message, number: int | None, problem: Exception) -> bool:
    """Sends a message, or that one of its items, to the dead letters; False where that failed, and it must come again."""
    body = record["body"]
    if number is not None and not is_reported(message := loads(body)):
        body = dumps({**message, "items": [message["items"][number]]})
    letter = {"reason": f"{type(problem).__name__}: {problem}", "message": body}
    try:
        _queue.send_message(QueueUrl=os.environ["TOLLGATE_DEAD_LETTER_QUEUE_URL"], MessageBody=dumps(letter))
    except Exception:  # noqa: BLE001 - whatever kept it from the dead letters: told, and the message stays in its queue
        runtime.defect(f"message {record['messageId']} could not be put aside")
        return False
    return True


def _track(request: Request) -> Answer:
    if request.route == "POST /v1/balances.batch_track":
        return batch_track(_use_cases, request)
    return track(_use_cases, request)


def _lotus(request: Request) -> Answer:
    return dispatch("POST", LOTUS, request)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if "Records" not in event:
        if event["rawPath"].startswith("/api/"):
            return handle_lotus(event, _lotus, runtime.clock, runtime.defect)
        return handle(event, _track, runtime.clock, runtime.defect)
    if event["Records"] and event["Records"][0].get("eventSource") == "aws:dynamodb":
        for environment, customer_id in new_holders(event["Records"]):
            _usage_events.count_waiting(CustomerRef(environment, customer_id), runtime.clock())
        return {}
    return _take_in(event["Records"])
