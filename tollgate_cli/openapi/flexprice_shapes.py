"""The answers of Flexprice's API. A field that has no value is null."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import Field, create_model

from tollgate.dialects.flexprice import shapes as keys
from tollgate_cli.openapi.shapes import Env, Number, NumberText, Shape, TimeText, absent, own

FeatureType = Literal["metered", "boolean", "static"]
Period = Literal["MONTHLY", "ANNUAL", "WEEKLY", "DAILY", "QUARTERLY", "HALF_YEARLY", "NEVER"]
Status = Literal["published", "archived"]
AggregationType = Literal["COUNT", "SUM", "AVG", "COUNT_UNIQUE", "LATEST", "SUM_WITH_MULTIPLIER", "MAX", "WEIGHTED_SUM"]
S = TypeVar("S", bound=type[Shape])


def whole(names: tuple[str, ...]) -> Callable[[S], S]:
    """Adds to a shape those of these fields that it has not: they are always null."""

    def wholly(shape: S) -> S:
        base: type[Shape] = shape
        never: dict[str, Any] = {
            name: (None, Field(description="Always null.")) for name in names if name not in base.model_fields
        }
        made = create_model(base.__name__, __base__=base, __module__=base.__module__, __doc__=base.__doc__, **never)
        return cast("S", made)

    return wholly


class Threshold(Shape):
    """A threshold on what remains."""

    threshold: NumberText
    """Units of the feature."""
    condition: Literal["above", "below"]
    """On which side of it there is something to tell."""


@whole(keys.ALERT_SETTINGS)
class AlertSettings(Shape):
    """A feature's own thresholds, by how severe they are."""

    alert_enabled: bool
    """Whether they are told of."""
    critical: Threshold | None
    """The most severe."""
    warning: Threshold | None
    """The next."""
    info: Threshold | None
    """The least severe."""


@whole(keys.AGGREGATION)
class Aggregation(Shape):
    """How events become an amount."""

    type: AggregationType
    """The function."""
    field: str | None
    """The property that it is a function of."""
    multiplier: NumberText | None
    """The factor of SUM_WITH_MULTIPLIER."""


class MeterFilter(Shape):
    """A property that an event must have."""

    key: str
    """The property's name."""
    values: list[str]
    """The values that count."""


@whole(keys.METER)
class Meter(Shape):
    """Which events a metered feature counts."""

    id: str
    """`meter_` and the feature's id."""
    name: str
    """Its name."""
    event_name: str
    """The event."""
    aggregation: Aggregation
    """How events become an amount."""
    filters: list[MeterFilter]
    """Which of them count."""
    reset_usage: Literal["BILLING_PERIOD", "NEVER"]
    """Whether the amount starts anew with each billing period."""
    status: Status
    """The feature's."""
    created_at: TimeText | None
    """When the feature was made."""
    updated_at: TimeText | None
    """The same."""


class Group(Shape):
    """The group under which a feature is shown."""

    id: str
    """Its id."""
    name: str = absent
    """Its name."""
    lookup_key: str = absent
    """A key of your own."""
    entity_type: Literal["feature"]
    """Always the same."""
    status: Literal["published"]
    """Always the same."""


class FeatureFields(Shape):
    """What is shown of a feature everywhere."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    lookup_key: str
    """A key of your own; the id where there is none."""
    description: str | None
    """A text about it."""
    type: FeatureType
    """What it is. A credit system is metered."""
    meter_id: str | None
    """Its meter's id."""
    metadata: dict[str, str] | None
    """What you keep with it."""
    unit_singular: str | None
    """One unit."""
    unit_plural: str | None
    """Several units."""
    reporting_unit: dict[str, Any] | None
    """The unit in which usage is shown."""
    alert_settings: AlertSettings | None
    """Its own thresholds."""
    group_id: str | None
    """Its group's id."""
    group: Group | None
    """The group under which it is shown."""
    environment_id: Env
    """The environment."""
    status: Status
    """Whether it is offered still."""
    created_at: TimeText | None
    """When it was made."""
    updated_at: TimeText | None
    """The same: no other time is kept."""


