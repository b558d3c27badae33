"""What a customer is entitled to, and what it has used of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from tollgate.domain.balances import all_as_of
from tollgate.domain.customers import Holdings
from tollgate.domain.entitlement_usage import EntitledUsage, usage_of
from tollgate.domain.entitlements import Entitled, entitled
from tollgate.domain.environments import CustomerRef
from tollgate.domain.features import Catalog
from tollgate.store.customers import CustomerStore
from tollgate.usecases.features import FeatureCache
from tollgate.usecases.plans import PlanCache, PlanVersions


class CustomerEntitlements(NamedTuple):
    """The entitlements of a customer, and what they were computed from. `now` is the customer's time (epoch ms)."""

    holdings: Holdings
    features: list[Entitled]
    plans: PlanVersions
    catalog: Catalog
    now: int

    def usage(self) -> list[tuple[Entitled, EntitledUsage]]:
        """The usage of each feature, in order, computed from the balances that were read."""
        balances = all_as_of(self.holdings.balances, self.now)
        return [(found, usage_of(found, self.catalog.pools(found.feature.id), balances)) for found in self.features]


class Entitlements:
    """The use cases that read entitlements. `now` is epoch ms."""

    def __init__(self, customers: CustomerStore, features: FeatureCache, plans: PlanCache) -> None:
        self._customers = customers
        self.features = features
        self.plans = plans

    def of(
        self,
        customer: CustomerRef,
        now: int,
        feature_ids: Collection[str] | None = None,
        subscription_ids: Collection[str] | None = None,
    ) -> CustomerEntitlements:
        """The customer's entitlements. Raises NotFound or Unavailable; the answer is never incomplete.

        One Query for each 1 MB of the customer's items; with `feature_ids`, of one who holds much, only the balances that
        these features and what pays for them have. The catalog comes from the container's cache, and is read again where it
        lacks a feature that the customer holds.
        """
        env = customer.environment
        if feature_ids is None:
            holdings = self._customers.get(customer).holdings
            catalog = self.features.catalog(env)
        else:
            catalog = self.features.catalog(env)
            holdings = self._customers.of_features(customer, _with_pools(feature_ids, catalog)).holdings
        if any(key.feature_id not in catalog.features for key in holdings.balances):
            catalog = self.features.catalog(env, fresh=True)
            if feature_ids is not None:  # other pools may pay for them
                holdings = self._customers.of_features(customer, _with_pools(feature_ids, catalog)).holdings
        at = holdings.time(now)
        running = [s for s in holdings.subscriptions.values() if s.status(at) == "active"]
        plans = self.plans.versions(env, {(s.plan_id, s.plan_version) for s in running})
        names = {id: plan.name for (id, _), plan in plans.items()}  # the newest version comes last
        found = entitled(holdings, names, catalog.features, at, feature_ids, subscription_ids)
        return CustomerEntitlements(holdings, found, plans, catalog, at)


def _with_pools(feature_ids: Collection[str], catalog: Catalog) -> frozenset[str]:
    """These features, and the credit systems that pay for them."""
    return frozenset(feature_ids).union(pool.feature_id for id in feature_ids for pool in catalog.pools(id))
