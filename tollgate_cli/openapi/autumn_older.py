"""The answers of Autumn's routes below version 2.1: of 2.0, and of 1.2 (with 1.1 and 1.4)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, RootModel, create_model

from tollgate.domain.decisions import Reason
from tollgate_cli.openapi.autumn_answers import CatalogFeatureV1, CheckPreview, ProductCheck, ProductItem
from tollgate_cli.openapi.autumn_shapes import (
    BasePrice,
    BillingControls,
    Feature,
    FreeTrial,
    ItemRollover,
    PriceDisplay,
    Rollover,
    TrialUsed,
)
from tollgate_cli.openapi.shapes import (
    Env,
    Millis,
    Number,
    Shape,
    Success,
    absent,
    by_offset,
    listed,
    own,
    paged,
    paged_either_way,
)

# ------------------------------------------------------------------ 2.0


class ResetV2(Shape):
    """How often units come back; `multiple` where lines differ."""

    interval: str
    """The interval; `one_off` is never."""
    interval_count: int = absent
    """Once in so many intervals."""
    resets_at: Millis | None
    """When next, in epoch ms."""


class LineV2(Shape):
    """Units of one plan and interval, or set by hand."""

    id: str
    """Its id."""
    plan_id: str | None
    """The plan that grants it."""
    granted_balance: Number
    """Units that are included."""
    purchased_balance: Number
    """Units that were bought, or used beyond what was granted."""
    current_balance: Number
    """Units that are left."""
    usage: Number
    """Units that were used."""
    overage_allowed: bool
    """Whether more may be used."""
    max_purchase: Number | None
    """At most so many units more."""
    reset: ResetV2 | None
    """How often its units come back."""
    prepaid_quantity: Number
    """Units that were bought."""
    expires_at: Millis | None
    """When it ends, in epoch ms."""


class BalanceV2(Shape):
    """A balance in 2.0, or a flag as an empty one."""

    feature_id: str
    """The feature."""
    unlimited: bool
    """Whether it has no limit."""
    granted_balance: Number
    """Units that are included."""
    purchased_balance: Number
    """Units that were bought, or used beyond what was granted."""
    current_balance: Number
    """Units that are left."""
    usage: Number
    """Units that were used."""
    overage_allowed: bool
    """Whether more may be used."""
    max_purchase: Number | None
    """At most so many units more."""
    reset: ResetV2 | None
    """How often its units come back."""
    plan_id: str | None
    """The plan that grants it; null where several do."""
    breakdown: list[LineV2]
    """Where its units come from."""
    rollovers: list[Rollover] = absent
    """Unused units of earlier periods."""
    feature: Feature = absent
    """The feature in full, where `expand` asks for it."""


class FeatureCheckV2(Shape):
    """A check in 2.0."""

    allowed: bool
    """Whether it may be used."""
    customer_id: str
    """The customer."""
    entity_id: str = absent
    """The entity whose use it is."""
    required_balance: Number
    """Units that are needed."""
    balance: BalanceV2 | None
    """The balance, or flag, that answers."""
    reason: Annotated[Reason, own] = absent
    """Why it was denied."""
    preview: CheckPreview | None = absent
    """With `with_preview`: why it was denied."""


class TrackV2(Shape):
    """A track in 2.0."""

    customer_id: str
    """The customer."""
    entity_id: str = absent
    """The entity whose use it was."""
    event_name: str = absent
    """The event, where it named no feature."""
    value: Number
    """The units that were asked for."""
    balance: BalanceV2 | None
    """The balance after the use."""
    balances: dict[str, BalanceV2 | None] = absent
    """By feature, where several may have paid."""


class PlanFeatureV2(Shape):
    """What a plan grants of one feature, in 2.0."""

    feature_id: str
    """The feature."""
    granted_balance: Number
    """Units that are included."""
    unlimited: bool
    """Whether there is no limit."""
    reset: dict[str, Any] | None
    """How often the units come back."""
    price: dict[str, Any] | None
    """What units cost beyond the included ones."""
    display: PriceDisplay
    """What to call it."""
    rollover: ItemRollover = absent
    """How unused units live on."""
    entity_feature_id: str = absent
    """Every entity of this feature gets the item as a share of its own."""
    static_value: str = absent
    """The value of a static feature."""
    is_soft_limit: bool = absent
    """Whether use over the limit is counted, not denied."""


class EligibilityV2(Shape):
    """What attaching a plan to the customer would be, in 2.0."""

    trial_available: bool = absent
    """Whether the customer would get the plan's trial; absent where it has none."""
    scenario: str
    """What it would be."""


