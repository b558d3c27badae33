"""Features in the table: one item each, its fields as JSON in `data`."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from tollgate.domain.environments import Environment
from tollgate.domain.errors import AlreadyExists, NotFound
from tollgate.domain.features import Feature, FeatureType
from tollgate.exact_json import dumps, loads
from tollgate.store import keys
from tollgate.store.table import Item, Refused, Table, delete_existing, put_existing, put_new


class FeatureStore:
    """The features of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self, env: Environment) -> dict[str, Feature]:
        """All features by id."""
        items = self._table.query(keys.catalog_partition(env), keys.FEATURE)
        features = (_read(loads(item["data"]["S"])) for item in items)
        return {feature.id: feature for feature in features}

    def replace(self, env: Environment, feature: Feature) -> None:
        """Writes a feature anew; raises NotFound where there is none."""
        item: Item = {**keys.feature(env, feature.id), "data": {"S": dumps(feature._asdict())}}
        try:
            self._table.transact([put_existing(self._table.name, item)], str(uuid.uuid4()))
        except Refused as refused:
            raise NotFound("feature", feature.id) from refused

    def remove(self, env: Environment, feature_id: str) -> None:
        """Raises NotFound."""
        try:
            self._table.transact([delete_existing(self._table.name, keys.feature(env, feature_id))], str(uuid.uuid4()))
        except Refused as refused:
            raise NotFound("feature", feature_id) from refused

    def add(self, env: Environment, feature: Feature) -> None:
        """Raises AlreadyExists."""
        data = dumps(feature._asdict())
        item: Item = {**keys.feature(env, feature.id), "data": {"S": data}}
        try:
            self._table.transact([put_new(self._table.name, item)], str(uuid.uuid4()))
        except Refused as refused:
            raise AlreadyExists("feature", feature.id) from refused


def _read(data: dict[str, Any]) -> Feature:
    schema = tuple((member, Decimal(cost)) for member, cost in data.get("credit_schema", ()))
    lists = {"event_names": tuple(data["event_names"]), "credit_schema": schema}
    return Feature(**{**data, "type": FeatureType(data["type"]), **lists})
