"""Features and plans in the table."""

from __future__ import annotations

import uuid
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from tollgate.domain.catalog import Feature, Plan
from tollgate.domain.errors import AlreadyExists, NotFound
from tollgate.domain.keys import Environment
from tollgate.store import keys
from tollgate.store.table import Item, Refused, Table

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from tollgate.store.keys import Key

Thing = TypeVar("Thing", Feature, Plan)


@cache
def _adapter(kind: type[Thing]) -> TypeAdapter[Thing]:
    """Built when first needed: it would be a part of every function's start."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


class Catalog:
    """The catalog of one table: each feature and each version of a plan is one item, its fields as JSON in `data`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def features(self, env: Environment) -> dict[str, Feature]:
        """All features by id."""
        items = self._table.query(keys.catalog_partition(env), keys.FEATURE)
        return {feature.id: feature for feature in (_read(Feature, item) for item in items)}

    def add_feature(self, env: Environment, feature: Feature) -> None:
        """Raises AlreadyExists."""
        self._add(keys.feature(env, feature.id), feature, "feature")

    def plans(self, env: Environment) -> list[Plan]:
        """The newest version of each plan, by id."""
        newest = {plan.id: plan for plan in self._plans(env, keys.PLAN)}
        return list(newest.values())

    def plan(self, env: Environment, plan_id: str, version: int | None = None) -> Plan:
        """One version of a plan, the newest unless told; raises NotFound."""
        versions = {plan.version: plan for plan in self._plans(env, f"{keys.PLAN}{plan_id}#")}
        found = versions.get(max(versions, default=0) if version is None else version)
        if found is None:
            raise NotFound("plan", plan_id if version is None else f"{plan_id} version {version}")
        return found

    def add_plan(self, env: Environment, plan: Plan) -> None:
        """Raises AlreadyExists where that version exists."""
        self._add(keys.plan(env, plan.id, plan.version), plan, "plan")

    def _plans(self, env: Environment, prefix: str) -> list[Plan]:
        return [_read(Plan, item) for item in self._table.query(keys.catalog_partition(env), prefix)]

    def _add(self, key: Key, thing: Feature | Plan, kind: str) -> None:
        item: Item = {**key, "data": {"S": _adapter(type(thing)).dump_json(thing).decode()}}
        put = {"TableName": self._table.name, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
        try:
            self._table.transact([{"Put": put}], str(uuid.uuid4()))  # type: ignore[typeddict-item]
        except Refused as refused:
            raise AlreadyExists(kind, thing.id) from refused


def _read(kind: type[Thing], item: Item) -> Thing:
    return _adapter(kind).validate_json(item["data"]["S"])
