"""Adding and removing a customer's entities: what they are granted, and the seats that they take up.

`now` is the customer's time.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tollgate.domain.balances import BalanceKey, as_of, recomputed
from tollgate.domain.customers import Entity, Holdings, changed_grants, grants_of, with_grants
from tollgate.domain.drawing import any_grant, pay_back_overage, refill, started, with_usage_counted
from tollgate.domain.errors import AlreadyExists, InvalidRequest, LimitReached
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.grants import Grant, deduction_order
from tollgate.domain.periods import sooner
from tollgate.domain.plan_grants import granted_by
from tollgate.domain.quantities import ZERO
from tollgate.domain.seats import placed, seats_left
from tollgate.domain.use_records import NO_PROPERTIES


def add_entity(
    holdings: Holdings, catalog: Catalog, entity: Entity, now: int, *, keeps_overage: bool = False
) -> Holdings:
    """The holdings with one more entity: its share of each plan that grants per entity, and one seat of its feature
    used.

    Raises AlreadyExists, NotFound for its feature, InvalidRequest for a consumable one, or LimitReached where its plan
    sells no more seats or a usage limit is used up.
    """
    if entity.id in holdings.entities:
        raise AlreadyExists("entity", entity.id)
    feature = catalog.feature(entity.feature_id)
    if feature.consumable or feature.type.is_flag:
        raise InvalidRequest(f"Feature {feature.id} is not allocated: an entity takes up one of a feature that is")
    holdings = replace(holdings, entities={**holdings.entities, entity.id: entity})
    changes = grants_of(holdings, now)
    for subscription in holdings.subscriptions.values():
        if subscription.status(now) == "expired" or subscription.entity_id is not None:
            continue
        for key, grants in granted_by(subscription, (entity,), catalog, now, keeps_overage).items():
            if key.entity_id == entity.id:
                changes[key] = (*changes.get(key, ()), *grants)
    _take_seat(holdings, changes, feature)
    holdings = _counted_in_limits(_counted_while_left_off(holdings, feature.id, 1, now), feature.id, 1, now)
    return with_grants(holdings, catalog, changed_grants(holdings, changes, now), now)


def concerns_no_other(before: Holdings, after: Holdings, now: int) -> bool:
    """Whether one entity more concerned nothing but what the customer holds itself, so that the same follows from all that
    it holds (`Holdings.unread`). It is not so where

    - seats are in use that nothing grants to the customer any more, or entities hold shares of seats: the one may come to
      count what the other has left off (`domain.customers.with_seats_moved`);
    - the customer now holds a balance of one feature more: the controls of other entities may apply to it.
    """
    own = {key: balance for key, balance in before.balances.items() if not key.entity_id}
    seats = [as_of(balance, now) for balance in own.values() if balance.allocated]
    return all(key.entity_id or key in own for key in after.balances) and not any(
        balance.feature_id in before.unread or (balance.left_off and not balance.grants) for balance in seats
    )


def remove_entity(holdings: Holdings, catalog: Catalog, entity_id: str, now: int) -> Holdings:
    """The holdings without an entity, what it held and what was attached to it; its seat is given back.

    Raises NotFound.
    """
    entity = holdings.entity(entity_id)
    entities = {id: other for id, other in holdings.entities.items() if id != entity_id}
    subscriptions = {
        id: replace(s, canceled_at=s.canceled_at or now, expires_at=sooner(s.expires_at, now))
        if s.entity_id == entity_id
        else s
        for id, s in holdings.subscriptions.items()
    }
    balances = {key: balance for key, balance in holdings.balances.items() if key.entity_id != entity_id}
    holdings = replace(holdings, entities=entities, subscriptions=subscriptions, balances=balances)
    changes = grants_of(holdings, now)
    if entity.feature_id in catalog.features:
        _give_back_seat(changes, catalog.features[entity.feature_id])
        holdings = _counted_while_left_off(holdings, entity.feature_id, -1, now)
        holdings = _counted_in_limits(holdings, entity.feature_id, -1, now)
    return with_grants(holdings, catalog, changed_grants(holdings, changes, now), now)


def _take_seat(holdings: Holdings, changes: dict[BalanceKey, tuple[Grant, ...]], feature: Feature) -> None:
    """Counts one entity more as a use of its feature, where the customer holds it; in place.

    Raises LimitReached where the plan sells no seat beyond those that are taken. Free seats may run out.
    """
    key = BalanceKey(feature.id)
    grants = changes.get(key, ())
    if feature.consumable or not grants:
        return
    live = tuple(grant for grant in grants if started(grant)) or grants
    room = seats_left(live, holdings.balances[key].limits)
    if room is not None and room < 1:
        raise LimitReached(f"Customer {holdings.customer.id} has no seat of feature {feature.id} left")
    before = tuple(sorted(grants, key=deduction_order))
    changes[key] = with_usage_counted(before, placed(before, Decimal(1)), Decimal(1))


def _counted_while_left_off(holdings: Holdings, feature_id: str, seats: int, now: int) -> Holdings:
    """The holdings with so many seats more (below zero: fewer) in the use that is left off while nothing grants the
    feature to the customer. Where none is, the entities that there are will be counted."""
    key = BalanceKey(feature_id)
    balance = as_of(holdings.balances[key], now) if key in holdings.balances else None
    if balance is None or balance.grants or not balance.left_off:
        return holdings
    first, *others = balance.left_off
    counted = recomputed(balance._replace(left_off=(first._replace(used=first.used + seats), *others)))
    return replace(holdings, balances={**holdings.balances, key: counted})


def _counted_in_limits(holdings: Holdings, feature_id: str, seats: int, now: int) -> Holdings:
    """The holdings with so many seats more (below zero: fewer) counted in the customer's usage limits of the feature.

    What is given back does not reopen a limit that is used up (autumn.md 3.5); an unlimited balance counts nothing.
    Raises LimitReached where there are more seats than a limit leaves.
    """
    key = BalanceKey(feature_id)
    if key not in holdings.balances:
        return holdings
    balance = as_of(holdings.balances[key], now)
    counting = [w for w in balance.limits.windows if w.matches(NO_PROPERTIES) and (seats > 0 or w.room > 0)]
    if not counting or any(grant.unlimited for grant in balance.live_grants):
        return holdings
    if any(window.room < seats for window in counting):
        raise LimitReached(f"The usage limit of feature {feature_id} is used up for customer {holdings.customer.id}")
    windows = tuple(w._replace(used=max(ZERO, w.used + seats)) if w in counting else w for w in balance.limits.windows)
    counted = recomputed(balance._replace(limits=balance.limits._replace(windows=windows)))
    return replace(holdings, balances={**holdings.balances, key: counted})


def _give_back_seat(changes: dict[BalanceKey, tuple[Grant, ...]], feature: Feature) -> None:
    """Counts one entity less; in place."""
    key = BalanceKey(feature.id)
    grants = tuple(sorted(changes.get(key, ()), key=deduction_order))
    if feature.consumable or not grants:
        return
    may = started if any(started(grant) for grant in grants) else any_grant
    drawn, left = pay_back_overage(grants, Decimal(1), may)
    drawn, left = refill(drawn, left, may)
    changes[key] = with_usage_counted(grants, drawn, left - 1)
