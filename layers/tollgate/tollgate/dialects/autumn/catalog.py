"""`features.*` and `plans.*` (management.md 1 to 3): requests in, answers out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from tollgate.dialects.autumn.balances import NEVER, reset_json
from tollgate.dialects.autumn.controls import ControlsParams, controls_json
from tollgate.dialects.autumn.display import item_display, price_display
from tollgate.dialects.autumn.features import feature_json, feature_v1_json
from tollgate.dialects.autumn.fields import Id, IntervalName, Number, Params, Properties, Text, Whole
from tollgate.dialects.autumn.products import Offered, product_json, scenario_of
from tollgate.dialects.autumn.versions import FLAGS, PLANS, translated, version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.controls import NO_CONTROLS
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.grants import RolloverRule
from tollgate.domain.ids import lotus_ids
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.places import within
from tollgate.domain.plan_changes import Offer, offer_of
from tollgate.domain.plans import MAX_ROLLOVER_MONTHS, BasePrice, FreeTrial, ItemPrice, Plan, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers

AGGREGATIONS = Literal["COUNT", "SUM", "AVG", "COUNT_UNIQUE", "LATEST", "SUM_WITH_MULTIPLIER", "MAX", "WEIGHTED_SUM"]


Markup = Annotated[Number, Field(ge=-100, le=1_000_000)]
Cost = Annotated[Number, Field(ge=0, le=1_000_000_000)]
KINDS = Literal["boolean", "metered", "credit_system", "static", "ai_credit_system"]


class Display(Params):
    """What one unit of a feature is called, and what several are."""

    singular: Text | None = None
    plural: Text | None = None


class CreditParams(Params):
    """What a metered feature costs in credits: `credit_cost` for every `billing_units` (1 unless told)."""

    later = ("tiers", "dimensions", "multipliers")

    metered_feature_id: Id
    credit_cost: Number
    billing_units: Number | None = None


class GroupParams(Params):
    """The group under which a feature is shown."""

    id: Id
    name: Text | None = None
    lookup_key: Text | None = None


class ReportingUnitParams(Params):
    """The unit in which usage is shown, and the rate at which units are converted into it."""

    unit_singular: Text
    unit_plural: Text
    conversion_rate: Annotated[Number, Field(gt=0)]


class ThresholdParams(Params):
    """A threshold on what remains, in units of the feature, and the side of it on which it warns."""

    threshold: Number
    condition: Literal["above", "below"]


class AlertSettingsParams(Params):
    """A feature's own thresholds, by how severe they are."""

    alert_enabled: bool | None = None
    critical: ThresholdParams | None = None
    warning: ThresholdParams | None = None
    info: ThresholdParams | None = None


class AggregationParams(Params):
    """How a meter turns events into an amount: which function, of which property."""

    type: AGGREGATIONS
    field: Text | None = None
    multiplier: Number | None = None


class MeterFilterParams(Params):
    """A property that an event must have, and the values that count; where none is named, any."""

    key: Text
    values: Annotated[list[Text], Field(max_length=100)]


class MeterParams(Params):
    """Which events a metered feature counts, and how they become an amount."""

    name: Text | None = None
    event_name: Id
    aggregation: AggregationParams
    filters: Annotated[list[MeterFilterParams], Field(max_length=20)] | None = None
    reset_usage: Literal["BILLING_PERIOD", "NEVER"] | None = None


class ModelMarkupParams(Params):
    """What an AI credit system takes for one model: a mark-up in percent, and dollars for a million tokens in place of the
    published prices."""

    markup: Markup | None = None
    input_cost: Cost | None = None
    output_cost: Cost | None = None


class ProviderMarkupParams(Params):
    """What an AI credit system adds to the models of one provider, in percent."""

    markup: Markup


