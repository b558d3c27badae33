"""A balance and a flag as Autumn shows them, in the newest version's shape (autumn.md 1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollgate.dialects.autumn.features import feature_json
from tollgate.domain.balances import Balances
from tollgate.domain.decisions import Deduction
from tollgate.domain.features import Feature
from tollgate.domain.grants import Grant
from tollgate.domain.quantities import ZERO
from tollgate.domain.views import Shown, flag, view

FeatureStore = Mapping[str, Feature] | None
"""The catalog's features where the answer is to expand them; None where it is not."""


def flag_json(
    feature_id: str, entity_id: str, balances: Balances, features: FeatureStore = None
) -> dict[str, Any] | None:
    """A boolean or static feature; None where it is not held."""
    grant = flag(feature_id, entity_id, balances)
    if grant is None:
        return None
    shown: dict[str, Any] = {
        "object": "flag",
        "id": grant.id,
        "plan_id": grant.plan_id,
        "expires_at": grant.expires_at,
        "feature_id": feature_id,
    }
    if grant.value is not None:
        shown["static_value"] = grant.value
    if features and feature_id in features:
        shown["feature"] = feature_json(features[feature_id])
    return shown


def balance_json(
    feature_id: str, entity_id: str, balances: Balances, features: FeatureStore = None
) -> dict[str, Any] | None:
    """A metered feature's balance; None where nothing grants it. Amounts are in units of the feature.

    An unlimited balance shows its usage, and zero for the amounts that it does not have; of its grants, those that are
    unlimited. What an entity alone holds counts in its customer's sums, and is not listed there.
    """
    found = view(feature_id, entity_id, balances)
    if found is None:
        return None
    unlimited = found.totals.unlimited
    listed = [
        shown
        for shown in found.grants
        if (entity_id or not shown.of_entity) and (shown.grant.unlimited or not unlimited)
    ]
    shown: dict[str, Any] = {
        "object": "balance",
        "feature_id": feature_id,
        **found.totals._asdict(),
        "reserved": found.reserved,
        "settled": found.totals.usage - found.reserved,
        "overage": ZERO if found.totals.unlimited else found.overage,
        "overage_allowed": found.overage_allowed,
        "max_purchase": found.max_purchase,
        "next_reset_at": None if unlimited else found.next_reset_at,
        "breakdown": [grant_json(shown) for shown in listed],
    }
    if found.rollovers is not None:
        shown["rollovers"] = [
            {"granted": r.granted, "balance": r.remaining, "expires_at": r.expires_at or 0} for r in found.rollovers
        ]
    if features and feature_id in features:
        shown["feature"] = feature_json(features[feature_id])
    return shown


def grant_json(shown: Shown) -> dict[str, Any]:
    """One row of a balance's `breakdown`: a grant, in units of its feature, times in ms."""
    grant = shown.grant
    return {
        "object": "balance_breakdown",
        "id": grant.id,
        "plan_id": grant.plan_id,
        "included_grant": ZERO if grant.unlimited else grant.granted + grant.adjustment,
        "prepaid_grant": grant.prepaid,
        "remaining": max(grant.remaining, ZERO),
        "usage": grant.used,
        "overage": grant.overdrawn,
        "unlimited": grant.unlimited,
        "reset": reset_json(grant),
        "price": price_json(grant),
        "expires_at": grant.expires_at,
        "source": "entity" if shown.of_entity else "customer",
        "entity_id": shown.key.entity_id or None,
    }


def reset_json(grant: Grant) -> dict[str, Any] | None:
    """How often a grant resets, and when next (ms); one that never does is `one_off`, and has no next time. None for one
    that is unlimited, and never resets."""
    if grant.reset is None or grant.next_reset_at is None:
        return None if grant.unlimited and grant.reset is None else {"interval": "one_off", "resets_at": None}
    return {
        "interval": grant.reset.interval.value,
        "interval_count": grant.reset.count,
        "resets_at": grant.next_reset_at,
    }


def price_json(grant: Grant) -> dict[str, Any] | None:
    """What the units of a grant cost beyond the included ones; None for a grant without a price."""
    if grant.price is None:
        return None
    return {
        "billing_units": 1,
        **({} if "tiers" in grant.price else {"amount": ZERO}),
        **grant.price,
        "max_purchase": grant.max_purchase,
    }


def deduction_json(deduction: Deduction) -> dict[str, Any]:
    """What a use moved on one grant, in units of the grant's feature; below zero it was given back."""
    return {
        "balance_id": deduction.grant.id,
        "feature_id": deduction.feature_id,
        "plan_id": deduction.grant.plan_id,
        "reset": reset_json(deduction.grant),
        "value": deduction.value,
    }
