"""`customers.*` and `entities.*` (management.md 4, 5): requests in, answers out, in the newest shape."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import Field

from tollgate.dialects.autumn.balances import balance_json, flag_json
from tollgate.dialects.autumn.catalog import plan_json
from tollgate.dialects.autumn.controls import CustomerControlsParams, EntityControlsParams, effective_json, with_counts
from tollgate.dialects.autumn.cursors import OffsetRequest, Page, PageRequest, by_offset, each_customer
from tollgate.dialects.autumn.fields import Cursor, CustomerData, Email, Id, Params, Properties, Start, Text, Whole
from tollgate.dialects.autumn.products import product_json
from tollgate.dialects.autumn.requests import expanded
from tollgate.dialects.autumn.versions import NEWEST, PLANS, Version, translated, version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.balances import Balances, all_as_of
from tollgate.domain.controls import NO_CONTROLS
from tollgate.domain.customers import Customer, Entity, Holdings, Subscription
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput, NotFound
from tollgate.domain.features import Catalog
from tollgate.domain.plan_changes import cost_of, trials_used
from tollgate.domain.plans import Plan
from tollgate.domain.top_ups import TopUpState
from tollgate.domain.waiting_shares import with_waiting_shares
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers, Facts, ListedCustomer, ListedSubscription

T = TypeVar("T")
_LATEST = 10**15 - 1  # epoch ms: later than any time

NOT_KEPT: dict[str, Any] = {
    "invoices": [],
    "invoice_previews": [],
    "rewards": {"discounts": []},
    "referrals": [],
    "referred_by": [],
    "payment_method": None,
    "billing_details": None,
    "upcoming_invoice": None,
}
"""What a customer may expand and Tollgate keeps nothing of: the empty answers."""

COUNTED_TOP_UPS = "billing_controls.auto_topups.purchase_limit"


class ConfigParams(Params):
    """Settings of a customer. `disable_overage_billing` is accepted and has no effect: nothing is billed here."""

    disable_pooled_balance: bool | None = None
    disable_overage_billing: bool | None = None


class CustomerParams(Params):
    """The body of `customers.get` and `customers.delete`."""

    customer_id: Id
    expand: list[Text] | None = None


class CustomerFields(Params):
    """The fields that `customers.get_or_create` and `customers.update` share."""

    name: Text | None = None
    email: Email | None = None
    fingerprint: Text | None = None
    metadata: Properties | None = None
    send_email_receipts: bool | None = None
    billing_controls: CustomerControlsParams | None = None
    config: ConfigParams | None = None

    def applied(self, old: Customer, now: int) -> Customer:
        """The old customer with the fields that this request names at `now` (epoch ms)."""
        named = self.model_fields_set
        pooled = self.config.disable_pooled_balance if self.config else None
        return replace(
            old,
            name=self.name if "name" in named else old.name,
            email=self.email if "email" in named else old.email,
            fingerprint=self.fingerprint if "fingerprint" in named else old.fingerprint,
            metadata=old.metadata if self.metadata is None else {**old.metadata, **self.metadata},
            send_email_receipts=(
                old.send_email_receipts if self.send_email_receipts is None else self.send_email_receipts
            ),
            controls=old.controls
            if self.billing_controls is None
            else self.billing_controls.applied_at(old.controls, now),
            unpooled=old.unpooled if pooled is None else pooled,
        )


class GetOrCreateCustomerParams(CustomerFields):
    """The body of `customers.get_or_create`. A customer without an id is named after its e-mail address."""

    customer_id: Id | None = None
    auto_enable_plan_id: Id | None = None
    expand: list[Text] | None = None


class UpdateCustomerParams(CustomerFields):
    """The body of `customers.update`: fields that are absent stay."""

    later = ("new_customer_id",)

    customer_id: Id
    expand: list[Text] | None = None


class PlanFilter(Params):
    """A plan, in these versions or (without any) in all."""

    id: Id
    versions: list[Whole] | None = None


class ListCustomersParams(Params):
    """The body of `customers.list`. `offset`: so many of those that match come before, in place of a cursor."""

    later = ("created_at_range", "processors")

    start_cursor: Cursor | None = None
    offset: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = None
    limit: Annotated[Whole, Field(ge=1, le=200)] | None = None
    plans: list[PlanFilter] | None = None
    subscription_status: Literal["active", "scheduled"] | None = None
    search: Text | None = None
    sort_order: Literal["asc", "desc"] | None = None


class AdvanceParams(Params):
    """The body of `customers.advance_test_clock`: the customer's new time, in epoch ms."""

    customer_id: Id
    frozen_time: Start


