"""What a customer's subscriptions allow it to use. A customer that was asked about before takes one request to the
table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from tollgate.domain.balances import ENTITIES, Balance, BalanceKey, all_as_of
from tollgate.domain.customers import Customer, Subscription
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import NotFound
from tollgate.domain.plans import Plan
from tollgate.store.balances import BalanceStore
from tollgate.store.customers import CustomerStore
from tollgate.store.plans import PlanStore
from tollgate.usecases.features import FeatureCache

MOST_REMEMBERED = 10_000  # customers


class Held(NamedTuple):
    """A customer at its time `now` (epoch ms).

    - `balances`: its balances of the features asked about, as of `now`.
    - `subscriptions`: its active subscriptions, the oldest first: all, or those that grant one of the features.
    """

    customer: Customer
    now: int
    balances: Mapping[BalanceKey, Balance]
    subscriptions: tuple[Subscription, ...]


class Access:
    """The use cases of access checks: they only read. `now` is epoch ms."""

    def __init__(
        self, customers: CustomerStore, balances: BalanceStore, features: FeatureCache, plans: PlanStore
    ) -> None:
        self._customers = customers
        self._balance_store = balances
        self.features = features
        self._plans = plans
        self._remembered: dict[CustomerRef, frozenset[str]] = {}
        self._plan_of: dict[tuple[Environment, str, int], Plan] = {}

    def granting(self, customer: CustomerRef, feature_ids: Collection[str], now: int) -> Held:
        """The customer with the active subscriptions that grant any of these features. Raises NotFound.

        One request, which reads the subscriptions that granted them the last time; one more where other subscriptions
        do now, and one for each feature of which entities hold shares.
        """
        guess = self._remembered.get(customer, frozenset())
        keys = [BalanceKey(id) for id in feature_ids]
        read = self._customers.some(customer, keys, guess)
        holdings, subscriptions = read.holdings, dict(read.holdings.subscriptions)
        balances = self._balances(customer, holdings.balances, holdings.time(now))
        wanted = {
            grant.subscription_id for balance in balances.values() for grant in balance.grants if grant.subscription_id
        }
        if missing := wanted - set(subscriptions):
            subscriptions |= self._customers.some(customer, (), missing).holdings.subscriptions
        if wanted != guess:
            self._remember(customer, wanted | (guess & set(subscriptions)))
        running = [subscription for id, subscription in subscriptions.items() if id in wanted]
        return _held(holdings.customer, holdings.time(now), balances, running)

    def all_subscriptions(self, customer: CustomerRef, feature_ids: Collection[str], now: int) -> Held:
        """The customer with all its active subscriptions. Raises NotFound.

        Two requests, and one for each feature of which entities hold shares.
        """
        holdings = self._customers.some(customer, [BalanceKey(id) for id in feature_ids], ()).holdings
        at = holdings.time(now)
        balances = self._balances(customer, holdings.balances, at)
        return _held(holdings.customer, at, balances, self._customers.subscriptions(customer).values())

    def plan(self, env: Environment, subscription: Subscription) -> Plan:
        """The plan of a subscription in the version subscribed to, cached for the container's life: a version in use
        never changes.
        """
        key = env, subscription.plan_id, subscription.plan_version
        if key not in self._plan_of:
            try:
                self._plan_of[key] = self._plans.get(env, subscription.plan_id, subscription.plan_version)
            except NotFound:
                return Plan(subscription.plan_id, subscription.plan_id, subscription.plan_version)
        return self._plan_of[key]

    def plans(self, env: Environment, subscriptions: Iterable[Subscription]) -> dict[str, Plan]:
        """The plan of each subscription in the version subscribed to, by the subscription's id."""
        return {subscription.id: self.plan(env, subscription) for subscription in subscriptions}

    def _balances(
        self, customer: CustomerRef, balances: Mapping[BalanceKey, Balance], now: int
    ) -> dict[BalanceKey, Balance]:
        found = dict(balances)
        for key, balance in balances.items():
            if ENTITIES in balance.paid_first:
                stored = self._balance_store.of_feature(customer, key.feature_id)
                found |= {p: s.balance for p, s in stored.items()}
        return all_as_of(found, now)

    def _remember(self, customer: CustomerRef, ids: Collection[str]) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[customer] = frozenset(ids)


def _held(
    customer: Customer, now: int, balances: Mapping[BalanceKey, Balance], subscriptions: Collection[Subscription]
) -> Held:
    running = [s for s in subscriptions if s.entity_id is None and s.status(now) == "active"]
    return Held(customer, now, balances, tuple(sorted(running, key=lambda s: (s.started_at, s.created_at, s.id))))
