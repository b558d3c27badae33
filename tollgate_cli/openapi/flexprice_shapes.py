"""The answers of Flexprice's API. Fields that have nothing to say are left out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from tollgate_cli.openapi.shapes import Env, NumberText, Shape, TimeText, absent, own

FeatureType = Literal["metered", "boolean", "static"]
Period = Literal["MONTHLY", "ANNUAL", "WEEKLY", "DAILY", "QUARTERLY", "HALF_YEARLY", "NEVER"]
Status = Literal["published", "archived"]


class Threshold(Shape):
    """A threshold on what remains."""

    threshold: NumberText
    """Units of the feature."""
    condition: Literal["above", "below"]
    """On which side of it there is something to tell."""


class AlertSettings(Shape):
    """A feature's own thresholds, by how severe they are."""

    alert_enabled: bool
    """Whether they are told of."""
    critical: Threshold = absent
    """The most severe."""
    warning: Threshold = absent
    """The next."""
    info: Threshold = absent
    """The least severe."""


class Aggregation(Shape):
    """How events become an amount."""

    type: Literal["COUNT", "SUM", "AVG", "COUNT_UNIQUE", "LATEST", "SUM_WITH_MULTIPLIER", "MAX", "WEIGHTED_SUM"]
    """The function."""
    field: str = absent
    """The property that it is a function of."""
    multiplier: NumberText = absent
    """The factor of SUM_WITH_MULTIPLIER."""


class MeterFilter(Shape):
    """A property that an event must have."""

    key: str
    """The property's name."""
    values: list[str]
    """The values that count."""


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
    status: Literal["published"]
    """Always the same."""
    created_at: TimeText = absent
    """When the feature was made."""
    updated_at: TimeText = absent
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


class Feature(Shape):
    """Something that a customer may have, or use in units."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    lookup_key: str
    """A key of your own; the id where there is none."""
    description: str = absent
    """A text about it."""
    type: FeatureType
    """What it is. A credit system is metered."""
    meter_id: str = absent
    """Its meter's id."""
    meter: Meter = absent
    """Which events it counts."""
    metadata: dict[str, str] = absent
    """What you keep with it."""
    unit_singular: str = absent
    """One unit."""
    unit_plural: str = absent
    """Several units."""
    reporting_unit: dict[str, Any] = absent
    """The unit in which usage is shown."""
    alert_settings: AlertSettings = absent
    """Its own thresholds."""
    group_id: str = absent
    """Its group's id."""
    group: Group = absent
    """The group under which it is shown."""
    environment_id: Env
    """The environment."""
    status: Status
    """Whether it is offered still."""
    created_at: TimeText = absent
    """When it was made."""
    updated_at: TimeText = absent
    """The same: no other time is kept."""


class Plan(Shape):
    """A plan or an add-on, without prices: no money moves here."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    lookup_key: str
    """A key of your own; the id where there is none."""
    description: str = absent
    """A text about it."""
    metadata: dict[str, str] = absent
    """What you keep with it."""
    environment_id: Env
    """The environment."""
    status: Status
    """Whether it is offered still."""
    created_at: TimeText = absent
    """When this version was made."""
    updated_at: TimeText = absent
    """The same."""


class Entitlement(Shape):
    """What a plan or an add-on grants of one feature."""

    id: str
    """Its id."""
    entity_type: Literal["PLAN", "ADDON"]
    """What grants it."""
    entity_id: str
    """The plan or add-on."""
    plan_id: str = absent
    """The plan."""
    feature_id: str
    """The feature."""
    feature_type: FeatureType
    """What the feature is."""
    feature: Feature
    """The feature itself."""
    plan: Plan = absent
    """The plan itself."""
    addon: Plan = absent
    """The add-on itself."""
    is_enabled: bool
    """Whether it grants anything."""
    usage_limit: int = absent
    """Units in each period; absent: unlimited."""
    is_soft_limit: bool = absent
    """Whether use over the limit is counted, not denied."""
    usage_reset_period: Period = absent
    """How often the units come back; absent where Flexprice has no word for it."""
    static_value: str = absent
    """The value of a static feature."""
    environment_id: Env
    """The environment."""
    status: Literal["published"]
    """Always the same."""
    created_at: TimeText = absent
    """When the plan's version was made."""
    updated_at: TimeText = absent
    """The same."""


class Customer(Shape):
    """A customer: both of its ids are one."""

    id: str
    """Its id."""
    external_id: str
    """The same."""
    name: str
    """Its name; the id where there is none."""
    email: str = absent
    """Its e-mail address."""
    metadata: dict[str, str] = absent
    """What you keep with it."""
    timezone: Literal["UTC"]
    """Always the same."""
    environment_id: Env
    """The environment."""
    status: Literal["published"]
    """Always the same."""
    created_at: TimeText = absent
    """When it was made."""
    updated_at: TimeText = absent
    """The same."""


