"""A balance and a flag as Autumn shows them, in the newest version's shape (autumn.md 1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollgate.dialects.autumn.features import feature_json
from tollgate.domain.decisions import Deduction, World
from tollgate.domain.features import Feature
from tollgate.domain.quantities import ZERO
from tollgate.domain.rows import Row
from tollgate.domain.views import Shown, flag, view

Features = Mapping[str, Feature] | None
"""The catalog's features where the answer is to expand them; None where it is not."""


def flag_json(feature_id: str, entity_id: str, world: World, features: Features = None) -> dict[str, Any] | None:
    """A boolean or static feature that is held; None otherwise."""
    row = flag(feature_id, entity_id, world)
    if row is None:
        return None
    shown: dict[str, Any] = {
        "object": "flag",
        "id": row.id,
        "plan_id": row.plan_id,
        "expires_at": row.expires_at,
        "feature_id": feature_id,
    }
    if row.value is not None:
        shown["static_value"] = row.value
    if features and feature_id in features:
        shown["feature"] = feature_json(features[feature_id])
    return shown


def balance_json(feature_id: str, entity_id: str, world: World, features: Features = None) -> dict[str, Any] | None:
    """A metered feature's balance; None where nothing grants it. An unlimited one reports its usage, and zeros for what
    has no number."""
    found = view(feature_id, entity_id, world)
    if found is None:
        return None
    shown: dict[str, Any] = {
        "object": "balance",
        "feature_id": feature_id,
        **found.totals._asdict(),
        "reserved": found.reserved,
        "settled": found.totals.usage - found.reserved,
        "overage": ZERO if found.totals.unlimited else found.overage,
        "overage_allowed": found.overage_allowed,
        "max_purchase": found.max_purchase,
        "next_reset_at": found.next_reset_at,
        "breakdown": [row_json(row) for row in found.rows],
    }
    if found.rollovers is not None:
        shown["rollovers"] = [
            {"granted": r.granted, "balance": r.remaining, "expires_at": r.expires_at or 0} for r in found.rollovers
        ]
    if features and feature_id in features:
        shown["feature"] = feature_json(features[feature_id])
    return shown


def row_json(shown: Shown) -> dict[str, Any]:
    row = shown.row
    return {
        "object": "balance_breakdown",
        "id": row.id,
        "plan_id": row.plan_id,
        "included_grant": ZERO if row.unlimited else row.granted + row.adjustment,
        "prepaid_grant": row.prepaid,
        "remaining": max(row.remaining, ZERO),
        "usage": row.used,
        "overage": row.overdrawn,
        "unlimited": row.unlimited,
        "reset": reset_json(row),
        "price": price_json(row),
        "expires_at": row.expires_at,
        "source": "entity" if shown.of_entity else "customer",
        "entity_id": shown.place.entity_id or None,
    }


def reset_json(row: Row) -> dict[str, Any] | None:
    if row.reset is None:
        return None
    return {
        "interval": row.reset.interval.value,
        "interval_count": row.reset.count,
        "resets_at": row.next_reset_at,
    }


def price_json(row: Row) -> dict[str, Any] | None:
    if row.price is None:
        return None
    return {
        "billing_units": 1,
        **({} if "tiers" in row.price else {"amount": ZERO}),
        **row.price,
        "max_purchase": row.max_purchase,
    }


def deduction_json(deduction: Deduction) -> dict[str, Any]:
    return {
        "balance_id": deduction.row.id,
        "feature_id": deduction.feature_id,
        "plan_id": deduction.row.plan_id,
        "reset": reset_json(deduction.row),
        "value": deduction.value,
    }
