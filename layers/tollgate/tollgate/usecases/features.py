"""The features of each environment, cached in the container: every check needs the catalog, which changes rarely."""

from __future__ import annotations

import time
from collections.abc import Callable

from tollgate.domain.environments import Environment
from tollgate.domain.errors import Unavailable
from tollgate.domain.features import Catalog, Feature
from tollgate.store.features import FeatureStore

CACHE_SECONDS = 30.0


class FeatureCache:
    """Catalogs by environment, at most `CACHE_SECONDS` old. A feature or event name that is not found is looked up in
    the table, so a feature can be used as soon as it is created.

    While the table does not answer, an older catalog does; `warn` logs that.
    """

    def __init__(
        self,
        source: FeatureStore,
        monotonic: Callable[[], float] = time.monotonic,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._monotonic = monotonic
        self._warn = warn
        self._cached: dict[Environment, tuple[float, Catalog]] = {}

    def catalog(self, env: Environment, feature_id: str = "", *, fresh: bool = False) -> Catalog:
        """The environment's catalog. It contains the feature `feature_id`, if that exists. `fresh`: it is read from the
        table, if that answers.

        Raises Unavailable where the table does not answer, and no older catalog has the feature.
        """
        cached = self._cached.get(env)
        recent = cached is not None and not fresh and self._monotonic() - cached[0] <= CACHE_SECONDS
        if cached and recent and (not feature_id or feature_id in cached[1].features):
            return cached[1]
        try:
            catalog = Catalog(self._source.all(env))
        except Unavailable:
            if cached is None or (feature_id and feature_id not in cached[1].features):
                raise
            self._warn("the catalog could not be read: an older one is used")
            return cached[1]
        self._cached[env] = self._monotonic(), catalog
        return catalog

    def listening(self, env: Environment, event_name: str) -> tuple[Feature, ...]:
        """The features that an event of this name is a use of. Raises NotFound."""
        if event_name not in self.catalog(env).events:
            return self.catalog(env, fresh=True).listening(event_name)
        return self.catalog(env).listening(event_name)
