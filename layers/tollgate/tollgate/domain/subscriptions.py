"""Subscribing to plans: what attaching, changing, canceling and entities do to a customer's holdings.

Every function takes the holdings and gives the holdings after it; balances follow in the same step. `now` is the
customer's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from tollgate.domain.balances import BalanceKey, as_of
from tollgate.domain.customers import Entity, Holdings, Subscription, linked, with_grants
from tollgate.domain.drawing import (
    any_grant,
    draw,
    draw_overage,
    overage_cap,
    pay_back_overage,
    push,
    refill,
    started,
    with_usage_counted,
)
from tollgate.domain.errors import AlreadyExists, Conflict, InvalidInput, InvalidRequest, NotFound
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.grants import Grant, deduction_order, trimmed
from tollgate.domain.limits import NO_LIMITS
from tollgate.domain.meters import resets
from tollgate.domain.periods import Reset, after, next_boundary
from tollgate.domain.plans import PREPAID, USAGE_BASED, FreeTrial, Plan, PlanItem
from tollgate.domain.quantities import ZERO


@dataclass(frozen=True, slots=True)
class Terms:
    """How a plan is attached. Times in ms; `quantities` by feature, the included units among them.

    `carry_usage` None carries it over from a plan that is replaced; `items` are granted in place of the plan's own.
    """

    entity_id: str | None = None
    quantities: Mapping[str, Decimal] = field(default_factory=dict)
    items: tuple[PlanItem, ...] | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    anchor: int | None = None
    free_trial: FreeTrial | None = None
    schedule: str | None = (
        None  # immediate | end_of_cycle; None: an upgrade at once, a downgrade at the end of the cycle
    )
    carry_usage: bool | None = None
    keeps_overage: bool = False
    backdate: bool = False  # `starts_at` may be in the past
    restart: bool = False  # a plan that takes another's place starts a billing cycle of its own
    cycle: Reset | None = None  # in place of the plan's own
    parent_id: str | None = None
    filters: tuple[tuple[str, str], ...] = ()  # only uses whose properties have these values count
    extra: Mapping[str, Any] = field(default_factory=dict)


NO_TERMS = Terms()
Filters = tuple[tuple[str, str], ...]


def attach(
    holdings: Holdings, plan: Plan, catalog: Catalog, subscription_id: str, now: int, terms: Terms = NO_TERMS
) -> Holdings:
    """The holdings with one more subscription and the grants it grants.

    A main plan replaces the main plan of its group (and itself) that has the same filters, carrying usage over
    (management.md 6 (billing.attach)). Raises NotFound for an unknown entity, InvalidRequest where just this is attached already,
    Conflict where the plan is held with filters that overlap, InvalidInput for terms that misfit.
    """
    if terms.entity_id is not None:
        holdings.entity(terms.entity_id)
    if subscription_id in holdings.subscriptions:
        raise AlreadyExists("subscription", subscription_id)
    items = plan.items if terms.items is None else tuple(_scoped(item, plan) for item in terms.items)
    _check_quantities(items, terms.quantities)
    replaced = _replaced(holdings, plan, terms, now)
    starts_at = _starts_at(plan, replaced, terms, now)
    if terms.ends_at is not None and terms.ends_at <= starts_at:
        raise InvalidInput("ends_at", "must be later than the start")
    trial = terms.free_trial
    trial_ends_at = after(starts_at, trial.interval, trial.length) if trial else None
    subscription = Subscription(
        id=subscription_id,
        plan_id=plan.id,
        plan_version=plan.version,
        group=plan.group,
        add_on=plan.add_on,
        auto_enable=plan.auto_enable,
        started_at=starts_at,
        created_at=now,
        entity_id=terms.entity_id,
        items=items,
        quantities=dict(terms.quantities),
        controls=plan.controls,
        price=plan.price,
        cycle=terms.cycle or plan.cycle,
        anchor=_anchor(plan, replaced, terms, starts_at, now),
        expires_at=terms.ends_at,
        ends_at=terms.ends_at,
        trial_ends_at=trial_ends_at,
        parent_id=terms.parent_id,
        filters=tuple(sorted(set(terms.filters))),
        extra=terms.extra,
    )
    changes = _grants_of(holdings, now)
    ended = [
        replace(
            old,
            canceled_at=old.canceled_at or now,
            expires_at=_sooner(old.expires_at, starts_at if old.started_at < starts_at else now),
        )
        for old in replaced
    ]
    granted = _granted_by(subscription, holdings.entities.values(), catalog, now, terms.keeps_overage)
    carry = starts_at <= now and terms.carry_usage is not False
    ends: dict[str | None, int] = {old.id: _sooner(old.expires_at, starts_at) for old in ended}
    for key in {*granted, *changes}:
        grants = changes.get(key, ())
        old_grants = tuple(grant for grant in grants if grant.subscription_id in ends)
        ending = (
            grant._replace(expires_at=_sooner(grant.expires_at, ends[grant.subscription_id]))
            if grant.subscription_id in ends
            else grant
            for grant in grants
        )
        kept = tuple(grant for grant in ending if grant.expires_at is None or grant.expires_at > now)
        new_grants = granted.get(key, ())
        if carry and old_grants and new_grants:
            new_grants = _carried(old_grants, new_grants, terms.anchor is None and not terms.restart)
        changes[key] = (*kept, *new_grants)
    subscriptions = {**holdings.subscriptions, **{old.id: old for old in ended}, subscription.id: subscription}
    return _with(holdings, catalog, subscriptions, changes, now)


def update_quantities(
    holdings: Holdings, catalog: Catalog, subscription_id: str, quantities: Mapping[str, Decimal], now: int
) -> Holdings:
    """The holdings with other bought quantities; what was used stays used."""
    subscription = _held(holdings, subscription_id, now)
    _check_quantities(subscription.items, quantities)
    changed = replace(subscription, quantities={**subscription.quantities, **quantities})
    by_id = {
        grant.id: grant.prepaid
        for grants in _granted_by(changed, holdings.entities.values(), catalog, now, False).values()
        for grant in grants
    }
    changes = {
        key: tuple(
            grant._replace(prepaid=by_id[grant.id])
            if grant.subscription_id == subscription_id and grant.id in by_id
            else grant
            for grant in grants
        )
        for key, grants in _grants_of(holdings, now).items()
    }
    return _with(holdings, catalog, {**holdings.subscriptions, subscription_id: changed}, changes, now)


def cancel(holdings: Holdings, catalog: Catalog, subscription_id: str, now: int, *, at_end: bool) -> Holdings:
    """The holdings with a subscription that ends now, or at the end of its cycle (of its trial, if that is running), and
    its add-ons with it.

    What a plan that has not started yet was to replace goes on.
    """
    subscription = _held(holdings, subscription_id, now)
    period = subscription.period(now)
    ends_at = now
    if at_end and subscription.started_at <= now:
        if subscription.trialing(now):
            ends_at = subscription.trial_ends_at or now
        elif period:
            ends_at = period[1]
    for other in list(holdings.subscriptions.values()):
        own = other.id == subscription_id or (other.parent_id == subscription_id and other.status(now) != "expired")
        if own:
            ended = replace(other, canceled_at=now, expires_at=_sooner(other.expires_at, ends_at))
            holdings = _ending(holdings, catalog, ended, now)
    if subscription.started_at <= now:
        return holdings
    for other in list(holdings.subscriptions.values()):
        if _rivals(other, subscription) and other.expires_at == subscription.started_at:
            holdings = _ending(holdings, catalog, replace(other, canceled_at=None, expires_at=other.ends_at), now)
    return holdings


def uncancel(holdings: Holdings, catalog: Catalog, subscription_id: str, now: int) -> Holdings:
    """The holdings with a subscription that goes on after all; a plan that was to follow it does not start.

    Raises InvalidRequest where it was not canceled.
    """
    subscription = _held(holdings, subscription_id, now)
    if subscription.canceled_at is None:
        raise InvalidRequest(f"Subscription {subscription_id} is not canceled")
    for other in list(holdings.subscriptions.values()):
        if _rivals(other, subscription) and other.status(now) == "scheduled":
            holdings = _ending(holdings, catalog, replace(other, canceled_at=now, expires_at=now), now)
    return _ending(holdings, catalog, replace(subscription, canceled_at=None, expires_at=subscription.ends_at), now)


def add_entity(
    holdings: Holdings, catalog: Catalog, entity: Entity, now: int, *, keeps_overage: bool = False
) -> Holdings:
    """The holdings with one more entity: its share of each plan that grants per entity, and one seat of its feature used.

    Raises AlreadyExists, or NotFound for its feature.
    """
    if entity.id in holdings.entities:
        raise AlreadyExists("entity", entity.id)
    feature = catalog.feature(entity.feature_id)
    holdings = replace(holdings, entities={**holdings.entities, entity.id: entity})
    changes = _grants_of(holdings, now)
    for subscription in holdings.subscriptions.values():
        if subscription.status(now) == "expired" or subscription.entity_id is not None:
            continue
        for key, grants in _granted_by(subscription, (entity,), catalog, now, keeps_overage).items():
            if key.entity_id == entity.id:
                changes[key] = (*changes.get(key, ()), *grants)
    _seat(changes, feature, Decimal(1))
    return with_grants(holdings, catalog, _differing(holdings, changes, now), now)


def remove_entity(holdings: Holdings, catalog: Catalog, entity_id: str, now: int) -> Holdings:
    """The holdings without an entity, what it held and what was attached to it; its seat is given back.

    Raises NotFound.
    """
    entity = holdings.entity(entity_id)
    entities = {id: other for id, other in holdings.entities.items() if id != entity_id}
    subscriptions = {
        id: replace(s, canceled_at=s.canceled_at or now, expires_at=_sooner(s.expires_at, now))
        if s.entity_id == entity_id
        else s
        for id, s in holdings.subscriptions.items()
    }
    balances = {key: balance for key, balance in holdings.balances.items() if key.entity_id != entity_id}
    holdings = replace(holdings, entities=entities, subscriptions=subscriptions, balances=balances)
    changes = _grants_of(holdings, now)
    if entity.feature_id in catalog.features:
        _seat(changes, catalog.features[entity.feature_id], Decimal(-1))
    return with_grants(holdings, catalog, _differing(holdings, changes, now), now)


# ------------------------------------------------------------------ parts


def _scoped(item: PlanItem, plan: Plan) -> PlanItem:
    return item if item in plan.items else replace(item, scoped=True)


def _check_quantities(items: Iterable[PlanItem], quantities: Mapping[str, Decimal]) -> None:
    prepaid = {item.feature_id for item in items if item.price and item.price.billing_method == PREPAID}
    for feature_id, quantity in quantities.items():
        if feature_id not in prepaid:
            raise InvalidInput("feature_quantities", f"the plan has no prepaid item of feature {feature_id}")
        if quantity < 0:
            raise InvalidInput("feature_quantities", "must not be negative")


def _held(holdings: Holdings, subscription_id: str, now: int) -> Subscription:
    found = holdings.subscriptions.get(subscription_id)
    if found is None or found.status(now) == "expired":
        raise NotFound("subscription", subscription_id)
    return found


def _rivals(one: Subscription, other: Subscription) -> bool:
    """Whether two subscriptions cannot both run: main plans of one group, or the same main plan."""
    if one.id == other.id or one.add_on or other.add_on or one.entity_id != other.entity_id:
        return False
    if one.filters != other.filters:
        return False
    return one.plan_id == other.plan_id or (one.group is not None and one.group == other.group)


def _replaced(holdings: Holdings, plan: Plan, terms: Terms, now: int) -> list[Subscription]:
    if plan.add_on:
        return []
    found = []
    for held in holdings.subscriptions.values():
        if held.add_on or held.entity_id != terms.entity_id or held.status(now) == "expired":
            continue
        if set(held.filters) != set(terms.filters):
            if held.plan_id == plan.id and nested(held.filters, terms.filters):
                raise Conflict(
                    f"Plan {plan.id} is attached to customer {holdings.customer.id} with filters that overlap"
                )
            continue
        if held.plan_id == plan.id or (plan.group is not None and held.group == plan.group):
            same = held.plan_id == plan.id and held.plan_version == plan.version
            if (
                same
                and held.canceled_at is None
                and terms.items is None
                and not terms.quantities
                and not held.quantities
            ):
                raise InvalidRequest(f"Plan {plan.id} is already attached to customer {holdings.customer.id}")
            found.append(held)
    return found


def nested(one: Filters, other: Filters) -> bool:
    """Whether every use that one set of filters lets through, the other does too (lotus.md 1.8 (overlapping plans))."""
    return set(one) <= set(other) or set(other) <= set(one)


def _starts_at(plan: Plan, replaced: list[Subscription], terms: Terms, now: int) -> int:
    """When the plan starts: as asked, else at once; a downgrade at the end of the running cycle."""
    if terms.starts_at is not None:
        return terms.starts_at if terms.backdate else max(now, terms.starts_at)
    running = _running(replaced, now)
    if running is None or terms.schedule == "immediate":
        return now
    downgrade = bool(plan.price and running.price and plan.price.monthly < running.price.monthly)
    period = running.period(now)
    if period and (terms.schedule == "end_of_cycle" or (terms.schedule is None and downgrade)):
        return period[1]
    return now


def _anchor(plan: Plan, replaced: list[Subscription], terms: Terms, starts_at: int, now: int) -> int:
    """What the plan's cycles are counted from: as asked, else what those of the running plan are, if it goes on from
    there with the same cycle, else its start."""
    if terms.anchor is not None:
        return terms.anchor
    running = _running(replaced, now)
    afresh = terms.restart or terms.free_trial or terms.carry_usage is False
    if running is None or afresh or running.trialing(now) or running.cycle != plan.cycle:
        return starts_at
    return running.cycle_anchor


def _running(replaced: list[Subscription], now: int) -> Subscription | None:
    return next((old for old in replaced if old.status(now) == "active"), None)


def _granted_by(
    subscription: Subscription, entities: Iterable[Entity], catalog: Catalog, now: int, keeps_overage: bool
) -> dict[BalanceKey, tuple[Grant, ...]]:
    """The grants that a subscription grants, by place, nothing used."""
    granted: dict[BalanceKey, tuple[Grant, ...]] = {}
    entities = tuple(entities)
    left = dict(subscription.quantities)
    for index, item in enumerate(subscription.items):
        if not item.enabled:
            continue
        feature = catalog.feature(item.feature_id)
        grant = _grant(subscription, index, item, feature, left, now, keeps_overage)
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


def _grant(
    subscription: Subscription,
    index: int,
    item: PlanItem,
    feature: Feature,
    quantities: dict[str, Decimal],
    now: int,
    keeps_overage: bool,
) -> Grant:
    price = item.price
    reset = item.resets if resets(feature) else None
    start, anchor = subscription.started_at, subscription.anchor
    next_reset_at = None
    if reset and reset.nominal_ms:
        since = max(start, now)
        if subscription.trial_ends_at and subscription.trial_ends_at - start < reset.nominal_ms:
            anchor = subscription.cycle_anchor  # its first period begins with the end of the trial
        asked = anchor == subscription.anchor
        next_reset_at = anchor if asked and anchor > since else next_boundary(anchor, reset, since)
    prepaid = ZERO
    if price and price.billing_method == PREPAID and item.feature_id in quantities:
        prepaid = max(ZERO, quantities.pop(item.feature_id) - item.included)
    return Grant(
        id=f"{subscription.id}:{index}",
        plan_id=subscription.plan_id,
        subscription_id=subscription.id,
        granted=item.included,
        prepaid=prepaid,
        unlimited=item.unlimited,
        overage=bool(price and price.billing_method == USAGE_BASED) or item.soft_limit,
        max_purchase=price.max_purchase if price and not item.soft_limit else None,
        reset=reset,
        anchor=anchor,
        next_reset_at=next_reset_at,
        starts_at=start if start > now else None,
        expires_at=subscription.expires_at,
        created_at=subscription.created_at,
        add_on=subscription.add_on,
        keeps_overage=keeps_overage,
        rollover=item.rollover,
        price=_shown(item),
        value=item.static_value,
        filters=subscription.filters,
    )


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


def _carried(old: tuple[Grant, ...], new: tuple[Grant, ...], keep_anchor: bool) -> tuple[Grant, ...]:
    """New grants with what was used of the old ones, and their rollovers cut to the new rule (S179).

    A grant that resets as an old one did takes over its period, and of what was used of it as much as it grants; the rest
    is drawn anew.
    """
    heirs = sorted(new, key=deduction_order)
    left = ZERO
    for was in sorted(old, key=deduction_order):
        number = next((n for n, grant in enumerate(heirs) if grant.reset == was.reset and not grant.used), None)
        if number is None or was.used <= 0:
            left += was.used
        else:
            part = was.used if heirs[number].unlimited else min(was.used, max(ZERO, heirs[number].total))
            heirs[number] = heirs[number]._replace(used=part)
            left += was.used - part
    grants = []
    counted: dict[str, Grant] = {}
    for grant in heirs:
        twin = next((o for o in old if o.reset == grant.reset and o.next_reset_at is not None), None)
        if twin and keep_anchor:
            grant = grant._replace(anchor=twin.anchor, next_reset_at=twin.next_reset_at)
        counted[grant.id] = twin or old[0]
        grants.append(grant)
    drawn = tuple(grants)
    if left > 0:
        drawn, left = draw(drawn, left)
        if left:
            drawn, left = draw_overage(drawn, left, overage_cap(NO_LIMITS))
        if left:
            drawn = push(drawn, left, any_grant)
    elif left < 0:
        drawn = push(drawn, left, any_grant)
    drawn = tuple(
        grant._replace(used_elsewhere=counted[grant.id].counted - grant.used, meters=counted[grant.id].meters)
        for grant in drawn
    )
    rollovers = tuple(rollover for grant in old for rollover in grant.rollovers)
    if not rollovers:
        return drawn
    number = next((n for n, grant in enumerate(drawn) if grant.rollover), 0)
    heir = drawn[number]
    if heir.rollover:
        rollovers = trimmed(rollovers, heir.rollover, heir.granted + heir.prepaid)
    return (*drawn[:number], heir._replace(rollovers=rollovers), *drawn[number + 1 :])


def _ending(holdings: Holdings, catalog: Catalog, subscription: Subscription, now: int) -> Holdings:
    """The holdings with this state of a subscription, its grants ending with it."""
    ended = subscription.status(now) == "expired"
    changes = {}
    for key, grants in _grants_of(holdings, now).items():
        changes[key] = tuple(
            grant._replace(expires_at=subscription.expires_at) if grant.subscription_id == subscription.id else grant
            for grant in grants
            if not (ended and grant.subscription_id == subscription.id)
        )
    subscriptions = {**holdings.subscriptions, subscription.id: subscription}
    return _with(holdings, catalog, subscriptions, changes, now)


def _seat(changes: dict[BalanceKey, tuple[Grant, ...]], feature: Feature, amount: Decimal) -> None:
    """Counts one entity more (or less) as a use of its feature, where the customer holds it; in place."""
    key = BalanceKey(feature.id)
    grants = tuple(sorted(changes.get(key, ()), key=deduction_order))
    if feature.consumable or not any(grant.starts_at is None for grant in grants):
        return
    if amount > 0:
        drawn, left = draw(grants, amount)
        drawn = push(drawn, left, started) if left else drawn
    else:
        drawn, left = pay_back_overage(grants, -amount)
        drawn, left = refill(drawn, left)
        amount += left
    changes[key] = with_usage_counted(grants, drawn, amount)


def _grants_of(holdings: Holdings, now: int) -> dict[BalanceKey, tuple[Grant, ...]]:
    return {key: as_of(balance, now).grants for key, balance in holdings.balances.items()}


def _differing(
    holdings: Holdings, changes: Mapping[BalanceKey, tuple[Grant, ...]], now: int
) -> dict[BalanceKey, tuple[Grant, ...]]:
    held = _grants_of(holdings, now)
    return {
        key: grants
        for key, grants in changes.items()
        if key not in held or {grant.id: grant for grant in grants} != {grant.id: grant for grant in held[key]}
    }


def _with(
    holdings: Holdings,
    catalog: Catalog,
    subscriptions: Mapping[str, Subscription],
    changes: Mapping[BalanceKey, tuple[Grant, ...]],
    now: int,
) -> Holdings:
    changes = _differing(holdings, changes, now)
    holdings = replace(holdings, subscriptions=subscriptions)
    return with_grants(holdings, catalog, changes, now) if changes else linked(holdings, catalog, now)


def _sooner(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)
