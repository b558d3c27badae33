"""Features in the table: one item each.

A function needs all of them, and they change rarely. So each change is counted, in the transaction that makes it, and who
has read them before asks for the count alone. Many features are kept in one compressed item too: a container that starts
reads that, where it is as new as the count.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from tollgate.domain.environments import Environment
from tollgate.domain.errors import AlreadyExists, Unavailable
from tollgate.domain.features import Feature
from tollgate.store import keys
from tollgate.store.codecs.features import (
    CHANGES,
    decode_changes,
    decode_feature,
    decode_snapshot,
    encode_feature,
    encode_snapshot,
)
from tollgate.store.table import Entries, Item, Refused, Table, delete_unchanged, put_in_place, put_new

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

MANY = 100  # features, from which on they are kept in one item too: about 40 KB, which are ten read units
MOST_BYTES = 300_000  # of that item, which may hold 400 KB

_Known = tuple[int, dict[str, Feature]]
"""The features as they are after so many changes."""


class FeatureStore:
    """The features of one table. It remembers what it has read, and is asked by several threads at once."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known: dict[Environment, _Known] = {}

    def all(self, env: Environment) -> dict[str, Feature]:
        """All features of an environment by id, archived ones too: as they are now, whatever is remembered.

        One read unit where they have not changed since they were read here.
        """
        return dict(self._current(env)[1])

    def _current(self, env: Environment) -> _Known:
        """The features, and the count of changes that they belong to: the two are read and remembered together."""
        known = self._known.get(env)
        if known is None:
            known = self._first(env)
        else:
            changes = decode_changes(self._table.get(keys.feature_changes(env)))
            if known[0] != changes or not changes:
                known = changes, self._read(env)
        self._known[env] = known
        return known

    def _first(self, env: Environment) -> _Known:
        """What is not known yet: of the item that holds all features, where they have not changed since."""
        found = self._table.get_all([keys.feature_changes(env), keys.feature_snapshot(env)])
        items = {item["sk"]["S"]: item for item in found}
        changes = decode_changes(items.get(keys.feature_changes(env)["sk"]["S"]))
        snapshot = items.get(keys.feature_snapshot(env)["sk"]["S"])
        features, of = decode_snapshot(snapshot) if snapshot else ([], 0)
        if changes and of == changes:
            return changes, {feature.id: feature for feature in features}
        return changes, self._read(env)

    def _read(self, env: Environment) -> dict[str, Feature]:
        items = self._table.query(keys.catalog_partition(env), keys.FEATURE)
        features = map(decode_feature, items)
        return {feature.id: feature for feature in features}

    def swap(self, env: Environment, old: Feature, new: Feature, entries: Entries = ()) -> None:
        """Overwrites the feature that was read as `old`; `entries` are written with it. Raises Refused where it is no longer
        equal to `old`."""
        item: Item = {**keys.feature(env, new.id), **encode_feature(new)}
        self._change(env, put_in_place(self._table.name, item, self._unchanged(env, old)), entries)

    def remove(self, env: Environment, feature: Feature, entries: Entries = ()) -> None:
        """Deletes the feature that was read as `feature`; `entries` are written with it. Raises Refused where it is no longer
        equal to that."""
        item = self._unchanged(env, feature)
        self._change(env, delete_unchanged(self._table.name, keys.feature(env, feature.id), item), entries)

    def _unchanged(self, env: Environment, feature: Feature) -> Item:
        """The item that holds this feature. Raises Refused where it holds another."""
        item = self._table.get(keys.feature(env, feature.id))
        if item is None or decode_feature(item) != feature:
            raise Refused(item)
        return item

    def add(self, env: Environment, feature: Feature, entries: Entries = ()) -> None:
        """Stores a new feature; `entries` are written with it. Raises AlreadyExists."""
        item: Item = {**keys.feature(env, feature.id), **encode_feature(feature)}
        try:
            self._change(env, put_new(self._table.name, item), entries)
        except Refused as refused:
            raise AlreadyExists("feature", feature.id) from refused

    def _change(self, env: Environment, write: TransactWriteItemTypeDef, entries: Entries) -> None:
        counted: TransactWriteItemTypeDef = {
            "Update": {
                "TableName": self._table.name,
                "Key": keys.feature_changes(env),
                "UpdateExpression": "ADD changes :one SET v = :v",
                "ExpressionAttributeValues": {":one": {"N": "1"}, ":v": {"N": str(CHANGES.version)}},
            }
        }
        self._table.transact([write, counted, *entries], str(uuid.uuid4()))
        self._keep_snapshot(env)

    def _keep_snapshot(self, env: Environment) -> None:
        """Keeps many features in one item. Where that fails, or another change comes in between, a container that starts
        reads them one by one."""
        try:
            if len((self._known.get(env) or self._current(env))[1]) < MANY:
                return
            changes, features = self._current(env)
            item = encode_snapshot(features.values(), changes)
            if len(item["features"]["B"]) <= MOST_BYTES:
                self._table.repeated(
                    self._table.client.put_item,
                    TableName=self._table.name,
                    Item={**keys.feature_snapshot(env), **item},
                    ConditionExpression="attribute_not_exists(changes) OR changes < :changes",
                    ExpressionAttributeValues={":changes": {"N": str(changes)}},
                )
        except (Refused, Unavailable):
            return
