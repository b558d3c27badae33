"""Features in the table: one item each, its fields as JSON in `data`."""

from __future__ import annotations

import uuid
from typing import Any

from tollgate.domain.errors import AlreadyExists
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.keys import Environment
from tollgate.exact_json import dumps, loads
from tollgate.store import keys
from tollgate.store.table import Item, Refused, Table, put_new


class Features:
    """The features of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self, env: Environment) -> dict[str, Feature]:
        """All features by id."""
        items = self._table.query(keys.catalog_partition(env), keys.FEATURE)
        features = (_read(loads(item["data"]["S"])) for item in items)
        return {feature.id: feature for feature in features}

    def add(self, env: Environment, feature: Feature) -> None:
        """Raises AlreadyExists."""
        data = dumps(feature._asdict())
        item: Item = {**keys.feature(env, feature.id), "data": {"S": data}}
        try:
            self._table.transact([put_new(self._table.name, item)], str(uuid.uuid4()))
        except Refused as refused:
            raise AlreadyExists("feature", feature.id) from refused


def _read(data: dict[str, Any]) -> Feature:
    return Feature(**{**data, "type": FeatureType(data["type"]), "event_names": tuple(data["event_names"])})
