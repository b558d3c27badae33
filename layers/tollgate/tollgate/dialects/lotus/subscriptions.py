"""`subscriptions` (lotus.md 1.8): request in, answer out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus.access import METRIC, asked_feature
from tollgate.dialects.lotus.errors import Invalid, OverlappingPlans, Problem, does_not_exist
from tollgate.dialects.lotus.fields import Filtered, Moment, Number, Params, Start, Text
from tollgate.dialects.lotus.ids import is_plan, is_version, subscription_id, subscription_of
from tollgate.dialects.lotus.shapes import customer_json, dates_json, filters_json, term, version_json
from tollgate.domain.allowances import answers
from tollgate.domain.customers import Holdings, Subscription
from tollgate.domain.errors import Conflict, NotFound
from tollgate.domain.periods import next_boundary
from tollgate.domain.plan_grants import ALL_USAGES
from tollgate.domain.plans import Plan
from tollgate.domain.quantities import quantity
from tollgate.domain.subscriptions import Terms, nested
from tollgate.domain.use_records import checked_properties_size
from tollgate.exact_json import dumps
from tollgate.usecases.access import Access
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers, SubscriptionFilter, SubscriptionUpdate

STATUSES = {"active": "active", "expired": "ended", "scheduled": "not_started"}


class UnitsParams(Params):
    """How many units of a prepaid metric are bought."""

    metric_id: Text
    units: Number


class CreateParams(Filtered):
    """The body of `POST /api/subscriptions/`. Times become epoch ms."""

    customer_id: Text
    start_date: Start
    plan_id: Text | None = None
    version_id: Text | None = None
    end_date: Moment | None = None
    auto_renew: bool = True
    is_new: bool = True
    metadata: dict[str, Any] | None = None
    component_fixed_charges_initial_units: Annotated[list[UnitsParams], Field(max_length=100)] | None = None


class ListParams(Filtered):
    """The query of `GET /api/subscriptions/`."""

    customer_id: Text
    plan_id: Text | None = None
    range_start: Moment | None = None
    range_end: Moment | None = None


class StatusParams(Params):
    """The statuses in the query, which may repeat the name."""

    status: list[Literal["active", "ended", "not_started"]] = Field(default=["active"])


class CancelParams(Params):
    """How a canceled subscription is to be paid for: the values are checked, and have no effect."""

    flat_fee_behavior: Literal["refund", "prorate", "charge_full"] | None = None
    usage_behavior: Literal["bill_full", "bill_none"] | None = None
    invoicing_behavior: Literal["add_to_next_invoice", "invoice_now"] | None = None


def create(catalogs: Catalogs, customers: Customers, access: Access, request: Request) -> Answer:
    """`POST /api/subscriptions/`: subscribes a customer to a plan, or to one version of it (lotus.md 1.8).

    Raises Invalid, InvalidInput, or OverlappingPlans where the customer holds the plan under filters that overlap.
    """
    params = CreateParams.of(request)
    env, now = request.caller.environment, request.now
    if (params.plan_id is None) == (params.version_id is None):
        raise Invalid(Problem("invalid", "You must specify exactly one of plan_id or version_id"))
    if params.end_date is not None and params.end_date <= now:
        raise Invalid(Problem("invalid", "End date cannot be in the past", "end_date"))
    plan = _plan(catalogs, request, params)
    try:
        holdings = customers.get(request.customer(params.customer_id))
    except NotFound as error:
        raise does_not_exist("customer_id", params.customer_id) from error
    at = holdings.time(now)
    for held in holdings.subscriptions.values():
        same = held.plan_id == plan.id and held.entity_id is None and not held.add_on
        if same and held.status(at) != "expired" and nested(held.filters, params.filters):
            raise OverlappingPlans("This customer already has a subscription to this plan with overlapping filters.")
    metadata = params.metadata or {}
    checked_properties_size(len(dumps(metadata)))
    units = params.component_fixed_charges_initial_units or ()
    quantities = {
        asked_feature(access, env, each.metric_id, "metric_id", METRIC).id: quantity(each.units, "units")
        for each in units
    }
    terms = Terms(
        quantities=quantities,
        starts_at=params.start_date,
        backdate=True,
        ends_at=params.end_date if params.auto_renew or params.end_date else _cycle_end(plan, params.start_date, at),
        free_trial=plan.free_trial,
        carry_over=ALL_USAGES,
        stacks=True,
        filters=params.filters,
        extra={"is_new": params.is_new, "metadata": metadata},
    )
    try:
        subscription, after = customers.attach(request.customer(params.customer_id), plan.id, plan.version, now, terms)
    except Conflict as error:
        raise OverlappingPlans(str(error)) from error
    return Answer(record_json(request, after, subscription, plan), 201)


def list_subscriptions(customers: Customers, access: Access, request: Request) -> Answer:
    """`GET /api/subscriptions/`: one customer's, active ones unless told. Raises Invalid for an unknown customer."""
    params = ListParams.of(request)
    named = request.query.get("status")
    statuses = StatusParams.parsed({"status": list(named)} if named else {}).status
    try:
        holdings = customers.get(request.customer(params.customer_id))
    except NotFound as error:
        raise does_not_exist("customer_id", params.customer_id) from error
    at = holdings.time(request.now)
    if "ended" in statuses:
        holdings = customers.with_ended(request.caller.environment, holdings)
    env, plans = request.caller.environment, access.plans(request.caller.environment, holdings.subscriptions.values())
    found = []
    for held in sorted(holdings.subscriptions.values(), key=lambda s: (s.started_at, s.created_at, s.id)):
        start, end = term(held, at)
        if held.entity_id is not None or STATUSES[held.status(at)] not in statuses:
            continue
        if params.plan_id is not None and not is_plan(env, plans[held.id], params.plan_id):
            continue
        if (params.range_start and end < params.range_start) or (params.range_end and start > params.range_end):
            continue
        if answers(held.filters, params.filters):
            found.append(record_json(request, holdings, held, plans[held.id]))
    return Answer(found)