class FeatureFields(Params):
    """The fields that `features.create` and `features.update` share."""

    later: ClassVar[tuple[str, ...]] = ("combine",)
    nothing: ClassVar[tuple[Any, ...]] = (*Params.nothing, "sum")

    name: Text | None = None
    consumable: bool | None = None
    event_names: Annotated[list[Id], Field(max_length=50)] | None = None
    credit_schema: Annotated[list[CreditParams], Field(max_length=100)] | None = None
    display: Display | None = None
    description: Text | None = None
    lookup_key: Id | None = None
    metadata: Properties | None = None
    unit_singular: Text | None = None
    unit_plural: Text | None = None
    reporting_unit: ReportingUnitParams | None = None
    group: GroupParams | None = None
    alert_settings: AlertSettingsParams | None = None
    meter: MeterParams | None = None
    model_markups: Annotated[dict[Text, ModelMarkupParams], Field(max_length=200)] | None = None
    provider_markups: Annotated[dict[Text, ProviderMarkupParams], Field(max_length=100)] | None = None
    default_markup: Markup | None = None

    def applied(self, old: Feature) -> Feature:
        """The old feature with the fields that this request names. One that is only kept and shown goes where it is null."""
        kept = {name: value for name, value in old.extra.items() if name not in self.model_fields_set}
        schema, lots = old.credit_schema, old.lots
        if self.credit_schema is not None:
            schema = tuple((c.metered_feature_id, c.credit_cost) for c in self.credit_schema)
            lots = {
                c.metered_feature_id: c.billing_units for c in self.credit_schema if c.billing_units not in (None, 1)
            }
        return old._replace(
            name=old.name if self.name is None else self.name,
            consumable=old.consumable if self.consumable is None else self.consumable,
            event_names=old.event_names if self.event_names is None else tuple(self.event_names),
            credit_schema=schema,
            lots=lots,
            display=old.display if self.display is None else self.display.model_dump(exclude_none=True),
            extra=kept | self.model_dump(include=_EXTRA, exclude_none=True),
        )


_EXTRA = {
    "description",
    "lookup_key",
    "metadata",
    "unit_singular",
    "unit_plural",
    "reporting_unit",
    "group",
    "alert_settings",
    "meter",
    "model_markups",
    "provider_markups",
    "default_markup",
}


class CreateFeatureParams(FeatureFields):
    """The body of `features.create`."""

    feature_id: Id
    name: Text
    type: KINDS


class UpdateFeatureParams(FeatureFields):
    """The body of `features.update`: fields that are absent stay."""

    later = (*FeatureFields.later, "new_feature_id")

    feature_id: Id
    type: KINDS | None = None
    archived: bool | None = None


class ResetParams(Params):
    """How often the units of a plan item come back."""

    interval: IntervalName
    interval_count: Whole | None = None

    def reset(self) -> Reset:
        """The same in the domain's words; once per interval unless told."""
        return Reset(Interval(self.interval), 1 if self.interval_count is None else self.interval_count)


class TierParams(Params):
    """One tier of a price: up to `to` units, each costs `amount`."""

    to: Number | Literal["inf"]
    amount: Number
    flat_amount: Number | None = None


class ItemPriceParams(Params):
    """What a plan item costs beyond its included units."""

    amount: Number | None = None
    tiers: Annotated[list[TierParams], Field(max_length=50)] | None = None
    tier_behavior: Literal["graduated", "volume"] | None = None
    interval: IntervalName | None = None
    interval_count: Whole | None = None
    billing_units: Number | None = None
    billing_method: Literal["usage_based", "prepaid"]
    max_purchase: Number | None = None

    def price(self) -> ItemPrice:
        """The same in the domain's words."""
        return ItemPrice(
            self.billing_method,
            self.max_purchase,
            self.amount,
            tuple(tier.model_dump(exclude_none=True) for tier in self.tiers or ()),
            self.tier_behavior,
            Decimal(1) if self.billing_units is None else self.billing_units,
            Interval(self.interval) if self.interval else None,
            1 if self.interval_count is None else self.interval_count,
        )


class RolloverParams(Params):
    """How units that are left at a reset live on. Plans say for how long in `expiry_duration_*`."""

    max: Number | None = None
    max_percentage: Number | None = None
    expiry_duration_type: Literal["month", "forever"] | None = None
    expiry_duration_length: Whole | None = None
    duration: Literal["month", "forever"] | None = None
    length: Whole | None = None

    def rule(self) -> RolloverRule:
        """The same in the domain's words; rollovers live one month unless told. Raises InvalidInput for a length that is not
        1 to 1200 months."""
        duration = self.expiry_duration_type or self.duration or "month"
        name = "length" if self.expiry_duration_length is None and self.length is not None else "expiry_duration_length"
        length = getattr(self, name)
        months = None if duration == "forever" else 1 if length is None else length
        if months is not None and not 1 <= months <= MAX_ROLLOVER_MONTHS:
            raise InvalidInput(name, f"must be 1 to {MAX_ROLLOVER_MONTHS} months")
        return RolloverRule(self.max, self.max_percentage, months)


