"""`catalog.preview_update` and `catalog.update`: a whole catalog at once, as Autumn's command line pushes it from a file.

Both work out the same changes; the second makes them, one after another: features first, then plans, then what is no
longer wanted. Each change is whole by itself. If one fails, those before it stay, and the same push goes on from there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from tollgate.dialects.autumn.catalog import (
    CreateFeatureParams,
    CreatePlanParams,
    managed_feature_json,
    new_feature,
    plan_json,
)
from tollgate.dialects.autumn.fields import Id, Params
from tollgate.dialects.http import Answer, Request
from tollgate.domain.environments import Environment
from tollgate.domain.features import Feature
from tollgate.domain.plans import Plan
from tollgate.usecases.catalog import Catalogs, makes_version


class CatalogParams(Params):
    """The body of both calls: what the catalog is to hold. What is not named goes, unless `skip_deletions`.

    Plans and features in `skip_plan_ids` and `skip_feature_ids` are left alone. Rewards and referral programs are not
    kept here: there can be none.
    """

    later = ("rewards", "referral_programs")

    features: Annotated[list[CreateFeatureParams], Field(max_length=500)] | None = None
    plans: Annotated[list[CreatePlanParams], Field(max_length=500)] | None = None
    skip_deletions: bool | None = None
    skip_feature_ids: list[Id] | None = None
    skip_plan_ids: list[Id] | None = None


class FeatureChange(NamedTuple):
    """What becomes of a feature: `old` is None where it is made, `new` where it goes (or is archived: `kept`)."""

    old: Feature | None
    new: Feature | None
    kept: bool = False

    @property
    def action(self) -> str:
        """The change in the command line's words."""
        if self.new is None:
            return "remove"
        return "create" if self.old is None else "none" if self.old == self.new else "update"


class PlanChange(NamedTuple):
    """The same of a plan."""

    old: Plan | None
    new: Plan | None
    kept: bool = False

    @property
    def action(self) -> str:
        """The change in the command line's words."""
        if self.new is None:
            return "deleted"
        return "created" if self.old is None else "none" if self.old == self.new else "updated"


class _Changes(NamedTuple):
    features: list[FeatureChange]
    plans: list[PlanChange]


def preview(catalogs: Catalogs, request: Request) -> Answer:
    """`catalog.preview_update`: what `catalog.update` would do. Changes nothing."""
    changes = _changes(catalogs, request)
    features = [
        {
            "feature_id": (change.new or change.old).id,  # type: ignore[union-attr]
            "action": change.action,
            "will_archive": change.kept,
            "blocked": False,
            "blocked_reason": None,
        }
        for change in changes.features
    ]
    plans: list[dict[str, Any]] = [
        {
            "plan_id": (change.new or change.old).id,  # type: ignore[union-attr]
            "name": (change.new or change.old).name,  # type: ignore[union-attr]
            "action": change.action,
            "will_archive": change.kept,
            "versionable": bool(change.old and change.new and makes_version(change.old, change.new)),
            "has_customers": bool(change.old and change.old.in_use),
            "customer_count": 0,
            "variants": [],
            "license_changes": [],
        }
        for change in changes.plans
    ]
    return Answer(
        {
            "feature_changes": features,
            "plan_changes": plans,
            "reward_changes": [],
            "referral_program_changes": [],
        }
    )


def update(catalogs: Catalogs, request: Request) -> Answer:
    """`catalog.update`: makes the catalog what the request says. Raises what making, changing and deleting one raises."""
    env, changes = request.caller.environment, _changes(catalogs, request)
    for feature in changes.features:
        _change_feature(catalogs, env, feature)
    for plan in changes.plans:
        _change_plan(catalogs, env, plan, request.now)
    for gone in changes.features:
        if gone.new is None and gone.old is not None:
            _remove_feature(catalogs, env, gone)
    known = catalogs.catalog(env).features
    return Answer(
        {
            "features": [managed_feature_json(f, env) for f in catalogs.features(env) if not f.archived],
            "plans": [plan_json(plan, env, known) for plan in catalogs.plans(env) if not plan.archived],
            "rewards": [],
            "referral_programs": [],
        }
    )


def _changes(catalogs: Catalogs, request: Request) -> _Changes:
    params = CatalogParams.of(request.body)
    env = request.caller.environment
    features = {feature.id: feature for feature in catalogs.features(env)}
    plans = {plan.id: plan for plan in catalogs.plans(env)}
    feature_changes = []
    for wanted in params.features or ():
        old = features.get(wanted.feature_id)
        base = new_feature(wanted, request.now) if old is None else old._replace(archived=False)
        feature_changes.append(FeatureChange(old, wanted.applied(base)))
    plan_changes = []
    for asked in params.plans or ():
        held = plans.get(asked.plan_id)
        start = Plan(asked.plan_id, asked.name, created_at=request.now) if held is None else held
        plan_changes.append(PlanChange(held, replace(asked.applied(start), archived=False)))
    if params.skip_deletions is False:
        named = {p.plan_id for p in params.plans or ()} | set(params.skip_plan_ids or ())
        in_use = {plan.id for plan in catalogs.plan_versions(env) if plan.in_use}
        plan_changes += [
            PlanChange(plan, None, plan.id in in_use)
            for plan in plans.values()
            if plan.id not in named and not plan.archived
        ]
        wanted_ids = {f.feature_id for f in params.features or ()} | set(params.skip_feature_ids or ())
        feature_changes += [
            FeatureChange(feature, None, catalogs.names_feature(env, feature.id))
            for feature in features.values()
            if feature.id not in wanted_ids and not feature.archived
        ]
    return _Changes(feature_changes, plan_changes)


def _change_feature(catalogs: Catalogs, env: Environment, change: FeatureChange) -> None:
    new = change.new
    if new is None or change.action == "none":
        return
    if change.old is None:
        catalogs.create_feature(env, new)
    else:
        catalogs.update_feature(env, new.id, lambda _: new)


def _change_plan(catalogs: Catalogs, env: Environment, change: PlanChange, now: int) -> None:
    new, old = change.new, change.old
    if change.action == "none":
        return
    if new is None:
        assert old is not None
        catalogs.delete_plan(env, old.id, all_versions=True)
    elif old is None:
        catalogs.create_plan(env, new)
    else:
        catalogs.update_plan(
            env, new.id, lambda current: replace(new, version=current.version, in_use=current.in_use), now
        )


def _remove_feature(catalogs: Catalogs, env: Environment, change: FeatureChange) -> None:
    """Deletes a feature, or archives one that a plan (perhaps an archived one) or a credit system still names."""
    assert change.old is not None
    if catalogs.names_feature(env, change.old.id):
        catalogs.update_feature(env, change.old.id, lambda old: old._replace(archived=True))
    else:
        catalogs.delete_feature(env, change.old.id)
