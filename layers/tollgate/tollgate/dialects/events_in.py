"""What the usage queue carries, as uses to count: reported events from the bus, and what the HTTP API accepted before it
counted (`dialects.autumn.queue`).

Times of reported events: `time` is when it happened. A late one counts in the period that was running then, where that has
not been reset yet, else in the one that runs; one from the future counts now. Beyond the bounds a time is taken for a
mistake.

Ids: a producer's own is unique among the events of its source alone, so the use that it names is `source:id`; EventBridge's
own id of an event is the use's as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from tollgate.dialects.events_models import REPORTED, UsageReported
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import InvalidInput
from tollgate.domain.keys import Environment
from tollgate.domain.usage import EARLY_MS, LATE_MS, checked_properties_size
from tollgate.exact_json import dumps
from tollgate.store.once import DAY_MS, Once
from tollgate.usecases.intake import Arrived

REMEMBERED_MS = 45 * DAY_MS  # longer than a message lives in the queue and the dead-letter queue together
KEY_ID = "eventbridge"


def is_reported(message: Any) -> bool:
    """Whether a message is an event that a rule of the bus delivered."""
    return isinstance(message, dict) and "detail-type" in message


def reported_use(message: Mapping[str, Any], now: int) -> Arrived:
    """The use that a `usage.reported` event tells of; raises InvalidInput in words for whoever sent it."""
    if message["detail-type"] != REPORTED:
        raise InvalidInput("detail-type", f"must be {REPORTED}")
    try:
        detail = UsageReported.model_validate(message.get("detail"))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        raise InvalidInput("detail", "; ".join(problems)) from error
    if (detail.feature_id is None) == (detail.event_name is None):
        raise InvalidInput("detail", "must name either feature_id or event_name")
    properties = detail.properties or {}
    checked_properties_size(len(dumps(properties)))
    at = now if detail.time is None else detail.time
    if not now - LATE_MS <= at <= now + EARLY_MS:
        raise InvalidInput("time", "must be at most a year ago and an hour ahead")
    source = str(message.get("source", ""))
    id = detail.id or str(message["id"])
    return Arrived(
        Environment(detail.environment),
        use_id(source, detail.id) if detail.id else id,
        detail.customer_id,
        detail.feature_id,
        detail.event_name,
        Decimal(1) if detail.value is None else detail.value,
        at,
        KEY_ID,
        (Once("reported", f"{source}\n{id}", REMEMBERED_MS),),
        detail.entity_id or "",
        Overage.REPORTED,
        properties,
        by_its_time=True,
    )


def use_id(source: str, id: str) -> str:
    """The id of the use that a producer named: no two of (source, id) share one, as the first colon ends the source."""
    return f"{quote(source, safe='')}:{id}"
