"""The answers of Lotus's API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, RootModel

from tollgate_cli.openapi.shapes import Number, Shape, TimeText, absent


class Filter(Shape):
    """A property that picks the events which a subscription counts."""

    property_name: str
    """The property."""
    value: str
    """The value that it must have."""


class CustomerRef(Shape):
    """A customer, as other answers name it."""

    customer_name: str | None
    """Its name."""
    email: str | None
    """Its e-mail address."""
    customer_id: str
    """Its id."""


class PlanVersionRef(Shape):
    """A version of a plan, as other answers name it."""

    plan_name: str
    """The plan's name."""
    plan_id: str
    """The plan: `plan_` and 32 hex digits."""
    version_id: str
    """The version: `plan_version_` and 32 hex digits."""
    version: int | Literal["custom_version"]
    """Its number."""


class HeldSubscription(Shape):
    """A subscription, as an access check shows it."""

    start_date: TimeText
    """When the billing cycle that runs began."""
    end_date: TimeText
    """When it ends; the end of the year 9999 for never."""
    subscription_filters: list[Filter]
    """The events that it counts; empty: all."""
    plan: PlanVersionRef
    """What it is to."""


class MetricRef(Shape):
    """A metric: a feature that is used in units."""

    metric_id: str
    """`metric_` and 32 hex digits."""
    event_name: str
    """The event that it counts; empty where it counts none."""
    metric_name: str
    """Its name."""


class FeatureRef(Shape):
    """A feature that is had or not."""

    feature_id: str
    """`feature_` and 32 hex digits."""
    feature_name: str
    """Its name."""
    feature_description: str | None
    """A text about it."""


class MetricLeft(Shape):
    """What one subscription leaves of a metric."""

    subscription: HeldSubscription
    """The subscription."""
    metric_usage: Number
    """Units that were used; never below zero."""
    metric_free_limit: Number | None
    """Units without a price; null for no limit."""
    metric_total_limit: Number | None
    """Units in all; null for no limit."""


class MetricAccess(Shape):
    """Whether something is left of a metric."""

    customer: CustomerRef
    """The customer."""
    access: bool
    """Whether its subscriptions leave something: all of them, or any, as the stack's MetricAccessPolicy says."""
    metric: MetricRef
    """The metric."""
    access_per_subscription: list[MetricLeft]
    """What each leaves, the oldest first."""


class FeatureHeld(Shape):
    """Whether one subscription has a feature."""

    subscription: HeldSubscription
    """The subscription."""
    access: bool
    """Whether it has it."""


class FeatureAccess(Shape):
    """Whether a customer has a feature."""

    customer: CustomerRef
    """The customer."""
    access: bool
    """Whether any subscription has it."""
    feature: FeatureRef
    """The feature."""
    access_per_subscription: list[FeatureHeld]
    """Of each subscription, the oldest first."""


class EventUsage(Shape):
    """What one subscription leaves of a metric that an event counts in."""

    metric_usage: Number
    """Units that were used."""
    metric_limit: Number | None
    """The limit that was asked about; null for none."""
    access: bool
    """Whether something is left."""
    metric_name: str
    """The metric's name."""


class CustomerAccess(Shape):
    """Whether a customer may use a feature, or send an event."""

    access: bool
    """Whether it may."""
    usages: list[EventUsage] = absent
    """Of an event: each metric that it counts in."""


class Component(Shape):
    """What is left of a metric."""

    event_name: str
    """The event that it counts."""
    metric_name: str
    """Its name."""
    metric_usage: Number
    """Units that were used."""
    metric_free_limit: Number | None
    """Units without a price; null for no limit."""
    metric_total_limit: Number | None
    """Units in all; null for no limit."""
    metric_id: str
    """Its id."""


class SubscriptionUsage(Shape):
    """What one subscription leaves of metrics."""

    plan_id: str
    """Its plan."""
    subscription_filters: list[Filter]
    """The events that it counts."""
    usage_per_component: list[Component]
    """By metric."""


