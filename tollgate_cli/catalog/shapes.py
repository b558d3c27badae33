"""The management API's answers in the words of a catalog file.

An answer says everything, a file only what is not a matter of course. `body_of_feature` and `body_of_plan` make the one
way to write a feature or plan: two that say the same are equal, and what a file says is compared in this form.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tollgate.domain.quantities import MAX_DIGITS

Body = dict[str, Any]
"""A feature or plan as a file holds it."""

_KEPT = (
    "description",
    "lookup_key",
    "metadata",
    "unit_singular",
    "unit_plural",
    "reporting_unit",
    "group",
    "alert_settings",
)
_NEVER = "one_off"


def body_of_feature(shown: Mapping[str, Any]) -> Body:
    """A feature of `features.list` as a file says it."""
    pool = shown["type"] in ("credit_system", "ai_credit_system")
    said = {
        "feature_id": shown["id"],
        "name": shown["name"],
        "type": shown["type"],
        "consumable": _unless(pool, shown["consumable"]),
        "event_names": shown["event_names"],
        "credit_schema": [
            _without_nothing(
                {
                    **_fields(entry, "metered_feature_id", "credit_cost"),
                    "billing_units": _unless(1, entry.get("billing_units")),
                }
            )
            for entry in shown.get("credit_schema", ())
        ],
        **{name: shown.get(name) for name in ("model_markups", "provider_markups", "default_markup")},
        "display": _said(shown.get("display") or {}),
        **{name: _said(shown.get(name)) for name in _KEPT if name != "metadata"},
        "metadata": shown.get("metadata"),
        "meter": _meter(shown.get("meter")),
        "archived": shown["archived"],
    }
    return _plain_body(_without_nothing(said))


def body_of_plan(shown: Mapping[str, Any]) -> Body:
    """A plan of `plans.list` as a file says it."""
    said = {
        "plan_id": shown["id"],
        "name": shown["name"],
        "description": shown["description"],
        "group": shown["group"],
        "add_on": shown["add_on"],
        "auto_enable": shown["auto_enable"],
        "lookup_key": shown.get("lookup_key"),
        "price": _price(shown["price"]),
        "free_trial": _trial(shown.get("free_trial")),
        "items": [_item(item) for item in shown["items"]],
        "billing_controls": _controls(shown.get("billing_controls") or {}),
        "metadata": shown["metadata"],
        "archived": shown["archived"],
    }
    return _plain_body(_without_nothing(said))


def same(one: Any, other: Any) -> bool:
    """Whether two values say the same; unlike Python, true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _item(shown: Mapping[str, Any]) -> Body:
    price = _price(shown["price"])
    said = {
        "feature_id": shown["feature_id"],
        "included": shown["included"] or None,
        "unlimited": shown["unlimited"],
        "reset": _reset(shown["reset"], priced=price is not None),
        "price": price,
        "rollover": _rollover(shown.get("rollover")),
        "entity_feature_id": shown.get("entity_feature_id"),
        "static_value": shown.get("static_value"),
        "is_soft_limit": shown.get("is_soft_limit"),
    }
    enabled = shown.get("is_enabled", True)
    return _without_nothing(said) | ({} if enabled else {"is_enabled": False})


def _reset(shown: Mapping[str, Any] | None, *, priced: bool) -> Body | None:
    """What never comes back is a matter of course, unless there is a price, whose interval would be taken."""
    if shown is None or (shown["interval"] == _NEVER and not priced):
        return None
    return _without_nothing({"interval": shown["interval"], "interval_count": _unless(1, shown.get("interval_count"))})


def _price(shown: Mapping[str, Any] | None) -> Body | None:
    """The price of a plan or of an item; zero is said."""
    if shown is None:
        return None
    said = {
        "amount": shown.get("amount"),
        "tiers": [_fields(tier, "to", "amount", "flat_amount") for tier in shown.get("tiers") or ()] or None,
        "tier_behavior": shown.get("tier_behavior"),
        "interval": shown["interval"],
        "interval_count": _unless(1, shown.get("interval_count")),
        "billing_units": _unless(1, shown.get("billing_units")),
        "billing_method": shown.get("billing_method"),
        "max_purchase": shown.get("max_purchase"),
    }
    return _without_nothing(said)


def _rollover(shown: Mapping[str, Any] | None) -> Body | None:
    if shown is None:
        return None
    return _fields(shown, "max", "max_percentage", "expiry_duration_type", "expiry_duration_length")


def _trial(shown: Mapping[str, Any] | None) -> Body | None:
    if shown is None:
        return None
    trial = _fields(shown, "duration_length", "duration_type")
    return trial | ({"card_required": True} if shown.get("card_required") else {})


def _meter(shown: Mapping[str, Any] | None) -> Body | None:
    if shown is None:
        return None
    said = _fields(shown, "name", "event_name", "aggregation", "filters", "reset_usage")
    said["aggregation"] = _fields(said["aggregation"], "type", "field", "multiplier")
    return _without_nothing(said)


def _controls(shown: Mapping[str, Any]) -> Body:
    """Limits and alerts, without what holds unless told."""
    return {kind: [_control(kind, entry) for entry in entries] for kind, entries in shown.items() if entries}


def _control(kind: str, entry: Mapping[str, Any]) -> Body:
    on = kind != "auto_topups"  # unless told
    usual = {"enabled": on, "limit_type": "absolute", "anchor": "billing_cycle", "invoice_mode": False}
    said = {name: value for name, value in entry.items() if not (name in usual and same(usual[name], value))}
    if limit := said.get("purchase_limit"):
        window = limit if not same(limit.get("interval_count", 1), 1) else _fields(limit, "interval", "limit")
        said["purchase_limit"] = dict(window)
    return said


def _unless(usual: Any, value: Any) -> Any:
    return None if value is None or same(usual, value) else value


def _fields(shown: Mapping[str, Any], *names: str) -> Body:
    return {name: shown[name] for name in names if shown.get(name) is not None}


def _said(value: Any) -> Any:
    """The value without the fields that are null, at any depth."""
    if isinstance(value, dict):
        return {name: _said(each) for name, each in value.items() if each is not None}
    return [_said(each) for each in value] if isinstance(value, list) else value


def _without_nothing(said: Body) -> Body:
    """Without the fields that ask for nothing: null, an empty list or object, and false, but for `consumable`."""
    return {
        name: value
        for name, value in said.items()
        if value is not None and value != [] and value != {} and (value is not False or name == "consumable")
    }


def _plain_body(body: Body) -> Body:
    return {name: _plain(value) for name, value in body.items()}


def _plain(value: Any) -> Any:
    """Equal numbers in one spelling: 1.50 and 1.5, 2.0 and 2."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal) and abs(value.adjusted()) < MAX_DIGITS and len(value.as_tuple().digits) <= MAX_DIGITS:
        return int(value) if value == value.to_integral_value() else value.normalize()
    return value
