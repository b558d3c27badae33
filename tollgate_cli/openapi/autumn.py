"""Autumn's routes, and Tollgate's own beside them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tollgate.dialects.autumn import catalog, catalog_update, customers, errors, legacy, track, versions
from tollgate.dialects.autumn.fields import Id, Text
from tollgate.domain.errors import (
    AlreadyAttached,
    BadKey,
    BadKeyReason,
    Conflict,
    DuplicateRequest,
    Forbidden,
    InsufficientBalance,
    InvalidInput,
    InvalidRequest,
    LimitReached,
    LockAlreadyExists,
    TooManyCalls,
    Unavailable,
    UsageLimitExceeded,
)
from tollgate_cli.openapi import autumn_activity as activity
from tollgate_cli.openapi import autumn_answers as answers
from tollgate_cli.openapi import autumn_explained as explained
from tollgate_cli.openapi import autumn_older as older
from tollgate_cli.openapi import autumn_words, served
from tollgate_cli.openapi.autumn_shapes import Customer, Entity, ManagedFeature, Plan
from tollgate_cli.openapi.check_body import CheckBody
from tollgate_cli.openapi.document import Dialect
from tollgate_cli.openapi.operations import Operation, Parameter, missing, taken
from tollgate_cli.openapi.shapes import Env, Shape, Success, absent

WRONG = InvalidInput("x", "x")
CONTRADICTS = InvalidRequest("x")
IN_THE_WAY = Conflict("x")
EXPAND = Parameter(
    "expand", "What to show in full: as in the body. The name may be repeated, or hold a list with commas."
)
OFFSET = (
    Parameter("limit", "At most so many on a page; 50 unless told.", {"type": "integer", "minimum": 0, "maximum": 200}),
    Parameter("offset", "So many come before; 0 unless told.", {"type": "integer", "minimum": 0, "maximum": 1_000_000}),
)
OF_CUSTOMER = Parameter("customer_id", "Each then says what attaching it to this customer would be.")


class UpdateProductParams(legacy.ProductParams):
    """The body of `POST /v1/products/{id}`: fields that are absent stay."""

    id: Id = absent


class ChangeFeatureParams(catalog.UpdateFeatureParams):
    """The body of `POST /v1/features/{id}`: fields that are absent stay."""

    feature_id: Id = absent


class UpdateCustomerParams(customers.CustomerFields):
    """The body of `POST /v1/customers/{id}`: fields that are absent stay."""

    later = customers.UpdateCustomerParams.later

    expand: list[Text] | None = None


CUSTOMER_OLDER = {"2.0": older.CustomerV2, "1.4": older.CustomerV1}
ENTITY_OLDER = {"2.0": older.EntityV2, "1.4": older.EntityV1}
PLAN_OLDER = {"2.0": older.PlanV2, "1.4": answers.Product}

CHECK = Operation(
    "Check whether a customer may use a feature, and count it",
    answers.CheckAnswer,
    (WRONG, CONTRADICTS, *missing("customer", "entity", "feature", "plan"), LockAlreadyExists()),
    "With `send_event` it is decided and counted in one step: nothing comes between. A publishable key may check, and count"
    " nothing.",
    query=(EXPAND, Parameter("skip_cache", "`true`: the catalog is read afresh.")),
    body=CheckBody,
    older={"2.0": older.CheckV2, "1.4": older.CheckV1},
)
TRACK = Operation(
    "Count a use that has happened",
    {200: answers.TrackAnswer, 202: answers.TrackAnswer},
    (
        WRONG,
        CONTRADICTS,
        InsufficientBalance("x"),
        UsageLimitExceeded("x"),
        *missing("customer", "entity", "feature", "event"),
    ),
    query=(EXPAND,),
    older={"2.0": older.TrackV2, "1.4": older.TrackV1},
)
FEATURE_OLDER = {"1.4": answers.CatalogFeatureV1}
FEATURES_OLDER = {"1.4": older.FeatureListV1}
ORGANIZATION = Operation("Get the organization", answers.Organization)
LIST_CUSTOMERS = Operation(
    "List customers",
    answers.CustomerPage,
    (WRONG,),
    query=(EXPAND,),
    older={"2.0": older.CustomerPageV2, "1.4": older.CustomerPageV1},
)
LIST_EVENTS = Operation(
    "List uses",
    answers.UsePage,
    (WRONG, CONTRADICTS, *missing("customer", "feature")),
    older={"2.2": answers.OffsetUsePage, "1.4": answers.OffsetUsePage},
)
AGGREGATE = Operation(
    "Sum up uses",
    answers.Aggregate,
    (WRONG, CONTRADICTS, *missing("customer", "feature")),
    older={"2.0": older.AggregateV2, "1.4": older.AggregateV2},
)
CREATE_BALANCE = Operation(
    "Grant units by hand",
    Success,
    (WRONG, CONTRADICTS, *missing("feature", "entity"), *taken("balance")),
    "An unknown customer is made on the way.",
    older={"1.4": older.BalanceCreatedV1},
)
UPDATE_BALANCE = Operation(
    "Set what remains or was used",
    Success,
    (WRONG, CONTRADICTS, *missing("customer", "entity", "feature", "held balance")),
)
LIST_BALANCES = Operation("List what is granted", answers.BalancePage, (WRONG, *missing("customer", "entity")))
LIST_PRODUCTS = Operation("List products", answers.ProductList, (), query=(OF_CUSTOMER,))

OPERATIONS: dict[str, Operation] = {
    "POST /v1/balances.check": CHECK,
    "POST /v1/check": CHECK,
    "POST /v1/entitled": CHECK,
    "POST /v1/balances.track": TRACK,
    "POST /v1/track": TRACK,
    "POST /v1/events": TRACK,
    "POST /v1/balances.batch_track": Operation(
        "Count up to 1,000 uses",
        {202: Success},
        (WRONG, CONTRADICTS, *missing("feature", "event")),
        body=Annotated[list[track.TrackParams], Field(min_length=1, max_length=track.MAX_BATCH)],
    ),
    "POST /v1/balances.track_tokens": Operation(
        "Count tokens of an AI model as credits",
        {200: answers.TrackAnswer, 202: answers.TrackAnswer},
        (
            WRONG,
            CONTRADICTS,
            InsufficientBalance("x"),
            UsageLimitExceeded("x"),
            *missing("customer", "entity", "feature"),
        ),
        "Priced as of the event's time. It is counted within seconds (202), unless `async` is false.",
        query=(EXPAND,),
    ),
    "POST /v1/balances.create": CREATE_BALANCE,
    "POST /v1/balances.update": UPDATE_BALANCE,
    "POST /v1/balances.delete": Operation(
        "Remove what was granted",
        Success,
        (WRONG, CONTRADICTS, IN_THE_WAY, *missing("customer", "entity", "feature", "balance")),
    ),
    "POST /v1/balances.list": LIST_BALANCES,
    "POST /v1/balances.finalize": Operation(
        "Finalize a reservation", Success, (WRONG, CONTRADICTS, IN_THE_WAY), "See docs/reservations.md."
    ),
    # customers
    "POST /v1/customers.get_or_create": Operation(
        "Get a customer, or create it",
        Customer,
        (WRONG, *missing("plan", "feature")),
        query=(EXPAND,),
        older=CUSTOMER_OLDER,
    ),
    "POST /v1/customers.get": Operation(
        "Get a customer", Customer, (WRONG, *missing("customer")), query=(EXPAND,), older=CUSTOMER_OLDER
    ),
    "POST /v1/customers.list": LIST_CUSTOMERS,
    "POST /v1/customers.update": Operation(
        "Change a customer",
        Customer,
        (WRONG, *missing("customer", "feature")),
        "Fields that are absent stay; metadata is merged.",
        query=(EXPAND,),
        older=CUSTOMER_OLDER,
    ),
    "POST /v1/customers.delete": Operation("Delete a customer", Success, (WRONG, *missing("customer"))),
    "POST /v1/customers.advance_test_clock": Operation(
        "Advance a customer's test clock",
        answers.TestClock,
        (WRONG, CONTRADICTS, Forbidden("x"), *missing("customer")),
        "In the sandbox alone. Resets, expiries, locks and periods follow the clock, which moves forward only.",
    ),
    # entities
    "POST /v1/entities.create": Operation(
        "Create an entity",
        Entity,
        (WRONG, CONTRADICTS, LimitReached("x"), *missing("feature"), *taken("entity")),
        "It takes one of its (allocated) feature, and gives it back when it is deleted.",
        older=ENTITY_OLDER,
    ),
    "POST /v1/entities.get": Operation(
        "Get an entity", Entity, (WRONG, *missing("customer", "entity")), query=(EXPAND,), older=ENTITY_OLDER
    ),
    "POST /v1/entities.list": Operation(
        "List entities",
        answers.EntityPage,
        (WRONG, *missing("customer")),
        older={"2.0": older.EntityPageV2, "1.4": older.EntityPageV1},
    ),
    "POST /v1/entities.update": Operation(
        "Change an entity's controls", Entity, (WRONG, *missing("customer", "entity", "feature")), older=ENTITY_OLDER
    ),
    "POST /v1/entities.delete": Operation(
        "Delete an entity", Success, (WRONG, *missing("customer", "entity")), "Its balances and plans go with it."
    ),
    # plans and features
    "POST /v1/features.create": Operation(
        "Create a feature", ManagedFeature, (WRONG, *missing("feature"), *taken("feature")), older=FEATURE_OLDER
    ),
    "POST /v1/features.get": Operation(
        "Get a feature", ManagedFeature, (WRONG, *missing("feature")), older=FEATURE_OLDER
    ),
    "POST /v1/features.list": Operation("List features", answers.FeatureList, (WRONG,), older=FEATURES_OLDER),
    "POST /v1/features.update": Operation(
        "Change a feature",
        ManagedFeature,
        (WRONG, IN_THE_WAY, *missing("feature")),
        "Fields that are absent stay; null takes away one that is only kept and shown.",
        older=FEATURE_OLDER,
    ),
    "POST /v1/features.delete": Operation(
        "Delete a feature",
        Success,
        (WRONG, IN_THE_WAY, *missing("feature")),
        "One that a plan or a credit system names is not deleted: archive it.",
    ),
    "POST /v1/plans.create": Operation(
        "Create a plan", Plan, (WRONG, CONTRADICTS, *missing("feature"), *taken("plan")), older=PLAN_OLDER
    ),
    "POST /v1/plans.get": Operation("Get a plan", Plan, (WRONG, *missing("plan")), older=PLAN_OLDER),
    "POST /v1/plans.list": Operation(
        "List plans", answers.PlanList, (WRONG,), older={"2.0": older.PlanListV2, "1.4": answers.ProductList}
    ),
    "POST /v1/plans.update": Operation(
        "Change a plan", Plan, (WRONG, CONTRADICTS, *missing("plan", "feature")), older=PLAN_OLDER
    ),
    "POST /v1/plans.delete": Operation("Delete a plan, or archive it", Success, (WRONG, *missing("plan"))),
    # subscriptions
    "POST /v1/billing.attach": Operation(
        "Attach a plan",
        answers.Attached,
        (
            WRONG,
            CONTRADICTS,
            AlreadyAttached("x"),
            IN_THE_WAY,
            *taken("subscription"),
            *missing("customer", "entity", "plan", "feature"),
        ),
    ),
    "POST /v1/billing.update": Operation(
        "Change or cancel a subscription",
        answers.Attached,
        (WRONG, CONTRADICTS, *missing("customer", "entity", "plan", "feature", "subscription")),
    ),
    "POST /v1/billing.preview_attach": Operation(
        "Show what attaching a plan would change",
        answers.PreviewAttach,
        (
            WRONG,
            CONTRADICTS,
            AlreadyAttached("x"),
            IN_THE_WAY,
            *taken("subscription"),
            *missing("customer", "entity", "plan", "feature"),
        ),
        "Changes nothing. No amounts are due here: they are 0, and prices are the catalog's.",
    ),
    "POST /v1/billing.preview_update": Operation(
        "Show what changing or canceling a subscription would change",
        answers.PreviewUpdate,
        (WRONG, CONTRADICTS, *missing("customer", "entity", "plan", "feature", "subscription")),
        "Changes nothing. No amounts are due here: they are 0, and prices are the catalog's.",
    ),
    "POST /v1/subscriptions.list": Operation(
        "List subscriptions",
        answers.SubscriptionPage,
        (WRONG, *missing("customer")),
        older={"2.0": older.SubscriptionPageV2, "1.4": older.SubscriptionPageV1},
    ),
    "POST /v1/purchases.list": Operation("List purchases", answers.PurchasePage, (WRONG, *missing("customer"))),
    # history
    "POST /v1/events.list": LIST_EVENTS,
    "POST /v1/events.aggregate": AGGREGATE,
    # webhooks
    "POST /v1/webhooks.create": Operation(
        "Create a webhook",
        answers.NewSecret,
        (WRONG, CONTRADICTS, *taken("webhook")),
        "Messages are signed as Standard Webhooks has it.",
    ),
    "POST /v1/webhooks.get": Operation("Get a webhook", answers.Webhook, (WRONG, *missing("webhook"))),
    "POST /v1/webhooks.list": Operation("List webhooks", answers.WebhookList),
    "POST /v1/webhooks.update": Operation(
        "Change a webhook",
        answers.Webhook,
        (WRONG, IN_THE_WAY, *missing("webhook")),
        "Fields that are absent stay. One that was paused goes on where `disabled` is false.",
    ),
    "POST /v1/webhooks.delete": Operation("Delete a webhook", Success, (WRONG, *missing("webhook"))),
    # a catalog at once
    "POST /v1/catalog.preview_update": Operation(
        "Preview a change of the catalog",
        answers.CatalogPreview,
        (WRONG, CONTRADICTS, *missing("feature")),
        body=catalog_update.CatalogParams,
    ),
    "POST /v1/catalog.update": Operation(
        "Change the catalog",
        answers.CatalogAnswer,
        (WRONG, CONTRADICTS, IN_THE_WAY, *missing("feature", "plan"), *taken("feature"), *taken("plan")),
        "Each change is whole by itself: where one fails, those before it stay, and the same call goes on from there.",
        body=catalog_update.CatalogParams,
    ),
    "POST /v1/rewards.list": Operation("List rewards", answers.Rewards),
    "POST /v1/referral_programs.list": Operation("List referral programs", answers.NoPrograms),
    "GET /v1/organization": ORGANIZATION,
    "GET /v1/organization/me": ORGANIZATION,
    # older REST paths
    "GET /v1/features": Operation("List features (1.x)", answers.FeatureList, (), older=FEATURES_OLDER),
    "GET /v1/features/{}": Operation("Get a feature (1.x)", ManagedFeature, missing("feature"), older=FEATURE_OLDER),
    "POST /v1/features/{}": Operation(
        "Change a feature (1.x)",
        ManagedFeature,
        (WRONG, IN_THE_WAY, *missing("feature")),
        body=ChangeFeatureParams,
        older=FEATURE_OLDER,
    ),
    "DELETE /v1/features/{}": Operation("Delete a feature (1.x)", Success, (IN_THE_WAY, *missing("feature"))),
    "GET /v1/products": LIST_PRODUCTS,
    "GET /v1/products_beta": LIST_PRODUCTS,
    "POST /v1/products": Operation(
        "Create a product", answers.Product, (WRONG, CONTRADICTS, *missing("feature"), *taken("plan"))
    ),
    "GET /v1/products/{}": Operation("Get a product", answers.Product, missing("plan")),
    "POST /v1/products/{}": Operation(
        "Change a product",
        answers.Product,
        (WRONG, CONTRADICTS, *missing("plan", "feature")),
        body=UpdateProductParams,
        query=(Parameter("disable_version", "`true`: the version is changed in place, although customers have it."),),
    ),
    "DELETE /v1/products/{}": Operation(
        "Delete a product, or archive it",
        Success,
        missing("plan"),
        query=(Parameter("all_versions", "`true`: all versions, not the newest alone."),),
    ),
    "GET /v1/customers": Operation(
        "List customers (1.x)",
        answers.OffsetCustomerPage,
        (WRONG,),
        query=OFFSET,
        older={"2.0": older.OffsetCustomerPageV2, "1.4": older.OffsetCustomerPageV1},
    ),
    "POST /v1/customers": Operation(
        "Create a customer (1.x)", Customer, (WRONG, *missing("plan", "feature")), query=(EXPAND,), older=CUSTOMER_OLDER
    ),
    "POST /v1/customers/list": LIST_CUSTOMERS,
    "GET /v1/customers/{}": Operation(
        "Get a customer (1.x)", Customer, (WRONG, *missing("customer")), query=(EXPAND,), older=CUSTOMER_OLDER
    ),
    "POST /v1/customers/{}": Operation(
        "Change a customer (1.x)",
        Customer,
        (WRONG, *missing("customer", "feature")),
        query=(EXPAND,),
        body=UpdateCustomerParams,
        older=CUSTOMER_OLDER,
    ),
    "DELETE /v1/customers/{}": Operation("Delete a customer (1.x)", answers.DeletedCustomer, missing("customer")),
    "POST /v1/customers/{}/balances": Operation(
        "Set what remains (1.x)", Success, (WRONG, CONTRADICTS, *missing("customer", "entity", "feature"))
    ),
    "POST /v1/customers/{}/entities": Operation(
        "Create entities (1.x)",
        answers.EntityOrEntities,
        (WRONG, CONTRADICTS, LimitReached("x"), *missing("customer", "feature"), *taken("entity")),
        "The entities of a list that were made before one is refused stay.",
        query=(EXPAND,),
        body=legacy.EntityEntry | list[legacy.EntityEntry],
        older={"2.0": older.EntityOrEntitiesV2, "1.4": older.EntityOrEntitiesV1},
    ),
    "GET /v1/customers/{}/entities/{}": Operation(
        "Get an entity (1.x)", Entity, (WRONG, *missing("customer", "entity")), query=(EXPAND,), older=ENTITY_OLDER
    ),
    "DELETE /v1/customers/{}/entities/{}": Operation(
        "Delete an entity (1.x)", Success, (WRONG, *missing("customer", "entity"))
    ),
    "POST /v1/attach": Operation(
        "Attach a product",
        answers.AttachedProduct,
        (
            WRONG,
            CONTRADICTS,
            AlreadyAttached("x"),
            IN_THE_WAY,
            *taken("subscription"),
            *missing("plan", "entity", "feature"),
        ),
    ),
    "POST /v1/cancel": Operation(
        "Cancel a product",
        answers.CanceledProduct,
        (WRONG, CONTRADICTS, *missing("customer", "entity", "plan", "subscription")),
    ),
    "POST /v1/usage": Operation(
        "Set what was used",
        older.UsageSetV1,
        (WRONG, CONTRADICTS, *missing("customer", "entity", "feature")),
    ),
    "POST /v1/query": Operation(
        "Sum up a customer's uses (1.x)", answers.QueryAnswer, (WRONG, CONTRADICTS, *missing("customer", "feature"))
    ),
    "POST /v1/events/list": LIST_EVENTS,
    "POST /v1/events/aggregate": AGGREGATE,
    "POST /v1/balances/create": CREATE_BALANCE,
    "POST /v1/balances/update": UPDATE_BALANCE,
    "POST /v1/balances/list": LIST_BALANCES,
}

OWN: dict[str, Operation] = {
    "POST /v1/activity.get": Operation(
        "Uses and denials by minute, and what waits",
        activity.ActivityAnswer,
        (WRONG,),
        "How exact it is: docs/console.md.",
    ),
    "POST /v1/alerts.list": Operation("List the latest alerts", activity.AlertPage, (WRONG,)),
    "POST /v1/audit.list": Operation("List who changed the catalog, keys and webhooks", activity.AuditPage, (WRONG,)),
    "POST /v1/balances.list_near_limit": Operation(
        "List balances that are near their limit", activity.NearLimitPage, (WRONG,)
    ),
    "POST /v1/customers.list_log": Operation(
        "List what happened to a customer", activity.LogPage, (WRONG, *missing("customer"))
    ),
    "POST /v1/keys.create": Operation("Create an API key", answers.CreatedKey, (WRONG,)),
    "POST /v1/keys.list": Operation("List API keys", answers.KeyList),
    "POST /v1/keys.revoke": Operation(
        "Revoke an API key", Success, (WRONG, *missing("key")), "API Gateway may remember it for a minute."
    ),
    "POST /v1/webhooks.rotate_secret": Operation(
        "Give a webhook a new secret",
        answers.NewSecret,
        (WRONG, IN_THE_WAY, *missing("webhook")),
        "The one before signs too for a day.",
    ),
    "POST /v1/webhooks.test": Operation(
        "Send a message that tells of nothing", answers.Delivery, (WRONG, IN_THE_WAY, *missing("webhook"))
    ),
    "POST /v1/webhooks.deliveries": Operation(
        "List a webhook's deliveries", answers.DeliveryList, (WRONG, *missing("webhook"))
    ),
    "POST /v1/webhooks.resend": Operation(
        "Send a message once more", answers.Delivery, (WRONG, IN_THE_WAY, *missing("webhook", "delivery"))
    ),
    "POST /v1/balances.explain": Operation(
        "Explain a check", explained.Explanation, (WRONG, *missing("customer", "entity", "feature")), body=CheckBody
    ),
    "POST /v1/balances.list_locks": Operation(
        "List a customer's locks", answers.LockList, (WRONG, *missing("customer")), "See docs/reservations.md."
    ),
}
"""Tollgate's own routes."""