class Subscription(Shape):
    """A customer's hold of a plan, without what is paid."""

    id: str
    """Its id."""
    customer_id: str
    """The customer."""
    plan_id: str
    """The plan."""
    plan: Plan = absent
    """The plan itself."""
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
    billing_cycle: Literal["anniversary", "calendar"] = absent
    """From when cycles are counted."""
    billing_anchor: TimeText = absent
    """The same, as a time."""
    currency: str = absent
    """As it was given."""
    lookup_key: str = absent
    """As it was given."""
    metadata: dict[str, str] = absent
    """As it was given."""
    start_date: TimeText
    """When it started, or is to start."""
    end_date: TimeText = absent
    """When it ends."""
    current_period_start: TimeText = absent
    """When the cycle that runs began."""
    current_period_end: TimeText = absent
    """When it ends."""
    cancelled_at: TimeText = absent
    """When it was canceled."""
    cancel_at: TimeText = absent
    """When it ends, as it was canceled."""
    cancel_at_period_end: bool
    """Whether it was canceled and runs still."""
    trial_start: TimeText = absent
    """When its trial began."""
    trial_end: TimeText = absent
    """When it ends, or ended."""
    environment_id: Env
    """The environment."""
    status: Literal["published"]
    """Always the same."""
    created_at: TimeText = absent
    """When it was made."""
    updated_at: TimeText = absent
    """The same."""


class ParentSubscription(Shape):
    """The subscription that an add-on is part of."""

    id: str
    """Its id."""
    customer_id: str
    """The customer."""


class Association(Shape):
    """An add-on as part of a subscription."""

    id: str
    """Its id."""
    addon_id: str
    """The add-on."""
    addon: Plan
    """The add-on itself."""
    addon_status: Literal["active", "pending", "cancelled"]
    """Whether it runs, is to start or has ended."""
    entity_type: Literal["subscription"]
    """Always the same."""
    entity_id: str = absent
    """The subscription."""
    subscription: ParentSubscription = absent
    """The subscription, and whose it is."""
    start_date: TimeText
    """When it started, or is to start."""
    end_date: TimeText = absent
    """When it ends."""
    cancelled_at: TimeText = absent
    """When it was canceled."""
    metadata: dict[str, str] = absent
    """As it was given."""
    environment_id: Env
    """The environment."""
    status: Literal["published"]
    """Always the same."""
    created_at: TimeText = absent
    """When it was made."""
    updated_at: TimeText = absent
    """The same."""


class Source(Shape):
    """Where an entitlement comes from."""

    subscription_id: str = absent
    """The subscription; absent for what was granted by hand."""
    entity_id: str
    """The plan, add-on or subscription."""
    entity_type: Literal["plan", "addon", "subscription"]
    """Which of them it is."""
    entity_name: str = absent
    """Its name."""
    quantity: Literal[1]
    """Always 1."""
    entitlement_id: str = absent
    """The entitlement."""
    is_enabled: bool
    """Whether it grants anything."""
    usage_limit: int = absent
    """Units in each period; absent: unlimited."""
    static_value: str = absent
    """The value of a static feature."""
    usage_reset_period: Literal["MONTHLY", "ANNUAL", "WEEKLY", "DAILY", "QUARTERLY", "HALF_YEARLY"] = absent
    """How often the units come back; absent for never."""


class AggregatedEntitlement(Shape):
    """What all sources together grant of a feature."""

    is_enabled: bool
    """Whether anything is granted."""
    is_soft_limit: bool
    """Whether use over the limit is counted, not denied."""
    usage_limit: int = absent
    """Units in all; absent: unlimited."""
    usage_reset_period: Period = absent
    """The most frequent of the sources'."""
    aggregation_mode: Literal["additive"] = absent
    """Always the same."""
    static_values: list[str] = absent
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


class Canceled(Shape):
    """A subscription that was canceled."""

    subscription_id: str
    """The subscription."""
    cancellation_type: Literal["immediate", "end_of_period"]
    """When it ends."""
    effective_date: TimeText = absent
    """The same, as a time."""
    processed_at: TimeText
    """When it was canceled."""
    status: Literal["draft", "trialing", "active", "cancelled"]
    """Its status now."""
    reason: str = absent
    """As it was given."""
    message: str
    """What was done."""


class Pagination(Shape):
    """Which part of a list this is."""

    total: int
    """How many there are in all."""
    limit: int
    """At most so many on a page."""
    offset: int
    """So many came before."""


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
PlanPage = page_of("PlanPage", Plan, "A page of plans or add-ons.")
EntitlementPage = page_of("EntitlementPage", Entitlement, "A page of entitlements.")
CustomerPage = page_of("CustomerPage", Customer, "A page of customers.")
SubscriptionPage = page_of("SubscriptionPage", Subscription, "A page of subscriptions.")
AssociationPage = page_of("AssociationPage", Association, "The add-ons of a subscription.")
