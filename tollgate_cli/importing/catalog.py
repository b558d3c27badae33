"""Features and plans of another service, checked by the rules that the API decides by, and written with their versions.

The API makes a new version of a plan only where customers have the one before, and numbers it itself. So versions are
written as they are, as `tollgate restore` writes them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tollgate.dialects.autumn.catalog import (
    CreateFeatureParams,
    CreatePlanParams,
    managed_feature_json,
    new_feature,
    plan_json,
)
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput, NotFound, TollgateError
from tollgate.domain.features import Catalog, Feature, checked_feature
from tollgate.domain.plans import Plan, checked_plan
from tollgate.store.features import FeatureStore
from tollgate.store.plans import PlanStore
from tollgate.store.table import Table
from tollgate_cli.catalog import file
from tollgate_cli.catalog.shapes import Body, body_of_feature, body_of_plan, same
from tollgate_cli.importing.build import Plans
from tollgate_cli.importing.records import Note
from tollgate_cli.importing.source import SourceCatalog


class CatalogConflict(RuntimeError):
    """The environment has a feature or plan of the same id that says something else."""


@dataclass
class Wanted:
    """What is to be there, and what of the other service's catalog cannot be."""

    features: dict[str, Feature]
    plans: dict[tuple[str, int], Plan]
    notes: list[Note]

    @property
    def catalog(self) -> Catalog:
        """The features, as rules read them."""
        return Catalog(self.features)

    @property
    def by_version(self) -> Plans:
        """The plans by id and version; version 0 is the newest."""
        newest: dict[str, Plan] = {}
        for plan in self.plans.values():
            if plan.id not in newest or plan.version > newest[plan.id].version:
                newest[plan.id] = plan
        return {**self.plans, **{(id, 0): plan for id, plan in newest.items()}}


def wanted(source: SourceCatalog, now: int) -> Wanted:
    """The catalog in the domain's words. What breaks a rule is left out, and told."""
    found = Wanted({}, {}, list(source.notes))
    for body in source.features:
        try:
            params = CreateFeatureParams.of(file.body_to_create(body))
            made = params.applied(new_feature(params, now))._replace(archived=bool(body.get("archived")))
            found.features[made.id] = made
        except TollgateError as error:
            found.notes.append(_refused("feature", body, error))
    for feature in list(found.features.values()):
        try:
            checked_feature(feature, found.features)
        except TollgateError as error:
            del found.features[feature.id]
            found.notes.append(Note(what="feature", feature_id=feature.id, reason=_said(error)))
    for body, version, created_at in source.plans:
        try:
            plan_params = CreatePlanParams.of(file.body_to_create(body))
            plan = plan_params.applied(Plan(plan_params.plan_id, plan_params.name, archived=bool(body.get("archived"))))
            plan = replace(plan, version=version, created_at=created_at or now)
            found.plans[plan.id, version] = checked_plan(plan, found.features)
        except TollgateError as error:
            found.notes.append(_refused(f"version {version} of plan", body, error))
    return found


def _refused(what: str, body: Body, error: TollgateError) -> Note:
    id = str(body.get("feature_id") or body.get("plan_id"))
    if what == "feature":
        return Note(what="feature", feature_id=id, reason=_said(error))
    return Note(what=f"{what} {id}", reason=_said(error))


def _said(error: TollgateError) -> str:
    if isinstance(error, InvalidInput):
        return f"{error.field} {error.rule}".strip()
    if isinstance(error, NotFound):
        return f"there is no {error.kind} {error.id}"
    return str(error)


class CatalogWriter:
    """Writes what is wanted into an environment that has none of it, or has it already."""

    def __init__(self, table: Table, env: Environment) -> None:
        self._features, self._plans, self._env = FeatureStore(table), PlanStore(table), env
        self._marked: set[tuple[str, int]] = set()
        self._marking = threading.Lock()

    def check(self, what: Wanted) -> None:
        """Raises CatalogConflict where something of the same id is there and says something else."""
        there = self._features.all(self._env)
        plans = {(plan.id, plan.version): plan for plan in self._plans.every_version(self._env)}
        for feature in what.features.values():
            held = there.get(feature.id)
            if held is not None and not same(self._feature(held), self._feature(feature)):
                raise CatalogConflict(f"feature {feature.id} is in {self._env.value} already, and says something else")
        for key, plan in what.plans.items():
            features = {**what.features, **there}
            if key in plans and not same(_plan(plans[key], features), _plan(plan, features)):
                raise CatalogConflict(
                    f"version {plan.version} of plan {plan.id} is in {self._env.value} already, and says something else"
                )

    def write(self, what: Wanted) -> int:
        """Writes what is not there yet, credit systems after what they pay for; returns how many."""
        there = self._features.all(self._env)
        new = [feature for feature in what.features.values() if feature.id not in there]
        new.sort(key=lambda feature: bool(feature.credit_schema))
        for feature in new:
            self._features.add(self._env, feature)
        known = {(plan.id, plan.version) for plan in self._plans.every_version(self._env)}
        written = len(new)
        for key, plan in sorted(what.plans.items()):
            if key not in known:
                self._plans.add(self._env, plan)
                written += 1
        return written

    def mark_used(self, plan: Plan) -> None:
        """Records that a customer has this version, once for all customers, and however many threads bring them over.
        Raises Unavailable."""
        with self._marking:
            if (plan.id, plan.version) not in self._marked:
                self._plans.mark_used(self._env, plan)
                self._marked.add((plan.id, plan.version))

    def _feature(self, feature: Feature) -> Body:
        return body_of_feature(managed_feature_json(feature, self._env))


def _plan(plan: Plan, features: Mapping[str, Feature]) -> Body:
    return body_of_plan(plan_json(plan, Environment.SANDBOX, features))
