"""Plans and add-ons: `GET` and `POST /v1/plans`, `/v1/addons`, `GET`, `PUT` and `DELETE` of one, `POST …/search`, and their
shapes.

An add-on is a plan that stacks; neither route shows the other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

from tollgate.dialects.flexprice.features import texts
from tollgate.dialects.flexprice.fields import Id, Key, Metadata, Name, Params, Text, time_text
from tollgate.dialects.flexprice.lists import SearchParams, among
from tollgate.dialects.flexprice.shapes import ADDON, PLAN, whole
from tollgate.dialects.http import Answer, Request
from tollgate.domain.environments import Environment
from tollgate.domain.errors import NotFound
from tollgate.domain.plans import Plan
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.ids import new_id

ONETIME, MULTIPLE = "onetime", "multiple_instance"


class CreatePlanParams(Params):
    """The body of `POST /v1/plans`."""

    name: Name
    lookup_key: Key | None = None
    description: Text | None = None
    metadata: Metadata | None = None


class CreateAddonParams(CreatePlanParams):
    """The body of `POST /v1/addons`: an add-on needs a lookup key. A subscription has one of type `onetime` once."""

    lookup_key: Key
    type: Literal["onetime", "multiple_instance"] | None = None


class UpdatePlanParams(Params):
    """The body of `PUT /v1/plans/{id}` and `/v1/addons/{id}`: fields that are absent stay."""

    name: Name | None = None
    lookup_key: Id | None = None
    description: Text | None = None
    metadata: Metadata | None = None


class SearchPlansParams(SearchParams):
    """What a list of plans may ask for."""

    fields = (*SearchParams.fields, "name", "lookup_key", "description")

    plan_ids: list[Text] | None = None
    lookup_key: Text | None = None
    metadata: dict[str, str] | None = None


class SearchAddonsParams(SearchParams):
    """What a list of add-ons may ask for."""

    fields = (*SearchPlansParams.fields, "type")

    addon_ids: list[Text] | None = None
    lookup_keys: list[Text] | None = None
    addon_type: Literal["onetime", "multiple_instance"] | None = None


def create_plan(catalogs: Catalogs, request: Request) -> Answer:
    """`POST /v1/plans`: a plan without items. Raises AlreadyExists."""
    return _create(catalogs, request, CreatePlanParams.of(request.body), add_on=False)


def create_addon(catalogs: Catalogs, request: Request) -> Answer:
    """`POST /v1/addons`: an add-on without items. Raises AlreadyExists."""
    params = CreateAddonParams.of(request.body)
    return _create(catalogs, request, params, add_on=True, extra={"type": params.type} if params.type else {})


def get_plan(catalogs: Catalogs, request: Request, plan_id: str) -> Answer:
    """`GET /v1/plans/{id}`. Raises NotFound."""
    return Answer(plan_json(found_plan(catalogs, request, plan_id), request.caller.environment))


def get_addon(catalogs: Catalogs, request: Request, addon_id: str) -> Answer:
    """`GET /v1/addons/{id}`. Raises NotFound."""
    return Answer(plan_json(found_plan(catalogs, request, addon_id, add_on=True), request.caller.environment))


def get_addon_by_lookup_key(catalogs: Catalogs, request: Request, key: str) -> Answer:
    """`GET /v1/addons/lookup/{key}`. Raises NotFound, also for an archived add-on."""
    env = request.caller.environment
    for plan in catalogs.plans(env):
        if plan.add_on and lookup_key(plan) == key and not plan.archived:
            return Answer(plan_json(plan, env))
    raise NotFound("addon", key)


def update_plan(catalogs: Catalogs, request: Request, plan_id: str) -> Answer:
    """`PUT /v1/plans/{id}`. Raises NotFound."""
    return _update(catalogs, request, plan_id, add_on=False)


def update_addon(catalogs: Catalogs, request: Request, addon_id: str) -> Answer:
    """`PUT /v1/addons/{id}`. Raises NotFound."""
    return _update(catalogs, request, addon_id, add_on=True)


def delete_plan(catalogs: Catalogs, request: Request, plan_id: str) -> Answer:
    """`DELETE /v1/plans/{id}`: all versions. Raises NotFound."""
    return _delete(catalogs, request, plan_id, add_on=False)


def delete_addon(catalogs: Catalogs, request: Request, addon_id: str) -> Answer:
    """`DELETE /v1/addons/{id}`: all versions. Raises NotFound."""
    return _delete(catalogs, request, addon_id, add_on=True)


def search_plans(catalogs: Catalogs, request: Request) -> Answer:
    """`GET /v1/plans`, `POST …/search`: the plans that match all filters, without add-ons."""
    params = SearchPlansParams.asked(request)
    env = request.caller.environment
    wanted = params.metadata or {}
    found = [
        (plan.created_at, plan)
        for plan in catalogs.plans(env)
        if not plan.add_on
        and among(plan.id, params.plan_ids)
        and among(lookup_key(plan), [params.lookup_key] if params.lookup_key else None)
        and wanted.items() <= (texts(dict(plan.metadata)) or {}).items()
        and params.has_status(plan.archived)
    ]
    return params.page(found, lambda plan: plan_json(plan, env))


def search_addons(catalogs: Catalogs, request: Request) -> Answer:
    """`GET /v1/addons`, `POST …/search`: the add-ons that match all filters."""
    params = SearchAddonsParams.asked(request)
    env = request.caller.environment
    found = [
        (plan.created_at, plan)
        for plan in catalogs.plans(env)
        if plan.add_on
        and among(plan.id, params.addon_ids)
        and among(lookup_key(plan), params.lookup_keys)
        and params.addon_type in (None, addon_type(plan))
        and params.has_status(plan.archived)
    ]
    return params.page(found, lambda plan: plan_json(plan, env))


# ------------------------------------------------------------------ parts


def found_plan(catalogs: Catalogs, request: Request, plan_id: str, *, add_on: bool = False) -> Plan:
    """The newest version. Raises NotFound, also where a plan is asked for and it is an add-on, or the reverse."""
    plan = catalogs.plan(request.caller.environment, plan_id)
    if plan.add_on is not add_on:
        raise NotFound("addon" if add_on else "plan", plan_id)
    return plan


def _create(
    catalogs: Catalogs,
    request: Request,
    params: CreatePlanParams,
    *,
    add_on: bool,
    extra: Mapping[str, Any] = MappingProxyType({}),
) -> Answer:
    kind = "addon" if add_on else "plan"
    plan = Plan(
        f"{kind}_{params.lookup_key}" if params.lookup_key else new_id(kind),
        params.name,
        description=params.description,
        add_on=add_on,
        metadata=params.metadata or {},
        created_at=request.now,
        lookup_key=params.lookup_key,
        extra=extra,
    )
    env = request.caller.environment
    return Answer(plan_json(catalogs.create_plan(env, plan), env), 201)


def _update(catalogs: Catalogs, request: Request, plan_id: str, *, add_on: bool) -> Answer:
    params = UpdatePlanParams.of(request.body)
    found_plan(catalogs, request, plan_id, add_on=add_on)

    def change(old: Plan) -> Plan:
        return replace(
            old,
            name=params.name or old.name,
            lookup_key=params.lookup_key or old.lookup_key,
            description=old.description if params.description is None else params.description,
            metadata=old.metadata if params.metadata is None else params.metadata,
        )

    env = request.caller.environment
    return Answer(plan_json(catalogs.edit_plan(env, plan_id, change, request.now), env))


def _delete(catalogs: Catalogs, request: Request, plan_id: str, *, add_on: bool) -> Answer:
    found_plan(catalogs, request, plan_id, add_on=add_on)
    catalogs.delete_plan(request.caller.environment, plan_id, all_versions=True)
    return Answer({"message": f"{'addon' if add_on else 'plan'} deleted successfully"})


def lookup_key(plan: Plan) -> str:
    """A plan's lookup key; its id where it was made without one."""
    return plan.lookup_key or plan.id


def addon_type(plan: Plan) -> str:
    """An add-on's type: whether a subscription has it once, or any number of times."""
    return str(plan.extra.get("type", MULTIPLE))


def plan_json(plan: Plan, env: Environment) -> dict[str, Any]:
    """A PlanResponse or AddonResponse, without prices: no money moves here."""
    created = time_text(plan.created_at or None)
    return whole(
        ADDON if plan.add_on else PLAN,
        {
            "id": plan.id,
            "name": plan.name,
            "lookup_key": lookup_key(plan),
            "description": plan.description,
            "metadata": texts(dict(plan.metadata)),
            "environment_id": env.value,
            "status": "archived" if plan.archived else "published",
            "created_at": created,
            "updated_at": created,
            **({"type": addon_type(plan)} if plan.add_on else {}),
        },
    )
