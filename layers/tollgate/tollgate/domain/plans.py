"""Plans: what a subscription grants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tollgate.domain.controls import NO_CONTROLS, Controls
from tollgate.domain.errors import InvalidInput
from tollgate.domain.features import Feature, feature_of
from tollgate.domain.grants import RolloverRule
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.quantities import ZERO

MAX_ROLLOVER_MONTHS = 1200
MAX_ITEMS = 90  # a plan is attached in one transaction of at most 100 items

USAGE_BASED = "usage_based"
PREPAID = "prepaid"


@dataclass(frozen=True, slots=True)
class ItemPrice:
    """What units beyond the included ones cost. No money moves here: `billing_method` decides what may be used
    (management.md 1), the rest is kept and shown."""

    billing_method: str
    max_purchase: Decimal | None = None
    amount: Decimal | None = None
    tiers: tuple[Mapping[str, Any], ...] = ()
    tier_behavior: str | None = None
    billing_units: Decimal = Decimal(1)
    interval: Interval | None = None
    interval_count: int = 1


@dataclass(frozen=True, slots=True)
class PlanItem:
    """What a plan grants of one feature: `included` units per reset period, or no limit.

    `entity_feature_id`: every entity of that feature gets the grant as its own. `static_value` is for a static feature;
    `soft_limit`: over the limit is counted, not denied. Not `enabled`, it grants nothing and hides what it stands for;
    `scoped`: one subscription has it in place of, or beside, what the plan has.
    """

    feature_id: str
    included: Decimal = ZERO
    unlimited: bool = False
    reset: Reset | None = None
    price: ItemPrice | None = None
    rollover: RolloverRule | None = None
    entity_feature_id: str | None = None
    static_value: str | None = None
    soft_limit: bool = False
    enabled: bool = True
    scoped: bool = False

    @property
    def grants_as(self) -> tuple[object, ...]:
        """What two items of a plan must not have in common: the feature, the interval, the kind of entity, and how it is
        paid (management.md 3 (plans.create))."""
        resets = self.resets if self.resets and self.resets.nominal_ms else None
        return (self.feature_id, resets, self.entity_feature_id, self.price and self.price.billing_method)

    @property
    def resets(self) -> Reset | None:
        """Its reset period; a price's own, where the item names none."""
        if self.reset is None and self.price and self.price.interval and self.price.interval is not Interval.ONE_OFF:
            return Reset(self.price.interval, self.price.interval_count)
        return self.reset


@dataclass(frozen=True, slots=True)
class BasePrice:
    """A plan's recurring price: kept, shown, and compared to tell an upgrade from a downgrade."""

    amount: Decimal
    interval: Interval
    interval_count: int = 1

    @property
    def monthly(self) -> Decimal:
        """The amount per thirty days; a one-off price as it is."""
        if self.interval is Interval.ONE_OFF:
            return self.amount
        return self.amount * 2_592_000_000 / Reset(self.interval, self.interval_count).nominal_ms


