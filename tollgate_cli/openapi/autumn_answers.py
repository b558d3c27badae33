"""The answers of Autumn's routes in the newest version, made of `autumn_shapes`; and those of its older REST paths."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, RootModel, create_model

from tollgate.domain.decisions import Reason
from tollgate_cli.openapi.autumn_shapes import (
    Balance,
    BalanceLine,
    CreditCost,
    Customer,
    Deduction,
    Display,
    Entity,
    Flag,
    ListedPurchase,
    ListedSubscription,
    ManagedFeature,
    Plan,
    PriceDisplay,
    Rollover,
)
from tollgate_cli.openapi.shapes import (
    Env,
    Millis,
    Number,
    Shape,
    absent,
    by_offset,
    listed,
    own,
    paged,
    paged_either_way,
)

# ------------------------------------------------------------------ check and track


class CatalogFeatureV1(Shape):
    """A feature in 1.x."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    type: Literal["boolean", "single_use", "continuous_use", "credit_system", "ai_credit_system"]
    """What it is, and how it is used."""
    display: Display | None
    """What its units are called."""
    credit_schema: list[CreditCost] | None
    """What each member of a credit system costs."""
    archived: bool
    """Whether it is kept for those who have it, and offered no more."""


class ProductItem(Shape):
    """What a 1.x product grants of one feature, or its own price."""

    type: Literal["feature", "priced_feature", "price"]
    """What it is."""
    feature_id: str | None
    """The feature; null for the product's own price."""
    feature_type: Literal["static", "single_use", "continuous_use"] = absent
    """How the feature is used."""
    included_usage: Number | Literal["inf"] = absent
    """Units that are included."""
    interval: str | None
    """How often they come back, or the price is due; null for never."""
    interval_count: int | None
    """Once in so many intervals."""
    entity_feature_id: str | None = absent
    """Every entity of this feature gets the item as a share of its own."""
    feature: CatalogFeatureV1 | None = absent
    """The feature."""
    display: PriceDisplay
    """What to call it."""
    usage_model: Literal["prepaid", "pay_per_use"] = absent
    """How units beyond the included ones are paid for."""
    billing_units: Number = absent
    """Units in a lot."""
    price: Number | None = absent
    """For each lot."""
    tiers: list[dict[str, Any]] = absent
    """In place of a price."""
    usage_limit: Number | None = absent
    """At most so many units, the included ones among them."""
    config: dict[str, Any] = absent
    """How unused units live on."""
    reset_usage_when_enabled: bool = absent
    """Whether its use is consumed."""
    quantity: Number = absent
    """Of a product that is held: units bought beyond the included ones."""


class ProductTrial(Shape):
    """How long a product is free at first."""

    duration: Literal["day", "week", "month", "year"]
    """What is counted."""
    length: int
    """So many of them."""
    unique_fingerprint: Literal[False]
    """Always false."""
    card_required: bool
    """As it was set; no card is ever asked for here."""
    trial_available: bool | None
    """Whether the customer would get it; null where none is asked about."""


class ProductProperties(Shape):
    """How a product is paid for."""

    is_free: bool
    """It costs nothing."""
    is_one_off: bool
    """It is paid once."""
    interval_group: str | None
    """How often its base price is due; null where it has none that recurs."""
    has_trial: bool
    """It is free at first."""
    updateable: bool
    """Units of it are bought, and may be again."""


class Product(Shape):
    """A plan as 1.x knows it."""

    id: str
    """Its id."""
    name: str
    """Its name."""
    group: str | None
    """A customer has one main product of a group."""
    env: Env
    """The environment."""
    is_add_on: bool
    """Whether it stands beside main products."""
    is_default: bool
    """Whether every new customer gets it."""
    archived: bool
    """Whether it is offered no more."""
    version: int
    """From 1 on."""
    created_at: Millis
    """When this version was made, in epoch ms."""
    items: list[ProductItem]
    """Its price, and what it grants."""
    free_trial: ProductTrial | None
    """How long it is free at first."""
    base_variant_id: None
    """Always null: there are no variants."""
    scenario: str = absent
    """What attaching it to the customer would be: `new`, `upgrade`, `downgrade`, `cancel`, `active`, `scheduled` or `renew`."""
    properties: ProductProperties
    """How it is paid for."""