class PlanItemParams(Params):
    """What a plan grants of one feature."""

    later = ("pooled", "expiry", "feature_override")

    feature_id: Id
    included: Number | None = None
    unlimited: bool | None = None
    reset: ResetParams | None = None
    price: ItemPriceParams | None = None
    rollover: RolloverParams | None = None
    entity_feature_id: Id | None = None
    static_value: Text | None = None
    is_soft_limit: bool | None = None
    is_enabled: bool | None = None
    usage_limit: Number | None = None

    def item(self) -> PlanItem:
        """The same in the domain's words. Without `included`, a `usage_limit` is what is included."""
        included = ZERO if self.included is None else self.included
        if self.usage_limit is not None and self.included is None:
            if self.usage_limit < 0:
                raise InvalidInput("usage_limit", "must not be negative")
            included = self.usage_limit
        with within("reset"):
            reset = self.reset.reset() if self.reset else None
        with within("price"):
            price = self.price.price() if self.price else None
        with within("rollover"):
            rollover = self.rollover.rule() if self.rollover else None
        return PlanItem(
            self.feature_id,
            included,
            bool(self.unlimited),
            reset,
            price,
            rollover,
            self.entity_feature_id,
            self.static_value,
            bool(self.is_soft_limit),
            self.is_enabled is not False,
        )


class BasePriceParams(Params):
    """What a plan costs by itself, each interval."""

    amount: Number
    interval: IntervalName
    interval_count: Whole | None = None

    def price(self) -> BasePrice:
        """The same in the domain's words."""
        return BasePrice(
            self.amount, Interval(self.interval), 1 if self.interval_count is None else self.interval_count
        )


class FreeTrialParams(Params):
    """How long a plan is free at first. `length` and `duration` are older names of the first two fields."""

    duration_length: Whole | None = None
    duration_type: Literal["day", "week", "month", "year"] | None = None
    card_required: bool | None = None
    on_end: Literal["bill"] | None = None
    length: Whole | None = None
    duration: Literal["day", "week", "month", "year"] | None = None

    def trial(self) -> FreeTrial:
        """The same in the domain's words. Raises InvalidInput where the length is not 1 to 1000."""
        name = "length" if self.duration_length is None and self.length is not None else "duration_length"
        length = getattr(self, name)
        if length is None or not 1 <= length <= 1000:
            raise InvalidInput(name, "must be 1 to 1000")
        kind = self.duration_type or self.duration or "day"
        return FreeTrial(length, Interval(kind), bool(self.card_required))


class PlanConfigParams(Params):
    """What else Autumn lets a plan say. Nothing is ever past due here."""

    later = ("anchor_to_month_start",)


class PlanFields(Params):
    """The fields that `plans.create` and `plans.update` share."""

    later: ClassVar[tuple[str, ...]] = ("licenses", "variants")

    name: Text | None = None
    description: Text | None = None
    group: Id | Literal[""] | None = None  # the SDK sends an empty one for none
    add_on: bool | None = None
    auto_enable: bool | None = None
    lookup_key: Id | None = None
    price: BasePriceParams | None = None
    items: list[PlanItemParams] | None = None
    free_trial: FreeTrialParams | None = None
    billing_controls: ControlsParams | None = None
    config: PlanConfigParams | None = None
    metadata: Properties | None = None

    def applied(self, old: Plan) -> Plan:
        """The old plan with the fields that this request names."""
        named = self.model_fields_set
        with within("price"):
            price = self.price.price() if self.price else None
        with within("free_trial"):
            trial = self.free_trial.trial() if self.free_trial else None
        return replace(
            old,
            name=old.name if self.name is None else self.name,
            description=self.description if "description" in named else old.description,
            group=(self.group or None) if "group" in named else old.group,
            add_on=old.add_on if self.add_on is None else self.add_on,
            auto_enable=old.auto_enable if self.auto_enable is None else self.auto_enable,
            price=price if "price" in named else old.price,
            items=old.items if self.items is None else different(plan_items(self.items, "items")),
            free_trial=trial if "free_trial" in named else old.free_trial,
            controls=old.controls if self.billing_controls is None else self.billing_controls.applied(NO_CONTROLS),
            metadata=old.metadata if self.metadata is None else self.metadata,
            lookup_key=self.lookup_key if "lookup_key" in named else old.lookup_key,
        )


