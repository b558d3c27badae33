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


def schema_json(feature: Feature) -> list[dict[str, Any]]:
    """What each member of a credit system costs: credits for one unit of it."""
    return [{"metered_feature_id": member, "credit_cost": cost} for member, cost in feature.credit_schema]
