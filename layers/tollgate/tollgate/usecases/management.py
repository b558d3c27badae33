"""Defining the catalog, customers, entities, subscriptions, balances and keys."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tollgate.domain import api_keys, manual_balances
from tollgate.domain.api_keys import ApiKey, Scope
from tollgate.domain.controls import Controls
from tollgate.domain.customers import Customer, Entity, Holdings, Subscription, linked
from tollgate.domain.entities import add_entity, remove_entity
from tollgate.domain.environments import Environment
from tollgate.domain.errors import AlreadyExists, Forbidden, InvalidInput, InvalidRequest, NotFound, Unavailable
from tollgate.domain.features import Catalog, Feature, FeatureType, checked_feature, feature_of
from tollgate.domain.plans import MAX_ITEMS, Plan, check_controls, checked_plan
from tollgate.domain.subscriptions import (
    NO_TERMS,
    Terms,
    attach,
    cancel,
    uncancel,
    update_quantities,
)
from tollgate.store.api_keys import ApiKeyStore
from tollgate.store.customers import CustomerStore
from tollgate.store.features import FeatureStore
from tollgate.store.plans import PlanStore
from tollgate.store.table import Refused

Turn = Callable[[Holdings, Catalog, int], Holdings]
"""A change of holdings, at the customer's time."""


