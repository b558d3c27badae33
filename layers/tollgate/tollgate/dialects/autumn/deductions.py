"""`events.aggregate` with `aggregate_on: deducted`: what was drawn from which balance (autumn.md 7.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from tollgate.dialects.autumn.balances import Features, reset_json
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.history import Bin, Entry, GroupOf, Taken, bin_start
from tollgate.domain.quantities import ZERO, unconverted


def deductions_json(
    entries: Iterable[Entry],
    starts: Sequence[int],
    size: Bin,
    zone: tzinfo,
    catalog: Features,
    group_of: GroupOf | None,
) -> list[dict[str, Any]]:
    """What was drawn in each bin, by the feature that owns the balance; in groups, by the balance.

    `starts` are the bins' first instants (ms). Amounts are in units of the balance's feature.
    """
    by_bin: dict[int, list[tuple[Entry, Taken]]] = {at: [] for at in starts}
    for entry in entries:
        by_bin[bin_start(entry.at, size, zone)] += [(entry, taken) for taken in entry.deductions]
    shown = []
    for at in starts:
        found = by_bin[at]
        features = sorted({taken.feature_id for _, taken in found})
        bin_json: dict[str, Any] = {
            "period": at,
            "values": {
                id: _feature([(e, t) for e, t in found if t.feature_id == id], catalog.get(id)) for id in features
            },
        }
        if group_of is not None:
            grouped: dict[str, dict[str, dict[str, Any]]] = {}
            for entry, taken in found:
                one = grouped.setdefault(taken.shown_id, {}).setdefault(group_of(entry), {"deducted": ZERO})
                one["deducted"] += taken.value
            bin_json["grouped_values"] = grouped
        shown.append(bin_json)
    return shown


def _feature(found: Sequence[tuple[Entry, Taken]], feature: Feature | None) -> dict[str, Any]:
    by_balance: dict[str, list[tuple[Entry, Taken]]] = {}
    for entry, taken in found:
        by_balance.setdefault(taken.shown_id, []).append((entry, taken))
    return {
        "feature_type": feature.type.value if feature else FeatureType.METERED.value,
        "deducted": sum((taken.value for _, taken in found), ZERO),
        "events": len({entry.identity for entry, _ in found}),
        "balances": [_balance(id, by_balance[id], feature) for id in sorted(by_balance)],
    }


def _balance(id: str, found: Sequence[tuple[Entry, Taken]], feature: Feature | None) -> dict[str, Any]:
    _, last = found[0]  # entries come newest first
    reset = reset_json(feature, last.reset and last.reset[:2], last.reset and last.reset[2])
    if reset is not None:
        reset = {name: reset[name] for name in ("interval", "resets_at")}
    owners = {taken.entity_id for _, taken in found}
    return {
        "balance_id": id,
        "entity_id": last.entity_id if len(owners) == 1 else None,
        "plan_id": last.plan_id,
        "reset": reset,
        "credit_cost": _cost(found),
        "deducted": sum((taken.value for _, taken in found), ZERO),
        "events": len({entry.identity for entry, _ in found}),
    }


def _cost(found: Sequence[tuple[Entry, Taken]]) -> Decimal | None:
    """Credits for one unit of the feature used; None where nothing was converted, or the rate is unknown or not
    always the same."""
    rates = {
        unconverted(taken.value, entry.value)
        for entry, taken in found
        if entry.feature_id != taken.feature_id and entry.value and len(entry.deductions) == 1
    }
    mixed = any(entry.feature_id == taken.feature_id for entry, taken in found)
    return next(iter(rates)) if len(rates) == 1 and not mixed else None