@whole(keys.FEATURE)
class Feature(FeatureFields):
    """Something that a customer may have, or use in units."""

    meter: Meter | None
    """Which events it counts."""


class PlanFields(Shape):
    """What plans and add-ons share."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    lookup_key: str
    """A key of your own; the id where there is none."""
    description: str | None
    """A text about it."""
    metadata: dict[str, str] | None
    """What you keep with it."""
    environment_id: Env
    """The environment."""
    status: Status
    """Whether it is offered still."""
    created_at: TimeText | None
    """When this version was made."""
    updated_at: TimeText | None
    """The same."""


@whole(keys.PLAN)
class Plan(PlanFields):
    """A plan, without prices: no money moves here."""


@whole(keys.ADDON)
class Addon(PlanFields):
    """An add-on, without prices: no money moves here."""

    type: Literal["onetime", "multiple_instance"]
    """Whether a subscription has it once, or any number of times."""


@whole(keys.ENTITLEMENT)
class Entitlement(Shape):
    """What a plan or an add-on grants of one feature."""

    id: str
    """Its id."""
    entity_type: Literal["PLAN", "ADDON"]
    """What grants it."""
    entity_id: str
    """The plan or add-on."""
    plan_id: str | None
    """The plan."""
    feature_id: str
    """The feature."""
    feature_type: FeatureType
    """What the feature is."""
    feature: Feature
    """The feature itself."""
    plan: Plan | None
    """The plan itself."""
    addon: Addon | None
    """The add-on itself."""
    is_enabled: bool
    """Whether it grants anything."""
    usage_limit: int | None
    """Units in each period; null: unlimited."""
    is_soft_limit: bool | None
    """Whether use over the limit is counted, not denied."""
    usage_reset_period: Period | None
    """How often the units come back; null where Flexprice has no word for it."""
    static_value: str | None
    """The value of a static feature."""
    environment_id: Env
    """The environment."""
    status: Literal["published"]
    """Always the same."""
    created_at: TimeText | None
    """When the plan's version was made."""
    updated_at: TimeText | None
    """The same."""


@whole(keys.PLAN)
class PlanWithEntitlements(PlanFields):
    """A plan with its entitlements, as @flexprice/sdk 2.0 reads it."""

    entitlements: list[Entitlement]
    """The newest first."""


@whole(keys.CUSTOMER)
class Customer(Shape):
    """A customer: both of its ids are one."""

    id: str
    """Its id."""
    external_id: str
    """The same."""
    name: str
    """Its name; the id where there is none."""
    email: str | None
    """Its e-mail address."""
    metadata: dict[str, str] | None
    """What you keep with it."""
    timezone: Literal["UTC"]
    """Always the same."""
    environment_id: Env
    """The environment."""
    status: Literal["published"]
    """Always the same."""
    created_at: TimeText | None
    """When it was made."""
    updated_at: TimeText | None
    """The same."""


