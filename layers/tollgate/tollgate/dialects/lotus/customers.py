"""`customers` (lotus.md 1.8): request in, answer out. No money moves here: what is about invoices is empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus.errors import DuplicateResource, Invalid
from tollgate.dialects.lotus.fields import Params, Text
from tollgate.dialects.lotus.subscriptions import record_json
from tollgate.domain.customers import Customer, Holdings
from tollgate.domain.errors import AlreadyExists, InvalidInput
from tollgate.domain.ids import checked_id
from tollgate.domain.plans import Plan
from tollgate.domain.use_records import checked_properties_size
from tollgate.exact_json import dumps
from tollgate.usecases.access import Access
from tollgate.usecases.customers import Customers

MOST_CUSTOMERS = 500  # in one batch: they are created one after the other, and API Gateway waits 30 s
CURRENCY = {"code": "USD", "name": "US Dollar", "symbol": "$"}


class CreateCustomerParams(Params):
    """The body of `POST /api/customers/`. A payment provider is accepted and has no effect."""

    customer_id: Text
    email: Text
    customer_name: Text | None = None
    payment_provider: Literal["stripe", "braintree"] | None = None
    payment_provider_id: Text | None = None
    properties: dict[str, Any] | None = None


class DetailParams(Params):
    """The query of `customer_detail`."""

    customer_id: Text


def _customer(params: CreateCustomerParams) -> Customer:
    """The customer that a request describes. Raises InvalidInput."""
    checked_id(params.customer_id, "customer_id")
    properties = params.properties or {}
    checked_properties_size(len(dumps(properties)))
    return Customer(params.customer_id, params.customer_name, params.email, metadata=properties)


def create(customers: Customers, access: Access, request: Request) -> Answer:
    """`POST /api/customers/`. Raises Invalid, InvalidInput or DuplicateResource."""
    customer = _customer(CreateCustomerParams.of(request))
    try:
        holdings = customers.create(request.caller.environment, customer, request.now)
    except AlreadyExists as error:
        raise DuplicateResource("Customer with that customer_id already exists") from error
    return Answer(customer_json(request, holdings, _plans(access, request, holdings)), 201)


class BatchParams(Params):
    """The body of `POST /api/batch_create_customers/`: customers as `POST /api/customers/` takes them, and what becomes of
    those that exist. Each customer is parsed by itself."""

    customers: Annotated[list[dict[str, Any]], Field(max_length=MOST_CUSTOMERS)]
    behavior_on_existing: Literal["merge", "ignore", "overwrite"]


def create_batch(customers: Customers, request: Request) -> Answer:
    """`POST /api/batch_create_customers/`: creates each of the customers that can be created.

    Those that exist stay as they are (`ignore`), get what they lack (`merge`), or what is sent in place of what they have
    (`overwrite`). The answer names those that failed, with the reason, and is 400 where all did.
    """
    params = BatchParams.of(request)
    failed: dict[str, str] = {}
    for number, fields in enumerate(params.customers):
        try:
            one = _customer(CreateCustomerParams.parsed(fields))
            _create_or_change(customers, request, one, params.behavior_on_existing)
        except (Invalid, InvalidInput) as error:
            failed[str(fields.get("customer_id") or fields.get("email") or number)] = str(error)
    if params.customers and len(failed) == len(params.customers):
        return Answer({"success": "none", "failed_customers": failed}, 400)
    return Answer({"success": "some" if failed else "all", "failed_customers": failed}, 201)


def _create_or_change(customers: Customers, request: Request, sent: Customer, behavior: str) -> None:
    try:
        customers.create(request.caller.environment, sent, request.now)
    except AlreadyExists:
        if behavior != "ignore":
            change = _merged if behavior == "merge" else _overwritten
            customers.update(request.customer(sent.id), lambda held: change(held, sent), request.now)


def _merged(held: Customer, sent: Customer) -> Customer:
    metadata = {**sent.metadata, **held.metadata}
    return replace(held, name=held.name or sent.name, email=held.email or sent.email, metadata=metadata)


def _overwritten(held: Customer, sent: Customer) -> Customer:
    metadata = {**held.metadata, **sent.metadata}
    return replace(held, name=sent.name or held.name, email=sent.email or held.email, metadata=metadata)


def get_detail(customers: Customers, access: Access, request: Request) -> Answer:
    """`GET /api/customer_detail/`: the customer of the query's `customer_id`. Raises Invalid, or NotFound."""
    return get(customers, access, request, DetailParams.of(request).customer_id)


def get(customers: Customers, access: Access, request: Request, customer_id: str) -> Answer:
    """`GET /api/customers/{id}/`. Raises NotFound."""
    holdings = customers.get(request.customer(customer_id))
    return Answer(customer_json(request, holdings, _plans(access, request, holdings)))


def list_customers(customers: Customers, access: Access, request: Request) -> Answer:
    """All customers of the environment, oldest first."""
    env = request.caller.environment
    read = [(holdings, _plans(access, request, holdings)) for holdings in customers.read(env, customers.listed(env))]
    return Answer([customer_json(request, holdings, plans) for holdings, plans in read])


def _plans(access: Access, request: Request, holdings: Holdings) -> dict[str, Plan]:
    """The plans of the running subscriptions, by the subscription's id."""
    return access.plans(request.caller.environment, holdings.active(holdings.time(request.now)))


def customer_json(request: Request, holdings: Holdings, plans: Mapping[str, Plan]) -> dict[str, Any]:
    """A customer with its running subscriptions. `plans` are theirs, by the subscription's id."""
    customer, at = holdings.customer, holdings.time(request.now)
    return {
        "customer_id": customer.id,
        "email": customer.email,
        "customer_name": customer.name,
        "invoices": [],
        "total_amount_due": 0,
        "subscriptions": [
            record_json(request, holdings, subscription, plans[subscription.id]) for subscription in holdings.active(at)
        ],
        "integrations": {},
        "default_currency": CURRENCY,
        "payment_provider": None,
        "payment_provider_id": None,
        "has_payment_method": False,
        "address": None,
        "billing_address": None,
        "shipping_address": None,
        "tax_rate": None,
        "timezone": "UTC",
        "tax_providers": [],
    }
