"""Customers, their entities and subscriptions, and all that they hold together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.balances import ENTITIES, Balance, BalanceKey, as_of, recomputed, with_other_grants
from tollgate.domain.controls import NO_CONTROLS, Controls, limits_for, top_up_for, usage_controls
from tollgate.domain.errors import InvalidRequest, NotFound
from tollgate.domain.features import Catalog, FeatureType
from tollgate.domain.grants import Grant
from tollgate.domain.periods import Reset, last_boundary, next_boundary
from tollgate.domain.plans import BasePrice, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.domain.seats import placed

MAX_GRANTS = 50  # of one balance: they make its item about 3 KB; with up to ten, a write is one write unit


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer. Times are epoch ms.

    - `controls`: the limits and thresholds that it states.
    - `unpooled`: its entities do not use its balances.
    - `frozen_time`: the time of its test clock (sandbox); None: it has none.
    """

    id: str
    name: str | None = None
    email: str | None = None
    fingerprint: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: int = 0
    send_email_receipts: bool = False
    controls: Controls = NO_CONTROLS
    unpooled: bool = False
    frozen_time: int | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """Something of a customer's that a feature counts (a seat of `users`), with balances of its own. `created_at` is
    epoch ms.
    """

    id: str
    feature_id: str
    name: str | None = None
    created_at: int = 0
    controls: Controls = NO_CONTROLS


class Ending(NamedTuple):
    """When a subscription was canceled and when it ends (epoch ms); None: it was not, it does not."""

    canceled_at: int | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """One customer's, or entity's, subscription to one version of a plan. Times are epoch ms; its status follows from
    them alone.

    - `items`: what it grants: the plan's items, or customized ones.
    - `quantities`: by feature, the units bought in all, the included ones among them.
    - `cycle`, `anchor`: the length of its billing cycles, and the instant that they are counted from.
    - `canceled_at`: when it was canceled. `expires_at`: when it ends as things stand. `ends_at`: the end that it was
      given when it was attached.
    - `parent_id`: of an add-on, the subscription that it belongs to and ends with.
    - `filters`: it pays for, and counts, only uses whose properties have these values.
    - `extra`: fields that only other dialects show.
    - `stacks`: it stands beside other plans that have no group, too.
    - `before_change`: its ending as it was before the plan that is to follow it was scheduled; None: none is.
    - `automatic`: it came by itself, where another ends. Until it starts, each change of plans makes it anew.
    """

    id: str
    plan_id: str
    plan_version: int
    group: str | None
    add_on: bool
    auto_enable: bool
    started_at: int
    created_at: int = 0
    entity_id: str | None = None
    items: tuple[PlanItem, ...] = ()
    quantities: Mapping[str, Decimal] = field(default_factory=dict)
    controls: Controls = NO_CONTROLS
    price: BasePrice | None = None
    cycle: Reset | None = None
    anchor: int = 0
    canceled_at: int | None = None
    expires_at: int | None = None
    ends_at: int | None = None
    trial_ends_at: int | None = None
    parent_id: str | None = None
    filters: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    stacks: bool = False
    before_change: Ending | None = None
    automatic: bool = False

    def status(self, now: int) -> str:
        """`scheduled`, `active` (a trial is active) or `expired`, at `now` (epoch ms)."""
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "scheduled" if self.started_at > now else "active"

    def trialing(self, now: int) -> bool:
        """Whether its trial is running at `now` (epoch ms)."""
        return self.trial_ends_at is not None and now < self.trial_ends_at

    @property
    def cycle_anchor(self) -> int:
        """The instant (epoch ms) that billing cycles are counted from: the end of a trial that they follow, else the
        anchor.
        """
        if self.trial_ends_at is not None and self.anchor == self.started_at:
            return self.trial_ends_at
        return self.anchor

    def period(self, now: int) -> tuple[int, int] | None:
        """The start and end (epoch ms) of the billing cycle that contains `now`; None where the subscription does not
        recur.
        """
        if self.trial_ends_at is not None and self.trialing(now):
            return self.started_at, self.trial_ends_at
        if self.cycle is None:
            return None
        anchor = self.cycle_anchor
        if now < anchor:
            return self.started_at, anchor
        end = next_boundary(anchor, self.cycle, now)
        return None if end is None else (last_boundary(anchor, self.cycle, now), end)


class Ended(NamedTuple):
    """What is known of the ended subscriptions that are kept apart: how many, and of which plans."""

    number: int = 0
    plan_ids: frozenset[str] = frozenset()

    def with_more(self, moved: Collection[Subscription]) -> Ended:
        """With these kept apart too."""
        return Ended(self.number + len(moved), self.plan_ids.union(held.plan_id for held in moved))


