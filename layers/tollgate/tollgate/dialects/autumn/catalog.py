"""`features.*` and `plans.*` (management.md): requests in, answers out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tollgate.dialects.autumn.fields import Id, IntervalName, Number, Params, Properties, Text, Whole
from tollgate.dialects.http import Answer, Request
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.keys import Environment
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import Plan, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.usecases.management import Management


class Display(Params):
    singular: Text | None = None
    plural: Text | None = None


class CreateFeatureParams(Params):
    later = ("credit_schema", "meter", "alert_settings", "reporting_unit", "group", "lookup_key")

    feature_id: Id
    name: Text
    type: Literal["boolean", "metered"]
    consumable: bool | None = None
    event_names: Annotated[list[Id], Field(max_length=50)] | None = None
    display: Display | None = None


class ResetParams(Params):
    interval: IntervalName
    interval_count: Whole | None = None


class PlanItemParams(Params):
    later = ("price", "rollover", "entity_feature_id", "static_value", "is_soft_limit", "pooled", "expiry")

    feature_id: Id
    included: Number | None = None
    unlimited: bool | None = None
    reset: ResetParams | None = None


class CreatePlanParams(Params):
    later = ("price", "free_trial", "billing_controls")

    plan_id: Id
    name: Text
    description: Text | None = None
    group: Id | Literal[""] | None = None  # the SDK sends an empty one for none
    add_on: bool | None = None
    auto_enable: bool | None = None
    items: list[PlanItemParams] | None = None
    metadata: Properties | None = None


class FeatureParams(Params):
    feature_id: Id


class PlanParams(Params):
    plan_id: Id
    version: Whole | None = None


def create_feature(management: Management, request: Request) -> Answer:
    params = CreateFeatureParams.of(request.body)
    feature = Feature(
        id=params.feature_id,
        name=params.name,
        type=FeatureType(params.type),
        consumable=params.type == "metered" if params.consumable is None else params.consumable,
        event_names=tuple(params.event_names or ()),
        display=params.display.model_dump(exclude_none=True) if params.display else {},
        created_at=request.now,
    )
    return Answer(feature_json(management.create_feature(request.caller.environment, feature)))


def get_feature(management: Management, request: Request) -> Answer:
    params = FeatureParams.of(request.body)
    return Answer(feature_json(management.feature(request.caller.environment, params.feature_id)))


def list_features(management: Management, request: Request) -> Answer:
    return Answer({"list": [feature_json(feature) for feature in management.features(request.caller.environment)]})


def create_plan(management: Management, request: Request) -> Answer:
    params = CreatePlanParams.of(request.body)
    plan = Plan(
        id=params.plan_id,
        name=params.name,
        description=params.description,
        group=params.group or None,
        add_on=bool(params.add_on),
        auto_enable=bool(params.auto_enable),
        items=tuple(_item(item) for item in params.items or ()),
        metadata=params.metadata or {},
        created_at=request.now,
    )
    env = request.caller.environment
    return Answer(plan_json(management.create_plan(env, plan), env))


def get_plan(management: Management, request: Request) -> Answer:
    params = PlanParams.of(request.body)
    env = request.caller.environment
    return Answer(plan_json(management.plan(env, params.plan_id, params.version), env))


def list_plans(management: Management, request: Request) -> Answer:
    env = request.caller.environment
    return Answer({"list": [plan_json(plan, env) for plan in management.plans(env)]})


def _item(params: PlanItemParams) -> PlanItem:
    reset = params.reset
    return PlanItem(
        params.feature_id,
        ZERO if params.included is None else params.included,
        bool(params.unlimited),
        Reset(Interval(reset.interval), 1 if reset.interval_count is None else reset.interval_count) if reset else None,
    )


def feature_json(feature: Feature) -> dict[str, Any]:
    return {
        "id": feature.id,
        "name": feature.name,
        "type": feature.type.value,
        "consumable": feature.consumable,
        "event_names": list(feature.event_names),
        "archived": feature.archived,
        **({"display": {"singular": None, "plural": None, **feature.display}} if feature.display else {}),
    }


def plan_json(plan: Plan, env: Environment) -> dict[str, Any]:
    return {
        "id": plan.id,
        "name": plan.name,
        "description": plan.description,
        "group": plan.group,
        "version": plan.version,
        "add_on": plan.add_on,
        "auto_enable": plan.auto_enable,
        "price": None,
        "items": [_item_json(item) for item in plan.items],
        "created_at": plan.created_at,
        "env": env.value,
        "archived": plan.archived,
        "config": {"ignore_past_due": False},
        "metadata": plan.metadata,
        "base_variant_id": None,
    }


def _item_json(item: PlanItem) -> dict[str, Any]:
    return {
        "feature_id": item.feature_id,
        "included": item.included,
        "unlimited": item.unlimited,
        "reset": {"interval": item.reset.interval.value, "interval_count": item.reset.count} if item.reset else None,
        "price": None,
    }
