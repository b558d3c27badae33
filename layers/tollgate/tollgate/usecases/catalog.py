"""The catalog of each environment: creating, changing and looking up features and plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from tollgate.domain.customers import Customer, Holdings, Subscription
from tollgate.domain.environments import Environment
from tollgate.domain.errors import AlreadyExists, Conflict, InvalidInput, InvalidRequest, Unavailable
from tollgate.domain.features import MARKUPS, Catalog, Feature, checked_feature, feature_of
from tollgate.domain.places import within
from tollgate.domain.plans import MAX_ITEMS, Plan, checked_plan
from tollgate.domain.subscriptions import attach
from tollgate.store.features import FeatureStore
from tollgate.store.plans import PlanStore
from tollgate.store.table import Entries, Refused
from tollgate.usecases.audit import NO_AUDIT, Audit, Changed

T = TypeVar("T")


def makes_version(old: Plan, new: Plan) -> bool:
    """Whether a change of a plan makes a new version: customers have it, and its items, price or trial change."""
    return old.in_use and (old.items, old.price, old.free_trial) != (new.items, new.price, new.free_trial)


def check_automatic(plans: Iterable[Plan], catalog: Catalog, now: int) -> None:
    """Raises InvalidRequest where a new customer at `now` (epoch ms) cannot hold these automatic plans together."""
    everyone = Holdings(Customer("everyone"))
    for plan in plans:
        everyone = attach(everyone, plan, catalog, plan.id, now)
    if any(held.status(now) != "active" for held in everyone.subscriptions.values()):
        raise InvalidRequest("Automatic plans must not replace each other: these share a group")
    if len(everyone.subscriptions) + len(everyone.balances) > MAX_ITEMS:
        raise InvalidRequest(f"Automatic plans can grant at most {MAX_ITEMS} features in all")


class Catalogs:
    """The use cases around features and plans. They read the table each time, unlike `FeatureCache` and `PlanCache`.
    `now` is epoch ms.
    """

    def __init__(self, features: FeatureStore, plans: PlanStore, audit: Audit = NO_AUDIT) -> None:
        self._features = features
        self._plans = plans
        self._audit = audit

    def _entry(self, env: Environment, old: Feature | Plan | None, new: Feature | Plan | None) -> Entries:
        """The entry of the audit log that tells of a change of a feature, or of a version of a plan."""
        thing = new or old
        assert thing is not None
        type = "plan" if isinstance(thing, Plan) else "feature"
        return self._audit.entry(env, lambda _: [Changed(type, thing.id, old, new)])

    @property
    def stores(self) -> tuple[FeatureStore, PlanStore]:
        """Where features and plans are stored."""
        return self._features, self._plans

    def create_feature(self, env: Environment, feature: Feature) -> Feature:
        """Creates a feature. Raises AlreadyExists; for a credit system also InvalidInput, or NotFound for an unknown
        member.
        """
        if feature.type.is_credits or any(feature.extra.get(name) for name in MARKUPS):
            checked_feature(feature, self._features.all(env))
        self._features.add(env, feature, self._entry(env, None, feature))
        return feature

    def features(self, env: Environment) -> list[Feature]:
        """All features, archived ones too."""
        return list(self._features.all(env).values())

    def feature(self, env: Environment, feature_id: str) -> Feature:
        """The feature with this id. Raises NotFound."""
        return feature_of(self._features.all(env), feature_id)

    def catalog(self, env: Environment) -> Catalog:
        """The catalog of an environment, read from the table."""
        return Catalog(self._features.all(env))

    def update_feature(self, env: Environment, feature_id: str, change: Callable[[Feature], Feature]) -> Feature:
        """Changes a feature. Several callers may do so at once. Raises NotFound, InvalidInput for a change of its type or an
        invalid member, or Unavailable under constant contention.
        """

        def attempt() -> Feature:
            features = self._features.all(env)
            old = feature_of(features, feature_id)
            new = checked_feature(change(old), features)
            if new.type is not old.type:
                raise InvalidInput("type", "cannot be changed")
            self._features.swap(env, old, new, self._entry(env, old, new))
            return new

        return self._in_turn(attempt)

    def delete_feature(self, env: Environment, feature_id: str) -> None:
        """Deletes a feature. Raises NotFound, Conflict where a plan or a credit system names it, or Unavailable under constant
        contention.
        """

        def attempt() -> None:
            old = feature_of(self._features.all(env), feature_id)
            if self.names_feature(env, feature_id):
                raise Conflict(f"Feature {feature_id} is part of a plan or of a credit system: archive it instead")
            self._features.remove(env, old, self._entry(env, old, None))

        self._in_turn(attempt)

    def _in_turn(self, attempt: Callable[[], T]) -> T:
        """What an attempt to read, decide and write gives; it is made again where what it read was changed meanwhile. Raises
        what it raises, or Unavailable under constant contention."""
        for _ in self._plans.turns():
            with suppress(Refused):
                return attempt()
        raise Unavailable("The catalog is being changed too often: nothing was changed, try again")

    def names_feature(self, env: Environment, feature_id: str) -> bool:
        """Whether a version of a plan, or a credit system, names this feature."""
        plans, features = self._plans.every_version(env), self._features.all(env)
        return any(feature_id in plan.features() for plan in plans) or any(
            feature_id == member for other in features.values() for member, _ in other.credit_schema
        )

    def create_plan(self, env: Environment, plan: Plan) -> Plan:
        """Creates a plan. Raises AlreadyExists, NotFound for an unknown feature of an item, InvalidInput for an invalid
        item, or InvalidRequest for an automatic plan that a customer cannot hold together with the other automatic
        plans.
        """
        self._check_plan(env, plan)
        self._plans.add(env, plan, self._entry(env, None, plan))
        return plan

    def _check_plan(self, env: Environment, plan: Plan) -> None:
        catalog = self.catalog(env)
        checked_plan(plan, catalog.features)
        if plan.auto_enable:
            others = [other for other in self.automatic_plans(env) if other.id != plan.id]
            check_automatic((*others, plan), catalog, plan.created_at)

    def check(self, env: Environment, features: Iterable[Feature], plans: Iterable[Plan], now: int) -> None:
        """Checks features and plans that are to be made or changed, all together, as making and changing each of them will.

        Raises what these raise; the field of an InvalidInput begins with the list and the number in it (`plans.0.items`).
        Changes nothing.
        """
        features, plans = list(features), list(plans)
        held = self._features.all(env)
        known = {**held, **{feature.id: feature for feature in features}}
        for number, feature in enumerate(features):
            with within(f"features.{number}"):
                if feature.id in held and held[feature.id].type is not feature.type:
                    raise InvalidInput("type", "cannot be changed")
                checked_feature(feature, known)
        for number, plan in enumerate(plans):
            with within(f"plans.{number}"):
                checked_plan(plan, known)
        newest = {**{plan.id: plan for plan in self._plans.all(env)}, **{plan.id: plan for plan in plans}}
        automatic = [plan for plan in newest.values() if plan.auto_enable and not plan.archived]
        if any(plan.auto_enable for plan in plans):
            check_automatic(automatic, Catalog(known), now)

    def automatic_plans(self, env: Environment) -> list[Plan]:
        """The plans that every new customer gets."""
        return [plan for plan in self._plans.all(env) if plan.auto_enable and not plan.archived]

    def plans(self, env: Environment) -> list[Plan]:
        """The newest version of each plan, archived ones too."""
        return self._plans.all(env)

    def plan_versions(self, env: Environment) -> list[Plan]:
        """All versions of all plans."""
        return self._plans.every_version(env)

    def plans_of(self, env: Environment, subscriptions: Iterable[Subscription]) -> dict[str, Plan]:
        """The plan of each subscription in the version subscribed to, by the subscription's id. Deleted versions are
        left out.
        """
        held = list(subscriptions)
        if not held:
            return {}
        found = {(plan.id, plan.version): plan for plan in self.plan_versions(env)}
        return {s.id: found[s.plan_id, s.plan_version] for s in held if (s.plan_id, s.plan_version) in found}

    def mark_used(self, env: Environment, plan: Plan) -> None:
        """Records that a customer has subscribed to this version of a plan: it is never changed in place again."""
        self._plans.mark_used(env, plan)

    def plan(self, env: Environment, plan_id: str, version: int | None = None) -> Plan:
        """One version of a plan; without a version, the newest. Raises NotFound."""
        return self._plans.get(env, plan_id, version)

    def update_plan(
        self, env: Environment, plan_id: str, change: Callable[[Plan], Plan], now: int, *, in_place: bool = False
    ) -> Plan:
        """Changes a plan as `edit_plan` does; a change of `archived` is made to all its versions.

        Raises NotFound, or what `edit_plan` raises.
        """
        old = self._plans.get(env, plan_id)
        archived = change(old).archived
        if archived != old.archived:
            for version in self._plans.versions(env, plan_id):
                self._edit_version(env, version, lambda plan: replace(plan, archived=archived))
        return self.edit_plan(env, plan_id, change, now, in_place=in_place)

    def _edit_version(self, env: Environment, read: Plan, change: Callable[[Plan], Plan]) -> Plan:
        """Changes a version that was read before, whatever it is now. Raises NotFound, what `change` raises, or Unavailable
        under constant contention."""

        def attempt() -> Plan:
            old = self._plans.get(env, read.id, read.version)
            new = change(old)
            if new != old:
                self._plans.swap(env, old, new, self._entry(env, old, new))
            return new

        return self._in_turn(attempt)

    def edit_versions(
        self, env: Environment, plan_id: str, change: Callable[[Plan], Plan], version: int | None = None
    ) -> Plan:
        """Changes one version of a plan (None: each) in place: for who subscribes from now on. The last of them.

        Raises NotFound, what `create_plan` raises, or Unavailable under constant contention.
        """
        versions = self._plans.versions(env, plan_id) if version is None else [self._plans.get(env, plan_id, version)]
        for old in versions:
            self._check_plan(env, change(old))
        return [self._edit_version(env, old, change) for old in versions][-1]

    def edit_plan(
        self, env: Environment, plan_id: str, change: Callable[[Plan], Plan], now: int, *, in_place: bool = False
    ) -> Plan:
        """Changes a plan's newest version: in place, unless a customer has subscribed to it and its items, price or trial
        change. Then it becomes a new version; with `in_place` it does not, and the change is for who subscribes from now
        on.

        Several callers may do so at once. Raises NotFound, what `change` or `create_plan` raises, or Unavailable under
        constant contention.
        """

        def attempt() -> Plan:
            old = self._plans.get(env, plan_id)
            new = change(old)
            if new == old:
                return old
            versioned = makes_version(old, new) and not in_place
            if versioned:
                new = replace(new, version=old.version + 1, created_at=now, in_use=False)
            self._check_plan(env, new)
            if not versioned:
                self._plans.swap(env, old, new, self._entry(env, old, new))
                return new
            try:
                self._plans.add(env, new, self._entry(env, old, new))
            except AlreadyExists as another:  # somebody else has made a version meanwhile
                raise Refused(None) from another
            return new

        return self._in_turn(attempt)

    def delete_plan(self, env: Environment, plan_id: str, *, all_versions: bool = False) -> None:
        """Deletes the newest version of a plan, or all; a version that a customer has subscribed to is archived. Raises
        NotFound, or Unavailable under constant contention.
        """
        versions = self._plans.versions(env, plan_id)
        for version in versions if all_versions else versions[-1:]:
            self._in_turn(partial(self._delete_version, env, plan_id, version.version))

    def _delete_version(self, env: Environment, plan_id: str, version: int) -> None:
        plan = self._plans.get(env, plan_id, version)
        if plan.in_use:
            archived = replace(plan, archived=True)
            self._plans.swap(env, plan, archived, self._entry(env, plan, archived))
        else:
            self._plans.remove(env, plan, self._entry(env, plan, None))
