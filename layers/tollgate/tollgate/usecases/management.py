"""Defining the catalog, customers, subscriptions and keys."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tollgate.domain import keys as api_keys
from tollgate.domain.customers import Customer, Holdings, Subscription, attach
from tollgate.domain.errors import InvalidRequest, NotFound, Unavailable
from tollgate.domain.features import Feature, feature_of
from tollgate.domain.keys import ApiKey, Environment, Scope
from tollgate.domain.plans import MAX_ITEMS, Plan, checked_plan
from tollgate.store.api_keys import ApiKeys
from tollgate.store.customers import Customers
from tollgate.store.features import Features
from tollgate.store.plans import Plans
from tollgate.store.table import Refused


@dataclass(frozen=True, slots=True)
class Management:
    """The management use cases. `now` is epoch milliseconds."""

    feature_store: Features
    plan_store: Plans
    customers: Customers
    api_keys: ApiKeys

    def create_feature(self, env: Environment, feature: Feature) -> Feature:
        """Raises AlreadyExists."""
        self.feature_store.add(env, feature)
        return feature

    def features(self, env: Environment) -> list[Feature]:
        return list(self.feature_store.all(env).values())

    def feature(self, env: Environment, feature_id: str) -> Feature:
        """Raises NotFound."""
        return feature_of(self.feature_store.all(env), feature_id)

    def create_plan(self, env: Environment, plan: Plan) -> Plan:
        """Raises AlreadyExists, NotFound for an item's unknown feature, InvalidInput for an item that misfits, or
        InvalidRequest for an automatic plan that no customer could hold beside the other automatic ones."""
        features = self.feature_store.all(env)
        checked_plan(plan, features)
        if plan.auto_enable:
            everyone = Holdings(Customer("everyone"))
            for automatic in (*self._automatic_plans(env), plan):
                everyone = attach(everyone, automatic, features, automatic.id, plan.created_at)
            if len(everyone.subscriptions) + len(everyone.balances) > MAX_ITEMS:
                raise InvalidRequest(f"Automatic plans can grant at most {MAX_ITEMS} features in all")
        self.plan_store.add(env, plan)
        return plan

    def _automatic_plans(self, env: Environment) -> list[Plan]:
        return [plan for plan in self.plan_store.all(env) if plan.auto_enable and not plan.archived]

    def plans(self, env: Environment) -> list[Plan]:
        return self.plan_store.all(env)

    def plan(self, env: Environment, plan_id: str, version: int | None = None) -> Plan:
        """Raises NotFound."""
        return self.plan_store.get(env, plan_id, version)

    def customer(self, env: Environment, customer_id: str) -> Holdings:
        """Raises NotFound."""
        return self.customers.get(env, customer_id).holdings

    def get_or_create_customer(
        self, env: Environment, customer: Customer, auto_enable_plan_id: str | None, now: int
    ) -> Holdings:
        """The customer as stored, or a new one holding the plans that are enabled automatically.

        Raises NotFound for an unknown plan, or InvalidRequest where it cannot be attached.
        """
        try:
            return self.customer(env, customer.id)
        except NotFound:
            pass
        holdings = Holdings(replace(customer, created_at=now))
        features = self.feature_store.all(env)
        automatic = (
            self._automatic_plans(env)
            if auto_enable_plan_id is None
            else [self.plan_store.get(env, auto_enable_plan_id)]
        )
        for plan in automatic:
            holdings = attach(holdings, plan, features, new_id("sub"), now)
        try:
            self.customers.add(env, holdings)
        except Refused:
            return self.customer(env, customer.id)
        return holdings

    def attach(
        self, env: Environment, customer_id: str, plan_id: str, version: int | None, now: int
    ) -> tuple[Subscription, Holdings]:
        """Subscribes the customer to a plan, and grants what it grants, in one transaction.

        Raises NotFound, InvalidRequest where the plan cannot be attached, or Unavailable under constant contention.
        """
        plan = self.plan_store.get(env, plan_id, version)
        features: Mapping[str, Feature] = self.feature_store.all(env)
        subscription_id = new_id("sub")
        for _ in self.customers.turns():
            before = self.customers.get(env, customer_id)
            after = attach(before.holdings, plan, features, subscription_id, now)
            try:
                self.customers.change(env, before, after)
            except Refused:
                continue
            return after.subscriptions[subscription_id], after
        raise Unavailable("The customer is being changed too often: nothing was attached, try again")

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


def new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"
