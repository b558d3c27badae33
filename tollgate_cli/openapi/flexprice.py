"""Flexprice's routes."""

from __future__ import annotations

from tollgate.dialects.flexprice import errors, plans
from tollgate.domain.errors import (
    AlreadyExists,
    BadKey,
    BadKeyReason,
    Forbidden,
    InvalidInput,
    InvalidRequest,
    NotFound,
    TooManyCalls,
    Unavailable,
)
from tollgate_cli.openapi import flexprice_shapes as shapes
from tollgate_cli.openapi import flexprice_words, served
from tollgate_cli.openapi.document import Dialect
from tollgate_cli.openapi.operations import Operation, Parameter

MISSING = NotFound("x", "x")
TAKEN = AlreadyExists("x", "x")
CONTRADICTS = InvalidRequest("x")

IDS = {"type": "array", "items": {"type": "string"}}
FEATURE_IDS = Parameter("feature_ids", "Only these features: the name repeated, or lists with commas.", IDS)
SUBSCRIPTION_IDS = Parameter("subscription_ids", "Only what these subscriptions grant.", IDS)
LOOKUP_KEYS = Parameter("feature_lookup_keys", "Only features with these lookup keys.", IDS)
WHOSE = (
    Parameter("id", "The customer."),
    Parameter("external_customer_id", "Another name of `id`."),
)
OF_WHOM = (
    Parameter("customer_id", "The customer: this or `customer_lookup_key`."),
    Parameter("customer_lookup_key", "Another name of `customer_id`."),
)
EVENT_FILTERS = (
    Parameter("external_customer_id", "Only this customer's."),
    Parameter("customer_id", "Another name of `external_customer_id`."),
    Parameter("event_name", "Only events of this name."),
    Parameter("event_id", "Only this event."),
    Parameter("source", "Only events that came from there."),
    Parameter("property_filters", "Only events with these properties: `name:value,value;name:value`."),
    Parameter("start_time", "From then on (RFC 3339); a week before the end unless told."),
    Parameter("end_time", "Before then (RFC 3339); now unless told."),
    Parameter("page_size", "At most so many: 50 unless told, and no more.", {"type": "integer"}),
    Parameter("offset", "Without the first so many.", {"type": "integer"}),
    Parameter("count_total", "`true`: how many match in all is told."),
    Parameter("iter_last_key", "After this event."),
    Parameter("iter_first_key", "Up to this event."),
    Parameter("sort", "`timestamp` or `event_name`."),
    Parameter("order", "`asc` or `desc`."),
)
MADE_CUSTOMER = (
    "An unknown customer's events wait in the table, and are counted once it holds something that they are a use of."
)
KEPT = "Events that no feature counts are not kept."

