"""Subscribing to plans: what attaching, changing and canceling them does to a customer's holdings.

`plan_changes` decides; here the holdings follow, balances in the same step. Every function takes the holdings and gives
the holdings after it. `now` is the customer's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.balances import BalanceKey
from tollgate.domain.controls import Controls
from tollgate.domain.customers import Ending, Holdings, Subscription, changed_grants, grants_of, linked, with_grants
from tollgate.domain.errors import AlreadyAttached, AlreadyExists, Conflict, InvalidInput, InvalidRequest, NotFound
from tollgate.domain.features import Catalog
from tollgate.domain.grants import Grant, Takes
from tollgate.domain.periods import Reset, after, sooner
from tollgate.domain.plan_changes import (
    Rivalry,
    cost_of,
    had_trial,
    is_downgrade,
    left_off,
    overlaps,
    rivals,
    running,
)
from tollgate.domain.plan_grants import FRESH, CarryOver, granted_by
from tollgate.domain.plans import PREPAID, BasePrice, FreeTrial, Plan, PlanItem


@dataclass(frozen=True, slots=True)
class Terms:
    """How a plan is attached. Times in ms; `quantities` by feature, the included units among them.

    `carry_over` is what it takes over from a plan that it replaces (None: as the environment says, which is nothing
    unless told); `items` are granted in place of the plan's own.
    """

    entity_id: str | None = None
    quantities: Mapping[str, Decimal] = field(default_factory=dict)
    items: tuple[PlanItem, ...] | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    anchor: int | None = None
    free_trial: FreeTrial | None = None
    trial_again: bool = False  # though the customer has had a trial of the plan
    schedule: str | None = None  # immediate | end_of_cycle; None: as `plan_changes` says
    carry_over: CarryOver | None = None
    keeps_overage: bool = False
    backdate: bool = False  # `starts_at` may be in the past
    restart: bool = False  # a plan that takes another's place starts a billing cycle of its own
    stacks: bool = False  # it stands beside other plans that have no group
    automatic: bool = False  # it comes by itself: it ends where the next plan starts that waits already
    cycle: Reset | None = None  # in place of the plan's own
    parent_id: str | None = None
    filters: tuple[tuple[str, str], ...] = ()  # only uses whose properties have these values count
    extra: Mapping[str, Any] = field(default_factory=dict)
    removes: tuple[str, ...] = ()  # ids of plans that end when it starts
    price: tuple[BasePrice | None] | None = None  # in place of the plan's own, which may be none
    controls: Controls | None = None  # in place of the plan's own

    @property
    def changes_plan(self) -> bool:
        """Whether they ask for something that a subscription to the same plan would not have."""
        return self.items is not None or bool(self.quantities) or self.price is not None or self.controls is not None


NO_TERMS = Terms()
Filters = tuple[tuple[str, str], ...]


def attach(
    holdings: Holdings, plan: Plan, catalog: Catalog, subscription_id: str, now: int, terms: Terms = NO_TERMS
) -> Holdings:
    """The holdings with one more subscription and the grants of its plan; or, for a plan that was to end, with that
    subscription going on.

    What becomes of the main plan that is held is in `plan_changes`. Raises NotFound for an unknown entity,
    InvalidRequest where just this is attached already, Conflict where the plan is held with filters that overlap,
    InvalidInput for terms that misfit.
    """
    if terms.price is not None or terms.controls is not None:
        plan = replace(
            plan,
            price=terms.price[0] if terms.price else plan.price,
            controls=plan.controls if terms.controls is None else terms.controls,
        )
    if terms.entity_id is not None:
        holdings.entity(terms.entity_id)
    if subscription_id in holdings.subscriptions:
        raise AlreadyExists("subscription", subscription_id)
    items = plan.items if terms.items is None else tuple(_scoped(item, plan) for item in terms.items)
    check_quantities(items, terms.quantities)
    independent = plan.add_on or cost_of(plan.price, items, catalog.features).one_off
    own = Rivalry(plan.id, plan.group, terms.entity_id, independent, terms.stacks, frozenset(terms.filters))
    _check_overlap(holdings, own, now)
    found = rivals(holdings, own, catalog.features, now)
    same = _same_plan(found, plan, terms, now)
    if same is not None:
        if same.canceled_at is None:
            raise AlreadyAttached(f"Plan {plan.id} is already attached to customer {holdings.customer.id}")
        return uncancel(holdings, catalog, same.id, now)
    when = _When(terms, now)
    starts_at = _starts_at(plan, items, running(found, now), catalog, when)
    waiting = [held for held in found if held.status(now) == "scheduled"]
    gives_way_at = min((w.started_at for w in waiting if terms.automatic and w.started_at > starts_at), default=None)
    ends_at = terms.ends_at if gives_way_at is None else gives_way_at
    for held in waiting:
        if overlaps(held, starts_at, ends_at):
            holdings = _taken_back(holdings, catalog, held, now)
    found = rivals(holdings, own, catalog.features, now)
    current = running(found, now)
    starts_at = _starts_at(plan, items, current, catalog, when)
    replaced = [held for held in found if overlaps(held, starts_at, ends_at)]
    if terms.ends_at is not None and terms.ends_at <= starts_at:
        raise InvalidInput("ends_at", "must be later than the start")
    if terms.ends_at is not None and terms.ends_at <= now and replaced:
        raise InvalidInput("ends_at", "must be in the future, where the plan takes another's place")
    trial_ends_at = _trial_end(holdings, plan, current, terms, starts_at)
    terms = replace(terms, free_trial=terms.free_trial if trial_ends_at else None)
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
        anchor=starts_at,
        canceled_at=None if gives_way_at is None else now,
        expires_at=ends_at,
        ends_at=terms.ends_at,
        before_change=None if gives_way_at is None else Ending(None, terms.ends_at),
        trial_ends_at=trial_ends_at,
        parent_id=terms.parent_id,
        filters=tuple(sorted(own.filters)),
        extra=terms.extra,
        stacks=terms.stacks,
        automatic=terms.automatic,
    )
    goes_on = _goes_on(subscription, current, catalog, terms, now)
    resumed = None if _asks_for_a_cycle(terms) else left_off(holdings, subscription, now)
    subscription = replace(subscription, anchor=_anchor(subscription, resumed, current if goes_on else None, terms))
    carry = terms.carry_over or FRESH
    period = current.period(max(starts_at, now)) if current else None
    takes = Takes(
        replaces=tuple(held.id for held in replaced),
        resumes=not cost_of(plan.price, items, catalog.features).one_off,
        keeps_period=goes_on,
        resumes_period=resumed is not None or goes_on,
        lapses_at=period[1] if period else None,
        until=min((held.expires_at for held in replaced if held.expires_at is not None), default=None),
    )
    return _taking_over(holdings, catalog, subscription, replaced, _Handover(takes, carry, terms.keeps_overage, now))


def update_quantities(
    holdings: Holdings, catalog: Catalog, subscription_id: str, quantities: Mapping[str, Decimal], now: int
) -> Holdings:
    """The holdings with other bought quantities; what was used stays used."""
    subscription = held_subscription(holdings, subscription_id, now)
    check_quantities(subscription.items, quantities)
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
    return with_subscriptions(holdings, catalog, {**holdings.subscriptions, subscription_id: changed}, changes, now)


def cancel(holdings: Holdings, catalog: Catalog, subscription_id: str, now: int, *, at_end: bool) -> Holdings:
    """The holdings with a subscription that ends now, or at the end of its cycle (of its trial, if that is running),
    and its add-ons with it.

    What a plan that has not started yet was to replace is as it was before. A plan that was to follow starts when this
    one ends, if it costs nothing; else it never starts.
    """
    subscription = held_subscription(holdings, subscription_id, now)
    if subscription.status(now) == "scheduled":
        return _taken_back(holdings, catalog, subscription, now)
    ends_at = now
    period = subscription.period(now)
    if at_end and subscription.trialing(now):
        ends_at = subscription.trial_ends_at or now
    elif at_end and period:
        ends_at = period[1]
    own_end = subscription.before_change.expires_at if subscription.before_change else subscription.expires_at
    ending = Ending(now, sooner(own_end, ends_at))
    follows = False
    for follower in rivals(holdings, Rivalry.of(subscription, catalog.features), catalog.features, now):
        adjoins = follower.started_at == subscription.expires_at
        if follower.status(now) != "scheduled" or not (adjoins or overlaps(follower, now, ending.expires_at)):
            continue
        if cost_of(follower.price, follower.items, catalog.features).free:
            holdings = _moved(holdings, catalog, follower, ending.expires_at or now, now)
            follows = True
        else:
            holdings = _taken_back(holdings, catalog, follower, now)
    for other in list(holdings.subscriptions.values()):
        if other.id == subscription_id:
            ended = replace(other, canceled_at=now, expires_at=ending.expires_at)
            holdings = _with_subscription(
                holdings, catalog, replace(ended, before_change=ending if follows else None), now
            )
        elif other.parent_id == subscription_id and other.status(now) != "expired":
            canceled_at = now if other.canceled_at is None else other.canceled_at
            until = sooner(other.expires_at, ending.expires_at or ends_at)
            ended = replace(other, canceled_at=canceled_at, expires_at=until)
            holdings = _with_subscription(holdings, catalog, ended, now)
    return holdings


def without_waiting_automatic(holdings: Holdings, catalog: Catalog, now: int) -> Holdings:
    """The holdings without the automatic plans that have not started: a change of plans is made on these, and what is to
    come by itself after it is found anew (`plan_changes.returning`)."""
    waiting = {s.id for s in holdings.subscriptions.values() if s.automatic and s.status(now) == "scheduled"}
    if not waiting:
        return holdings
    changes = {
        key: tuple(g._replace(expires_at=now) if g.subscription_id in waiting else g for g in grants)
        for key, grants in grants_of(holdings, now).items()
    }
    subscriptions = {id: s for id, s in holdings.subscriptions.items() if id not in waiting}
    return with_subscriptions(holdings, catalog, subscriptions, changes, now)


def uncancel(holdings: Holdings, catalog: Catalog, subscription_id: str, now: int) -> Holdings:
    """The holdings with a subscription that goes on after all; a plan that was to follow it does not start.

    Raises InvalidRequest where it was not canceled.
    """
    subscription = held_subscription(holdings, subscription_id, now)
    if subscription.canceled_at is None:
        raise InvalidRequest(f"Subscription {subscription_id} is not canceled")
    for other in rivals(holdings, Rivalry.of(subscription, catalog.features), catalog.features, now):
        if other.status(now) == "scheduled" and overlaps(other, subscription.started_at, subscription.ends_at):
            holdings = _taken_back(holdings, catalog, other, now)
    goes_on = replace(
        holdings.subscriptions[subscription_id], canceled_at=None, expires_at=subscription.ends_at, before_change=None
    )
    holdings = _with_subscription(holdings, catalog, goes_on, now)
    for other in list(holdings.subscriptions.values()):
        ends_with_it = other.parent_id == subscription_id and other.canceled_at == subscription.canceled_at
        if ends_with_it and other.status(now) != "expired":
            kept = replace(other, canceled_at=None, expires_at=other.ends_at)
            holdings = _with_subscription(holdings, catalog, kept, now)
    return holdings


# ------------------------------------------------------------------ parts


def _scoped(item: PlanItem, plan: Plan) -> PlanItem:
    return item if item in plan.items else replace(item, scoped=True)


def check_quantities(items: Iterable[PlanItem], quantities: Mapping[str, Decimal]) -> None:
    """Raises InvalidInput for units (in all, by feature) of what is not prepaid among these items, or below zero."""
    prepaid = {item.feature_id for item in items if item.price and item.price.billing_method == PREPAID}
    for feature_id, quantity in quantities.items():
        if feature_id not in prepaid:
            raise InvalidInput("feature_quantities", f"the plan has no prepaid item of feature {feature_id}")
        if quantity < 0:
            raise InvalidInput("feature_quantities", "must not be negative")


def held_subscription(holdings: Holdings, subscription_id: str, now: int) -> Subscription:
    """The subscription of that id. Raises NotFound where there is none, or it has ended."""
    found = holdings.subscriptions.get(subscription_id)
    if found is None or found.status(now) == "expired":
        raise NotFound("subscription", subscription_id)
    return found


def _check_overlap(holdings: Holdings, own: Rivalry, now: int) -> None:
    for held in holdings.subscriptions.values():
        if own.independent or held.add_on or held.plan_id != own.plan_id or held.entity_id != own.entity_id:
            continue
        if held.status(now) == "expired" or frozenset(held.filters) == own.filters:
            continue
        if nested(held.filters, tuple(own.filters)):
            raise Conflict(
                f"Plan {own.plan_id} is attached to customer {holdings.customer.id} with filters that overlap"
            )


def nested(one: Filters, other: Filters) -> bool:
    """Whether every use that one set of filters lets through, the other does too (lotus.md 1.8 (overlapping plans))."""
    return set(one) <= set(other) or set(other) <= set(one)


def _same_plan(found: list[Subscription], plan: Plan, terms: Terms, now: int) -> Subscription | None:
    """The subscription to just this plan that is held, where nothing is to be different: neither what it grants, nor, of
    one that is to end, its times, nor, of one that is scheduled, that it starts later.
    """
    if terms.changes_plan:
        return None
    for held in found:
        if (held.plan_id, held.plan_version, held.items) != (plan.id, plan.version, plan.items) or held.quantities:
            continue
        other_times = terms.stacks or terms.starts_at is not None or terms.ends_at is not None
        if held.canceled_at is not None and other_times:
            continue
        if held.status(now) == "scheduled" and terms.schedule == "immediate":
            continue
        return held
    return None


class _When(NamedTuple):
    """When a plan was asked for: by these terms, now."""

    terms: Terms
    now: int


def _starts_at(
    plan: Plan, items: tuple[PlanItem, ...], current: Subscription | None, catalog: Catalog, when: _When
) -> int:
    """When the plan starts: as asked, else at once; a downgrade at the end of the running cycle."""
    terms, now = when
    if terms.starts_at is not None:
        return terms.starts_at if terms.backdate else max(now, terms.starts_at)
    if current is None or terms.schedule == "immediate":
        return now
    waits = terms.schedule == "end_of_cycle" or (
        current.plan_id != plan.id
        and is_downgrade(
            cost_of(current.price, current.items, catalog.features), cost_of(plan.price, items, catalog.features)
        )
    )
    period = current.period(now)
    return sooner(current.expires_at, period[1]) if waits and period else now


def _trial_end(
    holdings: Holdings, plan: Plan, current: Subscription | None, terms: Terms, starts_at: int
) -> int | None:
    """When the trial of a plan that starts then ends (epoch ms); None: it has none. One that runs goes on where the same
    plan is attached with other quantities or items."""
    trial = terms.free_trial
    if trial is None:
        return None
    if terms.trial_again or not had_trial(holdings, plan.id):
        return after(starts_at, trial.interval, trial.length)
    if current is not None and current.plan_id == plan.id and current.trialing(starts_at):
        return current.trial_ends_at
    return None


def _anchor(
    subscription: Subscription, resumed: Subscription | None, current: Subscription | None, terms: Terms
) -> int:
    """What the plan's cycles are counted from: as asked, else what those of the subscription are with which it goes on
    (where its plan left off, or the running one that it replaces), if it has the same cycle, else its start.
    """
    if terms.anchor is not None:
        return terms.anchor
    before = next((s for s in (resumed, current) if s is not None and s.cycle == subscription.cycle), None)
    return subscription.started_at if before is None else before.cycle_anchor


def _asks_for_a_cycle(terms: Terms) -> bool:
    """Whether the plan is to start periods of its own. What comes by itself, at its time, does not ask for them."""
    own_time = terms.starts_at is not None and not terms.automatic
    return terms.anchor is not None or own_time or terms.restart or terms.free_trial is not None


def _goes_on(
    subscription: Subscription, current: Subscription | None, catalog: Catalog, terms: Terms, now: int
) -> bool:
    """Whether a plan goes on in the periods of the plan that it replaces. One that costs something does not go on in those
    of one that costs nothing."""
    asked = _asks_for_a_cycle(terms) or terms.starts_at is not None
    if current is None or asked or current.trialing(now):
        return False
    was_free = cost_of(current.price, current.items, catalog.features).free
    return not was_free or cost_of(subscription.price, subscription.items, catalog.features).free


class _Handover(NamedTuple):
    """How a plan takes the place of others, and what it takes over from them."""

    takes: Takes
    carry: CarryOver
    keeps_overage: bool
    now: int


def _taking_over(
    holdings: Holdings,
    catalog: Catalog,
    subscription: Subscription,
    replaced: list[Subscription],
    handover: _Handover,
) -> Holdings:
    """The holdings with a new subscription; those that it replaces end when it starts, now or later."""
    now = handover.now
    at = max(subscription.started_at, now)
    end = max((old.started_at for old in replaced), default=now)
    end = subscription.started_at if end < subscription.started_at else now
    subscriptions = {**holdings.subscriptions, subscription.id: subscription}
    for old in replaced:
        before = old.before_change or Ending(old.canceled_at, old.expires_at)
        subscriptions[old.id] = replace(
            old,
            canceled_at=old.canceled_at or now,
            expires_at=at if at > now else sooner(old.expires_at, end),
            before_change=before if at > now else None,
        )
    gone = {old.id for old in replaced}
    changes = {
        key: tuple(g._replace(expires_at=at) if g.subscription_id in gone else g for g in grants)
        for key, grants in grants_of(holdings, now).items()
    }
    for key, grants in _waiting(holdings, catalog, subscription, handover).items():
        changes[key] = (*changes.get(key, ()), *grants)
    return with_subscriptions(holdings, catalog, subscriptions, changes, now)


def _waiting(
    holdings: Holdings, catalog: Catalog, subscription: Subscription, handover: _Handover
) -> dict[BalanceKey, tuple[Grant, ...]]:
    """What a new subscription grants, by balance, to start with it and take over then what it is to. Where it grants
    nothing of what is brought over, a grant without a plan stands for it."""
    takes, carry, keeps_overage, now = handover
    granted = granted_by(subscription, holdings.entities.values(), catalog, now, keeps_overage)
    at = max(subscription.started_at, now)
    for key, balance in holdings.balances.items():
        brings = takes.replaces and carry.brings(key.feature_id) and not balance.flag and not balance.allocated
        if key not in granted and brings:
            granted[key] = (Grant(f"{subscription.id}:left", None, subscription.id, anchor=at, created_at=now),)
    waiting = {}
    for key, grants in granted.items():
        own = takes._replace(usages=carry.deducts(key.feature_id), balances=carry.brings(key.feature_id))
        waiting[key] = tuple(grant._replace(starts_at=at, takes=own) for grant in grants)
    return waiting


def _taken_back(holdings: Holdings, catalog: Catalog, scheduled: Subscription, now: int) -> Holdings:
    """The holdings without a plan that has not started: it never does, and what it was to replace ends, or goes on, as
    before it was scheduled: until the next plan that waits."""
    holdings = _with_subscription(
        holdings, catalog, replace(scheduled, canceled_at=now, expires_at=now, before_change=None), now
    )
    found = rivals(holdings, Rivalry.of(scheduled, catalog.features), catalog.features, now)
    for other in found:
        if other.expires_at != scheduled.started_at or other.before_change is None:
            continue
        restored = replace(
            other,
            canceled_at=other.before_change.canceled_at,
            expires_at=other.before_change.expires_at,
            before_change=None,
        )
        for waiting in found:
            if waiting.id == other.id or not overlaps(waiting, restored.started_at, restored.expires_at):
                continue
            if waiting.plan_id == other.plan_id:
                holdings = _taken_back(holdings, catalog, waiting, now)
            else:
                restored = replace(other, expires_at=min(waiting.started_at, restored.expires_at or waiting.started_at))
        holdings = _with_subscription(holdings, catalog, restored, now)
    return holdings


def _moved(holdings: Holdings, catalog: Catalog, scheduled: Subscription, at: int, now: int) -> Holdings:
    """The holdings with a scheduled plan that starts at another time."""
    if scheduled.started_at == at:
        return holdings
    anchor = at if scheduled.anchor == scheduled.started_at else scheduled.anchor
    moved = replace(scheduled, started_at=at, anchor=anchor)
    anew = granted_by(moved, holdings.entities.values(), catalog, now, False)
    by_id = {(key, grant.id): grant for key, grants in anew.items() for grant in grants}

    def at_its_time(key: BalanceKey, grant: Grant) -> Grant:
        if grant.subscription_id != scheduled.id:
            return grant
        new = by_id.get((key, grant.id), grant)
        return grant._replace(starts_at=max(at, now), anchor=new.anchor, next_reset_at=new.next_reset_at)

    changes = {key: tuple(at_its_time(key, g) for g in grants) for key, grants in grants_of(holdings, now).items()}
    return with_subscriptions(holdings, catalog, {**holdings.subscriptions, moved.id: moved}, changes, now)


def _with_subscription(holdings: Holdings, catalog: Catalog, subscription: Subscription, now: int) -> Holdings:
    """The holdings with this state of a subscription, its grants ending with it."""
    ended = subscription.status(now) == "expired"
    expires_at = now if ended else subscription.expires_at
    changes = {
        key: tuple(g._replace(expires_at=expires_at) if g.subscription_id == subscription.id else g for g in grants)
        for key, grants in grants_of(holdings, now).items()
    }
    return with_subscriptions(
        holdings, catalog, {**holdings.subscriptions, subscription.id: subscription}, changes, now
    )


def with_subscriptions(
    holdings: Holdings,
    catalog: Catalog,
    subscriptions: Mapping[str, Subscription],
    changes: Mapping[BalanceKey, tuple[Grant, ...]],
    now: int,
) -> Holdings:
    """The holdings with these subscriptions and grants. What is to start takes the place of what ends at that time, as
    things stand now."""
    holdings = replace(holdings, subscriptions=subscriptions)
    replaces = _to_be_replaced(holdings, catalog, now)
    changes = {key: tuple(_expecting(grant, replaces) for grant in grants) for key, grants in changes.items()}
    changes = changed_grants(holdings, changes, now)
    return with_grants(holdings, catalog, changes, now) if changes else linked(holdings, catalog, now)


def _to_be_replaced(holdings: Holdings, catalog: Catalog, now: int) -> dict[str, tuple[str, ...]]:
    """By the id of a subscription that is to start, the ids of those in whose place it does."""
    found = {}
    for waiting in (s for s in holdings.subscriptions.values() if s.status(now) == "scheduled"):
        others = rivals(holdings, Rivalry.of(waiting, catalog.features), catalog.features, now)
        found[waiting.id] = tuple(held.id for held in others if held.expires_at == waiting.started_at)
    return found


def _expecting(grant: Grant, replaces: Mapping[str, tuple[str, ...]]) -> Grant:
    found = replaces.get(grant.subscription_id or "")
    if grant.takes is None or found is None:
        return grant
    return grant._replace(takes=grant.takes._replace(replaces=found))
