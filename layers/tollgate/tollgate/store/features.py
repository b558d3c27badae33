"""Features in the table: one item each, its fields as JSON in `data`."""

from __future__ import annotations

import uuid
from functools import cache
from typing import TYPE_CHECKING

from tollgate.domain.errors import AlreadyExists
from tollgate.domain.features import Feature
from tollgate.domain.keys import Environment
from tollgate.store import keys
from tollgate.store.table import Item, Refused, Table, put_new

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@cache
def _json() -> TypeAdapter[Feature]:
    """Built when first needed: it would be a part of every function's start."""
    from pydantic import TypeAdapter

    return TypeAdapter(Feature)


class Features:
    """The features of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self, env: Environment) -> dict[str, Feature]:
        """All features by id."""
        items = self._table.query(keys.catalog_partition(env), keys.FEATURE)
        features = (_json().validate_json(item["data"]["S"]) for item in items)
        return {feature.id: feature for feature in features}

    def add(self, env: Environment, feature: Feature) -> None:
        """Raises AlreadyExists."""
        data = _json().dump_json(feature).decode()
        item: Item = {**keys.feature(env, feature.id), "data": {"S": data}}
        try:
            self._table.transact([put_new(self._table.name, item)], str(uuid.uuid4()))
        except Refused as refused:
            raise AlreadyExists("feature", feature.id) from refused