@whole(keys.SUBSCRIPTION)
class Subscription(Shape):
    """A customer's hold of a plan, without what is paid."""

    id: str
    """Its id."""
    customer_id: str
    """The customer."""
    plan_id: str
    """The plan."""
    plan: Plan | Addon | None
    """The plan or add-on itself."""
    subscription_status: Literal["draft", "trialing", "active", "cancelled"]
    """Whether it is to start, is in its trial, runs or has ended."""
    subscription_type: Literal["standalone"]
    """Always the same."""
    billing_cadence: Literal["RECURRING"]
    """Always the same."""
    billing_period: Literal["MONTHLY", "ANNUAL", "WEEKLY", "DAILY", "QUARTERLY", "HALF_YEARLY", "ONETIME"]
    """How long a cycle is; ONETIME where there is none."""
    billing_period_count: int
    """So many of them make a cycle."""
    billing_cycle: Literal["anniversary", "calendar"] | None
    """From when cycles are counted."""
    billing_anchor: TimeText | None
    """The same, as a time."""
    currency: str | None
    """As it was given."""
    lookup_key: str | None
    """As it was given."""
    metadata: dict[str, str] | None
    """As it was given."""
    start_date: TimeText
    """When it started, or is to start."""
    end_date: TimeText | None
    """When it ends."""
    current_period_start: TimeText | None
    """When the cycle that runs began."""
    current_period_end: TimeText | None
    """When it ends."""
    cancelled_at: TimeText | None
    """When it was canceled."""
    cancel_at: TimeText | None
    """When it ends, as it was canceled."""
    cancel_at_period_end: bool
    """Whether it was canceled and runs still."""
    trial_start: TimeText | None
    """When its trial began."""
    trial_end: TimeText | None
    """When it ends, or ended."""
    environment_id: Env
    """The environment."""
    status: Literal["published"]
    """Always the same."""
    created_at: TimeText | None
    """When it was made."""
    updated_at: TimeText | None
    """The same."""


@whole(keys.SUBSCRIPTION)
class ParentSubscription(Shape):
    """The subscription that an add-on is part of."""

    id: str
    """Its id."""
    customer_id: str
    """The customer."""


@whole(keys.ASSOCIATION)
class Association(Shape):
    """An add-on as part of a subscription."""

    id: str
    """Its id."""
    addon_id: str
    """The add-on."""
    addon: Addon
    """The add-on itself."""
    addon_status: Literal["active", "pending", "cancelled"]
    """Whether it runs, is to start or has ended."""
    entity_type: Literal["subscription"]
    """Always the same."""
    entity_id: str | None
    """The subscription."""
    subscription: ParentSubscription | None
    """The subscription, and whose it is."""
    start_date: TimeText
    """When it started, or is to start."""
    end_date: TimeText | None
    """When it ends."""
    cancelled_at: TimeText | None
    """When it was canceled."""
    metadata: dict[str, str] | None
    """As it was given."""
    environment_id: Env
    """The environment."""
    status: Literal["published"]
    """Always the same."""
    created_at: TimeText | None
    """When it was made."""
    updated_at: TimeText | None
    """The same."""


class Source(Shape):
    """Where an entitlement comes from."""

    subscription_id: str | None
    """The subscription; null for what was granted by hand."""
    entity_id: str
    """The plan, add-on or subscription."""
    entity_type: Literal["plan", "addon", "subscription"]
    """Which of them it is."""
    entity_name: str | None
    """Its name."""
    quantity: Literal[1]
    """Always 1."""
    entitlement_id: str | None
    """The entitlement."""
    is_enabled: bool
    """Whether it grants anything."""
    usage_limit: int | None
    """Units in each period; null: unlimited."""
    static_value: str | None
    """The value of a static feature."""
    usage_reset_period: Literal["MONTHLY", "ANNUAL", "WEEKLY", "DAILY", "QUARTERLY", "HALF_YEARLY"] | None
    """How often the units come back; null for never."""


@whole(keys.AGGREGATED_ENTITLEMENT)
class AggregatedEntitlement(Shape):
    """What all sources together grant of a feature."""

    is_enabled: bool
    """Whether anything is granted."""
    is_soft_limit: bool
    """Whether use over the limit is counted, not denied."""
    usage_limit: int | None
    """Units in all; null: unlimited."""
    usage_reset_period: Period | None
    """The most frequent of the sources'."""
    aggregation_mode: Literal["additive"] = absent
    """Of a metered feature: how its limits add up."""
    static_values: list[str] | None
    """The values of a static feature."""


class AggregatedFeature(Shape):
    """What a customer may have or use of one feature."""

    feature: Feature
    """The feature."""
    entitlement: AggregatedEntitlement
    """What all sources together grant."""
    sources: list[Source]
    """Where it comes from."""