def get(customers: Customers, access: Access, request: Request, id: str) -> Answer:
    """`GET /api/subscriptions/{id}/`, also of one that has ended. Raises NotFound."""
    holdings, held = _named(customers, request, id)
    return Answer(record_json(request, holdings, held, access.plan(request.caller.environment, held)))


def cancel(customers: Customers, access: Access, request: Request, id: str) -> Answer:
    """`POST /api/subscriptions/{id}/cancel/`: ends a subscription at once. Raises NotFound."""
    CancelParams.of(request)
    env = request.caller.environment
    holdings, held = _named(customers, request, id)
    if held.status(holdings.time(request.now)) == "expired":
        raise NotFound("subscription", id)
    customer = request.customer(holdings.customer.id)
    ended = customers.update_subscription(
        customer, SubscriptionFilter(held.id), SubscriptionUpdate("cancel_immediately"), request.now
    )
    return Answer(record_json(request, holdings, ended, access.plan(env, ended)))


def _named(customers: Customers, request: Request, id: str) -> tuple[Holdings, Subscription]:
    """The subscription of this id, and what its customer holds. Raises NotFound."""
    named = subscription_of(id)
    holdings = None if named is None else customers.get_or_nothing(request.customer(named[0]))
    held = None
    if named is not None and holdings is not None:
        held = holdings.subscriptions.get(named[1]) or customers.ended(request.caller.environment, holdings, named[1])
    if holdings is None or held is None:
        raise NotFound("subscription", id)
    return holdings, held


def record_json(request: Request, holdings: Holdings, subscription: Subscription, plan: Plan) -> dict[str, Any]:
    """A subscription as Lotus shows it."""
    env, at = request.caller.environment, holdings.time(request.now)
    return {
        "subscription_id": subscription_id(holdings.customer.id, subscription),
        **dates_json(subscription, at),
        "auto_renew": subscription.expires_at is None,
        "is_new": subscription.extra.get("is_new", True),
        "subscription_filters": filters_json(subscription),
        "customer": customer_json(holdings.customer),
        "billing_plan": version_json(env, plan),
        "fully_billed": False,
        "addons": [],
        "metadata": subscription.extra.get("metadata", {}),
    }


def _plan(catalogs: Catalogs, request: Request, params: CreateParams) -> Plan:
    """The plan's newest version, or the version that is named. Raises Invalid."""
    env = request.caller.environment
    if params.version_id is not None:
        versions = catalogs.plan_versions(env)
        found = [plan for plan in versions if is_version(env, plan, params.version_id)]
        field, asked = "version_id", params.version_id
    else:
        field, asked = "plan_id", str(params.plan_id)
        found = [plan for plan in catalogs.plans(env) if is_plan(env, plan, asked)]
    if not found:
        raise does_not_exist(field, asked)
    return found[0]


def _cycle_end(plan: Plan, start: int, now: int) -> int | None:
    """The end of the billing cycle that runs, for a subscription that is not renewed; None where nothing recurs."""
    return next_boundary(start, plan.cycle, max(start, now)) if plan.cycle else None