class SubscriptionFeature(Shape):
    """Whether one subscription has a feature."""

    feature_name: str
    """The feature's name."""
    plan_id: str
    """The subscription's plan."""
    subscription_filters: list[Filter]
    """The events that it counts."""
    access: bool
    """Whether it has it."""


class Ping(Shape):
    """The key is good."""

    organization_id: str
    """Whose it is: an environment is one."""


class Currency(Shape):
    """Always US dollars: no money moves here."""

    code: str
    """Its code."""
    name: str
    """Its name."""
    symbol: str
    """Its symbol."""


class Subscription(Shape):
    """A customer's hold of a version of a plan."""

    subscription_id: str
    """Its id."""
    start_date: TimeText
    """When the billing cycle that runs began."""
    end_date: TimeText
    """When it ends; the end of the year 9999 for never."""
    auto_renew: bool
    """Whether nothing ends it."""
    is_new: bool
    """As it was given."""
    subscription_filters: list[Filter]
    """The events that it counts; empty: all."""
    customer: CustomerRef
    """The customer."""
    billing_plan: PlanVersionRef
    """What it is to."""
    fully_billed: Literal[False]
    """Always false."""
    addons: list[Any]
    """Always empty."""
    metadata: dict[str, Any]
    """As it was given."""


class Customer(Shape):
    """A customer with its running subscriptions. What is about invoices is empty."""

    customer_id: str
    """Its id."""
    email: str | None
    """Its e-mail address."""
    customer_name: str | None
    """Its name."""
    invoices: list[Any]
    """Always empty."""
    total_amount_due: Literal[0]
    """Always 0."""
    subscriptions: list[Subscription]
    """Those that run."""
    integrations: dict[str, Any]
    """Always empty."""
    default_currency: Currency
    """US dollars."""
    payment_provider: None
    """Always null."""
    payment_provider_id: None
    """Always null."""
    has_payment_method: Literal[False]
    """Always false."""
    address: None
    """Always null."""
    billing_address: None
    """Always null."""
    shipping_address: None
    """Always null."""
    tax_rate: None
    """Always null."""
    timezone: Literal["UTC"]
    """Always the same."""
    tax_providers: list[Any]
    """Always empty."""


class CategoricalFilter(Shape):
    """A property that an event must have."""

    property_name: str
    """The property."""
    operator: Literal["isin"]
    """Always the same."""
    comparison_value: list[str]
    """The values that count."""


class Metric(MetricRef):
    """A metric, and how events become an amount of it."""

    property_name: str | None
    """The property that the amount is a function of."""
    aggregation_type: Literal["count", "sum", "unique", "average", "max"]
    """The function."""
    granularity: None
    """Always null."""
    event_type: Literal["total"] | None
    """Of a gauge: an event tells its level."""
    metric_type: Literal["counter", "gauge"]
    """Whether amounts add up, or the latest counts."""
    numeric_filters: list[Any]
    """Always empty."""
    categorical_filters: list[CategoricalFilter]
    """Which events count."""
    is_cost_metric: Literal[False]
    """Always false."""
    custom_sql: None
    """Always null."""
    proration: None
    """Always null."""


class Tier(Shape):
    """Units of one price."""

    type: Literal["free", "per_unit"]
    """Whether they cost nothing, or each."""
    range_start: Number
    """From so many units on."""
    range_end: Number | None
    """To so many; null for no end."""
    cost_per_batch: Number | None
    """What a lot costs."""
    metric_units_per_batch: Number | None
    """Units in a lot."""
    batch_rounding_type: Literal["no_rounding"] | None
    """Always the same, where there is a price."""


class PlanComponent(Shape):
    """What a plan grants of a metric."""

    billable_metric: Metric
    """The metric."""
    tiers: list[Tier]
    """Its limits: what is free, then what is paid for."""
    pricing_unit: Currency
    """US dollars."""
    invoicing_interval_unit: None
    """Always null."""
    invoicing_interval_count: None
    """Always null."""
    reset_interval_unit: Literal["day", "week", "month", "year"] | None
    """How often units come back; null for never, and where Lotus has no word for it."""
    reset_interval_count: int | None
    """Once in so many of them."""
    prepaid_charge: None
    """Always null."""