class CustomerEntitlements(Shape):
    """What a customer is entitled to."""

    customer_id: str
    """The customer."""
    features: list[AggregatedFeature]
    """By feature."""
    subscriptions: list[Subscription]
    """Those that run."""


class SubscriptionEntitlements(Shape):
    """What one subscription entitles to."""

    subscription_id: str
    """The subscription."""
    plan_id: str
    """Its plan."""
    features: list[AggregatedFeature]
    """By feature."""


class Access(Shape):
    """What a check of one unit answers now."""

    allowed: bool
    """Whether one unit may be used."""
    feature_id: str
    """Which feature answers: itself, or a credit system."""
    required: NumberText
    """Units of that feature that one unit takes."""


class FeatureUsage(Shape):
    """How much of a feature was used."""

    feature: Feature
    """The feature."""
    total_limit: int | None
    """Units in all; null for no limit, and for what is not metered."""
    is_unlimited: bool
    """Whether there is no limit."""
    current_usage: NumberText
    """Units that were used in the sources' current periods."""
    usage_percent: NumberText
    """A ratio: 0.5 is half."""
    is_enabled: bool
    """Whether anything is granted."""
    is_soft_limit: bool
    """Whether use over the limit is counted, not denied."""
    next_usage_reset_at: TimeText | None
    """When units come back next; null for never."""
    sources: list[Source]
    """Where it comes from."""
    access: Annotated[Access, own]
    """What a check of one unit answers now."""


class CustomerUsage(Shape):
    """How much of each feature a customer has used."""

    customer_id: str
    """The customer."""
    features: list[FeatureUsage]
    """Metered ones first, each kind by name."""
    period: None
    """Always null."""
    pagination: None
    """Always null."""


class EventAccepted(Shape):
    """The event is taken, and counted within seconds."""

    message: str
    """That it is taken."""
    event_id: str
    """Its id; one was made where it had none."""


class Message(Shape):
    """It is done."""

    message: str
    """What was done."""


@whole(keys.CANCELLATION)
class Canceled(Shape):
    """A subscription that was canceled."""

    subscription_id: str
    """The subscription."""
    cancellation_type: Literal["immediate", "end_of_period"]
    """When it ends."""
    effective_date: TimeText | None
    """The same, as a time."""
    processed_at: TimeText
    """When it was canceled."""
    status: Literal["draft", "trialing", "active", "cancelled"]
    """Its status now."""
    reason: str | None
    """As it was given."""
    message: str
    """What was done."""


class Event(Shape):
    """An event that a feature counted."""

    id: str
    """Its id."""
    external_customer_id: str
    """The customer."""
    customer_id: str
    """The same."""
    event_name: str | None
    """What happened, as it was reported. Of a use that was reported without a name: the one that its features count, or null
    where they have no one name in common."""
    timestamp: TimeText
    """When it happened."""
    source: str | None
    """Where it came from, as it was reported."""
    properties: dict[str, Any]
    """What was sent with it."""
    environment_id: Env
    """The environment."""


class EventList(Shape):
    """Events, with the keys of the first and the last."""

    events: list[Event]
    """Newest first unless told."""
    has_more: bool
    """Whether there are others after them."""
    iter_first_key: str | None
    """The first one's key: what is newer is asked for with it."""
    iter_last_key: str | None
    """The last one's key: what follows is asked for with it."""
    offset: int
    """So many came before."""
    total_count: int | None
    """How many match, where `count_total` asks for it; else null."""


class WindowUsage(Shape):
    """What was used in one window."""

    window_size: TimeText
    """When the window begins."""
    value: Number
    """What its events add up to."""


class EventUsage(Shape):
    """What events add up to."""

    event_name: str
    """The events; empty where the feature has no meter."""
    type: AggregationType
    """How they add up."""
    value: Number
    """In the whole range; of buckets: the sum of theirs."""
    results: list[WindowUsage]
    """In each window that has any."""


