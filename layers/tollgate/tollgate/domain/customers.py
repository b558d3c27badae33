"""Customers, their subscriptions, and what attaching a plan does to their balances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tollgate.domain.balances import Balance, Row, balance_of, flag_of, fold
from tollgate.domain.errors import InvalidRequest
from tollgate.domain.features import Feature, FeatureType, feature_of
from tollgate.domain.periods import next_boundary
from tollgate.domain.plans import Plan, PlanItem

MAX_ROWS = 50  # of one balance: an item of about 9 KB; up to three stay within one write unit


@dataclass(frozen=True, slots=True)
class Customer:
    id: str
    name: str | None = None
    email: str | None = None
    fingerprint: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Subscription:
    """One customer's hold of one version of a plan, from `started_at` on."""

    id: str
    plan_id: str
    plan_version: int
    group: str | None
    add_on: bool
    auto_enable: bool
    started_at: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that a customer has: subscriptions by id, and balances by feature."""

    customer: Customer
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    balances: Mapping[str, Balance] = field(default_factory=dict)


def attach(holdings: Holdings, plan: Plan, features: Mapping[str, Feature], subscription_id: str, now: int) -> Holdings:
    """The holdings with one more subscription and the rows it grants.

    Raises InvalidRequest where the plan is attached already, shares its group with an attached main plan, or grants more
    than one customer can hold.
    """
    for held in holdings.subscriptions.values():
        if held.plan_id == plan.id and not plan.add_on:
            raise InvalidRequest(f"Plan {plan.id} is already attached to customer {holdings.customer.id}")
        if not plan.add_on and not held.add_on and plan.group is not None and held.group == plan.group:
            raise InvalidRequest(
                f"Plan {plan.id} shares the group {plan.group} with the attached plan {held.plan_id}:"
                " replacing a plan is not supported yet"
            )
    subscription = Subscription(subscription_id, plan.id, plan.version, plan.group, plan.add_on, plan.auto_enable, now)
    balances = dict(holdings.balances)
    for index, item in enumerate(plan.items):
        feature = feature_of(features, item.feature_id)
        row = _granted(item, f"{subscription_id}:{index}", subscription, now)
        held_rows = fold(balances[feature.id], now).rows if feature.id in balances else ()
        if len(held_rows) >= MAX_ROWS:
            raise InvalidRequest(f"A customer can hold at most {MAX_ROWS} grants of feature {feature.id}")
        make = flag_of if feature.type is FeatureType.BOOLEAN else balance_of
        balances[feature.id] = make(feature.id, (*held_rows, row))
    return replace(holdings, subscriptions={**holdings.subscriptions, subscription.id: subscription}, balances=balances)


def _granted(item: PlanItem, row_id: str, subscription: Subscription, now: int) -> Row:
    return Row(
        id=row_id,
        plan_id=subscription.plan_id,
        subscription_id=subscription.id,
        granted=item.included,
        unlimited=item.unlimited,
        reset=item.reset,
        anchor=now,
        next_reset_at=next_boundary(now, item.reset, now) if item.reset else None,
        add_on=subscription.add_on,
    )
