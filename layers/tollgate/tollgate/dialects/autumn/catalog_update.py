"""`catalog.preview_update` and `catalog.update`: a whole catalog at once, as Autumn's command line pushes it from a file.

Both work out the same changes, and check them all together; the second makes them, one after another: features first,
then plans, then what is no longer wanted. Each change is whole by itself. If one fails all the same, those before it stay,
and the same push goes on from there.

The command line's file cannot say all that a catalog holds. What it cannot say (that a feature is static, which it takes
for boolean, and its value; a soft limit; an item that is switched off; a rollover without a maximum, which it writes as
one of 0) stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from tollgate.dialects.autumn.catalog import (
    CreateFeatureParams,
    CreatePlanParams,
    PlanItemParams,
    managed_feature_json,
    new_feature,
    plan_json,
)
from tollgate.dialects.autumn.fields import Id, Params, Whole
from tollgate.dialects.http import Answer, Request
from tollgate.domain.environments import Environment
from tollgate.domain.errors import Conflict, InvalidInput
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.places import told_as, within
from tollgate.domain.plans import Plan, PlanItem
from tollgate.usecases.catalog import Catalogs, makes_version


class CatalogPlanParams(CreatePlanParams):
    """A plan as the catalog is to hold it. `version`: which version of it is meant, the newest unless told; an older one
    is changed in place, as is any with `disable_version`, and every one with `all_versions`."""

    archived: bool | None = None
    version: Whole | None = None
    disable_version: bool | None = None
    all_versions: bool | None = None

    def applied(self, old: Plan) -> Plan:
        """The old plan as the request says; archived only where it says so."""
        new = super().applied(old)
        items = new.items
        if self.items is not None:
            items = tuple(_kept(named, item, old.items) for named, item in zip(self.items, items, strict=True))
        return replace(new, items=items, archived=bool(self.archived))


def _kept(named: PlanItemParams, item: PlanItem, held: Iterable[PlanItem]) -> PlanItem:
    """The item with what the request does not say of it as the plan has it."""
    if item.rollover is not None and item.rollover.max == 0 and item.rollover.max_percentage is None:
        item = replace(item, rollover=item.rollover._replace(max=None))
    same = next((old for old in held if old.grants_as == item.grants_as), None)
    if same is None:
        return item
    said = named.model_fields_set
    if same.static_value is not None and "static_value" not in said:
        return same
    return replace(
        item,
        soft_limit=item.soft_limit if "is_soft_limit" in said else same.soft_limit,
        enabled=item.enabled if "is_enabled" in said else same.enabled,
    )


class CatalogParams(Params):
    """The body of both calls: what the catalog is to hold. What is not named stays, unless `skip_deletions` is false.

    Plans and features in `skip_plan_ids` and `skip_feature_ids` are left alone, named or not. Rewards and referral
    programs are not kept here: there can be none.
    """

    later = ("rewards", "referral_programs")

    features: Annotated[list[CreateFeatureParams], Field(max_length=500)] | None = None
    plans: Annotated[list[CatalogPlanParams], Field(max_length=500)] | None = None
    skip_deletions: bool | None = None
    skip_feature_ids: list[Id] | None = None
    skip_plan_ids: list[Id] | None = None


class FeatureChange(NamedTuple):
    """What becomes of a feature: it is made where there is no `old` one, goes where nothing is `wanted` of it."""

    id: str
    old: Feature | None
    wanted: CreateFeatureParams | None
    skipped: bool = False
    will_archive: bool = False

    def applied(self, old: Feature) -> Feature:
        """The feature as it is wanted; one that is named is not archived."""
        assert self.wanted is not None
        new = self.wanted.applied(old._replace(archived=False))
        if old.type is FeatureType.STATIC and self.wanted.type in ("boolean", "metered"):  # what atmn takes it for
            return new._replace(consumable=old.consumable)
        if self.old is not None and self.wanted.type != old.type:
            raise InvalidInput("type", "cannot be changed")
        return new

    @property
    def action(self) -> str:
        """The change in the command line's words."""
        if self.skipped:
            return "skipped"
        if self.wanted is None:
            return "remove"
        if self.old is None:
            return "create"
        return "none" if self.applied(self.old) == self.old else "update"


class PlanChange(NamedTuple):
    """The same of a plan."""

    id: str
    old: Plan | None
    wanted: CatalogPlanParams | None
    skipped: bool = False
    will_archive: bool = False
    newest: bool = True

    @property
    def in_place(self) -> bool:
        """Whether it makes no new version in any case."""
        return self.wanted is not None and bool(
            self.wanted.disable_version or self.wanted.all_versions or not self.newest
        )

    @property
    def action(self) -> str:
        """The change in the command line's words."""
        if self.skipped:
            return "skipped"
        if self.wanted is None:
            return "deleted"
        if self.old is None:
            return "created"
        return "none" if self.wanted.applied(self.old) == self.old else "updated"

    @property
    def versionable(self) -> bool:
        """Whether it makes a new version."""
        changes = self.old is not None and self.wanted is not None and not self.skipped and not self.in_place
        return changes and makes_version(self.old, self.wanted.applied(self.old))  # type: ignore[arg-type, union-attr]


