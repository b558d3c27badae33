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
    """What 1.x calls the type of a customer's feature, and of a product's item."""
    if feature.type.is_flag:
        return "static"
    return "single_use" if feature.consumable else "continuous_use"


def feature_v1_json(feature: Feature) -> dict[str, Any]:
    """A feature as 1.x shows it in the catalog and in an item: one type says what it is and whether it is consumed."""
    kind = feature.type.value if feature.type.is_credits else "boolean" if feature.type.is_flag else kind_v1(feature)
    return {
        "id": feature.id,
        "name": feature.name,
        "type": kind,
        "display": {"singular": "", "plural": "", **feature.display} if feature.display else None,
        "credit_schema": schema_json(feature) if feature.credit_schema else None,
        "archived": feature.archived,
    }


def schema_json(feature: Feature) -> list[dict[str, Any]]:
    """What each member of a credit system costs: credits for one unit of it, or for each lot of `billing_units`."""
    return [
        {"metered_feature_id": member, "credit_cost": cost}
        | ({"billing_units": feature.lots[member]} if member in feature.lots else {})
        for member, cost in feature.credit_schema
    ]
