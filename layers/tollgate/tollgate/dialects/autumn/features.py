"""A feature as Autumn shows it, with Tollgate's own fields (management.md 2 (features.create))."""

from __future__ import annotations

from typing import Any

from tollgate.domain.features import Feature


def feature_json(feature: Feature) -> dict[str, Any]:
    """A feature in the newest shape, without the ids of other vendors."""
    shown: dict[str, Any] = {
        "id": feature.id,
        "name": feature.name,
        "type": feature.type.value,
        "consumable": feature.consumable,
        "event_names": list(feature.event_names),
        "archived": feature.archived,
        "created_at": feature.created_at,
    }
    if feature.credit_schema:
        shown["credit_schema"] = schema_json(feature)
    if feature.display:
        shown["display"] = {"singular": None, "plural": None, **feature.display}
    return shown | dict(feature.extra)


def kind_v1(feature: Feature) -> str:
    """What 1.x calls the feature's type."""
    if feature.type.is_flag:
        return "static"
    return "single_use" if feature.consumable else "continuous_use"


def feature_v1_json(feature: Feature) -> dict[str, Any]:
    """A feature as 1.x shows it in an item."""
    shown: dict[str, Any] = {"id": feature.id, "name": feature.name, "type": kind_v1(feature)}
    if feature.credit_schema:
        shown["credit_schema"] = [{"feature_id": id, "credit_amount": cost} for id, cost in feature.credit_schema]
    if feature.display:
        shown["display"] = {"singular": None, "plural": None, **feature.display}
    return shown


def schema_json(feature: Feature) -> list[dict[str, Any]]:
    """What each member of a credit system costs: credits for one unit of it."""
    return [{"metered_feature_id": member, "credit_cost": cost} for member, cost in feature.credit_schema]
