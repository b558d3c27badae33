"""What the usage queue carries, as uses to count: reported events from the bus, and what the HTTP API accepted before
it counted (`dialects.queue`).

Times of reported events: `time` is when it happened. A late one counts in the period that was running then, where that
has not been reset yet, else in the one that runs; one from the future counts now. A time out of bounds is refused as a
mistake.

Ids: a producer's id is unique only within its source, so the use's id is `source:id`. Where the producer gives none,
EventBridge's id of the event is the use's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from tollgate.dialects.problems import rules, words
from tollgate.dialects.reported_usage import REPORTED, UsageReported
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput
from tollgate.domain.idempotency import QUEUED_KEPT_MS, IdempotencyKey
from tollgate.domain.quantities import quantity
from tollgate.domain.usage_events import UsageEvent
from tollgate.domain.use_records import EARLY_MS, LATE_MS, checked_properties_size
from tollgate.exact_json import dumps
from tollgate.usecases.usage_events import QueuedEvent
from tollgate.usecases.usage_queue import QueuedUse

KEY_ID = "eventbridge"


def is_reported(message: Any) -> bool:
    """Whether a message is an event that a rule of the bus delivered."""
    return isinstance(message, dict) and "detail-type" in message


def reported_use(message: Mapping[str, Any], now: int) -> QueuedUse | QueuedEvent:
    """What a `usage.reported` event reports, at `now` (ms).

    With a value or a feature it is a use of so many units. With an event name alone it is an event, of which the meters
    make amounts. Raises InvalidInput in words that its producer understands.
    """
    if message["detail-type"] != REPORTED:
        raise InvalidInput("detail-type", f"must be {REPORTED}")
    try:
        detail = UsageReported.model_validate(message.get("detail"))
    except ValidationError as error:
        told = rules(error, message.get("detail"), lambda problem: (problem.field, words(problem.detail)))
        raise InvalidInput("detail", "; ".join(f"{field}: {rule}" for field, rule in told)) from error
    if (detail.feature_id is None) == (detail.event_name is None):
        raise InvalidInput("detail", "must name either feature_id or event_name")
    properties = detail.properties or {}
    checked_properties_size(len(dumps(properties)))
    at = now if detail.time is None else detail.time
    if not now - LATE_MS <= at <= now + EARLY_MS:
        raise InvalidInput("time", "must be at most a year ago and an hour ahead")
    source = str(message.get("source", ""))
    env, own = Environment(detail.environment), detail.id or str(message["id"])
    id = use_id(source, detail.id) if detail.id else own
    idempotency_keys = IdempotencyKey("reported", f"{source}\n{own}", QUEUED_KEPT_MS)
    if detail.event_name is not None and detail.value is None and detail.entity_id is None:
        event = UsageEvent(id, detail.customer_id, detail.event_name, at, properties, source)
        return QueuedEvent(env, event, KEY_ID, expected=True, marker=idempotency_keys, by_its_time=True)
    return QueuedUse(
        env,
        id,
        detail.customer_id,
        detail.feature_id,
        detail.event_name,
        _value(properties) if detail.value is None else detail.value,
        at,
        KEY_ID,
        (idempotency_keys,),
        detail.entity_id or "",
        Overage.REPORTED,
        properties,
        by_its_time=True,
    )


def _value(properties: Mapping[str, Any]) -> Decimal:
    """The amount of a use that names none: its property `value` where that is a number, else 1 (S100)."""
    given = properties.get("value")
    if isinstance(given, bool) or not isinstance(given, int | Decimal):
        return Decimal(1)
    return quantity(given, "properties.value")


def use_id(source: str, id: str) -> str:
    """The id of a use that its producer named. No two pairs of source and id share one: the first colon ends the
    source."""
    return f"{quote(source, safe='')}:{id}"
