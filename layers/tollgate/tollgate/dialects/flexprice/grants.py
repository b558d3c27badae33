"""Entitlements of plans and add-ons: `GET` and `POST /v1/entitlements`, `/bulk`, `/search`, `GET`, `PUT` and `DELETE` of one, and
`GET /v1/plans/{id}/entitlements`. Each is one item of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from tollgate.dialects.flexprice.features import feature_json, feature_type
from tollgate.dialects.flexprice.fields import Id, Limit, Params, Period, Text, time_text
from tollgate.dialects.flexprice.lists import SearchParams, among, reads_older_shapes, whole_list
from tollgate.dialects.flexprice.periods import period_name, reset_of
from tollgate.dialects.flexprice.plans import found_plan, plan_json
from tollgate.dialects.flexprice.shapes import ENTITLEMENT, whole
from tollgate.dialects.http import Answer, Request
from tollgate.domain.entitlements import entitlement_id
from tollgate.domain.environments import Environment
from tollgate.domain.errors import AlreadyExists, InvalidInput, NotFound
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.places import told_as
from tollgate.domain.plans import USAGE_BASED, Plan, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.usecases.catalog import Catalogs

GRANTS = (
    "grant_measure",
    "grant_quota",
    "grant_unlimited",
    "grant_duration_unit",
    "grant_duration_value",
    "grant_allocation_behavior",
    "config_value",
)


class EntitlementFields(Params):
    """The fields that creating and changing an entitlement share."""

    later: ClassVar[tuple[str, ...]] = GRANTS

    is_enabled: bool | None = None
    usage_limit: Limit | None = None
    usage_reset_period: Period | Literal[""] | None = None
    is_soft_limit: bool | None = None
    static_value: Text | None = None
    aggregation_mode: Literal["additive", ""] | None = None


class CreateEntitlementParams(EntitlementFields):
    """The body of `POST /v1/entitlements`: one feature of one plan or add-on."""

    later = (*GRANTS, "parent_entitlement_id", "start_date", "end_date")

    feature_id: Id
    feature_type: Literal["metered", "boolean", "static"]
    entity_type: Literal["PLAN", "ADDON"] | None = None
    entity_id: Id | None = None
    plan_id: Id | None = None


class BulkParams(Params):
    """The body of `POST /v1/entitlements/bulk`."""

    items: Annotated[list[CreateEntitlementParams], Field(min_length=1, max_length=100)]


class SearchEntitlementsParams(SearchParams):
    """What a list of entitlements may ask for."""

    later: ClassVar[tuple[str, ...]] = (*SearchParams.later, "has_grant_config")
    fields = (
        *SearchParams.fields,
        "entity_type",
        "entity_id",
        "plan_id",
        "feature_id",
        "feature_type",
        "is_enabled",
        "is_soft_limit",
        "usage_limit",
        "usage_reset_period",
        "static_value",
    )

    entity_type: Literal["PLAN", "ADDON", "SUBSCRIPTION"] | None = None
    entity_ids: list[Text] | None = None
    plan_ids: list[Text] | None = None
    feature_ids: list[Text] | None = None
    feature_type: Literal["metered", "boolean", "static", "config"] | None = None
    is_enabled: bool | None = None


class PlanEntitlement(NamedTuple):
    """One item of a plan's newest version, and the id that it keeps through later versions."""

    id: str
    plan: Plan
    position: int

    @property
    def item(self) -> PlanItem:
        """The plan item itself."""
        return self.plan.items[self.position]


def create(catalogs: Catalogs, request: Request) -> Answer:
    """`POST /v1/entitlements`: adds an item to a plan.

    Raises NotFound, InvalidInput, or AlreadyExists where the plan has an item of the feature.
    """
    return Answer(_created(catalogs, request, CreateEntitlementParams.of(request.body), ""), 201)


def create_bulk(catalogs: Catalogs, request: Request) -> Answer:
    """`POST /v1/entitlements/bulk`: adds items one by one; those before one that is refused stay."""
    items = BulkParams.of(request.body).items
    return Answer(
        {"items": [_created(catalogs, request, params, f"items.{index}.") for index, params in enumerate(items)]},
        201,
    )


def get(catalogs: Catalogs, request: Request, id: str) -> Answer:
    """`GET /v1/entitlements/{id}`. Raises NotFound."""
    env = request.caller.environment
    return Answer(entitlement_json(_found(catalogs, env, id), catalogs.catalog(env), env))


