"""The features of each environment, cached in the container: the catalog is read on every check and changes rarely."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tollgate.domain.features import Feature, feature_of
from tollgate.domain.keys import Environment
from tollgate.store.features import Features

CACHE_SECONDS = 30.0


class FeatureCache:
    """Features by environment, at most `CACHE_SECONDS` old. What is not found is looked for afresh before it is denied,
    so a feature can be used as soon as it is created."""

    def __init__(self, source: Features, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._cached: dict[Environment, tuple[float, Mapping[str, Feature]]] = {}

    def get(self, env: Environment, feature_id: str, *, fresh: bool = False) -> Feature:
        """The feature; `fresh` bypasses the cache. Raises NotFound."""
        cached = self._cached.get(env)
        if not fresh and cached and self._monotonic() - cached[0] <= CACHE_SECONDS and feature_id in cached[1]:
            return cached[1][feature_id]
        features = self._source.all(env)
        self._cached[env] = self._monotonic(), features
        return feature_of(features, feature_id)