class PlanV2(Shape):
    """A plan in 2.0."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    description: str | None
    """A text about it."""
    group: str | None
    """A customer has one main plan of a group."""
    version: int
    """From 1 on."""
    add_on: bool
    """Whether it stands beside main plans."""
    default: bool
    """Whether every new customer gets it."""
    price: BasePrice | None
    """What it costs by itself; null: nothing."""
    features: list[PlanFeatureV2]
    """What it grants."""
    created_at: Millis
    """When this version was made, in epoch ms."""
    env: Env
    """The environment."""
    archived: bool
    """Whether it is offered no more."""
    base_variant_id: None
    """Always null."""
    free_trial: FreeTrial = absent
    """How long it is free at first."""
    customer_eligibility: EligibilityV2 = absent
    """What attaching it would be, where the request names a customer."""


class SubscriptionV2(Shape):
    """A subscription in 2.0. Times are in epoch ms."""

    plan_id: str
    """The plan."""
    plan_version: int
    """Its version."""
    default: bool
    """Whether new customers get the plan."""
    add_on: bool
    """Whether the plan stands beside main plans."""
    status: Literal["active", "scheduled"]
    """Whether it runs, or is to start."""
    past_due: Literal[False]
    """Always false."""
    canceled_at: Millis | None
    """When it was canceled."""
    expires_at: Millis | None
    """When it ends."""
    trial_ends_at: Millis | None
    """When its trial ends."""
    started_at: Millis
    """When it started, or is to start."""
    current_period_start: Millis | None
    """When the billing cycle that runs began."""
    current_period_end: Millis | None
    """When it ends."""
    quantity: Literal[1]
    """Always 1."""
    plan: PlanV2 = absent
    """The plan in full, where `expand` asks for it."""


class ListedSubscriptionV2(SubscriptionV2):
    """A subscription in a list of many, in 2.0, and whose it is. What was paid once is one too."""

    id: str
    """Its id."""
    status: Literal["active", "scheduled", "expired"]  # type: ignore[assignment]
    """Whether it runs, is to start, or has ended."""
    customer_id: str
    """The customer."""
    entity_id: str | None
    """The entity that holds it; null: the customer itself."""
    created_at: Millis
    """When it was made, in epoch ms."""


class _HeldV2(Shape):
    billing_controls: BillingControls
    """The limits and alerts in force."""
    subscriptions: list[SubscriptionV2]
    """Those that run."""
    scheduled_subscriptions: list[SubscriptionV2]
    """Those that are to start."""
    balances: dict[str, BalanceV2]
    """By feature, flags among them."""
    invoices: list[Any] = absent
    """Always empty; where `expand` asks for it."""


class EntityV2(_HeldV2):
    """An entity in 2.0."""

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


class _Profile(Shape):
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
    """Always null."""
    env: Env
    """The environment."""
    metadata: dict[str, Any]
    """What you keep with it."""
    send_email_receipts: bool
    """As it was set."""
    billing_controls: BillingControls
    """The limits and alerts in force."""
    entities: list[dict[str, Any]] = absent
    """Its entities, where `expand` asks for them."""
    invoices: list[Any] = absent
    """Always empty; where `expand` asks for it, as are the next ones."""
    rewards: dict[str, list[Any]] = absent
    """No discounts."""
    referrals: list[Any] = absent
    """Always empty."""
    payment_method: None = absent
    """Always null."""
    upcoming_invoice: None = absent
    """Always null."""


class CustomerV2(_Profile):
    """A customer in 2.0."""

    subscriptions: list[SubscriptionV2]
    """Those that run."""
    scheduled_subscriptions: list[SubscriptionV2]
    """Those that are to start."""
    balances: dict[str, BalanceV2]
    """By feature, flags among them."""
    invoice_previews: list[Any] = absent
    """Always empty."""
    referred_by: list[Any] = absent
    """Always empty."""
    billing_details: None = absent
    """Always null."""
    trials_used: list[TrialUsed] = absent
    """The trials that it has had; where `expand` asks for them."""


class BinV2(Shape):
    """Uses of one span of time: a number for each feature beside `period`, or one for each of its groups."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, Number | dict[str, Number]]

    period: Millis
    """When it begins, in epoch ms."""


