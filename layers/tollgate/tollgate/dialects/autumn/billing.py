"""`billing.attach`, `billing.update`, their previews, and `subscriptions.list` (management.md 6, 7, 18): requests in,
answers out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from tollgate.dialects.autumn.catalog import BasePriceParams, FreeTrialParams, PlanItemParams, different, plan_items
from tollgate.dialects.autumn.controls import ControlsParams
from tollgate.dialects.autumn.cursors import Page, PageRequest, each_customer
from tollgate.dialects.autumn.customers import is_purchase, page_json, purchase_json, subscription_json
from tollgate.dialects.autumn.fields import Cursor, Id, IntervalName, Number, Params, Start, Text, Time, Whole
from tollgate.dialects.autumn.versions import FLAGS, PLANS, translated, version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.controls import Controls
from tollgate.domain.customers import Holdings, Subscription
from tollgate.domain.customizing import Customizing
from tollgate.domain.errors import InvalidInput
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.places import told_as, within
from tollgate.domain.plan_grants import Carried, CarryOver
from tollgate.domain.plans import FreeTrial, Plan, PlanItem
from tollgate.domain.subscriptions import Terms
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers, SubscriptionFilter, SubscriptionUpdate
from tollgate.usecases.previews import Changed, Preview, preview


class QuantityParams(Params):
    """How many units of a prepaid feature are bought."""

    feature_id: Id
    quantity: Number | None = None


class ItemFilterParams(Params):
    """Which items of a plan are meant: those for which all of this is so."""

    feature_id: Id | None = None
    billing_method: Literal["prepaid", "usage_based"] | None = None
    interval: IntervalName | None = None
    interval_count: Whole | None = None
    included: Number | None = None

    def picks(self, item: PlanItem) -> bool:
        """Whether an item is meant. An item's interval is its reset's; without one, its price's, else `one_off`."""
        price = item.price
        every = item.reset or (Reset(price.interval, price.interval_count) if price and price.interval else None)
        interval = Interval.ONE_OFF if every is None else every.interval
        return (
            self.feature_id in (None, item.feature_id)
            and self.billing_method in (None, price.billing_method if price else None)
            and self.interval in (None, interval.value)
            and self.interval_count in (None, 1 if every is None else every.count)
            and self.included in (None, item.included)
        )


class CustomizeParams(Params):
    """What of the plan is to differ for this one subscription."""

    later: ClassVar[tuple[str, ...]] = ("upsert_licenses",)

    price: BasePriceParams | None = None
    items: Annotated[list[PlanItemParams], Field(max_length=90)] | None = None
    add_items: Annotated[list[PlanItemParams], Field(max_length=90)] | None = None
    remove_items: Annotated[list[ItemFilterParams], Field(max_length=90)] | None = None
    free_trial: FreeTrialParams | None = None
    billing_controls: ControlsParams | None = None

    def customizing(self, items: tuple[PlanItem, ...], controls: Controls, plan_id: str) -> Customizing:
        """What is to differ from these items and controls, and in the price. Raises InvalidInput for a filter that picks
        none."""
        with within("customize.price"):
            price = self.price.price() if self.price else None
        return Customizing(
            self._items(items, plan_id),
            (price,) if "price" in self.model_fields_set else None,
            self.billing_controls.applied(controls) if self.billing_controls else None,
        )

    def place(self, items: int, field: str) -> str:
        """Where in the request a field of the plan was named that has so many items."""
        first, _, rest = field.partition(".")
        if first == "items" and rest and self.items is None:
            number, _, of = rest.partition(".")
            added = int(number) - (items - len(self.add_items or ()))
            field = f"add_items.{added}.{of}".rstrip(".") if added >= 0 else ""
        return f"customize.{field}".rstrip(".") if first in ("items", "billing_controls") else field

    def _items(self, items: tuple[PlanItem, ...], plan_id: str) -> tuple[PlanItem, ...] | None:
        if self.items is not None:
            if self.add_items or self.remove_items:
                raise InvalidInput("customize.items", "cannot be given with add_items or remove_items")
            return self._different(plan_items(self.items, "customize.items"))
        if not self.add_items and not self.remove_items:
            return None
        left = items
        for number, filter in enumerate(self.remove_items or ()):
            kept = tuple(item for item in left if not filter.picks(item))
            if len(kept) == len(left):
                raise InvalidInput(f"customize.remove_items.{number}", f"picks no item of plan {plan_id}")
            left = kept
        return self._different((*left, *plan_items(self.add_items or (), "customize.add_items")))

    def _different(self, items: Iterable[PlanItem]) -> tuple[PlanItem, ...]:
        found = tuple(items)
        with told_as(partial(self.place, len(found))):
            return different(found)


class UpdateCustomizeParams(CustomizeParams):
    """What is to differ of a subscription that runs: from what it has, not from the plan."""

    later = (*CustomizeParams.later, "free_trial")


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

    later = ("license_quantities",)

    customer_id: Id
    plan_id: Id
    remove_plan_ids: Annotated[list[Id], Field(max_length=20)] | None = None
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
        *("version", "free_trial", "billing_cycle_anchor"),
        *("carry_over_usages", "recalculate_balances", "license_quantities"),
    )

    customer_id: Id
    plan_id: Id | None = None
    entity_id: Id | None = None
    subscription_id: Id | None = None
    feature_quantities: Annotated[list[QuantityParams], Field(max_length=100)] | None = None
    cancel_action: Literal["cancel_immediately", "cancel_end_of_cycle", "uncancel"] | None = None
    customize: UpdateCustomizeParams | None = None


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
    _attach(catalogs, params, request)(customers)
    return Answer(
        {
            "customer_id": params.customer_id,
            **({"entity_id": params.entity_id} if params.entity_id else {}),
            "payment_url": None,
        }
    )


