"""Consumes the usage queue: each message is counted, delivered again, or put aside as a dead letter.

A message carries uses and events to count (`dialects.queue`, `dialects.events_in`), or says that a reservation is due
(`dialects.reservations`), or that time brings something about for a customer (`dialects.passing_time`). A message that fails never holds up the others of its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.dialects import reservations
from tollgate.dialects.events_in import is_reported, reported_use
from tollgate.dialects.reservations import Keep
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import Environment
from tollgate.domain.errors import NotFound, TollgateError, Unavailable
from tollgate.domain.idempotency import QUEUED_KEPT_MS, IdempotencyKey
from tollgate.domain.usage_events import UsageEvent
from tollgate.exact_json import dumps, loads
from tollgate.usecases.reservations import Reservations
from tollgate.usecases.usage_events import QueuedEvent
from tollgate.usecases.usage_queue import QueuedUse, UsageQueue

if TYPE_CHECKING:
    from tollgate.usecases.passing_time import PassingTime

RECEIVES = 5  # the queue's maxReceiveCount: after it, SQS moves a message aside without a reason
_KNOWN = (TollgateError, KeyError, TypeError, ValueError, ArithmeticError)  # what a message may be wrong in

REACHED = '{"reached":'  # how a message begins that an instant of a customer has come

Message = Mapping[str, Any]
"""One record of an SQS event."""


class _Problem(NamedTuple):
    """Why a message could not be counted, or one of its items (`number`; None: all of it)."""

    message: Message
    number: int | None
    error: Exception


class QueueConsumer:
    """The consumer of the usage queue.

    `passing_time` makes its use cases when they are first needed; `keep` has a message come at its time;
    `put_aside(body)` puts one on the dead-letter queue; `defect(text)` logs the exception being handled.
    """

    def __init__(
        self,
        usage_queue: UsageQueue,
        reservations: Reservations,
        passing_time: Callable[[], PassingTime],
        keep: Keep,
        put_aside: Callable[[str], None],
        defect: Callable[[str], None],
    ) -> None:
        self.usage_queue = usage_queue
        self._reservations = reservations
        self._passing_time = passing_time
        self._keep = keep
        self._put_aside = put_aside
        self._defect = defect

    def take(self, messages: Sequence[Message], now: int) -> list[str]:
        """Counts what the messages carry, at `now` (epoch ms). Returns the ids of those that must come again.

        An item that would fail again goes to the dead letters with the reason; the rest of its message is counted.
        """
        items: list[tuple[Message, int, QueuedUse | QueuedEvent]] = []
        problems: list[_Problem] = []
        for message in messages:
            try:
                items += [(message, number, item) for number, item in enumerate(self._items(message["body"], now))]
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one message: told, and given back
                if not isinstance(error, _KNOWN):
                    self._defect(f"message {message['messageId']} could not be dealt with")
                problems.append(_Problem(message, None, error))
        outcomes = self.usage_queue.count([item for _, _, item in items], now)
        for (message, number, _), outcome in zip(items, outcomes, strict=True):
            if outcome is not None:
                problems.append(_Problem(message, number, outcome))
        again = dict.fromkeys(problem.message["messageId"] for problem in problems if _comes_again(problem))
        for problem in problems:
            if problem.message["messageId"] not in again and not self._is_put_aside(problem):
                again[problem.message["messageId"]] = None
        return list(again)

    def _items(self, body: str, now: int) -> list[QueuedUse | QueuedEvent]:
        """What a message carries to count. A message about what is due carries nothing, and is handled here."""
        if reservations.is_due(body):
            reservations.on_due(self._reservations, self._keep, body, now)
            return []
        if body.startswith(REACHED):
            from tollgate.dialects.passing_time import on_reached  # few messages have need of it

            on_reached(self._passing_time(), self._keep, body, now)
            return []
        message = loads(body)
        return [reported_use(message, now)] if is_reported(message) else items_in(message)

    def _is_put_aside(self, problem: _Problem) -> bool:
        """Sends a message, or the one item of it, to the dead letters; False where that failed, and it must come
        again."""
        body = problem.message["body"]
        if problem.number is not None and not is_reported(message := loads(body)):
            body = dumps({**message, "items": [message["items"][problem.number]]})
        letter = {"reason": f"{type(problem.error).__name__}: {problem.error}", "message": body}
        try:
            self._put_aside(dumps(letter))
        except Exception:  # noqa: BLE001 - whatever kept it from the dead letters: told, and the message stays in its queue
            self._defect(f"message {problem.message['messageId']} could not be put aside")
            return False
        return True


def _comes_again(problem: _Problem) -> bool:
    """Whether a message is to be delivered again: it may succeed then, and has not come RECEIVES times yet."""
    error = problem.error
    early = isinstance(error, NotFound) and error.kind in ("customer", "entity")  # it may be about to be made
    passing = early or isinstance(error, Unavailable) or not isinstance(error, _KNOWN)
    return passing and int(problem.message.get("attributes", {}).get("ApproximateReceiveCount", 1)) < RECEIVES


def items_in(message: Mapping[str, Any]) -> list[QueuedUse | QueuedEvent]:
    """The items of a message. Raises KeyError, TypeError, ValueError or ArithmeticError where it is none of ours."""
    env = Environment(message["env"])
    return [_item(env, message, item) for item in message["items"]]


def _item(env: Environment, message: Mapping[str, Any], item: Mapping[str, Any]) -> QueuedUse | QueuedEvent:
    at = item.get("timestamp") or message["at"]
    properties = item.get("properties") or {}
    if "event_id" in item:
        event = UsageEvent(
            item["event_id"], item["customer_id"], item["event_name"], at, properties, item.get("source", "")
        )
        return QueuedEvent(
            env,
            event,
            message["key_id"],
            item.get("receipt", False),
            recorded=item.get("recorded", False),
            in_its_period=item.get("in_its_period", False),
        )
    idempotency_keys = [IdempotencyKey("queue", item["id"], QUEUED_KEPT_MS)]
    if item.get("idempotency_key"):
        idempotency_keys.append(IdempotencyKey("track", item["idempotency_key"]))
    return QueuedUse(
        env,
        item["id"],
        item["customer_id"],
        item.get("feature_id"),
        item.get("event_name"),
        Decimal(item["value"]),
        at,
        message["key_id"],
        tuple(idempotency_keys),
        item.get("entity_id") or "",
        Overage(item.get("overage_behavior") or Overage.CAP),
        properties,
    )