def plan_items(items: Iterable[PlanItemParams], where: str) -> Iterator[PlanItem]:
    """Items in the domain's words; an error names its own behind the list's path."""
    for index, item in enumerate(items):
        with within(f"{where}.{index}"):
            made = item.item()
        yield made


def different(items: Iterable[PlanItem]) -> tuple[PlanItem, ...]:
    """The items. Raises InvalidInput where two grant the same: of one feature, in one interval, to one kind of entity, and
    paid in the same way."""
    found = tuple(items)
    seen: set[tuple[object, ...]] = set()
    for index, item in enumerate(found):
        if item.grants_as in seen:
            raise InvalidInput(
                f"items.{index}", f"there is an item of feature {item.feature_id} and its interval already"
            )
        seen.add(item.grants_as)
    return found


class CreatePlanParams(PlanFields):
    """The body of `plans.create`."""

    plan_id: Id
    name: Text


class UpdatePlanParams(PlanFields):
    """The body of `plans.update`: fields that are absent stay."""

    later = (
        *PlanFields.later,
        *("new_plan_id", "migration", "base_plan_id", "is_default"),
        *("update_variant_ids", "update_license_parents"),
    )

    plan_id: Id
    archived: bool | None = None
    version: Whole | None = None
    disable_version: bool | None = None
    all_versions: bool | None = None


class FeatureParams(Params):
    """The body of `features.get` and `features.delete`."""

    feature_id: Id


class ListFeaturesParams(Params):
    """The body of `features.list`."""

    include_archived: bool | None = None


class PlanParams(Params):
    """The body of `plans.get`: the newest version unless told."""

    plan_id: Id
    version: Whole | None = None


class ListPlansParams(Params):
    """The body of `plans.list`. With `customer_id`, each plan says what attaching it to that customer, or to its entity,
    would be."""

    customer_id: Id | None = None
    entity_id: Id | None = None
    include_archived: bool | None = None
    all_versions: bool | None = None


class DeletePlanParams(Params):
    """The body of `plans.delete`."""

    plan_id: Id
    all_versions: bool | None = None


def create_feature(catalogs: Catalogs, request: Request) -> Answer:
    """`features.create`. A metered feature is allocated unless `consumable` is true; credits are always consumed.

    Raises AlreadyExists, or InvalidInput and NotFound for a credit system's members.
    """
    params = CreateFeatureParams.of(request.body)
    env = request.caller.environment
    feature = catalogs.create_feature(env, params.applied(new_feature(params, request.now)))
    return Answer(shown_feature(request, feature))


def new_feature(params: CreateFeatureParams, now: int) -> Feature:
    """A feature that is made now (epoch ms), before what the request says of it is applied."""
    kind = FeatureType(params.type)
    consumable = kind.is_credits if params.consumable is None else params.consumable
    return Feature(params.feature_id, params.name, kind, consumable, created_at=now)


def get_feature(catalogs: Catalogs, request: Request) -> Answer:
    """`features.get`. Raises NotFound."""
    params = FeatureParams.of(request.body)
    return Answer(shown_feature(request, catalogs.feature(request.caller.environment, params.feature_id)))


def list_features(catalogs: Catalogs, request: Request) -> Answer:
    """`features.list`: all of the environment; archived ones only where they are asked for. To version 2.1, which `atmn`
    speaks and which knows no static feature, one is boolean (management.md 13)."""
    params = ListFeaturesParams.of(request.body)
    env = request.caller.environment
    features = [f for f in catalogs.features(env) if params.include_archived or not f.archived]
    if version_of(request.headers.get("x-api-version")) == FLAGS:
        features = [f._replace(type=FeatureType.BOOLEAN) if f.type is FeatureType.STATIC else f for f in features]
    return Answer({"list": [shown_feature(request, feature) for feature in features]})


def update_feature(catalogs: Catalogs, request: Request) -> Answer:
    """`features.update`. Raises NotFound, or InvalidInput for a change of the type."""
    params = UpdateFeatureParams.of(request.body)

    def change(old: Feature) -> Feature:
        new = params.applied(old)
        if params.type is not None:
            new = new._replace(type=FeatureType(params.type))
        return new if params.archived is None else new._replace(archived=params.archived)

    return Answer(
        shown_feature(request, catalogs.update_feature(request.caller.environment, params.feature_id, change))
    )


