"""The features of each environment, cached in the container: the catalog is read on every check and changes rarely."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tollgate.domain.errors import NotFound
from tollgate.domain.features import Feature
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
        feature = self._features(env, fresh).get(feature_id) or self._features(env, True).get(feature_id)
        if feature is None:
            raise NotFound("feature", feature_id)
        return feature

    def named(self, env: Environment, event_name: str) -> list[Feature]:
        """The features that list the event name; raises NotFound where none does."""
        for fresh in (False, True):
            features = self._features(env, fresh).values()
            if found := [feature for feature in features if event_name in feature.event_names]:
                return found
        raise NotFound("event", event_name)

    def _features(self, env: Environment, fresh: bool) -> Mapping[str, Feature]:
        cached = self._cached.get(env)
        now = self._monotonic()
        if cached is None or fresh or now - cached[0] > CACHE_SECONDS:
            cached = self._cached[env] = now, self._source.all(env)
        return cached[1]
