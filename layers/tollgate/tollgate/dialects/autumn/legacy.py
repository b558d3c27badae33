"""Autumn's older REST paths (autumn.md 1.3, 1.4), for autumn-py: the same use cases, in 1.x shapes.

Answers follow the caller's version where a route has a newer twin (customers, entities); the rest have one shape.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, TypeAdapter, ValidationError

from tollgate.dialects.autumn import catalog as current_catalog
from tollgate.dialects.autumn import customers as current
from tollgate.dialects.autumn.catalog import FreeTrialParams, different, shown_feature
from tollgate.dialects.autumn.errors import invalid_input
from tollgate.dialects.autumn.fields import CustomerData, Id, Number, Params, Text, Whole
from tollgate.dialects.autumn.products import Offered, product_json
from tollgate.dialects.http import Answer, Request
from tollgate.domain.customers import Customer, Entity
from tollgate.domain.errors import InvalidInput
from tollgate.domain.manual_balances import BalanceFilter, BalanceUpdate
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.places import renamed, told_as, within
from tollgate.domain.plan_changes import offer_of
from tollgate.domain.plans import PREPAID, USAGE_BASED, BasePrice, ItemPrice, Plan, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.domain.subscriptions import Terms
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers, SubscriptionFilter, SubscriptionUpdate

IntervalV1 = Literal["minute", "hour", "day", "week", "month", "quarter", "semi_annual", "year", "lifetime"]


class SetUsageParams(Params):
    """The body of `POST /v1/usage`: how much is to count as used, in units of the feature."""

    customer_id: Id
    feature_id: Id
    value: Number
    entity_id: Id | None = None


class BalanceEntry(Params):
    """What is to remain of one feature, in its units."""

    feature_id: Id
    balance: Number
    interval: IntervalV1 | None = None


class SetBalancesParams(Params):
    """The body of `POST /v1/customers/{id}/balances`: `balances`, or one `feature_id` and `value` as autumn-py sends
    them (autumn.md 0.5)."""

    balances: Annotated[list[BalanceEntry], Field(min_length=1, max_length=50)] | None = None
    feature_id: Id | None = None
    value: Number | None = None
    entity_id: Id | None = None


class CreateCustomerParams(current.CustomerFields):
    """The body of `POST /v1/customers`. A customer without an id is named after its e-mail address."""

    id: Id | None = None
    auto_enable_plan_id: Id | None = None


class EntityEntry(Params):
    """One entity in the body of `POST /v1/customers/{id}/entities`."""

    id: Id
    feature_id: Id
    name: Text | None = None


class OptionParams(Params):
    """How many units of a prepaid feature are bought."""

    feature_id: Id
    quantity: Number


class AttachProductParams(Params):
    """The body of `POST /v1/attach`.

    `free_trial: false` leaves out the plan's trial. `features` is an older name of `options`.
    """

    later = ("products", "force_checkout")

    customer_id: Id
    product_id: Id | None = None
    product_ids: Annotated[list[Id], Field(min_length=1, max_length=1)] | None = None
    entity_id: Id | None = None
    options: Annotated[list[OptionParams], Field(max_length=100)] | None = Field(
        default=None, validation_alias=AliasChoices("options", "features")
    )
    free_trial: bool | None = None
    customer_data: CustomerData | None = None


class CancelParams(Params):
    """The body of `POST /v1/cancel`."""

    customer_id: Id
    product_id: Id
    entity_id: Id | None = None
    cancel_immediately: bool | None = None


class TierV1(Params):
    """One tier of a price: up to `to` units, each costs `amount`."""

    to: Number | Literal["inf"]
    amount: Number


class ItemV1(Params):
    """What a 1.x product grants of one feature; without a feature it is the product's own price."""

    feature_id: Id | None = None
    included_usage: Number | Literal["inf"] | None = None
    interval: IntervalV1 | None = None
    interval_count: Whole | None = None
    usage_model: Literal["prepaid", "pay_per_use"] | None = None
    price: Number | None = None
    tiers: Annotated[list[TierV1], Field(max_length=50)] | None = None
    billing_units: Number | None = None
    usage_limit: Number | None = None
    entity_feature_id: Id | None = None


class ProductParams(Params):
    """A 1.x product: a plan in older words."""

    id: Id
    name: Text | None = None
    is_add_on: bool | None = None
    is_default: bool | None = None
    group: Id | Literal[""] | None = None
    items: Annotated[list[ItemV1], Field(max_length=91)] | None = None
    free_trial: FreeTrialParams | None = None
    archived: bool | None = None

    def place(self, field: str) -> str:
        """Where in the request a field of the plan's items was named: of an item `items.0.price.max_purchase` is its
        `usage_limit`."""
        first, *rest = field.split(".")
        if first != "items" or not rest or self.items is None:
            return field
        number = [number for number, item in enumerate(self.items) if item.feature_id is not None][int(rest[0])]
        own = ".".join(rest[1:])
        return f"items.{number}.{_ITEM_NAMES.get(own, own)}".rstrip(".")