OPERATIONS: dict[str, Operation] = {
    # entitlements
    "GET /v1/customers/{}/entitlements": Operation(
        "Get what a customer is entitled to", shapes.CustomerEntitlements, query=(FEATURE_IDS, SUBSCRIPTION_IDS)
    ),
    "GET /v1/customers/external/{}/entitlements": Operation(
        "Get what a customer is entitled to, by its external id",
        shapes.CustomerEntitlements,
        (MISSING,),
        query=(FEATURE_IDS, SUBSCRIPTION_IDS),
    ),
    "GET /v1/subscriptions/{}/entitlements": Operation(
        "Get what a subscription entitles to", shapes.SubscriptionEntitlements, (MISSING,), query=(FEATURE_IDS,)
    ),
    "GET /v1/customers/usage": Operation(
        "Get limits and usage of a customer",
        shapes.CustomerUsage,
        (MISSING,),
        query=(*OF_WHOM, FEATURE_IDS, LOOKUP_KEYS, SUBSCRIPTION_IDS),
    ),
    "GET /v1/customers/{}/usage": Operation(
        "Get limits and usage of a customer, by its id",
        shapes.CustomerUsage,
        (MISSING,),
        query=(FEATURE_IDS, LOOKUP_KEYS, SUBSCRIPTION_IDS),
    ),
    # events
    "POST /v1/events": Operation("Report an event", {202: shapes.EventAccepted}, text=MADE_CUSTOMER),
    "POST /v1/events/bulk": Operation("Report up to 1,000 events", {202: shapes.Message}, text=MADE_CUSTOMER),
    "GET /v1/events": Operation("List events, asked for in the query", shapes.EventList, query=EVENT_FILTERS),
    "POST /v1/events/query": Operation("List events", shapes.EventList),
    "POST /v1/events/usage": Operation("Sum up events of one name", shapes.EventUsage, text=KEPT),
    "POST /v1/events/usage/meter": Operation("Sum up what a meter counted", shapes.EventUsage, (MISSING, CONTRADICTS)),
    "POST /v1/events/analytics": Operation(
        "Sum up a customer's uses by feature", shapes.Analytics, (MISSING, CONTRADICTS)
    ),
    # features
    "GET /v1/features": Operation("List features", shapes.FeaturePage),
    "POST /v1/features": Operation("Create a feature", {201: shapes.Feature}, (TAKEN,)),
    "POST /v1/features/search": Operation("Search features", shapes.FeaturePage),
    "GET /v1/features/{}": Operation("Get a feature", shapes.Feature, (MISSING,)),
    "PUT /v1/features/{}": Operation(
        "Change a feature", shapes.Feature, (MISSING, CONTRADICTS), "Fields that are absent stay."
    ),
    "DELETE /v1/features/{}": Operation("Delete a feature", shapes.Message, (MISSING, CONTRADICTS)),
    "GET /v1/meters": Operation("List meters", shapes.MeterPage),
    "GET /v1/meters/{}": Operation("Get a meter", shapes.Meter, (MISSING,)),
    # plans and add-ons
    "GET /v1/plans": Operation("List plans", shapes.PlanPage),
    "POST /v1/plans": Operation("Create a plan", {201: shapes.Plan}, (TAKEN,)),
    "POST /v1/plans/search": Operation("Search plans", shapes.PlanPage),
    "GET /v1/plans/{}": Operation("Get a plan", shapes.Plan, (MISSING,)),
    "PUT /v1/plans/{}": Operation(
        "Change a plan", shapes.Plan, (MISSING,), "Fields that are absent stay.", body=plans.UpdatePlanParams
    ),
    "DELETE /v1/plans/{}": Operation("Delete a plan", shapes.Message, (MISSING,)),
    "GET /v1/plans/{}/entitlements": Operation(
        "List a plan's entitlements", shapes.EntitlementPage | shapes.PlanWithEntitlements, (MISSING,)
    ),
    "GET /v1/addons": Operation("List add-ons", shapes.AddonPage),
    "POST /v1/addons": Operation("Create an add-on", {201: shapes.Addon}, (TAKEN,)),
    "POST /v1/addons/search": Operation("Search add-ons", shapes.AddonPage),
    "GET /v1/addons/lookup/{}": Operation("Get an add-on by its lookup key", shapes.Addon, (MISSING,)),
    "GET /v1/addons/{}": Operation("Get an add-on", shapes.Addon, (MISSING,)),
    "PUT /v1/addons/{}": Operation(
        "Change an add-on", shapes.Addon, (MISSING,), "Fields that are absent stay.", body=plans.UpdatePlanParams
    ),
    "DELETE /v1/addons/{}": Operation("Delete an add-on", shapes.Message, (MISSING,)),
    "GET /v1/addons/{}/entitlements": Operation("List an add-on's entitlements", shapes.EntitlementPage, (MISSING,)),
    "GET /v1/entitlements": Operation("List entitlements", shapes.EntitlementPage),
    "POST /v1/entitlements": Operation(
        "Create an entitlement", {201: shapes.Entitlement}, (MISSING, TAKEN, CONTRADICTS)
    ),
    "POST /v1/entitlements/bulk": Operation(
        "Create up to 100 entitlements", {201: shapes.Entitlements}, (MISSING, TAKEN, CONTRADICTS)
    ),
    "POST /v1/entitlements/search": Operation("Search entitlements", shapes.EntitlementPage),
    "GET /v1/entitlements/{}": Operation("Get an entitlement", shapes.Entitlement, (MISSING,)),
    "PUT /v1/entitlements/{}": Operation("Change an entitlement", shapes.Entitlement, (MISSING, CONTRADICTS)),
    "DELETE /v1/entitlements/{}": Operation("Delete an entitlement", shapes.Message, (MISSING, CONTRADICTS)),
    # customers
    "GET /v1/customers": Operation("List customers", shapes.CustomerPage),
    "POST /v1/customers": Operation("Create a customer", {201: shapes.Customer}, (TAKEN,)),
    "PUT /v1/customers": Operation("Change a customer named in the query", shapes.Customer, (MISSING,), query=WHOSE),
    "PUT /v1/customers/{}": Operation("Change a customer", shapes.Customer, (MISSING,)),
    "GET /v1/customers/{}": Operation("Get a customer", shapes.Customer, (MISSING,)),
    "DELETE /v1/customers/{}": Operation("Delete a customer", {204: None}, (MISSING,)),
    "POST /v1/customers/search": Operation("Search customers", shapes.CustomerPage),
    "GET /v1/customers/external/{}": Operation("Get a customer by its external id", shapes.Customer, (MISSING,)),
    "GET /v1/customers/lookup/{}": Operation("Get a customer by its lookup key", shapes.Customer, (MISSING,)),
    "GET /v1/customers/external/{}/subscriptions": Operation(
        "List a customer's subscriptions", shapes.SubscriptionPage, (MISSING,)
    ),
    # subscriptions
    "GET /v1/subscriptions": Operation("List subscriptions", shapes.SubscriptionPage),
    "POST /v1/subscriptions": Operation(
        "Create a subscription", {201: shapes.Subscription}, (MISSING, CONTRADICTS, TAKEN)
    ),
    "POST /v1/subscriptions/search": Operation("Search subscriptions", shapes.SubscriptionPage),
    "GET /v1/subscriptions/{}": Operation("Get a subscription", shapes.Subscription, (MISSING,)),
    "POST /v1/subscriptions/{}/cancel": Operation("Cancel a subscription", shapes.Canceled, (MISSING, CONTRADICTS)),
    "POST /v1/subscriptions/addon": Operation(
        "Add an add-on to a subscription", shapes.Association, (MISSING, CONTRADICTS)
    ),
    "DELETE /v1/subscriptions/addon": Operation(
        "Remove an add-on from its subscription", shapes.Message, (MISSING, CONTRADICTS)
    ),
    "GET /v1/subscriptions/{}/addons/associations": Operation(
        "List a subscription's add-ons", shapes.AssociationPage | list[shapes.Association], (MISSING,)
    ),
}

