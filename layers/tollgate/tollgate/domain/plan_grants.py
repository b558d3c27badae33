"""The grants that a subscription's items give, and what may be asked to go over to them (`domain.handovers` does it)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.balances import BalanceKey
from tollgate.domain.customers import Entity, Subscription
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.grants import Grant
from tollgate.domain.meters import resets
from tollgate.domain.periods import Reset, next_boundary
from tollgate.domain.plans import PREPAID, USAGE_BASED, PlanItem
from tollgate.domain.quantities import ZERO


class _Granting(NamedTuple):
    """One item of a subscription, the `number`th from 0, that is about to be granted. `prepaid` are the units that were
    bought of it beyond the included ones."""

    subscription: Subscription
    number: int
    feature: Feature
    prepaid: Decimal
    now: int
    keeps_overage: bool

    @property
    def item(self) -> PlanItem:
        return self.subscription.items[self.number]


def granted_by(
    subscription: Subscription, entities: Iterable[Entity], catalog: Catalog, now: int, keeps_overage: bool
) -> dict[BalanceKey, tuple[Grant, ...]]:
    """The grants that a subscription gives, by balance, nothing used.

    An item that grants per entity gives one grant to each of these `entities` that is of the item's kind.
    """
    granted: dict[BalanceKey, tuple[Grant, ...]] = {}
    entities = tuple(entities)
    left = dict(subscription.quantities)
    for number, item in enumerate(subscription.items):
        if not item.enabled:
            continue
        feature = catalog.feature(item.feature_id)
        grant = _grant(_Granting(subscription, number, feature, _prepaid(item, left), now, keeps_overage))
        if item.entity_feature_id is None:
            keys = {BalanceKey(feature.id, subscription.entity_id or ""): grant}
        else:
            keys = {
                BalanceKey(feature.id, entity.id): grant._replace(id=f"{grant.id}:{entity.id}", entity_share=True)
                for entity in entities
                if entity.feature_id == item.entity_feature_id and subscription.entity_id in (None, entity.id)
            }
        for key, granted_here in keys.items():
            granted[key] = (*granted.get(key, ()), granted_here)
    return granted


def _prepaid(item: PlanItem, quantities: dict[str, Decimal]) -> Decimal:
    """The units bought of an item beyond the included ones. The first prepaid item of a feature takes all that was
    bought of it: out of `quantities`.
    """
    if item.price and item.price.billing_method == PREPAID and item.feature_id in quantities:
        return max(ZERO, quantities.pop(item.feature_id) - item.included)
    return ZERO


def _grant(granting: _Granting) -> Grant:
    subscription, item, now = granting.subscription, granting.item, granting.now
    price = item.price
    reset = item.resets if resets(granting.feature) else None
    anchor, next_reset_at = _first_reset(subscription, reset, now)
    return Grant(
        id=f"{subscription.id}:{granting.number}",
        plan_id=subscription.plan_id,
        subscription_id=subscription.id,
        granted=item.included,
        prepaid=granting.prepaid,
        unlimited=item.unlimited,
        overage=bool(price and price.billing_method == USAGE_BASED) or item.soft_limit,
        max_purchase=price.max_purchase if price and not item.soft_limit else None,
        reset=reset,
        anchor=anchor,
        next_reset_at=next_reset_at,
        starts_at=subscription.started_at if subscription.started_at > now else None,
        expires_at=subscription.expires_at,
        created_at=subscription.created_at,
        add_on=subscription.add_on,
        keeps_overage=granting.keeps_overage,
        rollover=item.rollover,
        price=_shown(item),
        value=item.static_value,
        filters=subscription.filters,
    )


def _first_reset(subscription: Subscription, reset: Reset | None, now: int) -> tuple[int, int | None]:
    """What a new grant's periods are counted from, and when it first resets (None: never)."""
    start, anchor = subscription.started_at, subscription.anchor
    if reset is None or not reset.nominal_ms:
        return anchor, None
    since = max(start, now)
    if subscription.trial_ends_at and subscription.trial_ends_at - start < reset.nominal_ms:
        anchor = subscription.cycle_anchor  # its first period begins with the end of the trial
    asked = anchor == subscription.anchor
    return anchor, anchor if asked and anchor > since else next_boundary(anchor, reset, since)


def _shown(item: PlanItem) -> dict[str, object] | None:
    """A price as a grant carries it, without what is empty."""
    price = item.price
    if price is None:
        return None
    full: dict[str, object] = {
        "billing_method": price.billing_method,
        "amount": price.amount,
        "tiers": [dict(tier) for tier in price.tiers] or None,
        "tier_behavior": price.tier_behavior,
        "billing_units": price.billing_units if price.billing_units != 1 else None,
    }
    return {name: value for name, value in full.items() if value is not None}


# ------------------------------------------------------------------ what goes over from the plan before


class Carried(NamedTuple):
    """For which consumable features something is carried over: for all, or for these; for none where not `enabled`."""

    enabled: bool = False
    feature_ids: frozenset[str] | None = None

    def covers(self, feature_id: str) -> bool:
        """Whether it is carried over for this feature."""
        return self.enabled and (self.feature_ids is None or feature_id in self.feature_ids)


class CarryOver(NamedTuple):
    """What a plan that takes another's place at once takes over from it, of consumable features: the `usages` are
    deducted from what it grants; the `balances` are what was left, and lapse at the next reset. None: it is not said."""

    usages: Carried | None = None
    balances: Carried | None = None

    def or_else(self, default: CarryOver) -> CarryOver:
        """The same, with what it does not say taken from a default."""
        return CarryOver(
            default.usages if self.usages is None else self.usages,
            default.balances if self.balances is None else self.balances,
        )

    def deducts(self, feature_id: str) -> bool:
        """Whether what was used of a feature is deducted."""
        return self.usages is not None and self.usages.covers(feature_id)

    def brings(self, feature_id: str) -> bool:
        """Whether what was left of a feature is brought over."""
        return self.balances is not None and self.balances.covers(feature_id)


NOT_SAID = CarryOver()
FRESH = CarryOver(Carried(), Carried())
ALL_USAGES = CarryOver(Carried(True), Carried())