PRIMARY = {
    "/v1/check": "/v1/balances.check",
    "/v1/entitled": "/v1/balances.check",
    "/v1/track": "/v1/balances.track",
    "/v1/events": "/v1/balances.track",
    "/v1/events/list": "/v1/events.list",
    "/v1/events/aggregate": "/v1/events.aggregate",
    "/v1/customers/list": "/v1/customers.list",
    "/v1/products_beta": "/v1/products",
    "/v1/organization": "/v1/organization/me",
    **{f"/v1/balances/{verb}": f"/v1/balances.{verb}" for verb in ("create", "update", "list")},
}
"""Other paths of the same route."""

OWN_FIELDS: dict[str, tuple[str, ...]] = {
    "FeatureFields": tuple(catalog._EXTRA),
    "PlanFields": ("lookup_key",),
    "PlanItemParams": ("static_value", "is_soft_limit", "is_enabled", "usage_limit"),
    "AttachParams": ("subscription_filters",),
    "UpdateWebhookParams": ("dialect",),
}
"""Fields of requests that Autumn does not have, by model; those built on one have them too."""

TAGS: dict[str, str] = {
    "balances": "Check, count and reserve units, and grant them by hand.",
    "customers": "Whom you sell to.",
    "entities": "What a customer has and a feature counts: seats, workspaces.",
    "features": "What may be had or used.",
    "plans": "What customers subscribe to.",
    "subscriptions": "Which customer has which plan.",
    "events": "The history of use.",
    "catalog": "All features and plans at once, as Autumn's command line asks for them.",
    "webhooks": "Addresses that are told of events.",
    "1.x": "Older paths, for older clients.",
    "keys": "API keys of the environment.",
    "activity": "What happens now.",
    "alerts": "Limits that were reached, and thresholds that were passed.",
    "audit": "Who changed what, and by which key.",
}
_NOUNS = {
    "billing": "subscriptions",
    "purchases": "subscriptions",
    "rewards": "catalog",
    "referral_programs": "catalog",
    "organization": "catalog",
}