class CheckPreview(Shape):
    """Why a check was denied, and what would grant access."""

    scenario: Literal["usage_limit", "feature_flag"]
    """Whether the feature is used up, or not held."""
    title: str
    """A heading to show."""
    message: str
    """A text to show."""
    feature_id: str
    """The feature."""
    feature_name: str
    """Its name."""
    products: list[Product]
    """Plans that would grant it, the cheapest first."""


class FeatureCheck(Shape):
    """Whether a customer may use a feature now. A denial is this answer too."""

    allowed: bool
    """Whether it may."""
    customer_id: str
    """The customer."""
    entity_id: str = absent
    """The entity whose use it is."""
    required_balance: Number
    """Units that are needed: of the feature, or credits where a credit system answers."""
    balance: Balance | None
    """The balance that answers; null where there is none."""
    flag: Flag | None
    """The flag that answers; null where there is none."""
    balances: dict[str, Balance | None] = absent
    """By feature, where the use is counted and several features may pay for it."""
    reason: Annotated[Reason, own] = absent
    """Why it was denied."""
    preview: CheckPreview | None = absent
    """With `with_preview`: why it was denied; null where it was not."""


class ProductCheck(Shape):
    """Whether a customer has a product."""

    allowed: bool
    """Whether a subscription to it runs."""
    customer_id: str
    """The customer."""
    product_id: str
    """The product."""
    code: Literal["product_found"]
    """That the product is known."""
    entity_id: str = absent
    """The entity that was asked about."""
    status: Literal["active", "scheduled", "trialing", "canceled"] = absent
    """The subscription's status, where there is one."""


class CheckAnswer(RootModel[FeatureCheck | ProductCheck]):
    """Of a feature, or of a product."""

    model_config = ConfigDict(defer_build=True)


class TrackAnswer(Shape):
    """A use that was counted, or (202) taken to be counted within seconds."""

    customer_id: str
    """The customer."""
    entity_id: str = absent
    """The entity whose use it was."""
    event_name: str = absent
    """The event, where it named no feature."""
    value: Number
    """The units that were asked for, in full where less was deducted."""
    balance: Balance | None
    """The balance after the use; null where it is taken, where several features were used, and where nothing grants it."""
    balances: dict[str, Balance | None] = absent
    """By feature, where several may have paid."""
    deductions: list[Deduction] = absent
    """What moved on each line of a balance."""


# ------------------------------------------------------------------ lists


class ListedBalance(BalanceLine):
    """A line of a balance, and whose it is."""

    feature_id: str
    """The feature."""
    status: Literal["active", "expired"]
    """Whether it still grants."""
    rollovers: list[Rollover]
    """Unused units of earlier periods."""
    customer_id: str
    """The customer."""
    created_at: Millis
    """When it was granted, in epoch ms."""


FeatureList = listed("FeatureList", ManagedFeature, "Features.")
PlanList = listed("PlanList", Plan, "Plans, the newest version of each.")
ProductList = listed("ProductList", Product, "Products, the newest version of each.")
CustomerPage = paged_either_way("CustomerPage", Customer, "A page of customers.")
EntityPage = paged("EntityPage", Entity, "A page of entities.")
PurchasePage = paged("PurchasePage", ListedPurchase, "A page of purchases.")
SubscriptionPage = paged("SubscriptionPage", ListedSubscription, "A page of subscriptions.")
BalancePage = paged("BalancePage", ListedBalance, "A page of what is granted.")


OffsetCustomerPage = by_offset("OffsetCustomerPage", Customer, "A page of customers, the newest first.")


class EntityOrEntities(RootModel[Entity | list[Entity]]):
    """One, or a list where a list was sent."""

    model_config = ConfigDict(defer_build=True)


# ------------------------------------------------------------------ history


