"""Lotus's routes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tollgate.dialects.lotus import errors
from tollgate.dialects.lotus.errors import DuplicateResource, Invalid, OverlappingPlans, Problem
from tollgate.dialects.lotus.fields import Moment, Params, Text
from tollgate.domain.errors import (
    BadKey,
    BadKeyReason,
    Forbidden,
    InvalidInput,
    InvalidRequest,
    NotFound,
    TooManyCalls,
    Unavailable,
)
from tollgate_cli.openapi import lotus_shapes as shapes
from tollgate_cli.openapi import lotus_words, served
from tollgate_cli.openapi.document import Dialect
from tollgate_cli.openapi.operations import Operation, Parameter


class TrackedEvent(Params):
    """One event that has happened. What is wrong with one is told in the answer, and the others are taken."""

    event_name: Text
    idempotency_id: Text
    customer_id: Text
    time_created: Moment
    properties: dict[str, Any] | None = None


class TrackedBatch(Params):
    """Events that have happened."""

    batch: Annotated[list[TrackedEvent], Field()]


def _wrong(code: str) -> Invalid:
    return Invalid(Problem(code, "x", "x"))


UNKNOWN = _wrong("does_not_exist")
MISSING = NotFound("x", "x")
CONTRADICTS = InvalidRequest("x")
STATUSES = Parameter(
    "status",
    "Which subscriptions; active ones unless told. The name may be repeated.",
    {"type": "array", "items": {"type": "string", "enum": ["active", "ended", "not_started"]}},
)
DURATION = Parameter(
    "duration", "Only plans of this duration: `monthly`, `quarterly` or `yearly`. The name may be repeated."
)

OPERATIONS: dict[str, Operation] = {
    "GET /api/metric_access/": Operation("Check a metric", shapes.MetricAccess, (UNKNOWN,)),
    "GET /api/feature_access/": Operation("Check a feature", shapes.FeatureAccess, (UNKNOWN,)),
    "GET /api/customer_access/": Operation(
        "Check a feature or an event (2022)",
        {200: shapes.CustomerAccess, 400: shapes.FieldErrors | shapes.AccessFailed},
    ),
    "GET /api/customer_metric_access/": Operation(
        "Get what is left of a metric (deprecated)", list[shapes.SubscriptionUsage], (UNKNOWN,)
    ),
    "GET /api/customer_feature_access/": Operation(
        "Get who has a feature (deprecated)", list[shapes.SubscriptionFeature], (UNKNOWN,)
    ),
    "GET /api/ping/": Operation("Try a key", shapes.Ping),
    "POST /api/track/": Operation(
        "Report events",
        {201: shapes.Tracked, 400: shapes.Tracked},
        text="Unknown customers' events wait, and are counted once they hold something that they are a use of.",
        body=TrackedBatch | list[TrackedEvent] | TrackedEvent,
    ),
    "POST /api/verify_idems_received/": Operation(
        "Find events that were not received", {200: shapes.Verified, 400: shapes.VerifyFailed}
    ),
    "GET /api/customers/": Operation("List customers", list[shapes.Customer]),
    "POST /api/customers/": Operation("Create a customer", {201: shapes.Customer}, (DuplicateResource("x"),)),
    "GET /api/customers/{}/": Operation("Get a customer", shapes.Customer, (MISSING,)),
    "GET /api/customer_detail/": Operation("Get a customer named in the query", shapes.Customer, (MISSING,)),
    "POST /api/batch_create_customers/": Operation(
        "Create up to 500 customers", {201: shapes.BatchCreated, 400: shapes.BatchFailed}
    ),
    "GET /api/subscriptions/": Operation(
        "List a customer's subscriptions", list[shapes.Subscription], (UNKNOWN,), query=(STATUSES,)
    ),
    "POST /api/subscriptions/": Operation(
        "Create a subscription", {201: shapes.Subscription}, (UNKNOWN, CONTRADICTS, OverlappingPlans("x"))
    ),
    "GET /api/subscriptions/{}/": Operation("Get a subscription", shapes.Subscription, (MISSING,)),
    "POST /api/subscriptions/{}/cancel/": Operation(
        "Cancel a subscription", shapes.Subscription, (CONTRADICTS, MISSING)
    ),
    "GET /api/plans/": Operation("List plans", list[shapes.Plan], query=(DURATION,)),
    "GET /api/plans/{}/": Operation("Get a plan", shapes.Plan, (MISSING,)),
}

TAGS = {
    "access": "May a customer use a metric or a feature? A publishable key may ask.",
    "events": "Usage that has happened.",
    "customers": "Whom you sell to.",
    "subscriptions": "Which customer has which plan.",
    "plans": "What customers subscribe to.",
}


def tag_of(path: str) -> str:
    """Under which heading a path stands."""
    noun = path.split("/")[2]
    if noun in ("batch_create_customers", "customer_detail"):
        return "customers"
    return noun if noun in TAGS else "access" if noun.endswith("access") else "events"


LOTUS = Dialect(
    name="lotus",
    title="Tollgate: Lotus's API",
    text="""May this customer use this metric, and what is left of it?

Tollgate speaks Lotus's documented API. Amounts are exact, in units of their metric. Times are ISO 8601; without an offset they are UTC.
A GET reads its parameters from the query, or from a JSON body. Numbers and booleans may be sent as texts. Unknown fields of a request are
ignored. A body has at most 524,288 bytes.

To try calls at `/docs`, give *Authorize* a key of the stack. The examples are of a customer `ada` and her subscription to a plan `pro` that has the
metric `api_calls`. Metrics and plans are made by Autumn's `features.create` and `plans.create`. Send a `time_created` of today: that of
an example is of the day it was recorded.""",
    served=served.lotus,
    operations=OPERATIONS,
    error_answer=errors.error_answer,
    error=shapes.Error,
    code_field="title",
    internal="error",
    codes=lotus_words.CODES,
    fields=lotus_words.FIELDS,
    refusals=(
        InvalidInput("body", "x"),
        BadKey(BadKeyReason.UNKNOWN),
        BadKey(BadKeyReason.MISSING),
        *(_wrong(code) for code in ("required", "blank", "invalid", "invalid_choice")),
        Forbidden("x"),
        TooManyCalls("key", 1),
        Unavailable("x"),
    ),
    scheme={
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "A secret key (`am_sk_…`), or to check access a publishable one (`am_pk_…`).",
    },
    headers=(),
    write_headers=(),
    tags=TAGS,
    tag_of=tag_of,
    nouns=dict.fromkeys(("customers", "subscriptions", "plans"), "id"),
    reads_query=True,
    json_in_query=True,
)