class PlanVersion(PlanVersionRef):
    """A version of a plan."""

    recurring_charges: list[Any]
    """Always empty."""
    components: list[PlanComponent]
    """What it grants of metrics."""
    features: list[FeatureRef]
    """What it grants beside them."""
    price_adjustment: None
    """Always null."""
    status: Literal["active", "inactive"]
    """Whether it is the newest, and offered."""
    currency: Currency
    """US dollars."""
    active_from: TimeText
    """When it was made."""
    active_to: None
    """Always null."""
    localized_name: None
    """Always null."""
    target_customers: list[Any]
    """Always empty."""
    created_on: TimeText
    """When it was made."""
    usage_billing_frequency: None
    """Always null."""
    flat_fee_billing_type: Literal["in_advance"]
    """Always the same."""
    flat_rate: Number
    """What it costs by itself."""
    description: str | None
    """A text about it."""


class Plan(Shape):
    """What customers subscribe to."""

    plan_id: str
    """`plan_` and 32 hex digits."""
    plan_name: str
    """Its name."""
    plan_duration: Literal["monthly", "quarterly", "yearly"] | None
    """How long its billing cycle is; null where Lotus has no word for it."""
    plan_description: str | None
    """A text about it."""
    external_links: list[Any]
    """Always empty."""
    num_versions: int
    """How many versions it has."""
    active_version: int
    """The newest."""
    active_subscriptions: Literal[0]
    """Always 0: they are not counted."""
    tags: list[Any]
    """Always empty."""
    versions: list[PlanVersion]
    """All of them."""
    parent_plan: None
    """Always null."""
    target_customer: None
    """Always null."""
    display_version: PlanVersion
    """The newest."""
    status: Literal["active", "inactive"]
    """Whether it is offered."""


class Tracked(Shape):
    """What became of reported events: `failed_events` are those that were not taken, each with the reason."""

    success: Literal["all", "some", "none"]
    """Which were taken."""
    failed_events: dict[str, str] = absent
    """The reasons, by `idempotency_id`; `no_idempotency_id` for an event that has none."""


class Verified(Shape):
    """Which events were not received."""

    status: Literal["success"]
    """Always the same."""
    ids_not_found: list[str]
    """Their ids."""


class BatchCreated(Shape):
    """Some customers were created, or changed."""

    success: Literal["all", "some"]
    """Whether all were."""
    failed_customers: dict[str, str]
    """What is wrong with the others, by their id; by their e-mail address or their number where they have none."""


class BatchFailed(Shape):
    """None of the customers was created or changed."""

    success: Literal["none"]
    """Always the same."""
    failed_customers: dict[str, str]
    """What is wrong with each, by its id; by its e-mail address or its number where it has none."""


class VerifyFailed(Shape):
    """No ids were named."""

    status: Literal["failure"]
    """Always the same."""
    error: str
    """What is wrong."""


class AccessFailed(Shape):
    """No customer has the id."""

    status: Literal["error"]
    """Always the same."""
    detail: str
    """What is wrong."""


class FieldErrors(RootModel[dict[str, list[str]]]):
    """What is wrong, by field, as Lotus answered in 2022; `non_field_errors` are those of several fields."""

    model_config = ConfigDict(defer_build=True)


class Problem(Shape):
    """What is wrong with one field."""

    code: str
    """What is wrong, for a program."""
    detail: str
    """What is wrong, for who reads it."""
    attr: str | None
    """The field; null for the whole request."""


class Error(Shape):
    """A refusal. Nothing was changed, but where a 503 says that nobody can tell."""

    type: str
    """Whose mistake it is: `…#validation-error`, `…#client-error` or `…#server-error`."""
    detail: str
    """What is wrong, for who reads it."""
    title: str
    """What is wrong, for a program."""
    validation_errors: list[Problem] = absent
    """All that is wrong with the fields."""