@dataclass(frozen=True, slots=True)
class Management:
    """The management use cases. `now` is epoch milliseconds.

    `keeps_overage`: a free balance that is overdrawn at a reset stays so by as much (autumn.md 3.9).
    """

    feature_store: FeatureStore
    plan_store: PlanStore
    customers: CustomerStore
    api_keys: ApiKeyStore
    keeps_overage: bool = False

    # -------------------------------------------------------------- catalog

    def create_feature(self, env: Environment, feature: Feature) -> Feature:
        """Raises AlreadyExists, or InvalidInput and NotFound for a credit system's members."""
        if feature.type is FeatureType.CREDIT_SYSTEM:
            checked_feature(feature, self.feature_store.all(env))
        self.feature_store.add(env, feature)
        return feature

    def features(self, env: Environment) -> list[Feature]:
        return list(self.feature_store.all(env).values())

    def feature(self, env: Environment, feature_id: str) -> Feature:
        """Raises NotFound."""
        return feature_of(self.feature_store.all(env), feature_id)

    def catalog(self, env: Environment) -> Catalog:
        return Catalog(self.feature_store.all(env))

    def update_feature(self, env: Environment, feature_id: str, change: Callable[[Feature], Feature]) -> Feature:
        """Raises NotFound, or InvalidInput for a type that is to change."""
        features = self.feature_store.all(env)
        old = feature_of(features, feature_id)
        new = checked_feature(change(old), features)
        if new.type is not old.type:
            raise InvalidInput("type", "cannot be changed")
        self.feature_store.replace(env, new)
        return new

    def delete_feature(self, env: Environment, feature_id: str) -> None:
        """Deletes a feature, or archives it where a plan or a credit system names it. Raises NotFound."""
        features = self.feature_store.all(env)
        feature = feature_of(features, feature_id)
        plans = self.plan_store.every_version(env)
        in_use = any(item.feature_id == feature_id for plan in plans for item in plan.items) or any(
            feature_id == member for other in features.values() for member, _ in other.credit_schema
        )
        if in_use:
            self.feature_store.replace(env, feature._replace(archived=True))
        else:
            self.feature_store.remove(env, feature_id)

    def create_plan(self, env: Environment, plan: Plan) -> Plan:
        """Raises AlreadyExists, NotFound for an item's unknown feature, InvalidInput for an item that misfits, or
        InvalidRequest for an automatic plan that no customer could hold beside the other automatic ones."""
        self._check_plan(env, plan)
        self.plan_store.add(env, plan)
        return plan

    def _check_plan(self, env: Environment, plan: Plan) -> None:
        catalog = self.catalog(env)
        checked_plan(plan, catalog.features)
        if plan.auto_enable:
            everyone = Holdings(Customer("everyone"))
            others = [other for other in self._automatic_plans(env) if other.id != plan.id]
            for automatic in (*others, plan):
                everyone = attach(everyone, automatic, catalog, automatic.id, plan.created_at)
            if any(held.status(plan.created_at) != "active" for held in everyone.subscriptions.values()):
                raise InvalidRequest("Automatic plans must not replace each other: these share a group")
            if len(everyone.subscriptions) + len(everyone.balances) > MAX_ITEMS:
                raise InvalidRequest(f"Automatic plans can grant at most {MAX_ITEMS} features in all")

    def _automatic_plans(self, env: Environment) -> list[Plan]:
        return [plan for plan in self.plan_store.all(env) if plan.auto_enable and not plan.archived]

    def plans(self, env: Environment) -> list[Plan]:
        return self.plan_store.all(env)

    def plan(self, env: Environment, plan_id: str, version: int | None = None) -> Plan:
        """Raises NotFound."""
        return self.plan_store.get(env, plan_id, version)

    def update_plan(self, env: Environment, plan_id: str, change: Callable[[Plan], Plan], now: int) -> Plan:
        """A new version of a plan; where only `archived` changes, the same versions. Raises NotFound, InvalidInput."""
        old = self.plan_store.get(env, plan_id)
        new = change(old)
        if new.archived != old.archived:
            for version in self.plan_store.versions(env, plan_id):
                self.plan_store.replace(env, replace(version, archived=new.archived))
            old = replace(old, archived=new.archived)
        if new == old:
            return old
        new = replace(new, version=old.version + 1, created_at=now, in_use=False)
        self._check_plan(env, new)
        self.plan_store.add(env, new)
        return new

    def edit_plan(self, env: Environment, plan_id: str, change: Callable[[Plan], Plan], now: int) -> Plan:
        """A plan changed bit by bit: in place while nobody has subscribed to its newest version, else as a new version.

        Several may do so at once. Raises NotFound, what `change` raises, or Unavailable under constant contention.
        """
        for _ in self.customers.turns():
            old = self.plan_store.get(env, plan_id)
            new = change(old)
            if new == old:
                return old
            if old.in_use:
                new = replace(new, version=old.version + 1, created_at=now, in_use=False)
            self._check_plan(env, new)
            try:
                if old.in_use:
                    self.plan_store.add(env, new)
                else:
                    self.plan_store.swap(env, old, new)
            except (AlreadyExists, Refused):
                continue
            return new
        raise Unavailable("The plan is being changed too often: nothing was changed, try again")

    def delete_plan(self, env: Environment, plan_id: str, *, all_versions: bool = False) -> None:
        """Deletes the newest version of a plan (or all), or archives what some customer has subscribed to."""
        versions = self.plan_store.versions(env, plan_id)
        for plan in versions if all_versions else versions[-1:]:
            if plan.in_use:
                self.plan_store.replace(env, replace(plan, archived=True))
            else:
                self.plan_store.remove(env, plan)

    # -------------------------------------------------------------- customers

    def customer(self, env: Environment, customer_id: str) -> Holdings:
        """Raises NotFound."""
        return self.customers.get(env, customer_id).holdings

    def get_or_create_customer(
        self, env: Environment, customer: Customer, auto_enable_plan_id: str | None, now: int, *, fill: bool = False
    ) -> Holdings:
        """The customer as stored, or a new one holding the plans that are enabled automatically.

        `fill`: a name or e-mail that the stored one has not is added. Raises NotFound for an unknown plan, or
        InvalidRequest where it cannot be attached.
        """
        try:
            found = self.customer(env, customer.id)
        except NotFound:
            pass
        else:
            return self._filled(env, found, customer, now) if fill else found
        catalog = self.catalog(env)
        check_controls(customer.controls, catalog.features)
        holdings = linked(Holdings(replace(customer, created_at=now)), catalog, now)
        automatic = (
            self._automatic_plans(env)
            if auto_enable_plan_id is None
            else [self.plan_store.get(env, auto_enable_plan_id)]
        )
        for plan in automatic:
            self.plan_store.mark_used(env, plan)
            terms = Terms(free_trial=plan.free_trial, keeps_overage=self.keeps_overage)
            holdings = attach(holdings, plan, catalog, new_id("sub"), now, terms)
        try:
            self.customers.add(env, holdings)
        except Refused:
            return self.customer(env, customer.id)
        return holdings

    def _filled(self, env: Environment, found: Holdings, customer: Customer, now: int) -> Holdings:
        name, email = found.customer.name or customer.name, found.customer.email or customer.email
        if (name, email) == (found.customer.name, found.customer.email):
            return found
        return self.update_customer(env, customer.id, lambda old: replace(old, name=name, email=email), now)

    def create_customer(self, env: Environment, customer: Customer, now: int) -> Holdings:
        """A new customer; raises AlreadyExists."""
        try:
            self.customer(env, customer.id)
        except NotFound:
            return self.get_or_create_customer(env, customer, None, now)
        raise AlreadyExists("customer", customer.id)

    def update_customer(
        self, env: Environment, customer_id: str, change: Callable[[Customer], Customer], now: int
    ) -> Holdings:
        """The customer changed: its profile, or its controls, which its balances follow. Raises NotFound."""

        def turn(holdings: Holdings, catalog: Catalog, at: int) -> Holdings:
            customer = change(holdings.customer)
            check_controls(customer.controls, catalog.features)
            return linked(replace(holdings, customer=customer), catalog, at)

        return self.change(env, customer_id, turn, now)

    def delete_customer(self, env: Environment, customer_id: str) -> None:
        """Raises NotFound."""
        for _ in self.customers.turns():
            try:
                return self.customers.remove(env, self.customers.get(env, customer_id))
            except Refused:
                continue
        raise Unavailable("The customer is being changed too often: try again")

    def advance_test_clock(self, env: Environment, customer_id: str, frozen_time: int, now: int) -> Holdings:
        """Moves a sandbox customer's time forward; raises Forbidden in the live environment, InvalidInput backward."""
        if env is not Environment.SANDBOX:
            raise Forbidden("A test clock can be advanced in the sandbox only")

        def turn(holdings: Holdings, catalog: Catalog, _: int) -> Holdings:
            if frozen_time < (holdings.customer.frozen_time or holdings.customer.created_at):
                raise InvalidInput("frozen_time", "must not be earlier than the customer's time")
            customer = replace(holdings.customer, frozen_time=frozen_time)
            return linked(replace(holdings, customer=customer), catalog, frozen_time)

        return self.change(env, customer_id, turn, now)

    def change(self, env: Environment, customer_id: str, turn: Turn, now: int) -> Holdings:
        """Applies a change of holdings in one transaction, on what is there when it is written.

        Raises what `turn` raises, NotFound, or Unavailable under constant contention.
        """
        catalog = self.catalog(env)
        for _ in self.customers.turns():
            before = self.customers.get(env, customer_id)
            after = turn(before.holdings, catalog, before.holdings.time(now))
            if after == before.holdings:
                return after
            try:
                self.customers.change(env, before, after)
            except Refused:
                continue
            return after
        raise Unavailable("The customer is being changed too often: nothing was changed, try again")

    # -------------------------------------------------------------- entities

    def create_entity(self, env: Environment, customer_id: str, entity: Entity, now: int) -> Holdings:
        """Raises NotFound, or AlreadyExists."""

        def turn(holdings: Holdings, catalog: Catalog, at: int) -> Holdings:
            check_controls(entity.controls, catalog.features)
            return add_entity(holdings, catalog, replace(entity, created_at=at), at, keeps_overage=self.keeps_overage)

        return self.change(env, customer_id, turn, now)

    def update_entity(
        self, env: Environment, customer_id: str, entity_id: str, controls: Controls, now: int
    ) -> Holdings:
        """Raises NotFound."""

        def turn(holdings: Holdings, catalog: Catalog, at: int) -> Holdings:
            check_controls(controls, catalog.features)
            entity = replace(holdings.entity(entity_id), controls=controls)
            return linked(replace(holdings, entities={**holdings.entities, entity_id: entity}), catalog, at)

        return self.change(env, customer_id, turn, now)

    def delete_entity(self, env: Environment, customer_id: str, entity_id: str, now: int) -> None:
        """Raises NotFound."""
        self.change(env, customer_id, lambda held, catalog, at: remove_entity(held, catalog, entity_id, at), now)

    # -------------------------------------------------------------- subscriptions

    def attach(
        self,
        env: Environment,
        customer_id: str,
        plan_id: str,
        version: int | None,
        now: int,
        terms: Terms = NO_TERMS,
        subscription_id: str | None = None,
    ) -> tuple[Subscription, Holdings]:
        """Subscribes the customer to a plan, and grants what it grants, in one transaction.

        Raises NotFound, InvalidRequest where the plan cannot be attached, or Unavailable under constant contention.
        """
        plan = self.plan_store.get(env, plan_id, version)
        if plan.archived and version is None:
            raise InvalidRequest(f"Plan {plan_id} is archived")
        if terms.items is not None:
            checked_plan(replace(plan, items=terms.items), self.feature_store.all(env))
        self.plan_store.mark_used(env, plan)
        id = subscription_id or new_id("sub")
        terms = replace(terms, keeps_overage=self.keeps_overage)
        after = self.change(env, customer_id, lambda held, catalog, at: attach(held, plan, catalog, id, at, terms), now)
        return after.subscriptions[id], after

    def update_subscription(
        self,
        env: Environment,
        customer_id: str,
        now: int,
        *,
        subscription_id: str | None = None,
        plan_id: str | None = None,
        entity_id: str | None = None,
        action: str | None = None,
        quantities: Mapping[str, Decimal] | None = None,
    ) -> Subscription:
        """Cancels or goes on with a subscription, or changes what was bought. It is named by its id or its plan's.

        Raises NotFound, InvalidInput, or InvalidRequest where it was not canceled.
        """
        found: list[str] = []

        def turn(holdings: Holdings, catalog: Catalog, at: int) -> Holdings:
            id = _subscription_id(holdings, subscription_id, plan_id, entity_id, at)
            found[:] = [id]
            if quantities:
                holdings = update_quantities(holdings, catalog, id, quantities, at)
            if action == "uncancel":
                return uncancel(holdings, catalog, id, at)
            if action is not None:
                return cancel(holdings, catalog, id, at, at_end=action == "cancel_end_of_cycle")
            return holdings

        return self.change(env, customer_id, turn, now).subscriptions[found[0]]

    # -------------------------------------------------------------- balances

    def create_balance(self, env: Environment, customer_id: str, new: manual_balances.NewBalance, now: int) -> Holdings:
        """Raises what `domain.grants.create` raises."""
        return self.change(
            env, customer_id, lambda held, catalog, at: manual_balances.create(held, catalog, new, at), now
        )

    def update_balance(
        self,
        env: Environment,
        customer_id: str,
        which: manual_balances.BalanceFilter,
        change: manual_balances.BalanceUpdate,
        now: int,
    ) -> Holdings:
        """Raises what `domain.grants.update` raises."""
        return self.update_balances(env, customer_id, [(which, change)], now)

    def update_balances(
        self,
        env: Environment,
        customer_id: str,
        changes: Sequence[tuple[manual_balances.BalanceFilter, manual_balances.BalanceUpdate]],
        now: int,
    ) -> Holdings:
        """Several changes in one transaction."""

        def turn(holdings: Holdings, catalog: Catalog, at: int) -> Holdings:
            for which, change in changes:
                holdings = manual_balances.update(holdings, catalog, which, change, at)
            return holdings

        return self.change(env, customer_id, turn, now)

    def delete_balance(
        self, env: Environment, customer_id: str, which: manual_balances.BalanceFilter, now: int, *, recalculate: bool
    ) -> Holdings:
        """Raises what `domain.grants.delete` raises."""
        return self.change(
            env,
            customer_id,
            lambda held, catalog, at: manual_balances.delete(held, catalog, which, at, recalculate=recalculate),
            now,
        )

    # -------------------------------------------------------------- keys

    def create_key(
        self,
        env: Environment,
        scope: Scope,
        name: str,
        now: int,
        token: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> tuple[ApiKey, str]:
        """A new key, and its text: the only time that it can be seen."""
        text = api_keys.mint(env, scope, token())
        key = ApiKey(new_id("key"), api_keys.digest(text), env, scope, name, api_keys.hint(text), now)
        self.api_keys.add(key)
        return key, text

    def keys(self, env: Environment) -> list[ApiKey]:
        return self.api_keys.list(env)

    def revoke_key(self, env: Environment, key_id: str) -> None:
        """Raises NotFound."""
        self.api_keys.revoke(env, key_id)


def _subscription_id(
    holdings: Holdings, subscription_id: str | None, plan_id: str | None, entity_id: str | None, now: int
) -> str:
    """The subscription that is meant: of that id, or the last one of that plan. Raises NotFound."""
    if subscription_id is not None and subscription_id in holdings.subscriptions:
        return subscription_id
    running = [
        s
        for s in holdings.subscriptions.values()
        if s.status(now) != "expired" and s.entity_id == entity_id and plan_id in (None, s.plan_id)
    ]
    if subscription_id is not None or not running or (plan_id is None and len(running) > 1):
        raise NotFound("subscription", subscription_id or plan_id or "")
    return max(running, key=lambda s: (s.created_at, s.id)).id


def new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"