class EntityParams(Params):
    """The body of `entities.get` and `.delete`. Without `customer_id` the entity is looked for among all customers."""

    entity_id: Id
    customer_id: Id | None = None
    expand: list[Text] | None = None


class CreateEntityParams(Params):
    """The body of `entities.create`."""

    customer_id: Id
    entity_id: Id
    feature_id: Id
    name: Text | None = None
    billing_controls: EntityControlsParams | None = None
    customer_data: CustomerData | None = None


class UpdateEntityParams(Params):
    """The body of `entities.update`: its controls, and nothing else."""

    customer_id: Id | None = None
    entity_id: Id
    billing_controls: EntityControlsParams | None = None


class ListEntitiesParams(Params):
    """The body of `entities.list`."""

    later = ("processors",)

    start_cursor: Cursor | None = None
    limit: Annotated[Whole, Field(ge=1, le=200)] | None = None
    plans: list[PlanFilter] | None = None
    subscription_status: Literal["active", "scheduled"] | None = None
    search: Text | None = None
    customer_id: Id | None = None


# ------------------------------------------------------------------ customers


def get_or_create(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`customers.get_or_create`: a new customer gets its automatic plans, and a known one is shown as it is.

    Raises NotFound for an unknown plan.
    """
    params = GetOrCreateCustomerParams.of(request.body)
    if not params.customer_id and not params.email:
        raise InvalidInput("customer_id", "is required, or an email")
    customer = params.applied(Customer(params.customer_id or id_of_email(params.email or "")), request.now)
    env = request.caller.environment
    holdings = customers.get_or_create(env, customer, params.auto_enable_plan_id, request.now)
    return _shown(catalogs, customers, request, holdings, params.expand)


def get(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`customers.get`. Raises NotFound."""
    params = CustomerParams.of(request.body)
    holdings = customers.get(request.customer(params.customer_id))
    return _shown(catalogs, customers, request, holdings, params.expand)


def update(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`customers.update`. Raises NotFound."""
    params = UpdateCustomerParams.of(request.body)
    holdings = customers.update(
        request.customer(params.customer_id), lambda old: params.applied(old, request.now), request.now
    )
    return _shown(catalogs, customers, request, holdings, params.expand)


def delete(customers: Customers, request: Request) -> Answer:
    """`customers.delete`: the customer and all that it has. Raises NotFound."""
    customers.delete(request.customer(CustomerParams.of(request.body).customer_id))
    return Answer({"success": True})


def list_customers(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`customers.list`: a page of the customers that match, the newest first unless told."""
    params = ListCustomersParams.of(request.body)
    env, view = request.caller.environment, _view(catalogs, request, None)

    def found(holdings: Holdings) -> Iterator[tuple[str, Holdings]]:
        customer = holdings.customer
        text = f"{customer.id} {customer.name or ''} {customer.email or ''}".lower()
        if params.search and params.search.lower() not in text:
            return
        if _matches(holdings, None, params.plans, params.subscription_status, request.now):
            yield "", holdings

    limit, newest_first = params.limit or 50, params.sort_order != "asc"
    words = (params.search or "").lower()

    def may(listed: ListedCustomer, facts: Facts) -> bool:
        text = f"{listed.customer_id} {facts.name or ''} {facts.email or ''}".lower()
        at = facts.time(request.now)
        return words in text and _held(facts.subscriptions, None, params.plans, params.subscription_status, at)

    filtered = bool(words or params.plans is not None or params.subscription_status)
    matches = may if filtered else None
    if params.offset is None:
        asked = PageRequest(None, params.start_cursor, limit, newest_first, _named(params.plans))
        page = each_customer(customers, env, asked, found, matches)
        return Answer(page_json(page, lambda holdings: shown_customer(catalogs, holdings, view)))
    if params.start_cursor:
        raise InvalidInput("offset", "cannot be combined with start_cursor")
    items, more = by_offset(customers, env, OffsetRequest(params.offset, limit, newest_first), found, matches)
    shown = [shown_customer(catalogs, holdings, view) for holdings in items]
    counts = {"total": len(shown), "limit": limit, "offset": params.offset}
    return Answer({"list": shown, "has_more": more, "next_cursor": None, **counts})


def advance_test_clock(customers: Customers, request: Request) -> Answer:
    """`customers.advance_test_clock`: moves a sandbox customer's time forward.

    Raises Forbidden in the live environment, InvalidInput for a time that is not ahead, NotFound.
    """
    params = AdvanceParams.of(request.body)
    customers.advance_test_clock(request.customer(params.customer_id), params.frozen_time, request.now)
    return Answer({"customer_id": params.customer_id, "frozen_time": params.frozen_time, "status": "ready"})


# ------------------------------------------------------------------ entities


def create_entity(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`entities.create`. An unknown customer is made on the way.

    Raises NotFound, AlreadyExists, InvalidRequest for a consumable feature, or LimitReached.
    """
    params = CreateEntityParams.of(request.body)
    env = request.caller.environment
    controls = params.billing_controls.applied(NO_CONTROLS) if params.billing_controls else NO_CONTROLS
    entity = Entity(params.entity_id, params.feature_id, params.name, request.now, controls)
    data = params.customer_data
    customer = Customer(params.customer_id, *((data.name, data.email, data.fingerprint) if data else ()))
    if data is not None:
        customers.ensure(env, customer, request.now)
    try:
        holdings = customers.create_entity(request.customer(params.customer_id), entity, request.now)
    except NotFound as missing:
        if missing.kind != "customer":
            raise
        customers.ensure(env, customer, request.now)
        holdings = customers.create_entity(request.customer(params.customer_id), entity, request.now)
    return _shown_entity(catalogs, request, holdings, params.entity_id, None)


def get_entity(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`entities.get`. Raises NotFound."""
    params = EntityParams.of(request.body)
    holdings = customers.with_entity(request.caller.environment, params.customer_id, params.entity_id)
    return _shown_entity(catalogs, request, holdings, params.entity_id, params.expand)


def update_entity(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`entities.update`: sets the entity's controls. Raises NotFound."""
    params = UpdateEntityParams.of(request.body)
    held = customers.with_entity(request.caller.environment, params.customer_id, params.entity_id)
    if params.billing_controls is not None:
        controls = params.billing_controls.applied(held.entity(params.entity_id).controls)
        held = customers.update_entity(request.customer(held.customer.id), params.entity_id, controls, request.now)
    return _shown_entity(catalogs, request, held, params.entity_id, None)


def delete_entity(customers: Customers, request: Request) -> Answer:
    """`entities.delete`. Raises NotFound."""
    params = EntityParams.of(request.body)
    held = customers.with_entity(request.caller.environment, params.customer_id, params.entity_id)
    customers.delete_entity(request.customer(held.customer.id), params.entity_id, request.now)
    return Answer({"success": True})


def list_entities(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`entities.list`: a page of the entities of one customer or of all that match, the newest first."""
    params = ListEntitiesParams.of(request.body)
    env, view = request.caller.environment, _view(catalogs, request, None)

    def found(holdings: Holdings) -> Iterator[tuple[str, tuple[Holdings, Entity]]]:
        for entity in sorted(holdings.entities.values(), key=_newest_first):
            text = f"{entity.id} {entity.name or ''}".lower()
            if params.search and params.search.lower() not in text:
                continue
            if _matches(holdings, entity.id, params.plans, params.subscription_status, request.now):
                yield _newest_first(entity), (holdings, entity)

    def may(_: ListedCustomer, facts: Facts) -> bool:
        if facts.parts is not None and not any(part.startswith("ENTITY#") for part in facts.parts):
            return False
        at, owners = facts.time(request.now), {s.entity_id for s in facts.subscriptions if s.entity_id}
        wanted = params.plans, params.subscription_status
        return wanted == (None, None) or any(_held(facts.subscriptions, id, *wanted, at) for id in owners)

    asked = PageRequest(
        params.customer_id, params.start_cursor, params.limit or 50, newest_first=True, plan_ids=_named(params.plans)
    )
    page = each_customer(customers, env, asked, found, may)
    return Answer(page_json(page, lambda item: shown_entity(catalogs, *item, view)))


def _named(plans: list[PlanFilter] | None) -> set[str]:
    """The ids of the plans that a filter names."""
    return {plan.id for plan in plans or ()}


def _newest_first(entity: Entity) -> str:
    """An entity's position in a list whose first is the newest."""
    return f"{_LATEST - entity.created_at:015d}#{entity.id}"


def id_of_email(email: str) -> str:
    """The id of a customer that was given none: it follows from the e-mail address, in whatever case it is written."""
    return f"cus_{hashlib.sha256(email.lower().encode()).hexdigest()[:24]}"


# ------------------------------------------------------------------ shapes


def page_json(page: Page[T], shown: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """A page of a list; `shown` turns one item into JSON."""
    return {
        "list": [shown(item) for item in page.items],
        "has_more": page.next_cursor is not None,
        "next_cursor": page.next_cursor,
    }


def _shown(
    catalogs: Catalogs, customers: Customers, request: Request, holdings: Holdings, expand: list[str] | None
) -> Answer:
    view = _view(catalogs, request, expand)
    if COUNTED_TOP_UPS in view.expand:
        view = view._replace(asked=customers.top_ups(view.env, holdings.customer.id))
    return Answer(shown_customer(catalogs, holdings, view))


def _shown_entity(
    catalogs: Catalogs, request: Request, holdings: Holdings, entity_id: str, expand: list[str] | None
) -> Answer:
    view = _view(catalogs, request, expand)
    return Answer(shown_entity(catalogs, holdings, holdings.entity(entity_id), view))


def _view(catalogs: Catalogs, request: Request, expand: list[str] | None) -> CustomerView:
    version, names = version_of(request.headers.get("x-api-version")), expanded(request, expand)
    if version < PLANS:
        names |= {"balances.feature"}
    env = request.caller.environment
    return CustomerView(catalogs.catalog(env), env, request.now, version, names)


def all_shown(catalogs: Catalogs, request: Request, found: Sequence[Holdings]) -> list[dict[str, Any]]:
    """Customers as `customers.get` answers them, with nothing expanded; their plans are read once."""
    view = _view(catalogs, request, None)
    if view.version < PLANS:
        plans = catalogs.plans_of(view.env, [s for holdings in found for s in holdings.subscriptions.values()])
        view = view._replace(plans=plans)
    return [translated(view.version, "customer", customer_json(holdings, view)) for holdings in found]


def shown_customer(catalogs: Catalogs, holdings: Holdings, view: CustomerView) -> dict[str, Any]:
    """A customer in the caller's version."""
    return translated(view.version, "customer", customer_json(holdings, _with_plans(catalogs, holdings, view)))


def shown_entity(catalogs: Catalogs, holdings: Holdings, entity: Entity, view: CustomerView) -> dict[str, Any]:
    """An entity in the caller's version."""
    return translated(view.version, "entity", entity_json(holdings, entity, _with_plans(catalogs, holdings, view)))


def _with_plans(catalogs: Catalogs, holdings: Holdings, view: CustomerView) -> CustomerView:
    """The same, with the plans of the subscriptions where they are to be shown."""
    if view.version >= PLANS and "subscriptions.plan" not in view.expand:
        return view
    return view._replace(plans=catalogs.plans_of(view.env, holdings.subscriptions.values()))


class CustomerView(NamedTuple):
    """How a customer or an entity is to be shown, and what that needs besides its holdings."""

    catalog: Catalog  # the environment's features and plans
    env: Environment
    now: int  # epoch ms; a test clock replaces it
    version: Version = NEWEST
    expand: frozenset[str] = frozenset()  # names of what to show in full, such as `balances.feature`
    plans: dict[str, Plan] | None = None  # by subscription id; None or empty: no plan is shown in full
    asked: Mapping[str, TopUpState] | None = None  # by feature, where top-ups are to be shown with their counts


def customer_json(holdings: Holdings, view: CustomerView) -> dict[str, Any]:
    """A customer in the newest shape: its fields, controls, subscriptions, balances and flags."""
    customer, at = holdings.customer, holdings.time(view.now)
    balances = all_as_of(holdings.balances, at)
    controls = effective_json(holdings, balances, "", at)
    shown: dict[str, Any] = {
        "id": customer.id,
        "name": customer.name,
        "email": customer.email,
        "created_at": customer.created_at,
        "fingerprint": customer.fingerprint,
        "stripe_id": None,
        "env": view.env.value,
        "metadata": customer.metadata,
        "send_email_receipts": customer.send_email_receipts,
        "billing_controls": controls
        if view.asked is None
        else with_counts(controls, customer.controls, view.asked, at),
        "config": {"disable_pooled_balance": customer.unpooled},
        **_held_json(holdings, "", with_waiting_shares(holdings, balances, view.catalog, at), at, view),
        "licenses": [],
        **{name: empty for name, empty in NOT_KEPT.items() if name in view.expand},
        **({"trials_used": _trials_json(holdings)} if "trials_used" in view.expand else {}),
    }
    if "entities" in view.expand:
        entities = sorted(holdings.entities.values(), key=lambda entity: entity.id)
        shown["entities"] = [_plain_entity_json(holdings, entity, view.env) for entity in entities]
    return shown


def _trials_json(holdings: Holdings) -> list[dict[str, Any]]:
    customer = holdings.customer
    return [
        {"plan_id": id, "customer_id": customer.id, "fingerprint": customer.fingerprint} for id in trials_used(holdings)
    ]


def entity_json(holdings: Holdings, entity: Entity, view: CustomerView) -> dict[str, Any]:
    """An entity in the newest shape: its fields, controls, and what it has, its customer's included."""
    at = holdings.time(view.now)
    balances = all_as_of(holdings.balances, at)
    return {
        **_plain_entity_json(holdings, entity, view.env),
        "billing_controls": effective_json(holdings, balances, entity.id, at),
        **_held_json(holdings, entity.id, balances, at, view),
        **({"invoices": []} if "invoices" in view.expand else {}),
    }


def _plain_entity_json(holdings: Holdings, entity: Entity, env: Environment) -> dict[str, Any]:
    return {
        "id": entity.id,
        "name": entity.name,
        "customer_id": holdings.customer.id,
        "feature_id": entity.feature_id,
        "created_at": entity.created_at,
        "env": env.value,
    }


def _held_json(holdings: Holdings, entity_id: str, balances: Balances, at: int, view: CustomerView) -> dict[str, Any]:
    """The subscriptions, balances and flags at an instant (ms): an entity has its own and its customer's."""
    features, expand = view.catalog.features, view.expand
    owners = (None,) if not entity_id else (entity_id, None)
    held = [s for s in holdings.subscriptions.values() if s.entity_id in owners and s.status(at) != "expired"]
    held = sorted(held, key=lambda s: (s.started_at, s.created_at, s.id))
    ids = sorted({key.feature_id for key in balances})
    balance_features = bool(expand & {"balances.feature", "balance.feature"})
    flag_features = bool(expand & {"flags.feature", "flag.feature", "balances.feature"})
    shown_balances = ((id, balance_json(id, entity_id, balances, features, expanded=balance_features)) for id in ids)
    held_flags = ((id, flag_json(id, entity_id, balances, features, expanded=flag_features)) for id in ids)
    return {
        "subscriptions": [
            subscription_json(s, at) | _plan_shown(s, at, view) for s in held if not is_purchase(s, view.catalog)
        ],
        "purchases": [_purchase_shown(s, at, view) for s in held if is_purchase(s, view.catalog)],
        "balances": {id: shown for id, shown in shown_balances if shown},
        "flags": {id: shown for id, shown in held_flags if shown},
    }


def _plan_shown(subscription: Subscription, now: int, view: CustomerView) -> dict[str, Any]:
    """A subscription's plan where it is expanded; and what 1.2 shows of its product, and later versions do not."""
    plan = view.plans.get(subscription.id) if view.plans else None
    if plan is not None:  # as it is held, which may be customized
        plan = replace(plan, items=subscription.items, price=subscription.price)
    shown: dict[str, Any] = {"_trialing": subscription.trialing(now)}
    if plan is not None and "subscriptions.plan" in view.expand:
        shown["plan"] = translated(view.version, "plan", plan_json(plan, view.env, view.catalog.features))
    if plan is not None and view.version < PLANS:
        product = product_json(plan, view.env, view.catalog, bought=subscription.quantities)
        shown["_product"] = {name: product[name] for name in ("name", "group", "version", "items")}
    return shown


def is_purchase(subscription: Subscription, catalog: Catalog) -> bool:
    """Whether the subscription is to a plan that is paid once: from 2.1 on, it stands among the purchases."""
    return cost_of(subscription.price, subscription.items, catalog.features).one_off


def purchase_json(subscription: Subscription) -> dict[str, Any]:
    """A plan that was paid once, in the newest shape."""
    return {
        "plan_id": subscription.plan_id,
        "expires_at": subscription.expires_at,
        "started_at": subscription.started_at,
        "quantity": 1,
        "scope": "entity" if subscription.entity_id else "customer",
    }


def _purchase_shown(subscription: Subscription, now: int, view: CustomerView) -> dict[str, Any]:
    """A purchase, with its plan where that is expanded; and for versions that have none, the subscription that it is
    there."""
    older = subscription_json(subscription, now) | _plan_shown(subscription, now, view)
    plan = {"plan": older["plan"]} if "plan" in older else {}
    return {**purchase_json(subscription), **plan, "_subscription": older}


def subscription_json(subscription: Subscription, now: int) -> dict[str, Any]:
    """A subscription at an instant (ms), in the newest shape. One that no recurring price is paid for has no period,
    but for its trial."""
    cost = cost_of(subscription.price, subscription.items, {})
    recurs = subscription.trialing(now) or not (cost.free or cost.one_off)
    period = subscription.period(max(now, subscription.started_at)) if recurs else None
    return {
        "id": subscription.id,
        "plan_id": subscription.plan_id,
        "plan_version": subscription.plan_version,
        "auto_enable": subscription.auto_enable,
        "add_on": subscription.add_on,
        "status": subscription.status(now),
        "past_due": False,
        "canceled_at": subscription.canceled_at,
        "expires_at": subscription.expires_at,
        "trial_ends_at": subscription.trial_ends_at,
        "started_at": subscription.started_at,
        "current_period_start": period[0] if period else None,
        "current_period_end": period[1] if period else None,
        "quantity": 1,
        "feature_quantities": [{"feature_id": id, "quantity": q} for id, q in subscription.quantities.items()],
        "scope": "entity" if subscription.entity_id else "customer",
        **(
            {"subscription_filters": [{"property_name": name, "value": value} for name, value in subscription.filters]}
            if subscription.filters
            else {}
        ),
    }


def _matches(
    holdings: Holdings, entity_id: str | None, plans: list[PlanFilter] | None, status: str | None, now: int
) -> bool:
    """Whether a customer (or entity) has a subscription of the plans and the status asked for."""
    return _held(holdings.subscriptions.values(), entity_id, plans, status, holdings.time(now))


def _held(
    subscriptions: Iterable[Subscription | ListedSubscription],
    entity_id: str | None,
    plans: list[PlanFilter] | None,
    status: str | None,
    at: int,
) -> bool:
    if plans is None and status is None:
        return True
    held = [s for s in subscriptions if s.entity_id == entity_id and s.status(at) != "expired"]
    return any(
        (status is None or s.status(at) == status)
        and (
            plans is None or any(s.plan_id == p.id and (not p.versions or s.plan_version in p.versions) for p in plans)
        )
        for s in held
    )
