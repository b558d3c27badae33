"""Subscriptions: `GET` and `POST /v1/subscriptions`, `GET` of one, `POST …/search`, `…/{id}/cancel`, `POST` and `DELETE …/addon`,
`GET …/{id}/addons/associations`, `GET /v1/customers/external/{external_id}/subscriptions`.

A subscription is kept with its customer, so the ids made here end with the customer's. A
subscription with any other id is searched for among all customers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from tollgate.dialects.flexprice.customers import ids_by_field, named_customers
from tollgate.dialects.flexprice.features import feature_type
from tollgate.dialects.flexprice.fields import Id, Limit, Metadata, Params, Start, Text, Time, Whole, filled, time_text
from tollgate.dialects.flexprice.grants import GRANTS, entitlements_of, overridden
from tollgate.dialects.flexprice.lists import SearchParams, among, reads_older_shapes, whole_list
from tollgate.dialects.flexprice.periods import NAMES
from tollgate.dialects.flexprice.plans import ONETIME, addon_type, found_plan
from tollgate.dialects.flexprice.shapes import CANCELLATION, whole
from tollgate.dialects.flexprice.subscription_shapes import (
    association_json,
    billing_period,
    status_of,
    subscription_json,
)
from tollgate.dialects.http import Answer, Request
from tollgate.domain.customers import Holdings, Subscription
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput, InvalidRequest, NotFound
from tollgate.domain.ids import checked_id
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plan_grants import ALL_USAGES
from tollgate.domain.plans import FreeTrial, Plan, PlanItem
from tollgate.domain.subscriptions import Terms
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import (
    Customers,
    ListedCustomer,
    ListedSubscription,
    SubscriptionFilter,
    SubscriptionUpdate,
)
from tollgate.usecases.ids import new_id

BillingPeriod = Literal["MONTHLY", "ANNUAL", "WEEKLY", "DAILY", "QUARTERLY", "HALF_YEARLY"]
MAX_ID = 256
RUNNING = ("active", "trialing")

_OWN_ID = re.compile(r"[a-z]+_[0-9a-f]{32}_(.+)").fullmatch


class OverrideParams(Params):
    """What one subscription has in place of one of its plan's entitlements."""

    later = (*GRANTS, "aggregation_mode")

    entitlement_id: Text
    usage_limit: Limit | None = None
    is_enabled: bool | None = None
    static_value: Text | None = None


class StartAddonParams(Params):
    """An add-on that starts with its subscription."""

    later: ClassVar[tuple[str, ...]] = ("start_date", "cadence")

    addon_id: Id


class CreateSubscriptionParams(Params):
    """The body of `POST /v1/subscriptions`.

    Fields about payment alone are accepted and not kept. Fields that would change what is granted, and are not served,
    are refused.
    """

    later: ClassVar[tuple[str, ...]] = ("phases", "inheritance", "checkout")

    customer_id: Id | None = None
    external_customer_id: Id | None = None
    plan_id: Id
    currency: Text
    billing_period: BillingPeriod
    billing_period_count: Annotated[Whole, Field(ge=1, le=100)] | None = None
    billing_anchor: Start | None = None
    billing_cycle: Literal["anniversary", "calendar"] | None = None
    start_date: Start | None = None
    end_date: Time | None = None
    trial_period_days: Annotated[Whole, Field(ge=0, le=1000)] | None = None
    lookup_key: Text | None = None
    metadata: Metadata | None = None
    subscription_status: Literal["active"] | None = None
    override_entitlements: Annotated[list[OverrideParams], Field(max_length=90)] | None = None
    addons: Annotated[list[StartAddonParams], Field(max_length=20)] | None = None

    @property
    def customer(self) -> str:
        """The customer's id, under either of its names. Raises InvalidInput where they differ or both are absent."""
        if self.customer_id and self.external_customer_id not in (None, self.customer_id):
            raise InvalidInput("customer_id", "and external_customer_id name different customers")
        id = self.customer_id or self.external_customer_id
        if id is None:
            raise InvalidInput("customer_id", "or external_customer_id is required")
        return id

    def cycle(self) -> Reset:
        """The billing cycle in the domain's words."""
        one = NAMES[self.billing_period]
        return Reset(one.interval, self.billing_period_count or 1)


