"""The plans of each environment, cached in the container: answers name the plan that each grant came from."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from tollgate.domain.environments import Environment
from tollgate.domain.plans import Plan
from tollgate.store.plans import PlanStore
from tollgate.usecases.features import CACHE_SECONDS

PlanVersions = Mapping[tuple[str, int], Plan]


class PlanCache:
    """Every version of every plan, at most `CACHE_SECONDS` old. A version that is not found is looked up in the
    table.
    """

    def __init__(self, source: PlanStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._cached: dict[Environment, tuple[float, PlanVersions]] = {}

    def versions(self, env: Environment, wanted: Collection[tuple[str, int]] = ()) -> PlanVersions:
        """The plans by id and version. They contain the `wanted` versions, as far as these exist."""
        cached = self._cached.get(env)
        recent = cached is not None and self._monotonic() - cached[0] <= CACHE_SECONDS
        if cached and recent and all(key in cached[1] for key in wanted):
            return cached[1]
        versions = {(plan.id, plan.version): plan for plan in self._source.every_version(env)}
        self._cached[env] = self._monotonic(), versions
        return versions
