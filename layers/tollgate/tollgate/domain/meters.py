"""How a usage event that names an event and properties, not an amount, becomes an amount of a feature.

`amount_of` serves the aggregations that need nothing but the event itself. Those that need what came before (AVG,
COUNT_UNIQUE, LATEST, MAX, WEIGHTED_SUM) are to come; until then they are refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from tollgate.domain.errors import InvalidInput, InvalidRequest
from tollgate.domain.features import Feature
from tollgate.domain.quantities import converted, quantity

STATELESS = frozenset({"COUNT", "SUM", "SUM_WITH_MULTIPLIER"})
ONE = Decimal(1)


def counting(features: Iterable[Feature], event_name: str) -> list[Feature]:
    """The features that an event of that name is a use of: those that list it, and those whose meter names it."""
    return [
        feature
        for feature in features
        if not feature.type.is_flag
        and (event_name in feature.event_names or _meter(feature).get("event_name") == event_name)
    ]


def amount_of(feature: Feature, properties: Mapping[str, Any]) -> Decimal | None:
    """How much of the feature an event used; None where the meter's filters do not match or the event has no such number.

    Without a meter: the event's `value`, else one. Raises InvalidRequest for an aggregation that needs state.
    """
    meter = _meter(feature)
    if not meter:
        value = _number(properties.get("value"))
        return ONE if value is None else value
    if not all(_matches(condition, properties) for condition in meter.get("filters") or ()):
        return None
    aggregation = meter["aggregation"]
    kind = aggregation["type"]
    if kind not in STATELESS:
        raise InvalidRequest(f"The meter of feature {feature.id} aggregates by {kind}, which is not supported yet")
    if kind == "COUNT":
        return ONE
    value = _number(properties.get(aggregation.get("field") or "value"))
    if value is None or kind == "SUM":
        return value
    return converted(value, Decimal(aggregation.get("multiplier") or ONE))


def _meter(feature: Feature) -> Mapping[str, Any]:
    return feature.extra.get("meter") or {}


def _matches(condition: Mapping[str, Any], properties: Mapping[str, Any]) -> bool:
    """Whether a first-level property has one of the values; a filter without values asks for nothing."""
    values = condition.get("values") or ()
    return not values or _text(properties.get(condition["key"])) in values


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _number(value: Any) -> Decimal | None:
    """A property as a quantity: a number, or text that is one."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        return quantity(Decimal(value), "")
    except (InvalidOperation, InvalidInput):
        return None