TAGS = {
    "customers": "Whom you sell to, what they are entitled to, and what they used.",
    "events": "Usage that has happened.",
    "features": "What may be had or used.",
    "meters": "Which events features count.",
    "plans": "What customers subscribe to.",
    "addons": "What stands beside a plan.",
    "entitlements": "What plans and add-ons grant of a feature.",
    "subscriptions": "Which customer has which plan.",
}

FLEXPRICE = Dialect(
    name="flexprice",
    title="Tollgate: Flexprice's API",
    text="""What is a customer entitled to, and how much of it was used?

Tollgate speaks Flexprice's documented API; what is marked `x-tollgate-extension` is its own. Limits are whole units; other amounts
are texts that hold every digit. Times are RFC 3339. A field that has no value is null, and unknown fields of a request are
ignored. A body has at most 262,144 bytes. A filter in the query takes repeated names and lists with commas, both at once.

To try calls at `/docs`, give *Authorize* a key of the stack. The examples are of a feature `tokens`, a plan `pro` with an entitlement to it, a customer
`ada` and her subscription: make them in this order. Ids that Tollgate chose (`subs_…`, `ent_…`) are others in each stack: the answer that made a thing has its.""",
    served=served.flexprice,
    operations=OPERATIONS,
    error_answer=errors.error_answer,
    error=shapes.Error,
    code_field="code",
    internal="internal_error",
    codes=flexprice_words.CODES,
    fields=flexprice_words.FIELDS,
    refusals=(
        InvalidInput("x", "x"),
        BadKey(BadKeyReason.UNKNOWN),
        Forbidden("x"),
        TooManyCalls("key", 1),
        Unavailable("x"),
    ),
    scheme={"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A secret key (`am_sk_…`)."},
    headers=(),
    write_headers=(),
    tags=TAGS,
    tag_of=lambda path: path.split("/")[2],
    nouns={
        **dict.fromkeys(("customers", "features", "plans", "addons", "entitlements", "subscriptions", "meters"), "id"),
        "external": "external_id",
        "lookup": "key",
    },
    reads_query=True,
)