def tag_of(path: str) -> str:
    """Under which heading a path stands."""
    noun, dot, _ = path.removeprefix("/v1/").partition(".")
    if path.startswith("/v1/organization"):
        return "catalog"
    return _NOUNS.get(noun, noun) if dot else "1.x"


class Error(Shape):
    """A refusal. Nothing was changed, but where a 503 says that nobody can tell."""

    message: str
    """What is wrong, for who reads it."""
    code: str
    """What is wrong, for a program."""
    env: Env | None
    """The environment; null where it is not known."""


VERSIONS = Parameter(
    "x-api-version",
    "The version whose shapes are spoken; the newest unless told. Those that are listed have the shapes described here. 1.1 to 2.2 are"
    " served too: where they have shapes of their own, `x-older-versions` names them.",
    {
        "type": "string",
        "enum": sorted(name for name, version in versions._VERSIONS.items() if version >= versions.CURSORS),
        "default": "2.5.0",
    },
)
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "A call with a key that was used within 24 hours is refused (409) and changes nothing. The key of a call that fails is free"
    " again.",
    {"type": "string", "minLength": 1, "maxLength": 255},
)
TEXT = """May this customer do this now, and if so, count it.

Tollgate speaks Autumn's documented API; what is marked `x-tollgate-extension` is its own. Amounts are exact decimals, in units of
their feature, below 10^15 and rounded half-even to ten decimals. Times are epoch milliseconds. An id is 1 to 256 visible ASCII
characters without `#`. Unknown fields are ignored. A body has at most 262,144 bytes.

To try calls at `/docs`, give *Authorize* a key of the stack. The examples are of a customer `ada`, who has `messages` by the plan `pro`
as a stack of `make run` sells it: `customers.get_or_create` makes her, `billing.attach` gives her the plan."""