@whole(keys.ANALYTIC_POINT)
class AnalyticPoint(Shape):
    """What was used in one window."""

    timestamp: TimeText
    """When the window begins."""
    usage: NumberText
    """Units."""
    cost: Literal["0"]
    """Always the same: no money moves here."""
    event_count: int
    """So many uses."""


@whole(keys.FEATURE)
class AnalyticFeature(FeatureFields):
    """The feature, without its meter."""


@whole(("created_by", "updated_by"))
class AnalyticMeter(Meter):
    """The meter, with the environment."""

    environment_id: Env
    """The environment."""


@whole(keys.ANALYTIC_ITEM)
class AnalyticItem(Shape):
    """What was used of one feature, by the properties that were asked for."""

    feature_id: str
    """The feature."""
    name: str
    """Its name."""
    event_name: str | None
    """The events that it counts; null where they have several names, or none."""
    aggregation_type: AggregationType
    """How they add up."""
    meter_id: str | None
    """Its meter."""
    unit: str | None
    """One unit."""
    unit_plural: str | None
    """Several units."""
    total_usage: NumberText
    """Units in the whole range."""
    total_cost: Literal["0"]
    """Always the same: no money moves here."""
    event_count: int
    """So many uses."""
    window_size: str | None
    """The windows that were asked for."""
    points: list[AnalyticPoint]
    """What was used in each window that has any."""
    properties: dict[str, str] | None
    """The properties that were grouped by, and their values; empty where a use has none."""
    source: str | None
    """Where they came from, where `group_by` asks for it; null of those that did not say."""
    sources: list[str] | None
    """All that they came from, where `group_by` does not ask."""
    feature: AnalyticFeature | None
    """The feature itself, where `expand` asks for it."""
    meter: AnalyticMeter | None
    """The meter itself, where `expand` asks for it."""


class Analytics(Shape):
    """A customer's uses."""

    items: list[AnalyticItem]
    """By feature and properties."""
    total_cost: Literal["0"]
    """Always the same: no money moves here."""
    currency: None
    """Always null."""
    custom_analytics: None
    """Always null."""


class Pagination(Shape):
    """Which part of a list this is."""

    total: int
    """How many there are in all."""
    limit: int
    """At most so many on a page."""
    offset: int
    """So many came before."""


class ErrorOfOlder(Shape):
    """What is wrong, as older SDKs read it."""

    message: str
    """What is wrong, for who reads it."""
    internal_error: str
    """What is wrong, for a program."""


class Error(Shape):
    """A refusal. Nothing was changed, but where a 503 says that nobody can tell."""

    code: str
    """What is wrong, for a program."""
    message: str
    """What is wrong, for who reads it."""
    http_status_code: int
    """The status again."""
    details: dict[str, Any]
    """Always empty."""
    success: Literal[False]
    """Always the same."""
    error: ErrorOfOlder
    """The same, for older SDKs."""


def page_of(name: str, item: Any, text: str) -> type[Shape]:
    """One page of a list."""
    return create_model(
        name,
        __base__=Shape,
        __doc__=text,
        items=(list[item], Field(description="The items of this page.")),
        pagination=(Pagination, Field(description="Which part of the list this is.")),
    )


class Entitlements(Shape):
    """What was made."""

    items: list[Entitlement]
    """In the order of the request."""


FeaturePage = page_of("FeaturePage", Feature, "A page of features.")
PlanPage = page_of("PlanPage", Plan, "A page of plans.")
AddonPage = page_of("AddonPage", Addon, "A page of add-ons.")
MeterPage = page_of("MeterPage", Meter, "A page of meters.")
EntitlementPage = page_of("EntitlementPage", Entitlement, "A page of entitlements.")
CustomerPage = page_of("CustomerPage", Customer, "A page of customers.")
SubscriptionPage = page_of("SubscriptionPage", Subscription, "A page of subscriptions.")
AssociationPage = page_of("AssociationPage", Association, "The add-ons of a subscription.")