_ITEM_NAMES = {
    "included": "included_usage",
    "reset": "interval",
    "price.max_purchase": "usage_limit",
    "price.billing_units": "billing_units",
}


def set_usage(customers: Customers, request: Request) -> Answer:
    """`POST /v1/usage`: sets what was used, and leaves the grant as it is. Raises NotFound or InvalidInput."""
    params = SetUsageParams.of(request.body)
    which = BalanceFilter(params.feature_id, params.entity_id or "")
    customers.update_balance(
        request.customer(params.customer_id), which, BalanceUpdate(usage=params.value, if_held=True), request.now
    )
    named = {"customer_id": params.customer_id, "feature_id": params.feature_id}
    return Answer({"success": True, "code": "event_received", **named})


def set_balances(customers: Customers, request: Request, customer_id: str) -> Answer:
    """`POST /v1/customers/{id}/balances`: sets what remains, and changes the grant by as much (autumn.md 3.8)."""
    params = SetBalancesParams.of(request.body)
    changes: list[tuple[BalanceFilter, BalanceUpdate]] = []
    entity_id = params.entity_id or ""
    if params.balances is not None:
        for entry in params.balances:
            which = BalanceFilter(entry.feature_id, entity_id, interval=_interval(entry.interval))
            changes.append((which, BalanceUpdate(remaining=entry.balance, alters_grant=True, if_held=True)))
    elif params.feature_id is not None and params.value is not None:
        changes.append((BalanceFilter(params.feature_id, entity_id), BalanceUpdate(usage=params.value, if_held=True)))
    else:
        raise InvalidInput("balances", "is required")
    customers.update_balances(request.customer(customer_id), changes, request.now)
    return Answer({"success": True})


# ------------------------------------------------------------------ customers and entities


