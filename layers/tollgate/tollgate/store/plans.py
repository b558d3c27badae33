"""Plans in the table: one item for each version."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

from tollgate.domain.environments import Environment
from tollgate.domain.errors import AlreadyExists, NotFound, Unavailable
from tollgate.domain.plans import Plan
from tollgate.store import keys
from tollgate.store.codecs.plans import decode_plan, encode_plan
from tollgate.store.table import Entries, Item, Refused, Table, delete_unchanged, put_in_place, put_new

TURNS = 24


class PlanStore:
    """The plans of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def turns(self) -> Iterator[int]:
        """Counts the attempts of a read, a decision and a write, with a pause before each but the first."""
        return self._table.tries(TURNS)

    def all(self, env: Environment) -> list[Plan]:
        """The newest version of each plan, archived ones too, ordered by id."""
        return list({plan.id: plan for plan in self._read(env, keys.PLAN)}.values())

    def get(self, env: Environment, plan_id: str, version: int | None = None) -> Plan:
        """One version of a plan; without a version, the newest. Raises NotFound."""
        versions = {plan.version: plan for plan in self._read(env, f"{keys.PLAN}{plan_id}#")}
        found = versions.get(max(versions, default=0) if version is None else version)
        if found is None:
            raise NotFound("plan", plan_id if version is None else f"{plan_id} version {version}")
        return found

    def add(self, env: Environment, plan: Plan, entries: Entries = ()) -> None:
        """Stores a new version of a plan; `entries` are written with it. Raises AlreadyExists where there is one with this
        number."""
        item: Item = {**keys.plan(env, plan.id, plan.version), **encode_plan(plan)}
        try:
            self._table.transact([put_new(self._table.name, item), *entries], str(uuid.uuid4()))
        except Refused as refused:
            raise AlreadyExists("plan", plan.id) from refused

    def versions(self, env: Environment, plan_id: str) -> list[Plan]:
        """All versions of a plan, the oldest first. Raises NotFound."""
        found = self._read(env, f"{keys.PLAN}{plan_id}#")
        if not found:
            raise NotFound("plan", plan_id)
        return found

    def every_version(self, env: Environment) -> list[Plan]:
        """All versions of all plans."""
        return self._read(env, keys.PLAN)

    def mark_used(self, env: Environment, plan: Plan) -> None:
        """Records that a customer has subscribed to this version; writes only for the first one.

        A change that others make to the version meanwhile is kept. Raises NotFound, or Unavailable under constant
        contention.
        """
        for _ in self._table.tries():
            if plan.in_use:
                return
            try:
                self.swap(env, plan, replace(plan, in_use=True))
            except Refused:
                plan = self.get(env, plan.id, plan.version)
            else:
                return
        raise Unavailable("The plan is being changed too often: try again")

    def swap(self, env: Environment, old: Plan, new: Plan, entries: Entries = ()) -> None:
        """Overwrites the version that was read as `old`; `entries` are written with it. Raises Refused where it is no longer
        equal to `old`."""
        item = self._unchanged(env, old)
        put = put_in_place(self._table.name, {**keys.plan(env, old.id, old.version), **encode_plan(new)}, item)
        self._table.transact([put, *entries], str(uuid.uuid4()))

    def remove(self, env: Environment, plan: Plan, entries: Entries = ()) -> None:
        """Deletes the version that was read as `plan`; `entries` are written with it. Raises Refused where it is no longer
        equal to `plan`."""
        item = self._unchanged(env, plan)
        delete = delete_unchanged(self._table.name, keys.plan(env, plan.id, plan.version), item)
        self._table.transact([delete, *entries], str(uuid.uuid4()))

    def _unchanged(self, env: Environment, plan: Plan) -> Item:
        """The item of a version, which holds this plan. Raises Refused where it does not."""
        item = self._table.get(keys.plan(env, plan.id, plan.version))
        if item is None or decode_plan(item) != plan:
            raise Refused(item)
        return item

    def _read(self, env: Environment, prefix: str) -> list[Plan]:
        return [decode_plan(item) for item in self._table.query(keys.catalog_partition(env), prefix)]