class Use(Shape):
    """One use."""

    id: str
    """Its id."""
    timestamp: Millis
    """Its own time, in epoch ms."""
    feature_id: str
    """The feature that was used."""
    customer_id: str
    """The customer."""
    entity_id: str | None
    """The entity whose use it was."""
    value: Number
    """Units of the feature."""
    properties: dict[str, Any]
    """What it was reported with."""
    deductions: list[Deduction]
    """What moved on each line of a balance."""


class Bin(Shape):
    """Uses of one span of time, summed up."""

    period: Millis
    """When it begins, in epoch ms."""
    values: dict[str, Number]
    """Units, or uses, by feature."""
    grouped_values: dict[str, dict[str, Number]] = absent
    """The same by feature and group, with `group_by`."""


class Total(Shape):
    """All uses of a feature."""

    count: Number
    """How many."""
    sum: Number
    """Units in all."""


class DeductedReset(Shape):
    """How often the balance's units come back."""

    interval: str
    """The interval."""
    resets_at: Millis | None
    """When next, in epoch ms."""


class DeductedBalance(Shape):
    """What was drawn from one line of a balance."""

    balance_id: str
    """The line's id."""
    entity_id: str | None
    """Whose share it is; null where it is the customer's, or that of several."""
    plan_id: str | None
    """The plan that grants it."""
    reset: DeductedReset | None
    """How often its units come back."""
    credit_cost: Number | None
    """Credits for one unit of the feature; null where nothing was converted, or not always at one rate."""
    deducted: Number
    """Units of the balance's feature."""
    events: int
    """How many uses drew from it."""


class DeductedFeature(Shape):
    """What was drawn from the balances of one feature."""

    feature_type: Literal["boolean", "metered", "credit_system", "static", "ai_credit_system"]
    """What the feature is."""
    deducted: Number
    """Units of it."""
    events: int
    """How many uses drew from it."""
    balances: list[DeductedBalance]
    """By line."""


class Deducted(Shape):
    """Units; `events` is not told of a group."""

    deducted: Number
    """Units of the balance's feature."""


class DeductedBin(Shape):
    """What was drawn from balances in one span of time."""

    period: Millis
    """When it begins, in epoch ms."""
    values: dict[str, DeductedFeature]
    """By the feature of the balance."""
    grouped_values: dict[str, dict[str, Deducted]] = absent
    """By line and group, with `group_by`."""


UsePage: type[Shape] = create_model(
    "UsePage",
    __base__=Shape,
    __doc__="A page of uses, the newest first.",
    list=(list[Use], Field(description="The uses of this page.")),
    next_cursor=(str | None, Field(description="`start_cursor` of the next page; null where this is the last.")),
)
OffsetUsePage = by_offset(
    "OffsetUsePage",
    Use,
    "A page of uses, the newest first, below version 2.3.",
    has_more=(bool, Field(description="Whether there is another page.")),
)
Aggregate: type[Shape] = create_model(
    "Aggregate",
    __base__=Shape,
    __doc__="Uses, summed up.",
    list=(list[Bin], Field(description="By spans of time, the oldest first.")),
    total=(dict[str, Total], Field(description="In all, by feature.")),
    deductions=(
        list[DeductedBin],
        Field(default=absent, description="What was drawn from balances, with `aggregate_on`."),
    ),
)