def delete_feature(catalogs: Catalogs, request: Request) -> Answer:
    """`features.delete`. Raises NotFound, or Conflict where a plan or a credit system names the feature."""
    catalogs.delete_feature(request.caller.environment, FeatureParams.of(request.body).feature_id)
    return Answer({"success": True})


def create_plan(catalogs: Catalogs, request: Request) -> Answer:
    """`plans.create`: the plan's first version. Raises AlreadyExists, NotFound or InvalidInput for its items."""
    params = CreatePlanParams.of(request.body)
    plan = params.applied(Plan(params.plan_id, params.name, created_at=request.now))
    env = request.caller.environment
    return Answer(shown_plan(catalogs, request, catalogs.create_plan(env, plan)))


def get_plan(catalogs: Catalogs, request: Request) -> Answer:
    """`plans.get`. Raises NotFound."""
    params = PlanParams.of(request.body)
    env = request.caller.environment
    return Answer(shown_plan(catalogs, request, catalogs.plan(env, params.plan_id, params.version)))


def list_plans(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`plans.list`: the newest version of each, or every one; archived ones only where they are asked for."""
    params = ListPlansParams.of(request.body)
    env = request.caller.environment
    known = catalogs.plan_versions(env) if params.all_versions else catalogs.plans(env)
    plans = [plan for plan in known if params.include_archived or not plan.archived]
    if params.customer_id is None:
        return Answer({"list": [shown_plan(catalogs, request, plan) for plan in plans]})
    holdings = customers.get_or_nothing(request.customer(params.customer_id))
    features, at = catalogs.catalog(env).features, holdings.time(request.now)
    offers = [(plan, offer_of(holdings, plan, features, at, params.entity_id)) for plan in plans]
    return Answer({"list": [shown_plan(catalogs, request, plan, offer, at) for plan, offer in offers]})


def shown_plan(
    catalogs: Catalogs, request: Request, plan: Plan, offer: Offer | None = None, now: int = 0
) -> dict[str, Any]:
    """A plan in the caller's version; with an `offer`, what attaching it to a customer at `now` (ms) would be."""
    version, env = version_of(request.headers.get("x-api-version")), request.caller.environment
    catalog = catalogs.catalog(env)
    if version < PLANS:
        return product_json(plan, env, catalog, offer and Offered.of(offer, now))
    shown = plan_json(plan, env, catalog.features)
    if offer is not None:
        shown["customer_eligibility"] = _eligibility_json(offer, now)
        shown["_scenario"] = scenario_of(offer, now)
    return translated(version, "plan", shown)


def _eligibility_json(offer: Offer, now: int) -> dict[str, Any]:
    """What attaching the plan would be; what says something of a trial or of a subscription is absent without one."""
    held = offer.held
    shown: dict[str, Any] = {"attach_action": offer.attaching.value}
    if offer.trial_available is not None:
        shown["trial_available"] = offer.trial_available
    if held is not None:
        running = held.status(now) == "active"
        shown["status"] = held.status(now)
        if running:
            shown |= {"canceling": held.canceled_at is not None, "trialing": held.trialing(now)}
    return shown


def update_plan(catalogs: Catalogs, request: Request) -> Answer:
    """`plans.update`: changes the newest version; where customers have it and its items, price or trial change, makes a
    new one, unless `disable_version` says not to. An older `version` is changed in place, with `all_versions` every one
    is. Raises NotFound or InvalidInput.
    """
    params = UpdatePlanParams.of(request.body)

    def change(old: Plan) -> Plan:
        new = params.applied(old)
        return new if params.archived is None else replace(new, archived=params.archived)

    env, id = request.caller.environment, params.plan_id
    if params.all_versions and (params.disable_version or params.version is not None):
        raise InvalidInput("all_versions", "goes without version and disable_version")
    if params.all_versions or params.version not in (None, catalogs.plan(env, id).version):
        plan = catalogs.edit_versions(env, id, change, params.version)
    else:
        plan = catalogs.update_plan(env, id, change, request.now, in_place=bool(params.disable_version))
    return Answer(shown_plan(catalogs, request, plan))


def delete_plan(catalogs: Catalogs, request: Request) -> Answer:
    """`plans.delete`: the newest version, or all; one that customers have subscribed to is archived instead."""
    params = DeletePlanParams.of(request.body)
    catalogs.delete_plan(request.caller.environment, params.plan_id, all_versions=bool(params.all_versions))
    return Answer({"success": True})


def shown_feature(request: Request, feature: Feature) -> dict[str, Any]:
    """A feature in the caller's version: below 2.0 one type says whether it is consumed."""
    if version_of(request.headers.get("x-api-version")) < PLANS:
        return feature_v1_json(feature)
    return managed_feature_json(feature, request.caller.environment)


def managed_feature_json(feature: Feature, env: Environment) -> dict[str, Any]:
    """A feature as the management API shows it: with the ids that Lotus's endpoints know it by."""
    metric_id, lotus_feature_id = lotus_ids(env.value, feature.id)
    return {**feature_json(feature), "metric_id": metric_id, "lotus_feature_id": lotus_feature_id}


def plan_json(plan: Plan, env: Environment, features: Mapping[str, Feature]) -> dict[str, Any]:
    """One version of a plan in the newest shape; `features` is the catalog."""
    shown: dict[str, Any] = {
        "id": plan.id,
        "name": plan.name,
        "description": plan.description,
        "group": plan.group,
        "version": plan.version,
        "add_on": plan.add_on,
        "auto_enable": plan.auto_enable,
        "price": base_price_json(plan.price),
        "items": [item_json(item, features.get(item.feature_id)) for item in plan.items],
        "created_at": plan.created_at,
        "env": env.value,
        "archived": plan.archived,
        "config": {"ignore_past_due": False},
        "metadata": plan.metadata,
        "base_variant_id": None,
    }
    if plan.free_trial:
        shown["free_trial"] = {
            "duration_length": plan.free_trial.length,
            "duration_type": plan.free_trial.interval.value,
            "card_required": plan.free_trial.card_required,
        }
    if plan.controls != NO_CONTROLS:
        shown["billing_controls"] = controls_json(plan.controls)
    if plan.lookup_key is not None:
        shown["lookup_key"] = plan.lookup_key
    return shown


def base_price_json(price: BasePrice | None) -> dict[str, Any] | None:
    """What a plan costs by itself; None for a free one."""
    if price is None:
        return None
    return {
        "amount": price.amount,
        "interval": price.interval.value,
        "interval_count": price.interval_count,
        "display": price_display(price),
    }


def item_json(item: PlanItem, feature: Feature | None) -> dict[str, Any]:
    """What a plan grants of one feature. Optional fields are left out where the item does not have them."""
    shown: dict[str, Any] = {
        "feature_id": item.feature_id,
        "included": item.included,
        "unlimited": item.unlimited,
        "reset": _reset_json(item, feature),
        "price": _item_price_json(item.price),
        "display": item_display(item, feature),
    }
    if item.rollover:
        shown["rollover"] = {
            "max": item.rollover.max,
            **({} if item.rollover.max_percentage is None else {"max_percentage": item.rollover.max_percentage}),
            "expiry_duration_type": "forever" if item.rollover.months is None else "month",
            **({} if item.rollover.months is None else {"expiry_duration_length": item.rollover.months}),
        }
    optional = {
        "entity_feature_id": item.entity_feature_id,
        "static_value": item.static_value,
        "is_soft_limit": item.soft_limit or None,
        "is_enabled": None if item.enabled else False,
    }
    return shown | {name: value for name, value in optional.items() if value is not None}


def _reset_json(item: PlanItem, feature: Feature | None) -> dict[str, Any] | None:
    """How often an item's units come back; a price's own interval, where the item names none (autumn.md 1.5.1)."""
    period = item.resets
    shown = reset_json(feature, (period.interval.value, period.count) if period else None, None)
    if shown is not None and shown["interval"] != NEVER["interval"]:
        del shown["resets_at"]
    return shown


def _item_price_json(price: ItemPrice | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {
        **({"tiers": [dict(tier) for tier in price.tiers]} if price.tiers else {"amount": price.amount or ZERO}),
        **({"tier_behavior": price.tier_behavior} if price.tier_behavior else {}),
        "interval": price.interval.value if price.interval else "month",
        "interval_count": price.interval_count,
        "billing_units": price.billing_units,
        "billing_method": price.billing_method,
        "max_purchase": price.max_purchase,
    }
