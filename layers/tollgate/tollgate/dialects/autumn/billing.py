"""`billing.attach`, `billing.update` and `subscriptions.list` (management.md 6, 7): requests in, answers out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from tollgate.dialects.autumn.catalog import FreeTrialParams, PlanItemParams, different
from tollgate.dialects.autumn.cursors import Page, PageRequest, each_customer
from tollgate.dialects.autumn.customers import is_purchase, page_json, purchase_json, subscription_json
from tollgate.dialects.autumn.fields import Cursor, Id, Number, Params, Start, Text, Time, Whole
from tollgate.dialects.autumn.versions import FLAGS, PLANS, translated, version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.customers import Holdings, Subscription
from tollgate.domain.errors import InvalidInput
from tollgate.domain.plan_grants import Carried, CarryOver
from tollgate.domain.plans import FreeTrial, Plan
from tollgate.domain.subscriptions import Terms
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers, SubscriptionFilter, SubscriptionUpdate


class QuantityParams(Params):
    """How many units of a prepaid feature are bought."""

    feature_id: Id
    quantity: Number | None = None


class CustomizeParams(Params):
    """What of the plan is to differ for this one subscription."""

    later = ("add_items", "remove_items", "price", "billing_controls", "upsert_licenses")

    items: Annotated[list[PlanItemParams], Field(max_length=90)] | None = None
    free_trial: FreeTrialParams | None = None


class CarryParams(Params):
    """Whether something of the plan that is replaced goes over to the new one, and of which features (all, unless
    told)."""

    enabled: bool
    feature_ids: Annotated[list[Id], Field(max_length=200)] | None = None

    def carried(self) -> Carried:
        """The same in the domain's words."""
        return Carried(self.enabled, None if self.feature_ids is None else frozenset(self.feature_ids))


class FilterParams(Params):
    """One property by which a subscription is picked, and the value it must have."""

    property_name: Annotated[Text, Field(min_length=1)]
    value: Annotated[Text, Field(min_length=1)]


class AttachParams(Params):
    """The body of `billing.attach`. Times are epoch ms."""

    later = ("remove_plan_ids", "license_quantities")

    customer_id: Id
    plan_id: Id
    entity_id: Id | None = None
    version: Whole | None = None
    subscription_id: Id | None = None
    feature_quantities: Annotated[list[QuantityParams], Field(max_length=100)] | None = None
    free_trial: FreeTrialParams | None = None
    customize: CustomizeParams | None = None
    billing_cycle_anchor: Start | Literal["now"] | None = None
    plan_schedule: Literal["immediate", "end_of_cycle"] | None = None
    starts_at: Start | None = None
    ends_at: Time | None = None
    carry_over_usages: CarryParams | None = None
    carry_over_balances: CarryParams | None = None
    subscription_filters: Annotated[list[FilterParams], Field(max_length=20)] | None = None


class UpdateParams(Params):
    """The body of `billing.update`. The subscription is named by its id, or by its plan and entity."""

    later = (
        *("customize", "version", "free_trial", "billing_cycle_anchor"),
        *("carry_over_usages", "recalculate_balances", "license_quantities"),
    )

    customer_id: Id
    plan_id: Id | None = None
    entity_id: Id | None = None
    subscription_id: Id | None = None
    feature_quantities: Annotated[list[QuantityParams], Field(max_length=100)] | None = None
    cancel_action: Literal["cancel_immediately", "cancel_end_of_cycle", "uncancel"] | None = None


class ListSubscriptionsParams(Params):
    """The body of `subscriptions.list` and `purchases.list`."""

    customer_id: Id | None = None
    entity_id: Id | None = None
    limit: Annotated[Whole, Field(ge=1, le=200)] | None = None
    start_cursor: Cursor | None = None
    statuses: list[Literal["active", "scheduled", "past_due", "expired"]] | None = None
    plan_id: Id | None = None