AggregateV2 = create_model(
    "AggregateV2",
    __base__=Shape,
    __doc__="Uses, summed up, in 2.0 and below.",
    list=(list[BinV2], Field(description="By spans of time, the oldest first.")),
    total=(dict[str, dict[str, Number]], Field(description="In all, by feature.")),
    deductions=(list[dict[str, Any]], Field(default=absent, description="What was drawn from balances.")),
)


# ------------------------------------------------------------------ 1.2


class CreditCostV1(Shape):
    """What one unit of a metered feature costs in credits, in 1.2."""

    feature_id: str
    """The feature that is paid for."""
    credit_amount: Number
    """Credits for one unit of it."""


class RolloverV1(Shape):
    """Unused units of an earlier period, in 1.2."""

    balance: Number
    """Units that are left."""
    expires_at: Millis
    """When they end, in epoch ms; 0 for never."""


class _NumbersV1(Shape):
    interval: str | None
    """How often units come back; `lifetime` is never, and `multiple` where lines differ."""
    interval_count: int | None
    """Once in so many intervals."""
    next_reset_at: Millis | None
    """When next, in epoch ms."""
    balance: Number
    """Units that are left; below zero, used beyond what was granted."""
    usage: Number
    """Units that were used."""
    included_usage: Number
    """Units that are included or were bought."""
    overage_allowed: bool
    """Whether any number more may be used."""
    usage_limit: Number = absent
    """At most so many units in all."""


class LineV1(_NumbersV1):
    """Units of one plan and interval, in 1.2."""


class FeatureV1(_NumbersV1):
    """A feature that a customer has, in 1.2."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    type: Literal["static", "single_use", "continuous_use"]
    """How it is used."""
    unlimited: bool
    """Whether it has no limit."""
    breakdown: list[LineV1]
    """Where its units come from."""
    rollovers: list[RolloverV1] = absent
    """Unused units of earlier periods."""
    credit_schema: list[CreditCostV1] = absent
    """What each member of a credit system costs."""


class FeatureCheckV1(Shape):
    """A check in 1.2. Where nothing grants the feature, there is no balance in it."""

    allowed: bool
    """Whether it may be used."""
    customer_id: str
    """The customer."""
    feature_id: str
    """The feature that answers."""
    entity_id: str = absent
    """The entity whose use it is."""
    required_balance: Number
    """Units that are needed."""
    code: Literal["feature_found"]
    """That the feature is known."""
    unlimited: bool = absent
    """Whether it has no limit."""
    interval: str | None = absent
    """How often units come back."""
    interval_count: int | None = absent
    """Once in so many intervals."""
    next_reset_at: Millis | None = absent
    """When next, in epoch ms."""
    balance: Number = absent
    """Units that are left; below zero, used beyond what was granted."""
    usage: Number = absent
    """Units that were used."""
    included_usage: Number = absent
    """Units that are included or were bought."""
    overage_allowed: bool = absent
    """Whether any number more may be used."""
    usage_limit: Number = absent
    """At most so many units in all."""
    breakdown: list[LineV1] = absent
    """Where its units come from."""
    rollovers: list[RolloverV1] = absent
    """Unused units of earlier periods."""
    credit_schema: list[CreditCostV1] = absent
    """What each member of a credit system costs."""
    preview: CheckPreview | None = absent
    """With `with_preview`: why it was denied."""


class TrackV1(Shape):
    """A track in 1.2: that it was received."""

    id: Literal["placeholder"]
    """Always the same."""
    code: Literal["event_received"]
    """Always the same."""
    customer_id: str
    """The customer."""
    entity_id: str = absent
    """The entity whose use it was."""
    event_name: str = absent
    """The event, where it named no feature."""
    feature_id: str = absent
    """The feature."""


class HeldProductV1(Shape):
    """A product that a customer has, in 1.2. Times are in epoch ms."""

    id: str
    """The product."""
    name: str | None
    """Its name."""
    group: str | None
    """Its group."""
    version: int = absent
    """Its version."""
    items: list[ProductItem] = absent
    """Its price, and what it grants."""
    status: Literal["active", "scheduled", "trialing"]
    """Whether it runs, is to start, or is in its trial."""
    canceled_at: Millis | None
    """When it was canceled."""
    started_at: Millis
    """When it started, or is to start."""
    is_default: bool
    """Whether every new customer gets it."""
    is_add_on: bool
    """Whether it stands beside main products."""
    current_period_start: Millis | None
    """When the billing cycle that runs began."""
    current_period_end: Millis | None
    """When it ends."""
    quantity: Literal[1]
    """Always 1."""
    subscription_ids: list[str]
    """Its subscription."""


class ListedProductV1(HeldProductV1):
    """A product that a customer has in a list of many, in 1.2, and whose it is."""

    status: Literal["active", "scheduled", "trialing", "expired"]  # type: ignore[assignment]
    """Whether it runs, is to start, is in its trial, or has ended."""
    customer_id: str
    """The customer."""
    entity_id: str | None
    """The entity that holds it; null: the customer itself."""
    created_at: Millis
    """When it was made, in epoch ms."""


class TrialUsedV1(Shape):
    """A trial that a customer has had, in 1.2."""

    product_id: str
    """The product."""
    customer_id: str
    """The customer."""
    fingerprint: str | None
    """What the customer is known again by."""


class CustomerV1(_Profile):
    """A customer in 1.2."""

    products: list[HeldProductV1]
    """What it holds, add-ons last."""
    features: dict[str, FeatureV1]
    """What it has, by feature."""
    trials_used: list[TrialUsedV1] = absent
    """The trials that it has had; where `expand` asks for them."""


class EntityV1(Shape):
    """An entity in 1.2."""

    id: str
    """Its id, among the customer's."""
    name: str
    """Its name; empty for none."""
    customer_id: str
    """The customer."""
    feature_id: str
    """The feature that counts it."""
    created_at: Millis
    """When it was made, in epoch ms."""
    env: Env
    """The environment."""
    invoices: list[Any] = absent
    """Always empty; where `expand` asks for it."""
    products: list[HeldProductV1]
    """What it holds, add-ons last."""
    features: dict[str, FeatureV1]
    """What it has, by feature."""