class QueryBin(Shape):
    """Uses of one span of time, summed up: a number for each feature beside `period`, or one for each of its groups."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, Number | dict[str, Number]]

    period: Millis
    """When it begins, in epoch ms."""


QueryAnswer = listed("QueryAnswer", QueryBin, "By spans of time, the oldest first.")


# ------------------------------------------------------------------ subscriptions, time


class Attached(Shape):
    """It is attached, or changed."""

    customer_id: str
    """The customer."""
    entity_id: str = absent
    """The entity that holds it."""
    payment_url: None
    """Always null: no money moves here."""


class PreviewedQuantity(Shape):
    """How many units of a prepaid feature are bought."""

    feature_id: str
    """The feature."""
    quantity: Number
    """So many units, the included ones among them."""


class PreviewedPlan(Shape):
    """A plan that a change touches."""

    plan_id: str
    """The plan."""
    feature_quantities: list[PreviewedQuantity]
    """What is bought of it."""
    effective_at: Millis | None
    """When it takes effect, in epoch ms; null: at once."""
    canceled_at: Millis | None
    """When it was canceled."""
    expires_at: Millis | None
    """When it ends."""


class Preview(Shape):
    """What a change of plans would do. No amounts are due here."""

    customer_id: str
    """The customer."""
    line_items: list[dict[str, Any]]
    """Always empty."""
    subtotal: Literal[0]
    """Always 0."""
    total: Literal[0]
    """Always 0."""
    currency: Literal["usd"]
    """Always the same."""
    incoming: list[PreviewedPlan]
    """What starts, goes on after all, or is bought in another quantity."""
    outgoing: list[PreviewedPlan]
    """What ends, never starts, or was bought in another quantity."""


class PreviewAttach(Preview):
    """What attaching a plan would do."""

    redirect_to_checkout: Literal[False]
    """Always false: there is no checkout."""
    checkout_type: None
    """Always null."""


class PreviewUpdate(Preview):
    """What changing a subscription would do."""

    intent: Literal["update_plan", "update_quantity", "cancel_immediately", "cancel_end_of_cycle", "uncancel", "none"]
    """What was asked for; `none` where nothing would change."""


class TestClock(Shape):
    """The customer's own time."""

    customer_id: str
    """The customer."""
    frozen_time: Millis
    """Its time, in epoch ms."""
    status: Literal["ready"]
    """All that was due by then is done."""


# ------------------------------------------------------------------ a catalog at once


class FeatureChange(Shape):
    """What would become of a feature."""

    feature_id: str
    """The feature."""
    action: Literal["create", "update", "remove", "none", "skipped"]
    """What would be done."""
    will_archive: bool
    """Whether it would be archived, not deleted: something names it."""
    blocked: Literal[False]
    """Always false."""
    blocked_reason: None
    """Always null."""


class PlanChange(Shape):
    """What would become of a plan."""

    plan_id: str
    """The plan."""
    name: str
    """Its name."""
    action: Literal["created", "updated", "deleted", "none", "skipped"]
    """What would be done."""
    will_archive: bool
    """Whether it would be archived, not deleted: customers have had it."""
    versionable: bool
    """Whether it would make a new version."""
    has_customers: bool
    """Whether customers have, or have had, it."""
    customer_count: Literal[0]
    """Always 0: they are not counted."""
    variants: list[Any]
    """Always empty."""
    license_changes: list[Any]
    """Always empty."""


class CatalogPreview(Shape):
    """What `catalog.update` would do."""

    feature_changes: list[FeatureChange]
    """Of features."""
    plan_changes: list[PlanChange]
    """Of plans."""
    reward_changes: list[Any]
    """Always empty."""
    referral_program_changes: list[Any]
    """Always empty."""


class CatalogAnswer(Shape):
    """The catalog as it is now, without what is archived."""

    features: list[ManagedFeature]
    """Its features."""
    plans: list[Plan]
    """Its plans."""
    rewards: list[Any]
    """Always empty."""
    referral_programs: list[Any]
    """Always empty."""


class Organization(Shape):
    """What the key opens."""

    name: str
    """Always Tollgate."""
    slug: str
    """Always tollgate."""
    env: Env
    """The environment."""


class Rewards(Shape):
    """None are kept."""

    coupons: list[Any]
    """Always empty."""
    feature_grants: list[Any]
    """Always empty."""


NoPrograms = listed("NoPrograms", Any, "None are kept.")


# ------------------------------------------------------------------ older REST paths


class DeletedCustomer(Shape):
    """It is deleted."""

    success: Literal[True]
    """Always true."""
    customer_id: str
    """The customer."""


