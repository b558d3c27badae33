"""One catalog file with every field that a file can have, and each field at each of its choices."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from tollgate.dialects.autumn.catalog import AGGREGATIONS
from tollgate.dialects.autumn.fields import IntervalName

Said = tuple[type[BaseModel], str, Any]
"""A field of a model, and what it is there where that is one of a few."""
_THRESHOLD = {"threshold": Decimal("-1.5"), "condition": "above"}
_TYPES = ("boolean", "static", "metered", "credit_system", "ai_credit_system")
_DAYS = ("day", "week", "month", "year")


def _features() -> Iterator[dict[str, Any]]:
    for kind in _TYPES:
        yield {"feature_id": kind, "name": kind.title(), "type": kind}
    for number, aggregation in enumerate(get_args(AGGREGATIONS)):
        yield {
            "feature_id": f"metered-{number}",
            "name": aggregation,
            "type": "metered",
            "consumable": number > 0,
            "event_names": ["event", "other-event"],
            "display": {"singular": "unit", "plural": "units"},
            "description": "what it is",
            "lookup_key": f"key-{number}",
            "metadata": {"a": [1, Decimal("0.1"), None, {"b": True}]},
            "unit_singular": "unit",
            "unit_plural": "units",
            "reporting_unit": {"unit_singular": "k", "unit_plural": "ks", "conversion_rate": Decimal("1000.5")},
            "group": {"id": "group", "name": "Group", "lookup_key": "group-key"},
            "alert_settings": {
                "alert_enabled": bool(number % 2),
                "critical": _THRESHOLD,
                "warning": {**_THRESHOLD, "condition": "below"},
                "info": _THRESHOLD,
            },
            "meter": {
                "name": "Meter",
                "event_name": "counted",
                "aggregation": {"type": aggregation, "field": "n", "multiplier": Decimal("2.5")},
                "filters": [{"key": "region", "values": ["eu", "us"]}, {"key": "any", "values": []}],
                "reset_usage": ("BILLING_PERIOD", "NEVER")[number % 2],
            },
            "archived": number % 3 == 2,
        }


def _items() -> Iterator[dict[str, Any]]:
    yield {"feature_id": "boolean", "is_enabled": False}
    yield {"feature_id": "static", "static_value": "eu", "is_enabled": True}
    yield {"feature_id": "metered", "unlimited": False, "usage_limit": 5, "is_soft_limit": True}
    yield {"feature_id": "ai_credit_system", "unlimited": True}
    for number, interval in enumerate(get_args(IntervalName)):
        price: dict[str, Any] = {"interval": interval, "interval_count": 2, "billing_units": Decimal("0.5")}
        price["billing_method"] = ("usage_based", "prepaid")[number % 2]
        if number % 3:
            tiers = [{"to": 10, "amount": Decimal("0.01"), "flat_amount": 1}, {"to": "inf", "amount": 0}]
            price |= {"tiers": tiers, "tier_behavior": ("graduated", "volume")[number % 3 - 1]}
        else:
            price["amount"] = Decimal("-0.0000000001")
        item: dict[str, Any] = {
            "feature_id": f"metered-{1 + number % 2}",
            "included": Decimal("10.5"),
            "reset": {"interval": interval, "interval_count": 1 + number},
            "price": {**price, "max_purchase": 7},
            "entity_feature_id": "metered",
            "is_soft_limit": False,
        }
        if interval != "one_off":
            bound = {"max": 3} if number % 2 else {"max_percentage": Decimal("12.5")}
            lasts = ("month", "forever")[number % 2]
            item["rollover"] = {**bound, "expiry_duration_type": lasts, "expiry_duration_length": 4}
        yield item


def _controls() -> dict[str, Any]:
    bases = ("balance", "included", "recurring", "usage_limit")
    thresholds = ("usage", "usage_percentage", "remaining", "remaining_percentage")
    return {
        "spend_limits": [
            {"feature_id": "metered", "enabled": True, "limit_type": "absolute", "overage_limit": Decimal("0.5")},
            {"enabled": False, "limit_type": "usage_percentage", "overage_limit": 0},
        ],
        "usage_limits": [
            {
                "feature_id": "metered",
                "limit": number,
                "interval": interval,
                "enabled": number > 1,
                "anchor": ("billing_cycle", "utc")[number % 2],
                "filter": {"properties": {"region": "eu"}},
            }
            for number, interval in enumerate(_DAYS)
        ],
        "usage_alerts": [
            {
                "threshold": Decimal("-80.25"),
                "threshold_type": threshold,
                "feature_id": "metered",
                "enabled": basis != "balance",
                "name": "told",
                "basis": basis,
            }
            for threshold, basis in zip(thresholds, bases, strict=True)
        ],
        "overage_allowed": [{"feature_id": "metered", "enabled": True}, {"feature_id": "metered-1", "enabled": False}],
        "auto_topups": [
            {
                "feature_id": f"metered-{number + 1}",
                "threshold": Decimal("20.5"),
                "quantity": Decimal("1.25"),
                "enabled": bool(number % 2),
                "purchase_limit": {"interval": interval, "limit": 3, "interval_count": 2},
                "invoice_mode": number < 2,
            }
            for number, interval in enumerate(("hour", "day", "week", "month"))
        ],
    }


def everything() -> dict[str, Any]:
    """The file."""
    features = [*_features()]
    by_id = {feature["feature_id"]: feature for feature in features}
    by_id["metered"]["consumable"] = True
    by_id["credit_system"]["credit_schema"] = [
        {"metered_feature_id": "metered", "credit_cost": Decimal("0.25"), "billing_units": 3}
    ]
    by_id["ai_credit_system"] |= {
        "model_markups": {"own/model": {"markup": Decimal("-12.5"), "input_cost": 1, "output_cost": Decimal("2.5")}},
        "provider_markups": {"openai": {"markup": 10}},
        "default_markup": Decimal("20.5"),
    }
    plans: list[dict[str, Any]] = [
        {
            "plan_id": f"priced-{interval}",
            "name": "Priced",
            "price": {"amount": Decimal("19.99"), "interval": interval, "interval_count": 3},
            "free_trial": {
                "duration_length": 1000,
                "duration_type": _DAYS[number % 4],
                "card_required": bool(number % 2),
            },
            "add_on": bool(number % 2),
            "auto_enable": number == 0,
            "archived": number == 1,
        }
        for number, interval in enumerate(get_args(IntervalName))
    ]
    whole = {"plan_id": "whole", "name": "Whole", "description": "all", "group": "main", "lookup_key": "whole-key"}
    return {
        "features": features,
        "plans": [
            *plans,
            {**whole, "items": [*_items()], "billing_controls": _controls(), "metadata": {"tier": 1}},
        ],
    }


# ------------------------------------------------------------------ what a file says, and what it could say


def said(value: Any) -> Iterator[Said]:
    """Each field that a file of this model says."""
    if isinstance(value, BaseModel):
        for name in value.model_fields_set:
            own = getattr(value, name)
            yield type(value), name, own if own in _choices(type(value), name) else None
            yield from said(own)
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from said(each)


def sayable(found: type[BaseModel]) -> Iterator[Said]:
    """Each field that a file can say, at each of its choices."""
    for name, field in found.model_fields.items():
        for choice in _choices(found, name) or (None,):
            yield found, name, choice
        for part in _parts(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from sayable(part)


def _choices(found: type[BaseModel], name: str) -> tuple[Any, ...]:
    parts = [*_parts(found.model_fields[name].annotation)]
    literals = [choice for part in parts if get_origin(part) is Literal for choice in get_args(part)]
    return (*literals, *((True, False) if bool in parts else ()))


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    if get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _parts(part)
