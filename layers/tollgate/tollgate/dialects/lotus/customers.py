"""`customers` (lotus.md 1.8): request in, answer out. No money moves here: what is about invoices is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus.errors import DuplicateResource
from tollgate.dialects.lotus.fields import Params, Text
from tollgate.dialects.lotus.subscriptions import record_json
from tollgate.domain.customers import Customer, Holdings
from tollgate.domain.errors import AlreadyExists
from tollgate.domain.ids import checked_id
from tollgate.domain.plans import Plan
from tollgate.domain.use_records import checked_properties_size
from tollgate.exact_json import dumps
from tollgate.usecases.access import Access
from tollgate.usecases.customers import Customers

CURRENCY = {"code": "USD", "name": "US Dollar", "symbol": "$"}


class CreateCustomerParams(Params):
    """The body of `POST /api/customers/`. A payment provider is accepted and has no effect."""

    customer_id: Text
    email: Text
    customer_name: Text | None = None
    payment_provider: Literal["stripe", "braintree"] | None = None
    payment_provider_id: Text | None = None
    properties: dict[str, Any] | None = None


def create(customers: Customers, access: Access, request: Request) -> Answer:
    """`POST /api/customers/`. Raises Invalid, InvalidInput or DuplicateResource."""
    params = CreateCustomerParams.of(request)
    checked_id(params.customer_id, "customer_id")
    properties = params.properties or {}
    checked_properties_size(len(dumps(properties)))
    customer = Customer(params.customer_id, params.customer_name, params.email, metadata=properties)
    try:
        holdings = customers.create(request.caller.environment, customer, request.now)
    except AlreadyExists as error:
        raise DuplicateResource("Customer with that customer_id already exists") from error
    return Answer(customer_json(request, holdings, _plans(access, request, holdings)), 201)


def get(customers: Customers, access: Access, request: Request, customer_id: str) -> Answer:
    """`GET /api/customers/{id}/`. Raises NotFound."""
    holdings = customers.get(request.customer(customer_id))
    return Answer(customer_json(request, holdings, _plans(access, request, holdings)))


def list_customers(customers: Customers, access: Access, request: Request) -> Answer:
    """All customers of the environment, oldest first."""
    env = request.caller.environment
    read = [(holdings, _plans(access, request, holdings)) for holdings in customers.each(customers.refs(env))]
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