def preview_attach(catalogs: Catalogs, customers: Customers, request: Request) -> Answer:
    """`billing.preview_attach`: what `billing.attach` would do with the same body. Changes nothing, and raises the same."""
    params = AttachParams.of(request.body)
    found = preview(customers, _attach(catalogs, params, request), request.now)
    shown = {"redirect_to_checkout": False, "checkout_type": None}
    return Answer(_preview_json(params.customer_id, found) | shown)


def _attach(catalogs: Catalogs, params: AttachParams, request: Request) -> Callable[[Customers], object]:
    """What an attach does to customers. Raises NotFound for a plan or a feature that it names."""
    env = request.caller.environment
    plan = catalogs.plan(env, params.plan_id, params.version)
    features = catalogs.catalog(env)
    for carry in (params.carry_over_usages, params.carry_over_balances):
        for feature_id in (carry and carry.feature_ids) or ():
            features.feature(feature_id)
    terms = _terms(params, plan)
    customer = request.customer(params.customer_id)
    custom = params.customize or CustomizeParams()

    def run(customers: Customers) -> object:
        with told_as(partial(custom.place, len(terms.items or ()))):
            return customers.attach(
                customer, params.plan_id, params.version, request.now, terms, params.subscription_id
            )

    return run


def _preview_json(customer_id: str, found: Preview | None) -> dict[str, Any]:
    """What would change. No money is due here: there are no amounts, and the plans' prices are the catalog's."""
    return {
        "customer_id": customer_id,
        "line_items": [],
        "subtotal": 0,
        "total": 0,
        "currency": "usd",
        "incoming": [] if found is None else [_changed_json(one) for one in found.incoming],
        "outgoing": [] if found is None else [_changed_json(one) for one in found.outgoing],
    }


def _changed_json(changed: Changed) -> dict[str, Any]:
    s = changed.subscription
    return {
        "plan_id": s.plan_id,
        "feature_quantities": [{"feature_id": id, "quantity": quantity} for id, quantity in s.quantities.items()],
        "effective_at": changed.at,
        "canceled_at": s.canceled_at,
        "expires_at": s.expires_at,
    }


def _terms(params: AttachParams, plan: Plan) -> Terms:
    differs = params.customize.customizing(plan.items, plan.controls, plan.id) if params.customize else Customizing()
    anchor = params.billing_cycle_anchor
    return Terms(
        entity_id=params.entity_id,
        quantities=_quantities(params.feature_quantities),
        items=differs.items,
        price=differs.price,
        controls=differs.controls,
        removes=tuple(params.remove_plan_ids or ()),
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
        with within("customize.free_trial"):
            return params.customize.free_trial.trial() if params.customize.free_trial else None
    if "free_trial" in params.model_fields_set:
        with within("free_trial"):
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
    """`billing.update`: cancels a subscription, takes the cancellation back, or changes the quantities bought or the plan as
    this customer has it.

    Raises NotFound, InvalidInput where the body asks for no change, or InvalidRequest where it cannot be made.
    """
    params = UpdateParams.of(request.body)
    _update(params, request)(customers)
    return Answer(
        {
            "customer_id": params.customer_id,
            **({"entity_id": params.entity_id} if params.entity_id else {}),
            "payment_url": None,
        }
    )


def preview_update(customers: Customers, request: Request) -> Answer:
    """`billing.preview_update`: what `billing.update` would do with the same body. Changes nothing, and raises the same."""
    params = UpdateParams.of(request.body)
    found = preview(customers, _update(params, request), request.now)
    intent = params.cancel_action or ("update_plan" if params.customize else "update_quantity")
    return Answer(_preview_json(params.customer_id, found) | {"intent": intent if found else "none"})


def _update(params: UpdateParams, request: Request) -> Callable[[Customers], object]:
    """What an update does to customers. Raises InvalidInput where the body asks for no change."""
    quantities = _quantities(params.feature_quantities)
    custom = params.customize
    if not quantities and params.cancel_action is None and custom is None:
        raise InvalidInput("", "Either cancel_action, feature_quantities or customize must be provided")
    customer = request.customer(params.customer_id)
    which = SubscriptionFilter(params.subscription_id, params.plan_id, params.entity_id)
    if custom is None:
        change = SubscriptionUpdate(params.cancel_action, quantities, needs_cycle=True)
        return lambda customers: customers.update_subscription(customer, which, change, request.now)
    if "free_trial" in custom.model_fields_set:  # null would end the trial that there is
        raise InvalidInput("customize.free_trial", "is not supported")
    wanted = Customizing()

    def customizing(held: Subscription) -> Customizing:
        nonlocal wanted
        wanted = custom.customizing(held.items, held.controls, held.plan_id)
        return wanted

    change = SubscriptionUpdate(params.cancel_action, quantities, needs_cycle=True, customizing=customizing)

    def run(customers: Customers) -> object:
        with told_as(lambda field: custom.place(len(wanted.items or ()), field)):
            return customers.update_subscription(customer, which, change, request.now)

    return run


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
        if "expired" in statuses:
            holdings = customers.with_ended(env, holdings)
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
