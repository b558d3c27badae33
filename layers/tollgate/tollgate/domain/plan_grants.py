"""The grants that a subscription's items give, and what they take over from the grants that they replace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.balances import BalanceKey
from tollgate.domain.customers import Entity, Subscription
from tollgate.domain.drawing import any_grant, draw, draw_overage, overage_cap, push
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.grants import Grant, deduction_order, trimmed
from tollgate.domain.holds import Hold
from tollgate.domain.limits import NO_LIMITS
from tollgate.domain.meters import resets
from tollgate.domain.periods import Reset, next_boundary, sooner
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


class Succession(NamedTuple):
    """The grants that take the place of others, and for the id of each of those, the grant on which holds of it count
    from now on: what was drawn from the grant itself (None: on none), and what was drawn from its rollovers."""

    grants: tuple[Grant, ...]
    heirs: Mapping[str, tuple[str | None, str | None]]


def succeeding(old: tuple[Grant, ...], new: tuple[Grant, ...], *, takes_usage: bool, keeps_anchor: bool) -> Succession:
    """New grants of a consumable feature in the place of `old` ones, with their rollovers cut to the new rule (S179).

    With `takes_usage`, a grant that resets as an old one did takes as much of what was used of that as it grants; the
    rest is drawn anew. With `keeps_anchor` it takes over that grant's period.
    """
    heirs = sorted(new, key=deduction_order)
    if keeps_anchor:
        heirs = [_in_period_of(next((o for o in old if _twins(o, heir)), None), heir) for heir in heirs]
    drawn = _with_usage(old, heirs) if takes_usage else tuple(heirs)
    twin = {was.id: next((heir.id for heir in heirs if heir.reset == was.reset), heirs[0].id) for was in old}
    number = next((n for n, grant in enumerate(drawn) if grant.rollover), 0)
    heir = drawn[number]
    rollovers = tuple(rollover for grant in old for rollover in grant.rollovers)
    if rollovers and heir.rollover:
        rollovers = trimmed(rollovers, heir.rollover, heir.granted + heir.prepaid)
    if rollovers:
        drawn = (*drawn[:number], heir._replace(rollovers=rollovers), *drawn[number + 1 :])
    return Succession(drawn, {was.id: (twin[was.id] if takes_usage else None, heir.id) for was in old})


def _twins(old: Grant, new: Grant) -> bool:
    return old.reset == new.reset and old.next_reset_at is not None


def _in_period_of(old: Grant | None, new: Grant) -> Grant:
    return new._replace(anchor=old.anchor, next_reset_at=old.next_reset_at) if old else new


def resuming(new: tuple[Grant, ...], earlier: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """New grants of a plan that was cut short: used as its `earlier` ones were then, in their periods."""
    return succeeding(earlier, new, takes_usage=True, keeps_anchor=True).grants


def _with_usage(old: tuple[Grant, ...], heirs: list[Grant]) -> tuple[Grant, ...]:
    """The heirs with all that was used of the old grants, and what their meters remember of it: what the heirs are used
    already (they resume) is a part of that. Use of an unlimited grant is never owed: it uses up what there is, at most.
    """
    resumed = {heir.id: heir for heir in heirs if heir.counted}
    heirs = [heir._replace(used=ZERO, used_elsewhere=ZERO) for heir in heirs]
    owed, uses_up = ZERO, ZERO
    for was in sorted(old, key=deduction_order):
        number = next((n for n, grant in enumerate(heirs) if grant.reset == was.reset and not grant.used), None)
        left = was.used
        if number is not None and was.used > 0:
            part = was.used if heirs[number].unlimited else min(was.used, max(ZERO, heirs[number].total))
            heirs[number] = heirs[number]._replace(used=part)
            left -= part
        if was.unlimited:
            uses_up += left
        else:
            owed += left
    counted = {heir.id: next((o for o in old if _twins(o, heir)), old[0]) for heir in heirs}
    drawn = tuple(heirs)
    if owed > 0:
        drawn, owed = draw(drawn, owed)
        if owed:
            drawn, owed = draw_overage(drawn, owed, overage_cap(NO_LIMITS))
    if owed:
        drawn = push(drawn, owed, any_grant)
    if uses_up > 0:
        drawn, _ = draw(drawn, uses_up)
    drawn = tuple(
        grant._replace(used_elsewhere=counted[grant.id].counted - grant.used, meters=counted[grant.id].meters)
        for grant in drawn
    )
    return tuple(resumed[grant.id] if _less_used(grant, resumed) else grant for grant in drawn)


def _less_used(grant: Grant, resumed: Mapping[str, Grant]) -> bool:
    return grant.id in resumed and grant.used < resumed[grant.id].used


def brought_over(
    old: tuple[Grant, ...],
    succession: Succession,
    holds: Iterable[Hold],
    subscription: Subscription,
    lapses_at: int | None,
) -> Succession:
    """The succession with what was left of the `old` grants beside the new ones, each until it would have reset (else
    until `lapses_at`, in epoch ms), and what `holds` hold of it. What was overdrawn lessens the new ones until they
    reset."""
    new, heirs = succession.grants, dict(succession.heirs)
    held = _held_of(holds)
    loose = []
    for number, was in enumerate(old):
        of_new, of_rollovers = heirs[was.id]
        reserved = ZERO if of_new else min(max(ZERO, was.used), held.get(was.id, ZERO))
        left = max(ZERO, was.remaining)
        if left + reserved > 0:
            id = f"{subscription.id}:left:{number}"
            heirs[was.id] = (of_new or id, of_rollovers)
            loose.append(
                Grant(
                    id=id,
                    plan_id=None,
                    subscription_id=None,
                    granted=left + reserved,
                    used=reserved,
                    anchor=subscription.created_at,
                    expires_at=_lapse(was, lapses_at),
                    created_at=subscription.created_at,
                    entity_share=was.entity_share,
                    filters=was.filters,
                )
            )
    owed = sum((was.overdrawn for was in old if succession.heirs[was.id][0] is None), ZERO)
    if owed and new:
        new = (new[0]._replace(adjustment=new[0].adjustment - owed), *new[1:])
    return Succession((*new, *loose), heirs)


def _held_of(holds: Iterable[Hold]) -> dict[str, Decimal]:
    """What is held of each grant itself, by its id."""
    held: dict[str, Decimal] = {}
    for part in (part for hold in holds for part in hold.parts if part.rollover is None):
        held[part.grant_id] = held.get(part.grant_id, ZERO) + part.amount
    return held


def _lapse(grant: Grant, lapses_at: int | None) -> int | None:
    end = grant.next_reset_at or lapses_at
    return grant.expires_at if end is None else sooner(grant.expires_at, end)