class CancelParams(Params):
    """The body of `POST /v1/subscriptions/{id}/cancel`."""

    later = ("cancel_at",)

    cancellation_type: Literal["immediate", "end_of_period"]
    reason: Text | None = None


class SearchSubscriptionsParams(SearchParams):
    """What a list of subscriptions may ask for. What is paid (`with_…`) is not kept: it is null, asked for or not."""

    later: ClassVar[tuple[str, ...]] = (
        *SearchParams.later,
        "active_at",
        "effective_date_for_update",
        "invoicing_customer_ids",
        "parent_subscription_ids",
        "trial_end_due_lte",
        "start_time",
        "end_time",
    )
    fields = (
        *SearchParams.fields,
        "customer_id",
        "plan_id",
        "subscription_status",
        "billing_period",
        "billing_period_count",
        "billing_cycle",
        "currency",
        "lookup_key",
        "start_date",
        "end_date",
        "current_period_start",
        "current_period_end",
        "trial_start",
        "trial_end",
        "cancelled_at",
        "cancel_at",
    )

    with_line_items: bool | None = None
    with_coupon_associations: bool | None = None
    customer_id: Text | None = None
    customer_ids: list[Text] | None = None
    external_customer_id: Text | None = None
    plan_id: Text | None = None
    subscription_ids: list[Text] | None = None
    subscription_status: list[Text] | None = None
    subscription_type: list[Text] | None = None
    billing_cadence: list[Text] | None = None
    billing_period: list[Text] | None = None


class AddAddonParams(Params):
    """The body of `POST /v1/subscriptions/addon`. The add-on starts at once, or at `start_date`."""

    later: ClassVar[tuple[str, ...]] = ("checkout", "cadence")

    subscription_id: Text
    addon_id: Id
    start_date: Start | None = None
    change_at: Literal["immediate"] | None = None
    metadata: Metadata | None = None


class RemoveAddonParams(Params):
    """The body of `DELETE /v1/subscriptions/addon`."""

    later = ("effective_date",)

    addon_association_id: Text
    change_at: Literal["immediate", "period_end"] | None = None
    reason: Text | None = None


