"""The answers of Autumn's API in the newest version (2.1 to 2.5): balances, features, plans, customers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from tollgate_cli.openapi.shapes import Env, Millis, Number, Shape, absent, own

Interval = Literal["one_off", "minute", "hour", "day", "week", "month", "quarter", "semi_annual", "year"]
FeatureType = Literal["boolean", "metered", "credit_system", "static", "ai_credit_system"]


class Reset(Shape):
    """How often units come back."""

    interval: Interval
    """The interval; `one_off` is never."""
    interval_count: int = absent
    """Once in so many intervals."""
    resets_at: Millis | None
    """When the units come back next, in epoch ms; null for never, and where it is not known."""


class CreditCost(Shape):
    """What a metered feature costs in credits."""

    metered_feature_id: str
    """The feature that is paid for."""
    credit_cost: Number
    """Credits for one unit of it, or for each lot of `billing_units`."""
    billing_units: Number = absent
    """Units in a lot; absent: 1."""


class Display(Shape):
    """What a feature's units are called."""

    singular: str | None
    """One unit."""
    plural: str | None
    """Several units."""


class Feature(Shape):
    """Something that a customer may have, or use in units."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    type: FeatureType
    """`boolean` and `static` (Tollgate's own) are held or not; `metered` is used in units; a `credit_system` pays for others."""
    consumable: bool
    """True: usage resets with the period. False: units are allocated, such as seats."""
    event_names: list[str]
    """Events that count as a use of it."""
    archived: bool
    """Whether it is kept for those who have it, and offered no more."""
    created_at: Millis
    """When it was made, in epoch ms."""
    credit_schema: list[CreditCost] = absent
    """What each member of a credit system costs."""
    model_markups: dict[str, dict[str, Number]] = absent
    """Of an AI credit system, by `provider/model`: its mark-up in percent, and dollars for a million tokens."""
    provider_markups: dict[str, dict[str, Number]] = absent
    """Of an AI credit system: the mark-up of a provider's models."""
    default_markup: Number = absent
    """Of an AI credit system: the mark-up of the other models."""
    display: Display = absent
    """What its units are called."""
    description: Annotated[str, own] = absent
    """A text about it."""
    lookup_key: Annotated[str, own] = absent
    """Flexprice's key of it."""
    metadata: Annotated[dict[str, Any], own] = absent
    """What you keep with it."""
    unit_singular: Annotated[str, own] = absent
    """One unit, in Flexprice's words."""
    unit_plural: Annotated[str, own] = absent
    """Several units, in Flexprice's words."""
    reporting_unit: Annotated[dict[str, Any], own] = absent
    """The unit in which usage is shown, as it was set."""
    group: Annotated[dict[str, Any], own] = absent
    """The group under which it is shown, as it was set."""
    alert_settings: Annotated[dict[str, Any], own] = absent
    """Its own thresholds, as they were set."""
    meter: Annotated[dict[str, Any], own] = absent
    """How events become an amount of it, as it was set."""


class ManagedFeature(Feature):
    """A feature, with the ids that Lotus's routes know it by."""

    metric_id: Annotated[str, own]
    """Its id as a metric."""
    lotus_feature_id: Annotated[str, own]
    """Its id as a feature of Lotus's."""


class Tier(Shape):
    """One tier of a price."""

    to: Number | Literal["inf"]
    """Up to so many units."""
    amount: Number
    """What each costs."""
    flat_amount: Number = absent
    """What the tier costs by itself."""


class LinePrice(Shape):
    """What units cost beyond the included ones."""

    amount: Number = absent
    """For each lot of `billing_units`."""
    tiers: list[Tier] = absent
    """In place of an amount."""
    tier_behavior: Literal["graduated", "volume"] = absent
    """Whether each unit has the price of its own tier, or all that of the last."""
    interval: Interval = absent
    """How often it is due."""
    interval_count: int = absent
    """Once in so many intervals."""
    billing_units: Number
    """Units in a lot."""
    billing_method: Literal["usage_based", "prepaid"]
    """Whether use beyond the grant is paid for after it, or units are bought before."""
    max_purchase: Number | None
    """At most so many units beyond the included ones; null for no limit."""


class Rollover(Shape):
    """Unused units of an earlier period."""

    granted: Number
    """Units that were left then."""
    balance: Number
    """Units that are left now."""
    expires_at: Millis
    """When they end, in epoch ms; 0 for never."""


class BalanceLine(Shape):
    """Units of one plan and interval, or set by hand. Amounts are in units of the feature."""

    object: Literal["balance_breakdown"]
    """What this is."""
    id: str
    """Its id: the `balance_id` of other calls."""
    plan_id: str | None
    """The plan that grants it; null where it was set by hand."""
    included_grant: Number
    """Units that are included."""
    prepaid_grant: Number
    """Units that were bought."""
    remaining: Number
    """Units that are left; never below zero."""
    usage: Number
    """Units that were used in this period."""
    overage: Annotated[Number, own]
    """Units that were used beyond what was granted."""
    unlimited: bool
    """Whether it has no limit: then it has no other numbers."""
    reset: Reset | None
    """How often its units come back; null for an allocated feature, and where it is unlimited."""
    price: LinePrice | None
    """What units cost beyond the included ones."""
    expires_at: Millis | None
    """When it ends, in epoch ms; null for never."""
    source: Annotated[Literal["customer", "entity"], own]
    """Whose plan grants it."""
    entity_id: Annotated[str | None, own]
    """The entity whose share it is."""


class BalanceRow(BalanceLine):
    """A line of a balance in its breakdown."""

    reserved: Annotated[Number, own] = absent
    """Units of it that reservations hold; absent where they hold none."""
    rollovers: Annotated[list[Rollover], own] = absent
    """Unused units of its earlier periods; absent where there are none."""


class Balance(Shape):
    """A metered feature's units, of a customer or an entity. An unlimited one shows its usage, and zero for what it has not."""

    object: Literal["balance"]
    """What this is."""
    feature_id: str
    """The feature."""
    granted: Number
    """Units granted in this period: included, bought and rolled over."""
    remaining: Number
    """Units that are left; never below zero."""
    usage: Number
    """Units that were used in this period, those held by reservations among them."""
    unlimited: bool
    """Whether it has no limit."""
    reserved: Annotated[Number, own]
    """Units that reservations hold now."""
    settled: Annotated[Number, own]
    """`usage` without what is reserved."""
    overage: Annotated[Number, own]
    """Units that were used beyond what was granted."""
    overage_allowed: bool
    """Whether more than what was granted may be used."""
    max_purchase: Number | None
    """At most so many units beyond what was granted; null for no limit."""
    next_reset_at: Millis | None
    """When units come back next, in epoch ms."""
    breakdown: list[BalanceRow]
    """Where its units come from."""
    rollovers: list[Rollover] = absent
    """Unused units of earlier periods; absent where no plan lets units roll over."""
    feature: Feature = absent
    """The feature in full, where `expand` asks for it."""


class Flag(Shape):
    """A boolean or static feature that is held."""

    object: Literal["flag"]
    """What this is."""
    id: str
    """The id of its grant."""
    plan_id: str | None
    """The plan that grants it."""
    expires_at: Millis | None
    """When it ends, in epoch ms; null for never."""
    feature_id: str
    """The feature."""
    static_value: Annotated[str, own] = absent
    """The value of a static feature."""
    feature: Feature = absent
    """The feature in full, where `expand` asks for it."""


class Deduction(Shape):
    """What a use moved on one line of a balance."""

    balance_id: str
    """The line's id."""
    feature_id: str
    """The feature of the balance."""
    plan_id: str | None
    """The plan that grants it."""
    reset: Reset | None
    """How often its units come back."""
    value: Number
    """Units of that feature: above zero used, below zero given back."""


# ------------------------------------------------------------------ plans


class PriceDisplay(Shape):
    """Two short texts for a page of prices."""

    primary_text: str
    """What it is."""
    secondary_text: str
    """What more of it costs, or how often it is due."""


class BasePrice(Shape):
    """What a plan costs by itself."""

    amount: Number
    """How much."""
    interval: Interval
    """How often it is due."""
    interval_count: int
    """Once in so many intervals."""
    display: PriceDisplay
    """What to call it."""


class ItemReset(Shape):
    """How often the units of an item come back."""

    interval: Interval
    """The interval; `one_off` is never."""
    interval_count: int = absent
    """Once in so many intervals."""
    resets_at: None = absent
    """Null, where they never come back."""


class ItemRollover(Shape):
    """How units that are left at a reset live on."""

    max: Number | None
    """At most so many units; null for all."""
    max_percentage: Number = absent
    """At most so much of what was granted, in percent."""
    expiry_duration_type: Literal["month", "forever"]
    """For how long they live on."""
    expiry_duration_length: int = absent
    """So many months."""


class PlanItem(Shape):
    """What a plan grants of one feature."""

    feature_id: str
    """The feature."""
    included: Number
    """Units that are included in each period."""
    unlimited: bool
    """Whether there is no limit."""
    reset: ItemReset | None
    """How often the units come back; null for what is not consumed."""
    price: LinePrice | None
    """What units cost beyond the included ones."""
    display: PriceDisplay
    """What to call it."""
    rollover: ItemRollover = absent
    """How unused units live on."""
    entity_feature_id: str = absent
    """Every entity of this feature gets the item as a share of its own."""
    static_value: Annotated[str, own] = absent
    """The value of a static feature."""
    is_soft_limit: Annotated[bool, own] = absent
    """Whether use over the limit is counted, not denied."""
    is_enabled: Annotated[Literal[False], own] = absent
    """False where it grants nothing."""


class FreeTrial(Shape):
    """How long a plan is free at first."""

    duration_length: int
    """So many of the following."""
    duration_type: Literal["day", "week", "month", "year"]
    """What is counted."""
    card_required: bool
    """As it was set; no card is ever asked for here."""


class PlanConfig(Shape):
    """Settings of a plan: there are none here."""

    ignore_past_due: Literal[False]
    """Nothing is ever past due here."""


class Eligibility(Shape):
    """What attaching a plan to the customer would be."""

    attach_action: Literal["activate", "purchase", "upgrade", "downgrade", "none"]
    """What would happen: `none` where the customer has it, or is to have it, already."""
    trial_available: bool = absent
    """Whether the customer would get the plan's trial; absent where it has none."""
    status: str = absent
    """The status of the customer's subscription to it."""
    canceling: bool = absent
    """Whether that subscription runs and is to end."""
    trialing: bool = absent
    """Whether it is in its trial."""


class SpendLimit(Shape):
    """At most so many units of overage."""

    feature_id: str = absent
    """The feature; absent: each feature that has no limit of its own."""
    enabled: bool
    """Whether it holds."""
    limit_type: Literal["absolute", "usage_percentage"]
    """Units, or percent of what was granted."""
    overage_limit: Number = absent
    """The limit; absent for none."""
    source: Literal["customer", "plan"] = absent
    """Where it was set."""


class UsageFilter(Shape):
    """The properties that a use must have to count."""

    properties: dict[str, str]
    """By name, as texts."""


class UsageLimit(Shape):
    """At most so many units in each interval."""

    feature_id: str
    """The feature."""
    limit: Number
    """Units of it."""
    interval: Literal["day", "week", "month", "year"]
    """The window of time."""
    enabled: bool
    """Whether it holds."""
    anchor: Literal["billing_cycle", "utc"]
    """From when windows are counted."""
    filter: UsageFilter = absent
    """Which uses count; absent: all."""
    source: Literal["customer", "plan"] = absent
    """Where it was set."""
    usage: Number = absent
    """Units that were used in the window that runs."""


class UsageAlert(Shape):
    """A threshold that is told of when it is crossed."""

    enabled: bool
    """Whether it is told of."""
    threshold: Number
    """Units, or percent."""
    threshold_type: Literal["usage", "usage_percentage", "remaining", "remaining_percentage"]
    """What is compared with the threshold."""
    feature_id: str = absent
    """The feature; absent: every feature."""
    name: str = absent
    """What you call it."""
    basis: Literal["balance", "included", "recurring", "usage_limit"] = absent
    """What a percentage is of."""
    source: Literal["customer", "plan"] = absent
    """Where it was set."""


class OverageAllowed(Shape):
    """Whether a feature may be used beyond what was granted."""

    feature_id: str
    """The feature."""
    enabled: bool
    """Whether it may."""
    source: Literal["customer", "plan"] = absent
    """Where it was set."""


class PurchaseLimit(Shape):
    """How often a feature is topped up."""

    interval: Literal["hour", "day", "week", "month"]
    """The unit of the window."""
    interval_count: int
    """So many of them."""
    limit: int
    """At most so many top-ups in a window."""
    count: int = absent
    """How many were asked for in the window that runs, where `expand` names the limit."""
    next_reset_at: int = absent
    """When that window ends (epoch ms); where none runs, when one would that began now."""


class AutoTopUp(Shape):
    """When a customer's balance is low, and what is asked for then."""

    feature_id: str
    """The feature."""
    enabled: bool
    """Whether it is topped up."""
    threshold: Number
    """Units: at so many or fewer a top-up is asked for."""
    quantity: Number
    """Units that are asked for."""
    purchase_limit: PurchaseLimit = absent
    """How often; absent: without a limit."""
    invoice_mode: bool = absent
    """Whether whoever tops up is to send an invoice."""
    source: Literal["customer", "plan"] = absent
    """Where it was set."""


class BillingControls(Shape):
    """Limits and alerts of a customer, an entity or a plan. A kind of which there are none is absent."""

    spend_limits: list[SpendLimit] = absent
    """Limits of overage."""
    usage_limits: list[UsageLimit] = absent
    """Limits of use in a window of time."""
    usage_alerts: list[UsageAlert] = absent
    """Thresholds."""
    overage_allowed: list[OverageAllowed] = absent
    """Features that may be used beyond what was granted."""
    auto_topups: list[AutoTopUp] = absent
    """Features that are topped up; of customers and plans."""


class Plan(Shape):
    """One version of a plan: what customers subscribe to."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    description: str | None
    """A text about it."""
    group: str | None
    """A customer has one main plan of a group; null is a group too."""
    version: int
    """From 1 on."""
    add_on: bool
    """Whether it stands beside main plans."""
    auto_enable: bool
    """Whether every new customer gets it."""
    price: BasePrice | None
    """What it costs by itself."""
    items: list[PlanItem]
    """What it grants."""
    created_at: Millis
    """When this version was made, in epoch ms."""
    env: Env
    """The environment."""
    archived: bool
    """Whether it is kept for those who have it, and offered no more."""
    config: PlanConfig
    """Its settings."""
    metadata: dict[str, Any]
    """What you keep with it."""
    base_variant_id: None
    """Always null: there are no variants."""
    free_trial: FreeTrial = absent
    """How long it is free at first."""
    billing_controls: BillingControls = absent
    """Limits and alerts of those who have it."""
    customer_eligibility: Eligibility = absent
    """What attaching it would be, where the request names a customer."""
    lookup_key: Annotated[str, own] = absent
    """A key of your own."""


# ------------------------------------------------------------------ customers


class FeatureQuantity(Shape):
    """Units that were bought of a prepaid feature."""

    feature_id: str
    """The feature."""
    quantity: Number
    """Units of it, the included ones among them."""


class SubscriptionFilter(Shape):
    """A property that picks the events which a subscription counts."""

    property_name: str
    """The property."""
    value: str
    """The value that it must have."""


class Subscription(Shape):
    """A customer's, or an entity's, hold of one version of a plan. Times are in epoch ms."""

    id: str
    """Its id."""
    plan_id: str
    """The plan."""
    plan_version: int
    """Its version."""
    auto_enable: bool
    """Whether new customers get the plan."""
    add_on: bool
    """Whether the plan stands beside main plans."""
    status: Literal["active", "scheduled", "expired"]
    """Whether it runs, is to start, or has ended."""
    past_due: Literal[False]
    """Always false: no money moves here."""
    canceled_at: Millis | None
    """When it was canceled."""
    expires_at: Millis | None
    """When it ends; null where nothing ends it."""
    trial_ends_at: Millis | None
    """When its trial ends, or ended."""
    started_at: Millis
    """When it started, or is to start."""
    current_period_start: Millis | None
    """When the billing cycle that runs began; null where nothing recurs."""
    current_period_end: Millis | None
    """When it ends."""
    quantity: Literal[1]
    """Always 1."""
    feature_quantities: list[FeatureQuantity]
    """What was bought of prepaid features."""
    scope: Annotated[Literal["customer", "entity"], own]
    """Who holds it."""
    subscription_filters: Annotated[list[SubscriptionFilter], own] = absent
    """The events that it counts; absent: all."""
    plan: Plan = absent
    """The plan in full, where `expand` asks for it."""


class ListedSubscription(Subscription):
    """A subscription, and whose it is."""

    customer_id: str
    """The customer."""
    entity_id: str | None
    """The entity that holds it; null: the customer itself."""
    created_at: Millis
    """When it was made, in epoch ms."""


class Purchase(Shape):
    """A customer's, or an entity's, hold of a plan that was paid once. Times are in epoch ms."""

    plan_id: str
    """The plan."""
    expires_at: Millis | None
    """When it ends; null where nothing ends it."""
    started_at: Millis
    """When it was bought."""
    quantity: Literal[1]
    """Always 1."""
    scope: Annotated[Literal["customer", "entity"], own]
    """Who holds it."""
    plan: Plan = absent
    """The plan in full, where `expand` asks for it."""


class ListedPurchase(Purchase):
    """A purchase, and whose it is."""

    id: str
    """Its id."""
    status: Literal["active", "scheduled", "expired"]
    """Whether it runs, is to start, or has ended."""
    customer_id: str
    """The customer."""
    entity_id: str | None
    """The entity that holds it; null: the customer itself."""
    created_at: Millis
    """When it was made, in epoch ms."""


class TrialUsed(Shape):
    """A trial that a customer has had."""

    plan_id: str
    """The plan."""
    customer_id: str
    """The customer."""
    fingerprint: str | None
    """What the customer is known again by."""


class CustomerConfig(Shape):
    """Settings of a customer."""

    disable_pooled_balance: bool
    """Whether entities cannot draw on the customer's own balances."""


class PlainEntity(Shape):
    """Something of a customer's that a feature counts, such as a seat or a workspace."""

    id: str
    """Its id, among the customer's."""
    name: str | None
    """Its name."""
    customer_id: str
    """The customer."""
    feature_id: str
    """The feature that counts it."""
    created_at: Millis
    """When it was made, in epoch ms."""
    env: Env
    """The environment."""


class Entity(PlainEntity):
    """An entity with what it has, its customer's included."""

    billing_controls: BillingControls
    """The limits and alerts in force."""
    subscriptions: list[Subscription]
    """Its own, and its customer's."""
    purchases: list[Purchase]
    """Plans that were paid once."""
    balances: dict[str, Balance]
    """By feature."""
    flags: dict[str, Flag]
    """By feature."""
    invoices: list[Any] = absent
    """Always empty; where `expand` asks for it."""


class Customer(Shape):
    """A customer with what it has."""

    id: str
    """Its id."""
    name: str | None
    """Its name."""
    email: str | None
    """Its e-mail address."""
    created_at: Millis
    """When it was made, in epoch ms."""
    fingerprint: str | None
    """What you know it again by."""
    stripe_id: None
    """Always null: no payment processor is called."""
    env: Env
    """The environment."""
    metadata: dict[str, Any]
    """What you keep with it."""
    send_email_receipts: bool
    """As it was set; nothing is sent here."""
    billing_controls: BillingControls
    """The limits and alerts in force, its plans' among them."""
    config: CustomerConfig
    """Its settings."""
    subscriptions: list[Subscription]
    """Those that run or are to start."""
    purchases: list[Purchase]
    """Plans that were paid once."""
    balances: dict[str, Balance]
    """By feature."""
    flags: dict[str, Flag]
    """By feature."""
    licenses: list[Any]
    """Always empty."""
    entities: list[PlainEntity] = absent
    """Its entities, where `expand` asks for them."""
    invoices: list[Any] = absent
    """Always empty; where `expand` asks for it, as are the next ones."""
    invoice_previews: list[Any] = absent
    """Always empty."""
    trials_used: list[TrialUsed] = absent
    """The trials that it has had; where `expand` asks for them."""
    rewards: dict[str, list[Any]] = absent
    """No discounts."""
    referrals: list[Any] = absent
    """Always empty."""
    referred_by: list[Any] = absent
    """Always empty."""
    payment_method: None = absent
    """Always null."""
    billing_details: None = absent
    """Always null."""
    upcoming_invoice: None = absent
    """Always null."""