class _Changes(NamedTuple):
    features: list[FeatureChange]
    plans: list[PlanChange]


def preview(catalogs: Catalogs, request: Request) -> Answer:
    """`catalog.preview_update`: what `catalog.update` would do. Changes nothing."""
    changes = _changes(catalogs, request)
    features = [
        {
            "feature_id": change.id,
            "action": change.action,
            "will_archive": change.will_archive,
            "blocked": False,
            "blocked_reason": None,
        }
        for change in changes.features
    ]
    plans: list[dict[str, Any]] = [
        {
            "plan_id": change.id,
            "name": change.wanted.name if change.wanted else change.old.name if change.old else change.id,
            "action": change.action,
            "will_archive": change.will_archive,
            "versionable": change.versionable,
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
    for feature in sorted(changes.features, key=_after_its_members):
        _change_feature(catalogs, env, feature, request.now)
    for plan in changes.plans:
        _change_plan(catalogs, env, plan, request.now)
    for gone in changes.features:
        if gone.action == "remove":
            _remove_feature(catalogs, env, gone.id)
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
    no_features, no_plans = set(params.skip_feature_ids or ()), set(params.skip_plan_ids or ())
    versions = {(plan.id, plan.version): plan for plan in catalogs.plan_versions(env)}
    feature_changes = [
        FeatureChange(named.feature_id, features.get(named.feature_id), named, named.feature_id in no_features)
        for named in params.features or ()
    ]
    plan_changes = [
        PlanChange(
            named.plan_id,
            versions.get((named.plan_id, named.version or 0), plans.get(named.plan_id)),
            named,
            named.plan_id in no_plans,
            newest=(named.plan_id, named.version) not in versions or plans[named.plan_id].version == named.version,
        )
        for named in params.plans or ()
    ]
    _check(catalogs, request, _Changes(feature_changes, plan_changes))
    if params.skip_deletions is not False:
        return _Changes(feature_changes, plan_changes)
    stay = {change.id for change in plan_changes} | no_plans
    in_use = {plan.id for plan in catalogs.plan_versions(env) if plan.in_use}
    plan_changes += [
        PlanChange(plan.id, plan, None, will_archive=plan.id in in_use)
        for plan in plans.values()
        if plan.id not in stay and not plan.archived
    ]
    stay = {change.id for change in feature_changes} | no_features
    feature_changes += [
        FeatureChange(feature.id, feature, None, will_archive=catalogs.names_feature(env, feature.id))
        for feature in features.values()
        if feature.id not in stay and not feature.archived
    ]
    return _Changes(feature_changes, plan_changes)


def _check(catalogs: Catalogs, request: Request, changes: _Changes) -> None:
    """Raises what making one of the changes would, with all of them made."""
    features: dict[int, Feature] = {}  # by their numbers in the request
    for number, change in enumerate(changes.features):
        if change.wanted is not None and not change.skipped:
            with within(f"features.{number}"):
                features[number] = change.applied(change.old or new_feature(change.wanted, request.now))
    plans: dict[int, Plan] = {}
    for number, named in enumerate(changes.plans):
        if named.wanted is not None and not named.skipped and named.newest:
            with within(f"plans.{number}"):
                made = Plan(named.id, named.wanted.name, created_at=request.now)
                plans[number] = named.wanted.applied(named.old or made)
    numbers = {"features": list(features), "plans": list(plans)}

    def place(field: str) -> str:
        kind, number, *rest = field.split(".")
        return ".".join((kind, str(numbers[kind][int(number)]), *rest)).rstrip(".")

    with told_as(place):
        catalogs.check(request.caller.environment, features.values(), plans.values(), request.now)


def _after_its_members(change: FeatureChange) -> bool:
    """The sort key that has credit systems made after their members."""
    return change.wanted is not None and change.wanted.type == "credit_system"


def _change_feature(catalogs: Catalogs, env: Environment, change: FeatureChange, now: int) -> None:
    if change.action == "create":
        assert change.wanted is not None
        catalogs.create_feature(env, change.applied(new_feature(change.wanted, now)))
    elif change.action == "update":
        catalogs.update_feature(env, change.id, change.applied)


def _change_plan(catalogs: Catalogs, env: Environment, change: PlanChange, now: int) -> None:
    if change.action == "deleted":
        catalogs.delete_plan(env, change.id, all_versions=True)
    elif change.wanted is not None and change.action == "created":
        catalogs.create_plan(env, change.wanted.applied(Plan(change.id, change.wanted.name, created_at=now)))
    elif change.wanted is not None and change.wanted.all_versions and not change.skipped:
        catalogs.edit_versions(env, change.id, change.wanted.applied)
    elif change.wanted is not None and change.action == "updated":
        if change.newest:
            catalogs.update_plan(env, change.id, change.wanted.applied, now, in_place=change.in_place)
        else:
            catalogs.edit_versions(env, change.id, change.wanted.applied, change.wanted.version)


def _remove_feature(catalogs: Catalogs, env: Environment, feature_id: str) -> None:
    """Deletes a feature, or archives one that a plan (perhaps an archived one) or a credit system still names."""
    try:
        catalogs.delete_feature(env, feature_id)
    except Conflict:
        catalogs.update_feature(env, feature_id, lambda old: old._replace(archived=True))
