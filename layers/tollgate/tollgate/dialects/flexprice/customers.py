"""Customers: `GET`, `POST` and `PUT /v1/customers`, `GET` and `DELETE /v1/customers/{id}`, `…/external/{external_id}`,
`…/lookup/{key}`, `POST …/search`. Both of Flexprice's ids are the customer's one id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tollgate.dialects.flexprice.features import texts
from tollgate.dialects.flexprice.fields import Id, Metadata, Name, Params, Text, time_text
from tollgate.dialects.flexprice.lists import SearchParams, among
from tollgate.dialects.flexprice.shapes import CUSTOMER, whole
from tollgate.dialects.http import NO_CONTENT, Answer, Request
from tollgate.domain.customers import Customer, Holdings
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import InvalidInput
from tollgate.domain.ids import checked_id
from tollgate.usecases.customers import Customers


class CreateCustomerParams(Params):
    """Addresses, contacts, currency, time zone and taxes are not kept: nothing here is billed."""

    external_id: Id
    name: Name
    email: Text | None = None
    metadata: Metadata | None = None


class UpdateCustomerParams(Params):
    """The body of `PUT /v1/customers`: fields that are absent stay."""

    external_id: Id | None = None
    name: Text | None = None
    email: Text | None = None
    metadata: Metadata | None = None


class SearchCustomersParams(SearchParams):
    """What a list of customers may ask for."""

    later = (*SearchParams.later, "parent_customer_ids")
    fields = ("id", "external_id", "name", "email", "status", "created_at", "updated_at")

    customer_ids: list[Text] | None = None
    external_id: Text | None = None
    external_ids: list[Text] | None = None
    email: Text | None = None
    metadata: dict[str, str] | None = None


def create_customer(customers: Customers, request: Request) -> Answer:
    """`POST /v1/customers`. Raises AlreadyExists."""
    params = CreateCustomerParams.of(request.body)
    env = request.caller.environment
    customer = Customer(params.external_id, params.name, params.email, metadata=params.metadata or {})
    return Answer(customer_json(customers.create(env, customer, request.now).customer, env), 201)


def get_customer(customers: Customers, request: Request, customer_id: str) -> Answer:
    """`GET /v1/customers/{id}` and `…/external/{external_id}`. Raises NotFound."""
    env = request.caller.environment
    return Answer(customer_json(customers.get(request.customer(checked_id(customer_id, "id"))).customer, env))


def update_customer(customers: Customers, request: Request, customer_id: str | None = None) -> Answer:
    """`PUT /v1/customers`: the customer is named in the path, or by `id` or `external_customer_id` in the query.

    Raises InvalidInput where none is named or `external_id` is to change, and NotFound.
    """
    params = UpdateCustomerParams.of(request.body)
    id = customer_id or next(iter(request.query.get("id") or request.query.get("external_customer_id") or ()), None)
    if not id:
        raise InvalidInput("id", "is required")
    if params.external_id not in (None, id):
        raise InvalidInput("external_id", "cannot be changed")

    def change(old: Customer) -> Customer:
        return replace(
            old,
            name=params.name or old.name,
            email=params.email or old.email,
            metadata=old.metadata if params.metadata is None else params.metadata,
        )

    env = request.caller.environment
    return Answer(
        customer_json(customers.update(request.customer(checked_id(id, "id")), change, request.now).customer, env)
    )


def delete_customer(customers: Customers, request: Request, customer_id: str) -> Answer:
    """`DELETE /v1/customers/{id}`: the customer and all that it has. Raises NotFound."""
    customers.delete(request.customer(checked_id(customer_id, "id")))
    return NO_CONTENT


def search_customers(customers: Customers, request: Request) -> Answer:
    """`GET /v1/customers`, `POST …/search`: those that match all filters. Without ids or an e-mail it reads the list of all,
    and the customers that the page shows; with `metadata`, all customers."""
    params = SearchCustomersParams.asked(request)
    env = request.caller.environment
    ids = ids_by_field(params, "customer_ids", "external_ids", "external_id")
    wanted = params.metadata or {}
    whole = bool(ids or params.email or wanted)
    if ids:
        asked = customers.profiles(env, [checked_id(id, place) for id, place in ids.items()])
    elif params.email:
        asked = customers.with_email(env, params.email)
    else:
        asked = customers.all_profiles(env, whole=whole)
    found = [
        (customer.created_at, customer)
        for customer in asked
        if among(customer.email or "", [params.email] if params.email else None)
        and wanted.items() <= (texts(dict(customer.metadata)) or {}).items()
        and params.has_status(archived=False)
    ]
    page = params.page(found, lambda customer: customer_json(customer, env))
    return page if whole else _read_whole(customers, env, page)


def _read_whole(customers: Customers, env: Environment, page: Answer) -> Answer:
    """A page of customers as the list tells of them, with their whole profiles; those that are gone meanwhile are left out."""
    read = customers.profiles(env, [shown["id"] for shown in page.body["items"]])
    return page._replace(body={**page.body, "items": [customer_json(customer, env) for customer in read]})


def ids_by_field(params: Params, *names: str) -> dict[str, str]:
    """The customers' ids in these fields, each with its place in the request."""
    found: dict[str, str] = {}
    for name in names:
        value = getattr(params, name)
        many = (
            [(f"{name}.{number}", id) for number, id in enumerate(value)]
            if isinstance(value, list)
            else [(name, value)]
        )
        found |= {id: place for place, id in reversed(many) if id}
    return found


def named_customers(customers: Customers, env: Environment, ids: Mapping[str, str]) -> Iterator[Holdings]:
    """The customers of these ids that exist; without ids, all of the environment. Raises InvalidInput for an id that is none,
    by its place in the request."""
    if not ids:
        return customers.read(env, customers.listed(env))
    return customers.each(CustomerRef(env, checked_id(id, place)) for id, place in ids.items())


def customer_json(customer: Customer, env: Environment) -> dict[str, Any]:
    """A CustomerResponse: both of Flexprice's ids are the customer's one id."""
    created = time_text(customer.created_at or None)
    return whole(
        CUSTOMER,
        {
            "id": customer.id,
            "external_id": customer.id,
            "name": customer.name or customer.id,
            "email": customer.email,
            "metadata": texts(dict(customer.metadata)),
            "timezone": "UTC",
            "environment_id": env.value,
            "status": "published",
            "created_at": created,
            "updated_at": created,
        },
    )
