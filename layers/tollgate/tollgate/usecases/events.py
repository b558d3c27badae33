"""Reported usage: an event that names what happened, counted as a use of every feature that counts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tollgate.domain.decisions import Overage
from tollgate.domain.errors import DuplicateRequest
from tollgate.domain.keys import Caller, Environment
from tollgate.domain.meters import amount_of, counting
from tollgate.domain.usage import NO_PROPERTIES
from tollgate.store.once import DAY_MS, Once
from tollgate.usecases.usage import Meter, Use

REMEMBERED_MS = 45 * DAY_MS  # longer than a message lives in the queue and the dead-letter queue together


class ReportedEvent(NamedTuple):
    """Something that has happened. `id` is its own: an event is counted once, however often it is reported."""

    id: str
    customer_id: str
    name: str
    at: int
    properties: Mapping[str, Any] = NO_PROPERTIES


def ready(meter: Meter, env: Environment, names: Iterable[str]) -> None:
    """Makes sure that the features that count these events are known: reads the catalog anew, once, where none does.

    So an event counts for a feature that was made just before it.
    """
    features = meter.features.catalog(env).features.values()
    if not all(counting(features, name) for name in set(names)):
        meter.features.catalog(env, fresh=True)


def count_event(meter: Meter, caller: Caller, event: ReportedEvent, now: int) -> None:
    """Counts the event in full, past any limit: it has happened. An event that no feature counts is a use of nothing.

    Each feature is counted under a key of its own, so that what fails half-way goes on where it stopped when it is
    delivered again. Raises NotFound for an unknown customer, InvalidRequest for a meter that is not served, Unavailable.
    """
    for feature in counting(meter.features.catalog(caller.environment).features.values(), event.name):
        amount = amount_of(feature, event.properties)
        if amount is None:
            continue
        once = Once("event", f"{event.id}\n{feature.id}", REMEMBERED_MS)
        use = Use(event.customer_id, feature.id, amount, Overage.OVERFLOW, event.properties, at=event.at, once=(once,))
        try:
            meter.track(caller, use, now)
        except DuplicateRequest:
            continue
