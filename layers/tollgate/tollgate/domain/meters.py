"""Meters: how an event that names itself and has properties becomes an amount of a feature (management.md 2).

`amount_of` gives the amount that one event states. For COUNT, SUM and SUM_WITH_MULTIPLIER that amount is added to the
usage. The other aggregations depend on all events of a grant's period: `step` returns by how much one event changes the
aggregate, and the numbers that the grant keeps for its period (`Grant.meters`) to compute the next step from.

    MAX           the highest value                      keeps that value
    LATEST        the value of the latest time           keeps the time (epoch ms) and the value
    AVG           the sum by the number of events        keeps both
    COUNT_UNIQUE  how many different values              keeps its own usage, and those that went over to it
                                                         (`domain.unique_values`); an item for each value lists
                                                         where it was counted
    WEIGHTED_SUM  each value times the rest of the period, divided by the period's length; the whole value where
                  nothing resets
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
from tollgate.domain.unique_values import Usage, memory_of, usages_of

ONE = Decimal(1)
VALUE = "value"  # the property that holds the amount where the meter names no other


class Aggregation(StrEnum):
    """How a meter turns the events of a period into usage (management.md 2)."""

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
    """How events become usage of one feature.

    - `event_name`: the name of the events that it counts.
    - `aggregation`: how the amounts of several events make the usage.
    - `field`: the property that holds the amount, or the value that COUNT_UNIQUE compares.
    - `multiplier`: for SUM_WITH_MULTIPLIER.
    - `filters`: pairs of a property and the values allowed for it. An event counts where each of these properties has
      one of its values; a pair without values allows any.
    - `resets`: whether usage resets with the billing period.
    """

    event_name: str
    aggregation: Aggregation
    field: str = VALUE
    multiplier: Decimal = ONE
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    resets: bool = True


def meter_of(feature: Feature) -> Meter | None:
    """The feature's meter; None where the feature has none, and an event's own `value` is the amount.

    Usage of LATEST, a gauge, does not reset with the period unless the meter says that it does (lotus.md 2.3).
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
    """Whether a feature's usage may reset: it is consumable, and its meter does not say that its usage never resets."""
    meter = meter_of(feature)
    return feature.consumable and (meter is None or meter.resets)


def counting(features: Iterable[Feature], event_name: str) -> list[Feature]:
    """The features that count events of this name, oldest first: they list it among their event names, or their meter
    names it.
    """
    found = [
        feature
        for feature in features
        if not feature.type.is_flag
        and (event_name in feature.event_names or (feature.extra.get("meter") or {}).get("event_name") == event_name)
    ]
    return sorted(found, key=lambda feature: (feature.created_at, feature.id))


def amount_of(feature: Feature, properties: Mapping[str, Any]) -> Decimal | None:
    """The amount of the feature that an event states; None where the feature's meter filters the event out, or the
    property that it reads holds no number.
    """
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
    """The SHA-256 (hex) of the value that COUNT_UNIQUE compares; None where the feature's meter is another one, or does
    not count an event with these properties.
    """
    meter = meter_of(feature)
    if meter is None or meter.aggregation is not Aggregation.COUNT_UNIQUE or amount_of(feature, properties) is None:
        return None
    return hashlib.sha256(text_of(properties[meter.field]).encode(errors="replace")).hexdigest()


PeriodsCounted = Mapping[str, int]
"""Of one value of COUNT_UNIQUE: the usages that have counted it, by `usage_name`, each with the end (epoch ms) of the
period in which it did; 0: it never ends."""


class Step(NamedTuple):
    """What one event changes on one grant: `change` is added to its usage; `memory` is what the grant keeps of its
    period for the next step (empty: nothing).
    """

    change: Decimal
    memory: tuple[Decimal, ...] = ()


def step(
    feature: Feature, grant: Grant, amount: Decimal, at: int, counted_in: PeriodsCounted, cost: Decimal = ONE
) -> Step:
    """What an event of this amount, of the time `at` (epoch ms), changes on a grant, of which one unit of the feature
    draws `cost`.

    `counted_in`: of COUNT_UNIQUE, the periods in which the event's value was counted before.
    """
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
        usages, own = usages_of(memory, grant.counted), usage_name(grant)
        known = any(str(name) in counted_in for name in (own, *usages))
        if known or counted_in.get(grant.id) == period_end(grant):  # by its id: of older records
            return Step(ZERO, memory_of({own: Usage(), **usages}, cost))
        others = frozenset(Decimal(name) for name in counted_in if name.isdecimal())
        return Step(amount, memory_of({**usages, own: usages.get(own, Usage()).counting(others)}, cost))
    if grant.period is None:
        return Step(amount)
    start, end = grant.period
    rest = end - min(max(at, start), end)
    return Step(quantity(amount * rest / (end - start), ""))


def usage_names(feature: Feature, grant: Grant) -> tuple[Decimal, ...]:
    """The names of the usage of a grant's period, for a feature that counts different values: those of the usages that
    went over to it, and its own (management.md 2 (meter)).

    Two grants that take over the same usage count on apart, each under its own name.
    """
    return (*usages_of(grant.meters.get(feature.id, ()), ZERO), usage_name(grant))


def usage_name(grant: Grant) -> Decimal:
    """The name under which a grant counts values in its period."""
    text = f"{grant.id}\n{grant.created_at}\n{period_end(grant)}"
    return Decimal(int(hashlib.sha256(text.encode()).hexdigest()[:15], 16))


def period_end(grant: Grant) -> int:
    """The end of the grant's current period (epoch ms); 0 where it never resets."""
    return grant.next_reset_at or 0


def _mean(total: Decimal, count: Decimal) -> Decimal:
    return quantity(total / count, "") if count else ZERO


def _number(value: Any) -> Decimal | None:
    """A property as a quantity; text is read as a number. None where it is no number, or one that a balance cannot
    hold.
    """
    if isinstance(value, str):
        value = number_of(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    try:
        return quantity(value, "")
    except InvalidInput:
        return None