def update(catalogs: Catalogs, request: Request, id: str) -> Answer:
    """`PUT /v1/entitlements/{id}`: fields that are absent stay. A limit of 0 grants nothing; `null` is no limit.

    Raises NotFound.
    """
    params = EntitlementFields.of(request.body)
    env = request.caller.environment
    catalog = catalogs.catalog(env)
    named = params.model_fields_set

    def changed(item: PlanItem) -> PlanItem:
        feature = catalog.feature(item.feature_id)
        soft = item.soft_limit if params.is_soft_limit is None else params.is_soft_limit
        enabled = item.enabled if params.is_enabled is None else params.is_enabled
        value = item.static_value if params.static_value is None else params.static_value
        item = replace(item, soft_limit=soft, enabled=enabled, static_value=value)
        if "usage_limit" in named:
            item = _limited(item, params.usage_limit)
        if params.usage_reset_period:
            item = replace(item, reset=reset_of(params.usage_reset_period) if feature.consumable else None)
        return item

    def change(plan: Plan) -> Plan:
        at = _index(plan, id)
        return replace(plan, items=(*plan.items[:at], changed(plan.items[at]), *plan.items[at + 1 :]))

    with told_as(_own_name):
        plan = catalogs.edit_plan(env, _found(catalogs, env, id).plan.id, change, request.now)
    return Answer(entitlement_json(PlanEntitlement(id, plan, _index(plan, id)), catalog, env))


def delete(catalogs: Catalogs, request: Request, id: str) -> Answer:
    """`DELETE /v1/entitlements/{id}`: takes the item out of its plan. Raises NotFound."""
    env = request.caller.environment

    def change(plan: Plan) -> Plan:
        at = _index(plan, id)
        return replace(plan, items=(*plan.items[:at], *plan.items[at + 1 :]))

    catalogs.edit_plan(env, _found(catalogs, env, id).plan.id, change, request.now)
    return Answer({"message": "entitlement deleted successfully"})


def search(catalogs: Catalogs, request: Request) -> Answer:
    """`GET /v1/entitlements`, `POST …/search`: the items of plans and add-ons that match all filters."""
    params = SearchEntitlementsParams.asked(request)
    env = request.caller.environment
    catalog = catalogs.catalog(env)
    owners = {*(params.entity_ids or ()), *(params.plan_ids or ())}
    found = []
    plans = [plan for plan in catalogs.plans(env) if not plan.archived and params.has_status(archived=False)]
    for entry in (entry for plan in plans for entry in entitlements_of(plan)):
        feature = catalog.features.get(entry.item.feature_id)
        if feature is None or not among(entry.plan.id, owners) or not among(feature.id, params.feature_ids):
            continue
        if params.entity_type not in (None, _entity_type(entry.plan)):
            continue
        if params.feature_type in (None, feature_type(feature)) and params.is_enabled in (None, entry.item.enabled):
            found.append((entry.plan.created_at, entry))
    return params.page(found, lambda entry: entitlement_json(entry, catalog, env))


def of_plan(catalogs: Catalogs, request: Request, plan_id: str) -> Answer:
    """`GET /v1/plans/{id}/entitlements`. Raises NotFound. @flexprice/sdk 2.0 gets the plan with them (flexprice.md 1.7)."""
    plan = found_plan(catalogs, request, plan_id)
    shown = _shown(catalogs, request, plan)
    if reads_older_shapes(request):
        return Answer({**plan_json(plan, request.caller.environment), "entitlements": shown})
    return whole_list(shown)


def of_addon(catalogs: Catalogs, request: Request, addon_id: str) -> Answer:
    """`GET /v1/addons/{id}/entitlements`. Raises NotFound."""
    return whole_list(_shown(catalogs, request, found_plan(catalogs, request, addon_id, add_on=True)))


# ------------------------------------------------------------------ parts


def _shown(catalogs: Catalogs, request: Request, plan: Plan) -> list[dict[str, Any]]:
    env = request.caller.environment
    catalog = catalogs.catalog(env)
    return [entitlement_json(entry, catalog, env) for entry in entitlements_of(plan)]


def entitlements_of(plan: Plan) -> Iterator[PlanEntitlement]:
    """The items of a plan with their ids. An id lasts as long as the order of the plan's items of that feature."""
    counts: dict[str, int] = {}
    for index, item in enumerate(plan.items):
        number = counts[item.feature_id] = counts.get(item.feature_id, -1) + 1
        yield PlanEntitlement(entitlement_id(plan.id, item.feature_id, number), plan, index)


def _index(plan: Plan, id: str) -> int:
    for entry in entitlements_of(plan):
        if entry.id == id:
            return entry.position
    raise NotFound("entitlement", id)


