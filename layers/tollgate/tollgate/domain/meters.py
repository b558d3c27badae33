"""Meters: how a reported event, which names itself and has properties, becomes an amount of a feature (management.md 2).

`amount_of` is what one event says. For COUNT, SUM and SUM_WITH_MULTIPLIER that is what it adds. The other aggregations
look at all events of a grant's period: `step` tells by how much one event moves the aggregate, from what the grant remembers
of its period (`Grant.meters`), and what it remembers then.

    MAX           the highest value                      remembers it
    LATEST        the value of the latest time           remembers the time, and the value
    AVG           the sum by the number of events        remembers both
    COUNT_UNIQUE  how many different values              what its period's usage is called: each value's own record names it
    WEIGHTED_SUM  each value, times the rest of the period by its length; whole where nothing resets
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from tollgate.domain.errors import InvalidInput
from tollgate.domain.features import Feature
from tollgate.domain.grants import Grant
from tollgate.domain.limits import text_of
from tollgate.domain.quantities import ZERO, number_of, quantity

ONE = Decimal(1)
VALUE = "value"  # the property that an amount is read from where nothing else is named


class Aggregation(StrEnum):
    COUNT = "COUNT"
    SUM = "SUM"
    SUM_WITH_MULTIPLIER = "SUM_WITH_MULTIPLIER"
    MAX = "MAX"
    LATEST = "LATEST"
    AVG = "AVG"
    COUNT_UNIQUE = "COUNT_UNIQUE"
    WEIGHTED_SUM = "WEIGHTED_SUM"


ADDED = (Aggregation.COUNT, Aggregation.SUM, Aggregation.SUM_WITH_MULTIPLIER)


class Meter(NamedTuple):
    """`filters`: the event's property must have one of the values, of each filter that names any. `resets`: with the
    billing period."""

    event_name: str
    aggregation: Aggregation
    field: str = VALUE
    multiplier: Decimal = ONE
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    resets: bool = True


def meter_of(feature: Feature) -> Meter | None:
    """The feature's meter; None where an event's own `value` is the amount.

    The latest value of a gauge outlives a period unless the meter says that it resets (lotus.md 2.3).
    """
    found = feature.extra.get("meter")
    if not found:
        return None
    aggregation = Aggregation(found["aggregation"]["type"])
    reset_usage = found.get("reset_usage")
    return Meter(
        found["event_name"],
        aggregation,
        found["aggregation"].get("field") or VALUE,
        Decimal(found["aggregation"].get("multiplier", 1)),
        tuple((filter["key"], tuple(filter["values"])) for filter in found.get("filters") or ()),
        aggregation is not Aggregation.LATEST if reset_usage is None else reset_usage != "NEVER",
    )


def resets(feature: Feature) -> bool:
    """Whether a feature's usage may reset: neither allocated usage nor what a meter says is for ever does."""
    meter = meter_of(feature)
    return feature.consumable and (meter is None or meter.resets)


def counting(features: Iterable[Feature], event_name: str) -> list[Feature]:
    """The features that an event of that name may be a use of, oldest first: those that list it, and those whose meter
    names it."""
    found = [
        feature
        for feature in features
        if not feature.type.is_flag
        and (event_name in feature.event_names or (feature.extra.get("meter") or {}).get("event_name") == event_name)
    ]
    return sorted(found, key=lambda feature: (feature.created_at, feature.id))


def amount_of(feature: Feature, properties: Mapping[str, Any]) -> Decimal | None:
    """What an event says of a feature; None where its meter does not look at such an event, or finds no number in it."""
    meter = meter_of(feature)
    if meter is None:
        given = _number(properties.get(VALUE))
        return ONE if given is None else given
    if not all(
        not values or (key in properties and text_of(properties[key]) in values) for key, values in meter.filters
    ):
        return None
    if meter.aggregation is Aggregation.COUNT:
        return ONE
    if meter.aggregation is Aggregation.COUNT_UNIQUE:
        return None if properties.get(meter.field) is None else ONE
    amount = _number(properties.get(meter.field))
    if amount is None or meter.aggregation is not Aggregation.SUM_WITH_MULTIPLIER:
        return amount
    return _number(amount * meter.multiplier)


def unique_value(feature: Feature, properties: Mapping[str, Any]) -> str | None:
    """A digest of the value that COUNT_UNIQUE tells events apart by; None where the feature counts no such thing."""
    meter = meter_of(feature)
    if meter is None or meter.aggregation is not Aggregation.COUNT_UNIQUE or amount_of(feature, properties) is None:
        return None
    return hashlib.sha256(text_of(properties[meter.field]).encode(errors="replace")).hexdigest()


PeriodsCounted = Mapping[str, int]
"""Of one value: the usages that have counted it, as `usage_name` calls them, each with the end (ms) of the period in which
(0: it never ends)."""


class Step(NamedTuple):
    """By how much an event moves a grant's aggregate, and what the grant remembers of its period then."""

    change: Decimal
    memory: tuple[Decimal, ...] = ()


def step(feature: Feature, grant: Grant, amount: Decimal, at: int, counted_in: PeriodsCounted) -> Step:
    """What an event at `at` (ms) that says `amount` does to a grant as it stands now."""
    meter = meter_of(feature)
    memory = grant.meters.get(feature.id, ())
    if meter is None or meter.aggregation in ADDED:
        return Step(amount)
    if meter.aggregation is Aggregation.MAX:
        highest = max(amount, memory[0]) if memory else amount
        return Step(highest - (memory[0] if memory else ZERO), (highest,))
    if meter.aggregation is Aggregation.LATEST:
        if memory and at < memory[0]:
            return Step(ZERO, memory)
        return Step(amount - (memory[1] if memory else ZERO), (Decimal(at), amount))
    if meter.aggregation is Aggregation.AVG:
        total, count = memory or (ZERO, ZERO)
        return Step(_mean(total + amount, count + 1) - _mean(total, count), (total + amount, count + 1))
    if meter.aggregation is Aggregation.COUNT_UNIQUE:
        name = usage_name(feature, grant)
        known = str(name) in counted_in or counted_in.get(grant.id) == period_end(grant)  # by its id: of older records
        return Step(ZERO if known else amount, (name,))
    if grant.period is None:
        return Step(amount)
    start, end = grant.period
    rest = end - min(max(at, start), end)
    return Step(quantity(amount * rest / (end - start), ""))


def usage_name(feature: Feature, grant: Grant) -> Decimal:
    """What the usage of a grant's period is called, of a feature that counts different values. It is remembered with the usage,
    and goes over with it to the grants of a plan that takes another's place (management.md 2 (meter))."""
    remembered = grant.meters.get(feature.id)
    if remembered:
        return remembered[0]
    text = f"{grant.id}\n{grant.created_at}\n{period_end(grant)}"
    return Decimal(int(hashlib.sha256(text.encode()).hexdigest()[:15], 16))


def period_end(grant: Grant) -> int:
    """The end of the period that runs (ms), 0 where it never ends."""
    return grant.next_reset_at or 0


def _mean(total: Decimal, count: Decimal) -> Decimal:
    return quantity(total / count, "") if count else ZERO


def _number(value: Any) -> Decimal | None:
    """A property as an amount; None where it is none, or none that a balance can hold. Text counts as the number that
    it spells."""
    if isinstance(value, str):
        value = number_of(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    try:
        return quantity(value, "")
    except InvalidInput:
        return None