AUTUMN = Dialect(
    name="autumn",
    title="Tollgate: Autumn's API",
    text=TEXT,
    served=lambda: {route: each for route, each in served.autumn().items() if route not in OWN},
    operations=OPERATIONS,
    error_answer=errors.error_answer,
    error=Error,
    code_field="code",
    internal="internal_error",
    codes=autumn_words.CODES,
    fields=autumn_words.FIELDS,
    refusals=(
        WRONG,
        versions.UnknownVersion("x"),
        *(BadKey(reason) for reason in BadKeyReason),
        Forbidden("x"),
        DuplicateRequest(),
        TooManyCalls("key", 1),
        Unavailable("x"),
    ),
    scheme={
        "type": "http",
        "scheme": "bearer",
        "description": "A secret key (`am_sk_…`), or to check a publishable one (`am_pk_…`).",
    },
    headers=(VERSIONS,),
    write_headers=(IDEMPOTENCY_KEY,),
    tags=TAGS,
    tag_of=tag_of,
    nouns={"customers": "customer_id", "entities": "entity_id", "products": "product_id", "features": "feature_id"},
    own_fields=OWN_FIELDS,
)
TOLLGATE = AUTUMN._replace(
    name="tollgate",
    title="Tollgate: its own routes",
    text="Routes that no vendor's API has, in Autumn's shapes: API keys, what reservations hold, why a check is answered so, and what became of webhooks' messages."
    "\n\nTo try calls at `/docs`, give *Authorize* a key of the stack. All is marked `x-tollgate-extension`.",
    served=lambda: {route: each for route, each in served.autumn().items() if route in OWN},
    operations=OWN,
    codes=autumn_words.OWN_CODES,
    fields=autumn_words.OWN_FIELDS,
    own=True,
)