@dataclass(frozen=True, slots=True)
class FreeTrial:
    """A free trial of a plan: `length` intervals long."""

    length: int
    interval: Interval
    card_required: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A set of grants that customers subscribe to. A version never changes, but for being archived. `extra` is what
    only dialects show."""

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
    price: BasePrice | None = None
    free_trial: FreeTrial | None = None
    controls: Controls = NO_CONTROLS
    lookup_key: str | None = None
    in_use: bool = False  # some customer has subscribed to it: it is archived, never deleted
    extra: Mapping[str, Any] = field(default_factory=dict)

    def features(self) -> set[str]:
        """The ids of the features that it names: in its items, as what entities count, and in its controls."""
        items = {id for item in self.items for id in (item.feature_id, item.entity_feature_id) if id is not None}
        return items | self.controls.named()

    @property
    def cycle(self) -> Reset | None:
        """Its billing cycle: the price's, else the shortest of its items' resets; None where nothing recurs."""
        if self.price and self.price.interval is not Interval.ONE_OFF:
            return Reset(self.price.interval, self.price.interval_count)
        resets = [item.resets for item in self.items if item.resets and item.resets.nominal_ms]
        return min(resets, key=lambda reset: reset.nominal_ms, default=None)


def checked_plan(plan: Plan, features: Mapping[str, Feature]) -> Plan:
    """`plan` if every item fits its feature; raises NotFound for an unknown feature, InvalidInput for a misfit.

    Source: management.md 3 (plans.create).
    """
    if len(plan.items) > MAX_ITEMS:
        raise InvalidInput("items", f"must hold at most {MAX_ITEMS} items")
    for index, item in enumerate(plan.items):
        _check_item(item, features, f"items.{index}")
    check_controls(plan.controls, features)
    return plan


def check_controls(controls: Controls, features: Mapping[str, Feature]) -> None:
    """Raises NotFound where a control names an unknown feature, InvalidInput for a limit below zero, and for two top-ups of
    one feature."""
    for feature_id in sorted(controls.named()):
        feature_of(features, feature_id)
    limits = (*(c.limit for c in controls.usage), *(c.limit for c in controls.spend if c.limit is not None))
    if any(limit < 0 for limit in limits):
        raise InvalidInput("billing_controls", "a limit must not be negative")
    topped_up = [control.feature_id for control in controls.top_ups]
    if len(topped_up) > len(set(topped_up)):
        raise InvalidInput("billing_controls.auto_topups", "must name each feature once")


def _check_item(item: PlanItem, features: Mapping[str, Feature], where: str) -> None:
    feature = feature_of(features, item.feature_id)
    if item.static_value is not None and feature.type != "static":
        raise InvalidInput(f"{where}.static_value", "is for a static feature")
    if feature.type.is_flag:
        if item.included or item.unlimited or item.reset or item.price or item.rollover or item.entity_feature_id:
            raise InvalidInput(where, f"a {feature.type.value} feature takes no included, unlimited, reset or price")
        if feature.type == "static" and item.static_value is None:
            raise InvalidInput(f"{where}.static_value", "is required for a static feature")
        return
    if item.included < 0:
        raise InvalidInput(f"{where}.included", "must not be negative")
    if item.unlimited and (item.included or item.price):
        raise InvalidInput(where, "must have either included or price, or unlimited, not both")
    if item.reset and item.reset.nominal_ms and not feature.consumable:
        raise InvalidInput(f"{where}.reset", "an allocated feature does not reset")
    if item.price:
        if item.price.max_purchase is not None and item.price.max_purchase < 0:
            raise InvalidInput(f"{where}.price.max_purchase", "must not be negative")
        if item.price.billing_units <= 0:
            raise InvalidInput(f"{where}.price.billing_units", "must be greater than zero")
    if item.rollover:
        check_rollover(item.rollover, item.resets, feature, f"{where}.rollover")
    if item.entity_feature_id is not None:
        if item.entity_feature_id == item.feature_id:
            raise InvalidInput(f"{where}.entity_feature_id", "an entity cannot hold a balance of its own feature")
        if feature_of(features, item.entity_feature_id).type != "metered":
            raise InvalidInput(f"{where}.entity_feature_id", "must be a metered feature")


def check_rollover(rule: RolloverRule, reset: Reset | None, feature: Feature, where: str) -> None:
    """Raises InvalidInput: only what resets rolls over, and allocated usage never does (autumn.md 3.8)."""
    if not feature.consumable:
        raise InvalidInput(where, "an allocated feature does not roll over")
    if reset is None or reset.interval is Interval.ONE_OFF:
        raise InvalidInput(where, "needs a reset interval")
    if rule.max is not None and rule.max_percentage is not None:
        raise InvalidInput(where, "must have either max or max_percentage, not both")
    if (rule.max is not None and rule.max < 0) or (rule.max_percentage is not None and rule.max_percentage < 0):
        raise InvalidInput(where, "must not be negative")
    if rule.months is not None and not 1 <= rule.months <= MAX_ROLLOVER_MONTHS:
        raise InvalidInput(f"{where}.expiry_duration_length", f"must be 1 to {MAX_ROLLOVER_MONTHS} months")
