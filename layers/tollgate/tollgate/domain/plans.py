"""Plans: what a subscription grants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tollgate.domain.errors import InvalidInput
from tollgate.domain.features import Feature, FeatureType, feature_of
from tollgate.domain.periods import Reset
from tollgate.domain.quantities import ZERO

MAX_ITEMS = 90  # a plan is attached in one transaction of at most 100 items


@dataclass(frozen=True, slots=True)
class PlanItem:
    """What a plan grants of one feature: `included` units per reset period, or no limit."""

    feature_id: str
    included: Decimal = ZERO
    unlimited: bool = False
    reset: Reset | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A set of grants that customers subscribe to. A version never changes."""

    id: str
    name: str
    version: int = 1
    description: str | None = None
    group: str | None = None
    add_on: bool = False
    auto_enable: bool = False
    items: tuple[PlanItem, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    archived: bool = False
    created_at: int = 0


def checked_plan(plan: Plan, features: Mapping[str, Feature]) -> Plan:
    """`plan` if every item fits its feature; raises NotFound for an unknown feature, InvalidInput for a misfit.

    Source: management.md, plans.create.
    """
    if len(plan.items) > MAX_ITEMS:
        raise InvalidInput("items", f"must hold at most {MAX_ITEMS} items")
    for index, item in enumerate(plan.items):
        feature = feature_of(features, item.feature_id)
        where = f"items[{index}]"
        if feature.type is FeatureType.BOOLEAN:
            if item.included or item.unlimited or item.reset:
                raise InvalidInput(where, "a boolean feature takes no included, unlimited or reset")
        elif item.included < 0:
            raise InvalidInput(f"{where}.included", "must not be negative")
        elif item.unlimited and item.included:
            raise InvalidInput(where, "must have either included or unlimited, not both")
        elif item.reset and not feature.consumable:
            raise InvalidInput(f"{where}.reset", "an allocated feature does not reset")
    return plan