NONE_ENDED = Ended()


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that a customer has: entities and subscriptions by id, balances by balance key.

    `ended`: the subscriptions that have ended and are not among these (`store.ended`).

    `unread`: the features of which entities that are not among these hold balances (`store.customers.CustomerStore.near`);
    none where these are all.
    """

    customer: Customer
    entities: Mapping[str, Entity] = field(default_factory=dict)
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    balances: Mapping[BalanceKey, Balance] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    ended: Ended = NONE_ENDED

    def time(self, now: int) -> int:
        """The customer's time (epoch ms): its test clock's where it has one, else `now`."""
        return now if self.customer.frozen_time is None else self.customer.frozen_time

    def entity(self, entity_id: str) -> Entity:
        """The entity with this id. Raises NotFound."""
        found = self.entities.get(entity_id)
        if found is None:
            raise NotFound("entity", entity_id)
        return found

    def count_of(self, feature_id: str) -> Decimal:
        """How many entities of this feature there are."""
        return Decimal(sum(entity.feature_id == feature_id for entity in self.entities.values()))

    def active(self, now: int, entity_id: str | None = None) -> list[Subscription]:
        """The active subscriptions of the customer itself, or of one entity, the oldest first."""
        held = [s for s in self.subscriptions.values() if s.entity_id == entity_id and s.status(now) == "active"]
        return sorted(held, key=lambda s: (s.started_at, s.created_at, s.id))


def with_grants(
    holdings: Holdings, catalog: Catalog, changes: Mapping[BalanceKey, tuple[Grant, ...]], now: int
) -> Holdings:
    """The holdings with the grants of these balances replaced, and everything that depends on them brought up to date.
    The first grants of a feature that entities are of count those that exist.

    Raises InvalidRequest for more than MAX_GRANTS grants of one balance.
    """
    balances = dict(holdings.balances)
    for key, grants in changes.items():
        new = new_balance(key, catalog)
        old = as_of(balances.get(key) or new, now)._replace(allocated=new.allocated)
        if old.allocated and not old.grants and not old.left_off and not key.entity_id:
            grants = placed(grants, holdings.count_of(key.feature_id) - _left_to_entities(balances, key, now))
        balances[key] = with_other_grants(old, grants, now)
        if len(balances[key].grants) > MAX_GRANTS:
            raise InvalidRequest(f"A balance can hold at most {MAX_GRANTS} grants of feature {key.feature_id}")
    return linked(with_seats_moved(replace(holdings, balances=balances), now), catalog, now)


def _left_to_entities(balances: Mapping[BalanceKey, Balance], key: BalanceKey, now: int) -> Decimal:
    """The use of a customer's seats that is left off in its entities' balances, and will be moved from there."""
    others = (b for k, b in balances.items() if k.feature_id == key.feature_id and k.entity_id and b.allocated)
    ended = (current for current in (as_of(b, now) for b in others) if not current.grants)
    return sum((grant.used for current in ended for grant in current.left_off), ZERO)


def with_seats_moved(holdings: Holdings, now: int) -> Holdings:
    """The holdings with the use of seats that nothing grants any more at its own level counted at the other one: a
    customer's by its entities' shares, an entity's by the customer's grants. The same holdings where there is none."""
    moved = dict(holdings.balances)
    for key, balance in holdings.balances.items():
        if balance.allocated and (balance.left_off or any(g.changes_at <= now for g in balance.grants)):
            moved[key] = as_of(balance, now)
    loose = [key for key, b in moved.items() if b.allocated and b.left_off and not b.grants]
    found_takers = False
    for key in sorted(loose):
        if key.entity_id:
            found = [BalanceKey(key.feature_id)] if BalanceKey(key.feature_id) in moved else []
        else:
            found = sorted(other for other in moved if other.feature_id == key.feature_id and other.entity_id)
        takers = [other for other in found if as_of(moved[other], now).grants]
        left = sum((grant.used for grant in moved[key].left_off), ZERO)
        for number, taker in enumerate(takers):
            balance = as_of(moved[taker], now)
            room = sum((max(ZERO, grant.remaining) for grant in balance.live_grants), ZERO)
            endless = any(grant.unlimited for grant in balance.live_grants)
            part = left if endless or number == len(takers) - 1 else min(left, room)
            moved[taker] = with_other_grants(balance, placed(balance.grants, part), now)
            left -= part
        if takers:
            moved[key] = recomputed(as_of(moved[key], now)._replace(left_off=()))
            found_takers = True
    return replace(holdings, balances=moved) if found_takers else holdings


def new_balance(key: BalanceKey, catalog: Catalog) -> Balance:
    """A balance without grants. Raises NotFound for an unknown feature."""
    feature = catalog.feature(key.feature_id)
    return Balance(key, flag=feature.type.is_flag, allocated=not feature.type.is_flag and not feature.consumable)


def grants_of(holdings: Holdings, now: int) -> dict[BalanceKey, tuple[Grant, ...]]:
    """The grants of every balance as of `now` (epoch ms)."""
    return {key: as_of(balance, now).grants for key, balance in holdings.balances.items()}


def changed_grants(
    holdings: Holdings, grants: Mapping[BalanceKey, tuple[Grant, ...]], now: int
) -> dict[BalanceKey, tuple[Grant, ...]]:
    """Of `grants`, by balance, those that differ from the grants that the holdings have; their order does not
    matter.
    """
    held = grants_of(holdings, now)
    return {
        key: found
        for key, found in grants.items()
        if key not in held or {grant.id: grant for grant in found} != {grant.id: grant for grant in held[key]}
    }


def linked(holdings: Holdings, catalog: Catalog, now: int) -> Holdings:
    """The holdings with each balance carrying what the customer's controls and its other balances mean for it.

    Three kinds of balances are added without grants: one that counts a usage limit of a feature that nothing grants;
    one of an entity whose controls bound a feature that the customer holds; one of the customer for each feature of
    which an entity has a balance, to record that entities have some.
    """
    balances = dict(holdings.balances)
    held = {key.feature_id for key, balance in balances.items() if not key.entity_id and not balance.flag}
    wanted = {BalanceKey(key.feature_id) for key in balances if key.entity_id}
    levels: list[tuple[str, Controls, list[Controls]]] = [
        ("", holdings.customer.controls, [s.controls for s in holdings.active(now)])
    ]
    levels += [
        (entity.id, entity.controls, [s.controls for s in holdings.active(now, entity.id)])
        for entity in holdings.entities.values()
    ]
    for entity_id, controls, plans in levels:
        limited = controls.features().union(*(plan.features() for plan in plans))
        wanted |= {BalanceKey(id, entity_id) for id in limited if usage_controls(id, controls, plans)}
        if entity_id:
            wanted |= {BalanceKey(id) for id in limited}
    held |= {
        key.feature_id for key in wanted - set(balances) if not key.entity_id and not new_balance(key, catalog).flag
    }
    for entity_id, controls, plans in levels:
        if entity_id:
            wanted |= {
                BalanceKey(id, entity_id) for id in held if any(c.rules_overage_of(id) for c in (controls, *plans))
            }
    for key in sorted(wanted - set(balances)):
        balances[key] = new_balance(key, catalog)
    by_level = {entity_id: (controls, plans) for entity_id, controls, plans in levels}
    for key, balance in balances.items():
        controls, plans = by_level.get(key.entity_id, (NO_CONTROLS, []))
        anchor = _cycle_anchor(balance, holdings, now)
        counted = as_of(balance, now).limits
        known = (*counted.paused, *counted.windows)
        limits = limits_for(key.feature_id, controls, plans, anchor, known, now)
        if not key.entity_id:
            limits = limits._replace(top_up=top_up_for(key.feature_id, controls, plans))
        new = balance._replace(
            limits=limits,
            paid_first=frozenset() if key.entity_id else _paid_first(key, balances, catalog, holdings.unread),
            has_test_clock=holdings.customer.frozen_time is not None,
            unpooled=holdings.customer.unpooled and not key.entity_id,
        )
        balances[key] = balance if _same_links(new, balance, now) else _relinked(new, balance, now)
    for key, balance in balances.items():
        customers = balances.get(BalanceKey(key.feature_id))
        counted_by_customer = bool(
            key.entity_id and customers and customers.limits.windows and not balance.limits.windows
        )
        if counted_by_customer != balance.counted_by_customer:
            balances[key] = recomputed(as_of(balance, now)._replace(counted_by_customer=counted_by_customer))
    return replace(holdings, balances=balances)


def _same_links(known: Balance, balance: Balance, now: int) -> bool:
    """Whether `known` differs from `balance` in nothing but the counts of usage limits, which the balance keeps
    itself.
    """
    seen = as_of(balance, now).limits if balance.limits.windows else balance.limits
    empty = Balance(balance.key, allocated=balance.allocated)
    return known._replace(limits=balance.limits) == balance and known.limits == seen and balance != empty


def _relinked(known: Balance, balance: Balance, now: int) -> Balance:
    current = as_of(balance, now)
    return recomputed(known._replace(grants=current.grants, left_off=current.left_off, holds=current.holds))


def _cycle_anchor(balance: Balance, holdings: Holdings, now: int) -> int:
    """The instant (epoch ms) that billing-cycle windows are counted from (autumn.md 3.5).

    It is the anchor of the feature's own resets; where nothing resets, of the billing cycle of the plan that grants it,
    else of another plan of the entity or the customer; where no plan has a cycle, the customer's creation.
    """
    resetting = next((grant.anchor for grant in balance.grants if grant.next_reset_at is not None), None)
    if resetting is not None:
        return resetting
    own = holdings.active(now, balance.key.entity_id or None)
    others = holdings.active(now) if balance.key.entity_id else []
    granting = {grant.subscription_id for grant in balance.grants}
    plans = sorted((s for s in (*own, *others) if s.cycle), key=lambda s: (s.id not in granting, s.add_on))
    return plans[0].cycle_anchor if plans else holdings.customer.created_at


def _paid_first(
    key: BalanceKey, balances: Mapping[BalanceKey, Balance], catalog: Catalog, unread: frozenset[str]
) -> frozenset[str]:
    found = set()
    if key.feature_id in unread or any(other.feature_id == key.feature_id and other.entity_id for other in balances):
        found.add(ENTITIES)
    feature = catalog.features.get(key.feature_id)
    if feature is not None and feature.type is FeatureType.CREDIT_SYSTEM:
        found |= {member for member, _ in feature.credit_schema if BalanceKey(member) in balances}
    return frozenset(found)