# ------------------------------------------------------------------ either, and lists


class CheckV2(RootModel[FeatureCheckV2 | ProductCheck]):
    """Of a feature, or of a product."""

    model_config = ConfigDict(defer_build=True)


class CheckV1(RootModel[FeatureCheckV1 | ProductCheck]):
    """Of a feature, or of a product."""

    model_config = ConfigDict(defer_build=True)


class EntityOrEntitiesV2(RootModel[EntityV2 | list[EntityV2]]):
    """One, or a list where a list was sent."""

    model_config = ConfigDict(defer_build=True)


class EntityOrEntitiesV1(RootModel[EntityV1 | list[EntityV1]]):
    """One, or a list where a list was sent."""

    model_config = ConfigDict(defer_build=True)


CustomerPageV2 = paged_either_way("CustomerPageV2", CustomerV2, "A page of customers, in 2.0.")
SubscriptionPageV2 = paged("SubscriptionPageV2", ListedSubscriptionV2, "A page of subscriptions, in 2.0.")
SubscriptionPageV1 = paged("SubscriptionPageV1", ListedProductV1, "A page of products that customers have, in 1.2.")
CustomerPageV1 = paged_either_way("CustomerPageV1", CustomerV1, "A page of customers, in 1.2.")
EntityPageV2 = paged("EntityPageV2", EntityV2, "A page of entities, in 2.0.")
EntityPageV1 = paged("EntityPageV1", EntityV1, "A page of entities, in 1.2.")
OffsetCustomerPageV2 = by_offset("OffsetCustomerPageV2", CustomerV2, "A page of customers, the newest first, in 2.0.")
OffsetCustomerPageV1 = by_offset("OffsetCustomerPageV1", CustomerV1, "A page of customers, the newest first, in 1.2.")
PlanListV2 = listed("PlanListV2", PlanV2, "Plans, the newest version of each, in 2.0.")
FeatureListV1 = listed("FeatureListV1", CatalogFeatureV1, "Features, in 1.2.")


class UsageSetV1(Success):
    """What was used is set."""

    code: Literal["event_received"]
    """That it was taken."""
    customer_id: str
    """The customer."""
    feature_id: str
    """The feature."""


class BalanceCreatedV1(Success):
    """A balance is made, in 1.2."""

    message: Literal["success"]
    """The same in a word."""
