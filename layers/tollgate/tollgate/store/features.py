"""Features in the table: one item each."""

from __future__ import annotations

import uuid

from tollgate.domain.environments import Environment
from tollgate.domain.errors import AlreadyExists, NotFound
from tollgate.domain.features import Feature
from tollgate.store import keys
from tollgate.store.codecs.features import decode_feature, encode_feature
from tollgate.store.table import Item, Refused, Table, delete_existing, put_existing, put_new


class FeatureStore:
    """The features of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self, env: Environment) -> dict[str, Feature]:
        """All features of an environment by id, archived ones too."""
        items = self._table.query(keys.catalog_partition(env), keys.FEATURE)
        features = map(decode_feature, items)
        return {feature.id: feature for feature in features}

    def replace(self, env: Environment, feature: Feature) -> None:
        """Overwrites a feature. Raises NotFound where it does not exist."""
        item: Item = {**keys.feature(env, feature.id), **encode_feature(feature)}
        try:
            self._table.transact([put_existing(self._table.name, item)], str(uuid.uuid4()))
        except Refused as refused:
            raise NotFound("feature", feature.id) from refused

    def remove(self, env: Environment, feature_id: str) -> None:
        """Deletes a feature. Raises NotFound where it does not exist."""
        try:
            self._table.transact([delete_existing(self._table.name, keys.feature(env, feature_id))], str(uuid.uuid4()))
        except Refused as refused:
            raise NotFound("feature", feature_id) from refused

    def add(self, env: Environment, feature: Feature) -> None:
        """Stores a new feature. Raises AlreadyExists."""
        item: Item = {**keys.feature(env, feature.id), **encode_feature(feature)}
        try:
            self._table.transact([put_new(self._table.name, item)], str(uuid.uuid4()))
        except Refused as refused:
            raise AlreadyExists("feature", feature.id) from refused
