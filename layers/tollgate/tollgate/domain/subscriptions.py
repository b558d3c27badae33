"""Subscribing to plans: what attaching, changing and canceling them does to a customer's holdings.

Every function takes the holdings and gives the holdings after it; balances follow in the same step. `now` is the
customer's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from tollgate.domain.balances import BalanceKey
from tollgate.domain.customers import Holdings, Subscription, changed_grants, grants_of, linked, with_grants
from tollgate.domain.errors import AlreadyExists, Conflict, InvalidInput, InvalidRequest, NotFound
from tollgate.domain.features import Catalog
from tollgate.domain.grants import Grant
from tollgate.domain.periods import Reset, after, sooner
from tollgate.domain.plan_grants import carried, granted_by
from tollgate.domain.plans import PREPAID, FreeTrial, Plan, PlanItem


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
    """The holdings with one more subscription, and the grants of its plan.

    A main plan replaces the main plan of its group (and itself) that has the same filters, carrying usage over
    (management.md 6 (billing.attach)). Raises NotFound for an unknown entity, InvalidRequest where just this is
    attached already, Conflict where the plan is held with filters that overlap, InvalidInput for terms that misfit.
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
    changes = grants_of(holdings, now)
    ended = [
        replace(
            old,
            canceled_at=old.canceled_at or now,
            expires_at=sooner(old.expires_at, starts_at if old.started_at < starts_at else now),
        )
        for old in replaced
    ]
    granted = granted_by(subscription, holdings.entities.values(), catalog, now, terms.keeps_overage)
    carry = starts_at <= now and terms.carry_usage is not False
    ends: dict[str | None, int] = {old.id: sooner(old.expires_at, starts_at) for old in ended}
    for key in {*granted, *changes}:
        grants = changes.get(key, ())
        old_grants = tuple(grant for grant in grants if grant.subscription_id in ends)
        ending = (
            grant._replace(expires_at=sooner(grant.expires_at, ends[grant.subscription_id]))
            if grant.subscription_id in ends
            else grant
            for grant in grants
        )
        kept = tuple(grant for grant in ending if grant.expires_at is None or grant.expires_at > now)
        new_grants = granted.get(key, ())
        if carry and old_grants and new_grants:
            new_grants = carried(old_grants, new_grants, terms.anchor is None and not terms.restart)
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
        for grants in granted_by(changed, holdings.entities.values(), catalog, now, False).values()
        for grant in grants
    }
    changes = {
        key: tuple(
            grant._replace(prepaid=by_id[grant.id])
            if grant.subscription_id == subscription_id and grant.id in by_id
            else grant
            for grant in grants
        )
        for key, grants in grants_of(holdings, now).items()
    }
    return _with(holdings, catalog, {**holdings.subscriptions, subscription_id: changed}, changes, now)


def cancel(holdings: Holdings, catalog: Catalog, subscription_id: str, now: int, *, at_end: bool) -> Holdings:
    """The holdings with a subscription that ends now, or at the end of its cycle (of its trial, if that is running),
    and its add-ons with it.

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
            ended = replace(other, canceled_at=now, expires_at=sooner(other.expires_at, ends_at))
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


def _ending(holdings: Holdings, catalog: Catalog, subscription: Subscription, now: int) -> Holdings:
    """The holdings with this state of a subscription, its grants ending with it."""
    ended = subscription.status(now) == "expired"
    changes = {}
    for key, grants in grants_of(holdings, now).items():
        changes[key] = tuple(
            grant._replace(expires_at=subscription.expires_at) if grant.subscription_id == subscription.id else grant
            for grant in grants
            if not (ended and grant.subscription_id == subscription.id)
        )
    subscriptions = {**holdings.subscriptions, subscription.id: subscription}
    return _with(holdings, catalog, subscriptions, changes, now)


def _with(
    holdings: Holdings,
    catalog: Catalog,
    subscriptions: Mapping[str, Subscription],
    changes: Mapping[BalanceKey, tuple[Grant, ...]],
    now: int,
) -> Holdings:
    changes = changed_grants(holdings, changes, now)
    holdings = replace(holdings, subscriptions=subscriptions)
    return with_grants(holdings, catalog, changes, now) if changes else linked(holdings, catalog, now)