def create_customer(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`POST /v1/customers`: makes the customer, or fills the empty name and e-mail of a known one."""
    params = CreateCustomerParams.of(request.body)
    if params.id is None and not params.email:
        raise InvalidInput("id", "is required, or an email")
    id = params.id or current.id_of_email(params.email or "")
    env, customer = request.caller.environment, params.applied(Customer(id), request.now)
    if params.auto_enable_plan_id is None:
        customers.ensure(env, customer, request.now)
    else:
        customers.get_or_create(env, customer, params.auto_enable_plan_id, request.now, fill=True)
    return get_customer(catalogs, customers, request, id)


def get_customer(catalogs: Catalogs, customers: Customers, request: Request, customer_id: str) -> Answer:
    """`GET /v1/customers/{id}`. Raises NotFound."""
    return current.get(catalogs, customers, request._replace(body={"customer_id": customer_id}))


def update_customer(catalogs: Catalogs, customers: Customers, request: Request, customer_id: str) -> Answer:
    """`POST /v1/customers/{id}`: fields that are absent stay. Raises NotFound."""
    return current.update(catalogs, customers, _with(request, customer_id=customer_id))


def delete_customer(customers: Customers, request: Request, customer_id: str) -> Answer:
    """`DELETE /v1/customers/{id}`. Raises NotFound."""
    customers.delete(request.customer(customer_id))
    return Answer({"success": True, "customer_id": customer_id})


def list_customers(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`GET /v1/customers`: newest first, paged by `limit` (50 unless told) and `offset`."""
    limit, offset = _whole(request, "limit", 50, 200), _whole(request, "offset", 0, 1_000_000)
    env = request.caller.environment
    listed = list(customers.listed(env, newest_first=True))
    shown = current.all_shown(catalogs, request, list(customers.read(env, listed[offset : offset + limit])))
    return Answer({"list": shown, "total": len(listed), "limit": limit, "offset": offset})


def create_entities(catalogs: Catalogs, customers: Customers, request: Request, customer_id: str) -> Answer:
    """`POST /v1/customers/{id}/entities`: makes one entity or a list of them, and answers with one or a list.

    Raises NotFound or AlreadyExists; the entities of a list that were made before stay.
    """
    entries = _entries(request.body)
    for entry in entries:
        entity = Entity(entry.id, entry.feature_id, entry.name)
        customers.create_entity(request.customer(customer_id), entity, request.now)
    shown = [get_entity(catalogs, customers, request, customer_id, entry.id).body for entry in entries]
    return Answer(shown if isinstance(request.body, list) else shown[0])


def _entries(body: Any) -> list[EntityEntry]:
    if not isinstance(body, list):
        return [EntityEntry.of(body)]
    try:
        return TypeAdapter(list[EntityEntry]).validate_python(body)
    except ValidationError as error:
        raise invalid_input(error, body) from error


def get_entity(catalogs: Catalogs, customers: Customers, request: Request, customer_id: str, entity_id: str) -> Answer:
    """`GET /v1/customers/{id}/entities/{entity}`. Raises NotFound."""
    return current.get_entity(
        catalogs, customers, request._replace(body={"customer_id": customer_id, "entity_id": entity_id})
    )


def delete_entity(customers: Customers, request: Request, customer_id: str, entity_id: str) -> Answer:
    """`DELETE /v1/customers/{id}/entities/{entity}`. Raises NotFound."""
    return current.delete_entity(customers, request._replace(body={"customer_id": customer_id, "entity_id": entity_id}))


# ------------------------------------------------------------------ products and subscriptions


def get_feature(catalogs: Catalogs, request: Request, feature_id: str) -> Answer:
    """`GET /v1/features/{id}`. Raises NotFound."""
    return Answer(shown_feature(request, catalogs.feature(request.caller.environment, feature_id)))


def update_feature(catalogs: Catalogs, request: Request, feature_id: str) -> Answer:
    """`POST /v1/features/{id}`: fields that are absent stay. Raises NotFound or InvalidInput."""
    return current_catalog.update_feature(catalogs, _with(request, feature_id=feature_id))


def delete_feature(catalogs: Catalogs, request: Request, feature_id: str) -> Answer:
    """`DELETE /v1/features/{id}`. Raises NotFound, or Conflict where a plan or a credit system names it."""
    return current_catalog.delete_feature(catalogs, request._replace(body={"feature_id": feature_id}))


def list_products(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`GET /v1/products`: the newest version of each plan that is not archived. With `customer_id` in the query, each
    says in which scenario that customer would attach it."""
    env, catalog = request.caller.environment, catalogs.catalog(request.caller.environment)
    plans = [plan for plan in catalogs.plans(env) if not plan.archived]
    named = request.query.get("customer_id")
    if not named:
        return Answer({"list": [product_json(plan, env, catalog) for plan in plans]})
    holdings = customers.get_or_nothing(request.customer(named[0]))
    at, entity_id = holdings.time(request.now), next(iter(request.query.get("entity_id", ())), None) or None
    offers = [(plan, offer_of(holdings, plan, catalog.features, at, entity_id)) for plan in plans]
    return Answer({"list": [product_json(plan, env, catalog, Offered.of(offer, at)) for plan, offer in offers]})


def get_product(catalogs: Catalogs, request: Request, product_id: str) -> Answer:
    """`GET /v1/products/{id}`. Raises NotFound."""
    env = request.caller.environment
    return Answer(product_json(catalogs.plan(env, product_id), env, catalogs.catalog(env)))


def create_product(catalogs: Catalogs, request: Request) -> Answer:
    """`POST /v1/products`. Raises AlreadyExists, NotFound or InvalidInput."""
    params = ProductParams.of(request.body)
    plan = _change(params)(Plan(params.id, params.name or params.id, created_at=request.now))
    env = request.caller.environment
    with told_as(params.place):
        plan = catalogs.create_plan(env, plan)
    return Answer(product_json(plan, env, catalogs.catalog(env)))


def update_product(catalogs: Catalogs, request: Request, product_id: str) -> Answer:
    """`POST /v1/products/{id}`: makes a new version of the plan where customers have it, unless the query says
    `disable_version=true`. Raises NotFound or InvalidInput."""
    params = ProductParams.of({"id": product_id, **_body(request)})
    env = request.caller.environment
    in_place = request.query.get("disable_version") == ["true"]
    change = _change(params)
    with told_as(params.place):
        plan = catalogs.update_plan(env, product_id, change, request.now, in_place=in_place)
    return Answer(product_json(plan, env, catalogs.catalog(env)))


def delete_product(catalogs: Catalogs, request: Request, product_id: str) -> Answer:
    """`DELETE /v1/products/{id}`: deletes the plan's newest version (every one where the query says `all_versions=true`),
    or archives it where it has been subscribed to."""
    every = request.query.get("all_versions") == ["true"]
    catalogs.delete_plan(request.caller.environment, product_id, all_versions=every)
    return Answer({"success": True})


def attach(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`POST /v1/attach`: subscribes a customer, made on the way, to a product (autumn.md 1.4).

    Raises NotFound, InvalidInput, or InvalidRequest where the plan cannot be attached.
    """
    params = AttachProductParams.of(request.body)
    (product_id,) = params.product_ids or (params.product_id,)
    if product_id is None or (params.product_id is not None and params.product_ids is not None):
        raise InvalidInput("product_id", "is required, or product_ids with the one")
    env, data = request.caller.environment, params.customer_data or CustomerData()
    plan = catalogs.plan(env, product_id)
    # 1.x makes the customer (autumn.md 1.4)
    customer = Customer(params.customer_id, data.name, data.email, data.fingerprint)
    customers.ensure(env, customer, request.now)
    terms = Terms(
        entity_id=params.entity_id,
        quantities={option.feature_id: option.quantity for option in params.options or ()},
        free_trial=None if params.free_trial is False else plan.free_trial,
    )
    options = "features" if "features" in request.body and "options" not in request.body else "options"
    with renamed({"feature_quantities": options}):
        customers.attach(request.customer(params.customer_id), product_id, None, request.now, terms)
    return Answer(
        {
            "success": True,
            "code": "new_product_attached",
            "message": f"Successfully attached {plan.name}",
            "customer_id": params.customer_id,
            "product_ids": [product_id],
        }
    )


def cancel(customers: Customers, request: Request) -> Answer:
    """`POST /v1/cancel`: ends the subscription to a product, at the end of the cycle unless told. Raises NotFound."""
    params = CancelParams.of(request.body)
    customers.update_subscription(
        request.customer(params.customer_id),
        SubscriptionFilter(plan_id=params.product_id, entity_id=params.entity_id),
        SubscriptionUpdate("cancel_immediately" if params.cancel_immediately else "cancel_end_of_cycle"),
        request.now,
    )
    return Answer({"success": True, "customer_id": params.customer_id, "product_id": params.product_id})


# ------------------------------------------------------------------ parts


def _change(params: ProductParams) -> Callable[[Plan], Plan]:
    """What becomes of a plan by what a 1.x product names. An item without a feature is the plan's own price."""
    from dataclasses import replace

    parts: dict[str, Any] = {}
    if "free_trial" in params.model_fields_set:
        with within("free_trial"):
            parts["free_trial"] = params.free_trial.trial() if params.free_trial else None
    if params.items is not None:
        made, price = [], None
        for number, item in enumerate(params.items):
            with within(f"items.{number}"):
                if item.feature_id is not None:
                    made.append(_item(item))
                elif item.price is not None and price is None:
                    price = _base(item)
        with told_as(params.place):
            parts |= {"items": different(made), "price": price}
    return lambda old: replace(
        old,
        name=params.name or old.name,
        add_on=old.add_on if params.is_add_on is None else params.is_add_on,
        auto_enable=old.auto_enable if params.is_default is None else params.is_default,
        group=(params.group or None) if "group" in params.model_fields_set else old.group,
        archived=old.archived if params.archived is None else params.archived,
        **parts,
    )


def _base(item: ItemV1) -> BasePrice:
    return BasePrice(item.price or ZERO, _interval(item.interval) or Interval.ONE_OFF, item.interval_count or 1)


def _item(item: ItemV1) -> PlanItem:
    assert item.feature_id is not None
    included = ZERO if item.included_usage in (None, "inf") else Decimal(item.included_usage)
    interval = _interval(item.interval)
    price = None
    if item.price is not None or item.tiers:
        method = PREPAID if item.usage_model == "prepaid" else USAGE_BASED
        most = None if item.usage_limit is None else max(ZERO, item.usage_limit - included)
        price = ItemPrice(
            method,
            most,
            item.price,
            tuple(tier.model_dump() for tier in item.tiers or ()),
            billing_units=item.billing_units or Decimal(1),
            interval=interval or Interval.ONE_OFF,
            interval_count=item.interval_count or 1,
        )
    return PlanItem(
        item.feature_id,
        included,
        item.included_usage == "inf",
        Reset(interval, item.interval_count or 1) if interval and interval is not Interval.ONE_OFF else None,
        price,
        entity_feature_id=item.entity_feature_id,
    )


def _interval(name: str | None) -> Interval | None:
    """1.x spells one_off `lifetime`."""
    return None if name is None else Interval.ONE_OFF if name == "lifetime" else Interval(name)


def _body(request: Request) -> dict[str, Any]:
    if not isinstance(request.body, dict):
        raise InvalidInput("body", "must be an object")
    return request.body


def _with(request: Request, **more: Any) -> Request:
    return request._replace(body={**_body(request), **more})


def _whole(request: Request, name: str, default: int, most: int) -> int:
    text = (request.query.get(name) or [str(default)])[0]
    if not text.isdecimal() or not text.isascii() or int(text) > most:
        raise InvalidInput(name, f"must be a whole number up to {most}")
    return int(text)