class AttachedProduct(Shape):
    """It is attached."""

    success: Literal[True]
    """Always true."""
    code: Literal["new_product_attached"]
    """Always the same."""
    message: str
    """What was attached."""
    customer_id: str
    """The customer."""
    product_ids: list[str]
    """What was attached."""


class CanceledProduct(Shape):
    """It is canceled, at once or at the end of its cycle."""

    success: Literal[True]
    """Always true."""
    customer_id: str
    """The customer."""
    product_id: str
    """The product."""


# ------------------------------------------------------------------ Tollgate's own


class Key(Shape):
    """An API key, without its text."""

    id: str
    """Its id."""
    name: str
    """What you call it."""
    scope: Literal["secret", "publishable"]
    """`secret` may do everything, `publishable` may only check."""
    env: Env
    """The environment that it opens."""
    hint: str
    """The text's beginning and end."""
    created_at: Millis
    """When it was made, in epoch ms."""
    expires_at: Millis | None
    """When it opens nothing any more, in epoch ms; null: it does not expire."""


class ListedKey(Key):
    """An API key in a list."""

    last_used_at: Millis | None
    """When it was used last, in epoch ms, an hour more or less; null where it was not used, or not since Tollgate keeps it."""


class CreatedKey(Key):
    """A new API key."""

    key: str
    """Its text: shown this once, and never again."""


class Lock(Shape):
    """Units that are held before a cost is known. Times are in epoch ms."""

    lock_id: str
    """The id that the caller gave it."""
    customer_id: str
    """The customer."""
    feature_id: str
    """The feature."""
    entity_id: str | None
    """The entity whose use it is."""
    value: Number
    """Units of the feature that were asked for."""
    held: Number
    """Units of it that are held."""
    properties: dict[str, Any]
    """What it was made with."""
    created_at: Millis
    """When it was made."""
    expires_at: Millis
    """When its units are free again, unless it is finalized before."""


KeyList = listed("KeyList", ListedKey, "The environment's keys.")
LockList = listed("LockList", Lock, "The locks that hold units now, the oldest first.")


# ------------------------------------------------------------------ webhooks


class Webhook(Shape):
    """An address that is told of events over HTTP. Times are in epoch ms."""

    id: str
    """Its id."""
    url: str
    """Where messages are sent."""
    events: list[str]
    """The types that it is told of; empty: all."""
    description: str | None
    """A text about it."""
    disabled: bool
    """Whether it is told of nothing: it was switched off, or paused."""
    created_at: Millis
    """When it was made."""
    updated_at: Millis
    """When it was changed last."""
    dialect: Annotated[Literal["autumn", "flexprice", "tollgate"], own]
    """In whose words it is told."""
    failing_since: Annotated[Millis | None, own]
    """Of the first try since which it has taken nothing."""
    paused_at: Annotated[Millis | None, own]
    """When it was paused, as it took nothing for so long."""


class NewSecret(Webhook):
    """A webhook, with the secret that signs its messages: it is shown this once."""

    secret: str
    """`whsec_`, and the key in Base64."""


WebhookList = listed("WebhookList", Webhook, "Webhooks of the environment, by id.")


class Attempt(Shape):
    """One try."""

    at: Millis
    """When, in epoch ms."""
    status: int | None
    """The answer's; null where there was none."""
    error: str | None
    """Why there was none."""
    duration_ms: int
    """How long it took."""


class Delivery(Shape):
    """A message to one address, and each try."""

    id: str
    """The message's id: it stays the same with each try."""
    webhook_id: str
    """The webhook."""
    type: str
    """What it tells of."""
    state: Literal["pending", "delivered", "failed"]
    """What became of it."""
    created_at: Millis
    """When it was made, in epoch ms."""
    next_attempt_at: Millis | None
    """When it is tried next; null for never."""
    attempts: list[Attempt]
    """The tries, one after another."""
    payload: str
    """What is sent: the text that is signed."""


class DeliveryList(Shape):
    """Deliveries, the newest first."""

    list: list[Delivery]
    """At most 50."""
    has_more: bool
    """Whether there may be older ones."""