def attach(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`billing.attach`: subscribes a customer or an entity to a plan (management.md 6).

    Raises NotFound, InvalidInput, or InvalidRequest where the plan cannot be attached.
    """
    params = AttachParams.of(request.body)
    env = request.caller.environment
    plan = catalogs.plan(env, params.plan_id, params.version)
    features = catalogs.catalog(env)
    for carry in (params.carry_over_usages, params.carry_over_balances):
        for feature_id in (carry and carry.feature_ids) or ():
            features.feature(feature_id)
    customers.attach(
        request.customer(params.customer_id),
        params.plan_id,
        params.version,
        request.now,
        _terms(params, plan),
        params.subscription_id,
    )
    return Answer(
        {
            "customer_id": params.customer_id,
            **({"entity_id": params.entity_id} if params.entity_id else {}),
            "payment_url": None,
        }
    )


def _terms(params: AttachParams, plan: Plan) -> Terms:
    customize = params.customize
    anchor = params.billing_cycle_anchor
    return Terms(
        entity_id=params.entity_id,
        quantities=_quantities(params.feature_quantities),
        items=different(item.item() for item in customize.items) if customize and customize.items is not None else None,
        starts_at=params.starts_at,
        backdate=True,
        ends_at=params.ends_at,
        anchor=anchor if isinstance(anchor, int) else None,
        free_trial=_trial(params, plan),
        trial_again=_asks_for_trial(params),
        schedule=params.plan_schedule,
        carry_over=_carry_over(params),
        restart=anchor == "now",
        filters=tuple((filter.property_name, filter.value) for filter in params.subscription_filters or ()),
    )


def _trial(params: AttachParams, plan: Plan) -> FreeTrial | None:
    """The trial asked for (null: none), else the plan's."""
    if params.customize and "free_trial" in params.customize.model_fields_set:
        return params.customize.free_trial.trial() if params.customize.free_trial else None
    if "free_trial" in params.model_fields_set:
        return params.free_trial.trial() if params.free_trial else None
    return plan.free_trial


def _asks_for_trial(params: AttachParams) -> bool:
    """Whether the attach itself asks for a trial: it is given then, though the customer has had one."""
    return bool(params.free_trial or (params.customize and params.customize.free_trial))


def _carry_over(params: AttachParams) -> CarryOver:
    """What the attach says of what is carried over from the plan that is replaced; None in it: nothing."""
    usages, balances = params.carry_over_usages, params.carry_over_balances
    return CarryOver(usages.carried() if usages else None, balances.carried() if balances else None)


def _quantities(params: list[QuantityParams] | None) -> dict[str, Any]:
    return {entry.feature_id: entry.quantity for entry in params or () if entry.quantity is not None}


def update(customers: Customers, request: Request) -> Answer:
    """`billing.update`: cancels a subscription, takes the cancellation back, or changes the quantities bought.

    Raises NotFound, InvalidInput where the body asks for no change, or InvalidRequest where it cannot be made.
    """
    params = UpdateParams.of(request.body)
    quantities = _quantities(params.feature_quantities)
    if not quantities and params.cancel_action is None:
        raise InvalidInput("", "Either cancel_action or feature_quantities must be provided")
    customers.update_subscription(
        request.customer(params.customer_id),
        SubscriptionFilter(params.subscription_id, params.plan_id, params.entity_id),
        SubscriptionUpdate(params.cancel_action, quantities, needs_cycle=True),
        request.now,
    )
    return Answer(
        {
            "customer_id": params.customer_id,
            **({"entity_id": params.entity_id} if params.entity_id else {}),
            "payment_url": None,
        }
    )


def list_subscriptions(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`subscriptions.list`: a page of one customer's subscriptions or of all; active and scheduled ones unless told. Before
    2.1 what was paid once is among them, and each has the shape that it has in the customer."""
    version = version_of(request.headers.get("x-api-version"))
    page = _page(catalogs, customers, request, purchases=False if version >= FLAGS else None)
    plans = {}
    if version < PLANS:
        plans = {
            plan.id: {"name": plan.name, "group": plan.group} for plan in catalogs.plans(request.caller.environment)
        }

    def shown(holdings: Holdings, s: Subscription) -> dict[str, Any]:
        at = holdings.time(request.now)
        own = {"_product": plans[s.plan_id]} if s.plan_id in plans else {}
        newest = subscription_json(s, at) | own | {"_trialing": s.trialing(at), "_listed": _listed(holdings, s)}
        return translated(version, "listed_subscription", newest | newest["_listed"])

    return Answer(page_json(page, lambda item: shown(*item)))


def list_purchases(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`purchases.list`: the same of plans that are paid once."""
    page = _page(catalogs, customers, request, purchases=True)

    def shown(holdings: Holdings, s: Subscription) -> dict[str, Any]:
        own = {"id": s.id, "status": s.status(holdings.time(request.now))}
        return purchase_json(s) | own | _listed(holdings, s)

    return Answer(page_json(page, lambda item: shown(*item)))


def _page(
    catalogs: Catalogs, customers: Customers, request: Request, *, purchases: bool | None
) -> Page[tuple[Holdings, Subscription]]:
    """A page of subscriptions: of those that are `purchases`, or are not; None: of all."""
    params = ListSubscriptionsParams.of(request.body)
    statuses = params.statuses or ["active", "scheduled"]
    env = request.caller.environment
    catalog = catalogs.catalog(env)

    def found(holdings: Holdings) -> Iterator[tuple[str, tuple[Holdings, Subscription]]]:
        at = holdings.time(request.now)
        held = holdings.subscriptions.values()
        for s in sorted(held, key=lambda s: f"{s.created_at:014d}#{s.id}"):
            if params.entity_id is not None and s.entity_id != params.entity_id:
                continue
            if purchases not in (None, is_purchase(s, catalog)):
                continue
            if s.status(at) in statuses and params.plan_id in (None, s.plan_id):
                yield f"{s.created_at:014d}#{s.id}", (holdings, s)

    asked = PageRequest(params.customer_id, params.start_cursor, params.limit or 50)
    return each_customer(customers, env, asked, found)


def _listed(holdings: Holdings, s: Subscription) -> dict[str, Any]:
    return {"customer_id": holdings.customer.id, "entity_id": s.entity_id, "created_at": s.created_at}
