"""A balance and a flag as Autumn shows them, in the newest version's shape (autumn.md 1.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tollgate.dialects.autumn.features import feature_json
from tollgate.domain.balances import Balances
from tollgate.domain.decisions import Deduction
from tollgate.domain.features import Feature
from tollgate.domain.grants import Rollover
from tollgate.domain.periods import Interval
from tollgate.domain.quantities import ZERO
from tollgate.domain.views import Line, flag, shown_ids, view

if TYPE_CHECKING:
    from tollgate.domain.history import Taken

Features = Mapping[str, Feature]
"""The catalog's features by id."""

NEVER = {"interval": "one_off", "resets_at": None}


def flag_json(
    feature_id: str, entity_id: str, balances: Balances, features: Features, *, expanded: bool = False
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
    if expanded and feature_id in features:
        shown["feature"] = feature_json(features[feature_id])
    return shown


def balance_json(
    feature_id: str, entity_id: str, balances: Balances, features: Features, *, expanded: bool = False
) -> dict[str, Any] | None:
    """A metered feature's balance; None where nothing grants it. Amounts are in units of the feature.

    An unlimited balance shows its usage, and zero for the amounts that it does not have.
    """
    found = view(feature_id, entity_id, balances)
    if found is None:
        return None
    feature = features.get(feature_id)
    shown: dict[str, Any] = {
        "object": "balance",
        "feature_id": feature_id,
        **found.totals._asdict(),
        "reserved": found.reserved,
        "settled": found.totals.usage - found.reserved,
        "overage": found.overage,
        "overage_allowed": found.overage_allowed,
        "max_purchase": found.max_purchase,
        "next_reset_at": found.next_reset_at,
        "breakdown": [line_json(line, feature, entity_id) for line in found.lines],
    }
    if found.rollovers is not None:
        shown["rollovers"] = rollovers_json(found.rollovers)
    if expanded and feature:
        shown["feature"] = feature_json(feature)
    return shown


def line_json(line: Line, feature: Feature | None, entity_id: str) -> dict[str, Any]:
    """One line of a balance's `breakdown`, as the customer or (`entity_id`) an entity sees it, in units of its feature,
    times in ms. `reserved` and `rollovers` are absent where there is none of either."""
    first = line.grants[0]
    shown: dict[str, Any] = {
        "object": "balance_breakdown",
        "id": line.id,
        "plan_id": line.plan_id,
        "included_grant": line.included,
        "prepaid_grant": ZERO if line.first.unlimited else line.prepaid,
        "remaining": line.remaining,
        "usage": line.usage,
        "overage": line.overage,
        "unlimited": line.first.unlimited,
        "reset": None if line.first.unlimited else reset_json(feature, _period(line), line.next_reset_at),
        "price": None if line.first.unlimited else _price_json(line),
        "expires_at": line.first.expires_at,
        "source": "entity" if first.of_entity else "customer",
        "entity_id": (first.key.entity_id or None) if entity_id or first.of_entity else None,
    }
    if line.reserved:
        shown["reserved"] = line.reserved
    if line.rollovers:
        shown["rollovers"] = rollovers_json(line.rollovers)
    return shown


def rollovers_json(rollovers: Iterable[Rollover]) -> list[dict[str, Any]]:
    """Units of earlier periods that live on: what there was, what is left, and until when (ms; 0 is for ever)."""
    return [{"granted": r.granted, "balance": r.remaining, "expires_at": r.expires_at or 0} for r in rollovers]


def _period(line: Line) -> tuple[str, int] | None:
    reset = line.first.reset
    return (reset.interval.value, reset.count) if reset else None


def reset_json(feature: Feature | None, period: tuple[str, int] | None, resets_at: int | None) -> dict[str, Any] | None:
    """How often units come back (every so many intervals), and when next (ms); None for an allocated feature and a
    flag. What is consumed and never comes back is `one_off` (autumn.md 1.5.1)."""
    if feature is not None and not feature.consumable:
        return None
    if period is None or period[0] == Interval.ONE_OFF:
        return dict(NEVER)
    return {"interval": period[0], "interval_count": period[1], "resets_at": resets_at}


def _price_json(line: Line) -> dict[str, Any] | None:
    """What units cost beyond the included ones; None for a line without a price."""
    price = line.first.price
    if price is None:
        return None
    return {
        "billing_units": 1,
        **({} if "tiers" in price else {"amount": ZERO}),
        **price,
        "max_purchase": line.max_purchase,
    }


def deductions_json(
    deductions: Iterable[Deduction], entity_id: str, balances: Balances, features: Features
) -> list[dict[str, Any]]:
    """What a use moved, in deduction order: one for each line of a balance, in units of its feature; below zero it was
    given back. `balances` are those after the use."""
    deductions = tuple(deductions)
    ids = {id: shown_ids(id, entity_id, balances) for id in {moved.feature_id for moved in deductions}}
    lines: dict[tuple[str, str], list[Deduction]] = {}
    for moved in deductions:
        id = ids[moved.feature_id].get(moved.grant.id, moved.grant.id)
        lines.setdefault((moved.feature_id, id), []).append(moved)
    shown = []
    for (feature_id, id), group in lines.items():
        grant, value = group[0].grant, sum((moved.value for moved in group), ZERO)
        period = (grant.reset.interval.value, grant.reset.count) if grant.reset else None
        at = min((moved.grant.next_reset_at for moved in group if moved.grant.next_reset_at is not None), default=None)
        reset = reset_json(features.get(feature_id), period, at)
        if value:
            shown.append(_deduction_json(id, feature_id, grant.plan_id, reset, value))
    return shown


def taken_json(deductions: Iterable[Taken], features: Features) -> list[dict[str, Any]]:
    """The same of a use in the history."""
    lines: dict[tuple[object, ...], list[Taken]] = {}
    for taken in deductions:
        lines.setdefault(taken.line, []).append(taken)
    shown = []
    for group in lines.values():
        first = group[0]
        period = first.reset and first.reset[:2]
        at = min((taken.reset[2] for taken in group if taken.reset and taken.reset[2] is not None), default=None)
        value = sum((taken.value for taken in group), ZERO)
        if value:
            reset = reset_json(features.get(first.feature_id), period, at)
            shown.append(_deduction_json(first.shown_id, first.feature_id, first.plan_id, reset, value))
    return shown


def _deduction_json(
    id: str, feature_id: str, plan_id: str | None, reset: dict[str, Any] | None, value: Decimal
) -> dict[str, Any]:
    return {"balance_id": id, "feature_id": feature_id, "plan_id": plan_id, "reset": reset, "value": value}