def _found(catalogs: Catalogs, env: Environment, id: str) -> PlanEntitlement:
    for plan in catalogs.plans(env):
        for entry in entitlements_of(plan):
            if entry.id == id:
                return entry
    raise NotFound("entitlement", id)


def _created(catalogs: Catalogs, request: Request, params: CreateEntitlementParams, where: str) -> dict[str, Any]:
    """Adds an item in front of its plan's others, as Flexprice lists them, and shows it."""
    env = request.caller.environment
    plan_id = params.entity_id or params.plan_id
    if plan_id is None:
        raise InvalidInput(f"{where}entity_id", "is required")
    found_plan(catalogs, request, plan_id, add_on=params.entity_type == "ADDON")
    catalog = catalogs.catalog(env)
    feature = catalog.feature(params.feature_id)
    item = _item(params, feature, where)

    def change(plan: Plan) -> Plan:
        if any(other.feature_id == feature.id for other in plan.items):
            raise AlreadyExists("entitlement", f"of {feature.id} in {plan.id}")
        return replace(plan, items=(item, *plan.items))

    with told_as(lambda field: where + _own_name(field)):
        plan = catalogs.edit_plan(env, plan_id, change, request.now)
    id = entitlement_id(plan.id, feature.id)
    return entitlement_json(PlanEntitlement(id, plan, _index(plan, id)), catalog, env)


def _own_name(field: str) -> str:
    """What a field of a plan's item (`items.0.included`) is in an entitlement's body."""
    own = field.split(".")[2:3]
    return {"included": "usage_limit", "reset": "usage_reset_period"}.get(own[0], own[0]) if own else ""


def _item(params: CreateEntitlementParams, feature: Feature, where: str) -> PlanItem:
    if params.feature_type != feature_type(feature):
        raise InvalidInput(f"{where}feature_type", f"must be {feature_type(feature)}, as the feature's")
    item = PlanItem(feature.id, soft_limit=bool(params.is_soft_limit))
    if params.feature_type == "boolean":
        return PlanItem(feature.id, enabled=bool(params.is_enabled))
    if params.feature_type == "static":
        if not params.static_value:
            raise InvalidInput(f"{where}static_value", "is required for a static feature")
        return PlanItem(feature.id, static_value=params.static_value)
    reset = reset_of(params.usage_reset_period or "MONTHLY") if feature.consumable else None
    return _limited(replace(item, reset=reset), params.usage_limit)


def _limited(item: PlanItem, limit: int | None) -> PlanItem:
    """The item with exactly this limit, in units of the feature; None makes it unlimited."""
    return replace(item, included=ZERO if limit is None else Decimal(limit), unlimited=limit is None, price=None)


def overridden(item: PlanItem, limit: int | None, is_enabled: bool | None, value: str | None, kind: str) -> PlanItem:
    """A plan's item as one subscription has it: a metered one without a limit is unlimited (flexprice.md 2.3)."""
    item = replace(item, enabled=item.enabled if is_enabled is None else is_enabled, scoped=True)
    if kind == "static":
        return replace(item, static_value=item.static_value if value is None else value)
    return _limited(item, limit) if kind == "metered" else item


def _entity_type(plan: Plan) -> str:
    return "ADDON" if plan.add_on else "PLAN"


def entitlement_json(entry: PlanEntitlement, catalog: Catalog, env: Environment) -> dict[str, Any]:
    """An EntitlementResponse, with its feature and its plan or add-on."""
    plan, item = entry.plan, entry.item
    feature = catalog.feature(item.feature_id)
    created = time_text(plan.created_at or None)
    shown: dict[str, Any] = {
        "id": entry.id,
        "entity_type": _entity_type(plan),
        "entity_id": plan.id,
        "plan_id": None if plan.add_on else plan.id,
        "feature_id": feature.id,
        "feature_type": feature_type(feature),
        "feature": feature_json(feature, env),
        "addon" if plan.add_on else "plan": plan_json(plan, env),
        "is_enabled": item.enabled,
        "static_value": item.static_value,
        "environment_id": env.value,
        "status": "published",
        "created_at": created,
        "updated_at": created,
    }
    if not feature.type.is_flag:
        price = item.price if item.price and item.price.billing_method == USAGE_BASED and not item.soft_limit else None
        bought = price.max_purchase or ZERO if price else ZERO
        shown |= {
            "usage_limit": None if item.unlimited else int(item.included + bought),
            "is_soft_limit": item.soft_limit or bool(price and price.max_purchase is None),
            "usage_reset_period": period_name(item.resets),
        }
    return whole(ENTITLEMENT, shown)