def create(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`POST /v1/subscriptions`: subscribes a customer to a plan, with its add-ons.

    A customer holds a plan once (docs/flexprice.md): a second subscription with the same terms is refused, and one with
    other terms replaces the first. Raises NotFound, InvalidInput or InvalidRequest.
    """
    params = CreateSubscriptionParams.of(request.body)
    env, customer_id = request.caller.environment, params.customer
    plan = found_plan(catalogs, request, params.plan_id)
    _check_onetime([found_plan(catalogs, request, addon.addon_id, add_on=True) for addon in params.addons or ()])
    overrides = params.override_entitlements
    items = _overridden(catalogs, env, plan, overrides) if overrides else None
    anchor = params.billing_anchor
    at = customers.get(request.customer(customer_id)).time(request.now)
    if anchor is None and params.billing_cycle == "calendar":
        anchor = _calendar_start(params.billing_period, params.start_date or at)
    if anchor is None and params.start_date is not None and params.start_date < at:
        anchor = params.start_date
    extra = filled(
        {
            "currency": params.currency.lower(),
            "billing_cycle": params.billing_cycle or "anniversary",
            "lookup_key": params.lookup_key,
            "metadata": params.metadata,
        }
    )
    terms = Terms(
        items=items,
        starts_at=params.start_date,
        ends_at=params.end_date,
        anchor=anchor,
        free_trial=FreeTrial(params.trial_period_days, Interval.DAY) if params.trial_period_days else None,
        trial_again=True,
        carry_over=ALL_USAGES,
        stacks=True,
        cycle=params.cycle(),
        extra=extra,
    )
    id = _new_id("subs", customer_id)
    subscription, holdings = customers.attach(request.customer(customer_id), plan.id, None, request.now, terms, id)
    for addon in params.addons or ():
        _attach_addon(customers, request, holdings, subscription, NewAddon(addon.addon_id, params.start_date, {}))
    return Answer(subscription_json(holdings, subscription, plan, env, holdings.time(request.now)), 201)


def get(catalogs: Catalogs, customers: Customers, request: Request, id: str) -> Answer:
    """`GET /v1/subscriptions/{id}`. Raises NotFound."""
    env = request.caller.environment
    holdings, subscription = found(customers, env, id)
    plan = catalogs.plan(env, subscription.plan_id, subscription.plan_version)
    return Answer(subscription_json(holdings, subscription, plan, env, holdings.time(request.now)))


def cancel(customers: Customers, request: Request, id: str) -> Answer:
    """`POST /v1/subscriptions/{id}/cancel`: ends it and its add-ons, at once or with the period. Raises NotFound."""
    params = CancelParams.of(request.body)
    env = request.caller.environment
    holdings, _ = found(customers, env, id)
    action = "cancel_immediately" if params.cancellation_type == "immediate" else "cancel_end_of_cycle"
    ended = customers.update_subscription(
        request.customer(holdings.customer.id), SubscriptionFilter(id), SubscriptionUpdate(action), request.now
    )
    at = holdings.time(request.now)
    return Answer(
        whole(
            CANCELLATION,
            {
                "subscription_id": id,
                "cancellation_type": params.cancellation_type,
                "effective_date": time_text(ended.expires_at),
                "processed_at": time_text(at),
                "status": status_of(ended, at),
                "reason": params.reason,
                "message": "Subscription cancelled",
            },
        )
    )


def search(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`GET /v1/subscriptions`, `POST …/search`: of the customers that are named, or of all, without add-ons."""
    params = SearchSubscriptionsParams.asked(request)
    env = request.caller.environment
    named = ids_by_field(params, "customer_id", "external_customer_id", "customer_ids")
    asked = any(condition.field == "subscription_status" for condition in params.filters or ())
    statuses = params.subscription_status or (None if asked else RUNNING)
    all_asked = statuses is None or "cancelled" in statuses

    holders = None if named else _who_may_hold(customers, env, params)
    if holders is not None and not all_asked and not params.billing_period and params.by_creation:
        listed = list(holders)
        if all(one.facts is not None for one in listed):
            return _page_of_list(catalogs, customers, request, params, listed)
        holders = iter(listed)
    if holders is not None:
        read = customers.read(env, holders)
    elif named:
        read = named_customers(customers, env, named)
    else:
        read = customers.with_subscriptions(env, params.subscription_ids or ())

    def whole_of(held: Holdings) -> Holdings:
        return customers.with_ended(env, held) if all_asked else held

    found = [
        (s.created_at, (holdings, s))
        for holdings in map(whole_of, read)
        for s in holdings.subscriptions.values()
        if _asked(s, params, statuses, holdings.time(request.now))
        and among(s.id, params.subscription_ids)
        and among(billing_period(s)[0], params.billing_period)
    ]
    plans = {(plan.id, plan.version): plan for plan in catalogs.plan_versions(env)}

    def shown(entry: tuple[Holdings, Subscription]) -> dict[str, Any]:
        holdings, s = entry
        plan = plans.get((s.plan_id, s.plan_version))
        return subscription_json(holdings, s, plan, env, holdings.time(request.now))

    return params.page(found, shown)


def _asked(s: Subscription | ListedSubscription, params: SearchSubscriptionsParams, statuses: Any, at: int) -> bool:
    """Whether a subscription has the plan and one of the statuses that are asked for, at its customer's time (ms)."""
    return (
        s.parent_id is None
        and params.has_status(archived=False)
        and among(status_of(s, at), statuses)
        and among(s.plan_id, [params.plan_id] if params.plan_id else None)
        and among("standalone", params.subscription_type)
        and among("RECURRING", params.billing_cadence)
    )


def _page_of_list(
    catalogs: Catalogs,
    customers: Customers,
    request: Request,
    params: SearchSubscriptionsParams,
    listed: Sequence[ListedCustomer],
) -> Answer:
    """The page of what the list of customers says of their subscriptions: only the customers that it shows are read."""
    env = request.caller.environment
    statuses = params.subscription_status or RUNNING
    found = [
        (s.created_at, (one, s))
        for one in listed
        if one.facts is not None
        for s in one.facts.subscriptions
        if _asked(s, params, statuses, one.facts.time(request.now))
    ]
    page = params.page(found, lambda entry: {"customer": entry[0], "id": entry[1].id})
    wanted = page.body["items"]
    read = {held.customer.id: held for held in customers.read(env, dict.fromkeys(one["customer"] for one in wanted))}
    shown = [(read.get(one["customer"].customer_id), one["id"]) for one in wanted]
    still = [(held, held.subscriptions[id]) for held, id in shown if held is not None and id in held.subscriptions]
    plans = catalogs.plans_of(env, [s for _, s in still])
    items = [subscription_json(held, s, plans.get(s.id), env, held.time(request.now)) for held, s in still]
    return page._replace(body={**page.body, "items": items})


def _who_may_hold(
    customers: Customers, env: Environment, params: SearchSubscriptionsParams
) -> Iterator[ListedCustomer] | None:
    """Those that have, or had, the plan that is asked for, as their list says; None where subscriptions are named by id."""
    plan_id = params.plan_id
    if params.subscription_ids:
        return None

    def may(listed: ListedCustomer) -> bool:
        facts = listed.facts
        if facts is None:
            return True
        return bool(facts.ended or facts.subscriptions) and (
            not plan_id or plan_id in facts.ended or any(s.plan_id == plan_id for s in facts.subscriptions)
        )

    return filter(may, customers.with_plan(env, plan_id) if plan_id else customers.listed(env))


def of_customer(catalogs: Catalogs, customers: Customers, request: Request, external_id: str) -> Answer:
    """`GET /v1/customers/external/{external_id}/subscriptions`: the running ones, newest first. Raises NotFound."""
    env = request.caller.environment
    holdings = customers.get(request.customer(checked_id(external_id, "external_id")))
    at = holdings.time(request.now)
    held = [s for s in holdings.active(at) if s.parent_id is None]
    newest = sorted(held, key=lambda s: (s.created_at, s.started_at, s.id), reverse=True)
    plans = catalogs.plans_of(env, newest)
    return whole_list([subscription_json(holdings, s, plans.get(s.id), env, at) for s in newest])


def add_addon(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`POST /v1/subscriptions/addon`. Raises NotFound, or InvalidRequest where the subscription has ended."""
    params = AddAddonParams.of(request.body)
    env = request.caller.environment
    holdings, subscription = found(customers, env, params.subscription_id)
    if subscription.status(holdings.time(request.now)) == "expired":
        raise InvalidRequest(f"Subscription {subscription.id} has ended")
    plan = found_plan(catalogs, request, params.addon_id, add_on=True)
    running = _running_addons(catalogs, env, holdings, subscription, request.now)
    _check_onetime([plan, *(addon for addon in running if addon.id == plan.id)])
    addon = NewAddon(plan.id, params.start_date, params.metadata or {})
    added, after = _attach_addon(customers, request, holdings, subscription, addon)
    return Answer(association_json(after, added, plan, env, after.time(request.now)))


def remove_addon(customers: Customers, request: Request) -> Answer:
    """`DELETE /v1/subscriptions/addon`: ends an add-on at once, or with its period. Raises NotFound."""
    params = RemoveAddonParams.of(request.body)
    env = request.caller.environment
    holdings, association = found(customers, env, params.addon_association_id)
    if not association.add_on:
        raise NotFound("addon association", association.id)
    action = "cancel_end_of_cycle" if params.change_at == "period_end" else "cancel_immediately"
    which = SubscriptionFilter(association.id)
    customers.update_subscription(
        request.customer(holdings.customer.id), which, SubscriptionUpdate(action), request.now
    )
    return Answer({"message": "addon removed successfully"})


def associations(catalogs: Catalogs, customers: Customers, request: Request, id: str) -> Answer:
    """`GET /v1/subscriptions/{id}/addons/associations`: its add-ons, newest first. Raises NotFound.

    @flexprice/sdk 2.0 gets the bare list (flexprice.md 1.7).
    """
    env = request.caller.environment
    holdings, subscription = found(customers, env, id)
    at = holdings.time(request.now)
    holdings = customers.with_ended(env, holdings)
    own = [s for s in holdings.subscriptions.values() if s.parent_id == subscription.id]
    plans = catalogs.plans_of(env, own)
    newest = sorted(own, key=lambda s: (s.created_at, s.id), reverse=True)
    shown = [association_json(holdings, s, plans[s.id], env, at) for s in newest]
    return Answer(shown) if reads_older_shapes(request) else whole_list(shown)


# ------------------------------------------------------------------ parts


def found(customers: Customers, env: Environment, id: str) -> tuple[Holdings, Subscription]:
    """The subscription of that id, with all that its customer has: running, to come, or ended. Raises NotFound."""
    own = _OWN_ID(id)
    named = named_customers(customers, env, {own[1]: "id"}) if own else ()
    for holdings in chain(named, customers.with_subscriptions(env, [id])):
        held = holdings.subscriptions.get(id) or customers.ended(env, holdings, id)
        if held is not None:
            return holdings, held
    raise NotFound("subscription", id)


def _running_addons(
    catalogs: Catalogs, env: Environment, holdings: Holdings, subscription: Subscription, now: int
) -> list[Plan]:
    """The add-ons that a subscription has, or is to have."""
    at = holdings.time(now)
    own = [s for s in holdings.subscriptions.values() if s.parent_id == subscription.id and s.status(at) != "expired"]
    return list(catalogs.plans_of(env, own).values())


def _check_onetime(addons: Sequence[Plan]) -> None:
    """Raises InvalidInput where a subscription would have an add-on of type `onetime` twice."""
    ids = [addon.id for addon in addons if addon_type(addon) == ONETIME]
    for id in ids:
        if ids.count(id) > 1:
            raise InvalidInput("addon_id", f"{id} is of type {ONETIME}, and the subscription has it already")


def _new_id(kind: str, customer_id: str) -> str:
    """A new id that ends with the customer's, where that is not too long."""
    plain = new_id(kind)
    id = f"{plain}_{customer_id}"
    return id if len(id) <= MAX_ID else plain


class NewAddon(NamedTuple):
    """An add-on that a subscription is to have."""

    addon_id: str  # its plan's
    starts_at: int | None  # epoch ms; None: now
    metadata: dict[str, str]


def _attach_addon(
    customers: Customers, request: Request, holdings: Holdings, subscription: Subscription, addon: NewAddon
) -> tuple[Subscription, Holdings]:
    """Attaches an add-on, which resets and ends with its subscription. Returns the add-on's own subscription."""
    addon_id, starts_at, metadata = addon
    customer_id = holdings.customer.id
    terms = Terms(
        starts_at=starts_at,
        ends_at=subscription.expires_at,
        anchor=subscription.anchor,
        carry_over=ALL_USAGES,
        stacks=True,
        cycle=subscription.cycle,
        parent_id=subscription.id,
        extra={"metadata": metadata} if metadata else {},
    )
    id = _new_id("assoc", customer_id)
    return customers.attach(request.customer(customer_id), addon_id, None, request.now, terms, id)


def _overridden(
    catalogs: Catalogs, env: Environment, plan: Plan, overrides: list[OverrideParams]
) -> tuple[PlanItem, ...]:
    """The plan's items with the overrides. Raises NotFound for an id that is no entitlement of the plan, or
    InvalidInput."""
    catalog = catalogs.catalog(env)
    entries = {entry.id: entry.position for entry in entitlements_of(plan)}
    items = list(plan.items)
    for index, override in enumerate(overrides):
        where = f"override_entitlements.{index}.entitlement_id"
        at = entries.get(override.entitlement_id)
        if at is None:
            if _is_addons(catalogs, env, override.entitlement_id):
                raise InvalidInput(where, "is an add-on's: only the plan's entitlements can be overridden")
            raise NotFound("entitlement", override.entitlement_id)
        if items[at].scoped:
            raise InvalidInput(where, "is overridden more than once")
        kind = feature_type(catalog.feature(items[at].feature_id))
        items[at] = overridden(items[at], override.usage_limit, override.is_enabled, override.static_value, kind)
    return tuple(items)


def _is_addons(catalogs: Catalogs, env: Environment, id: str) -> bool:
    return any(entry.id == id for plan in catalogs.plans(env) if plan.add_on for entry in entitlements_of(plan))


def _calendar_start(period: str, at: int) -> int:
    """The start (ms) of the calendar day, week or year that holds `at`: whole periods counted from it are calendar
    periods."""
    day = datetime.fromtimestamp(at // 1000, UTC).replace(hour=0, minute=0, second=0)
    if period == "WEEKLY":
        day -= timedelta(days=day.weekday())
    elif period != "DAILY":
        day = day.replace(month=1, day=1)
    return int(day.timestamp()) * 1000
