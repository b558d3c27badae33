"""The management API: `POST /v1/<noun>.<verb>`, Autumn's older REST paths, and the 404 of all that is not served."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

from tollgate import runtime
from tollgate.dialects.autumn import billing, catalog, customers, events, grants, keys, legacy, locks
from tollgate.dialects.autumn.edge import handle
from tollgate.dialects.autumn.idempotency import guarded
from tollgate.dialects.autumn.requests import header_key
from tollgate.dialects.autumn.versions import version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.errors import NotFound
from tollgate.usecases.history import Usage

Route = Callable[..., Answer]
"""Takes the use cases, the request, and what the path's `{}` stand for."""

_management = runtime.management()
_reservations = runtime.reservations()
_usage = runtime.usage()


def _events(route: Callable[[Usage, Request], Answer]) -> Route:
    """A route that asks the history of usage."""
    return lambda _, request: route(_usage, request)


RPCS: dict[str, Route] = {
    "features.create": catalog.create_feature,
    "features.get": catalog.get_feature,
    "features.list": catalog.list_features,
    "features.update": catalog.update_feature,
    "features.delete": catalog.delete_feature,
    "plans.create": catalog.create_plan,
    "plans.get": catalog.get_plan,
    "plans.list": catalog.list_plans,
    "plans.update": catalog.update_plan,
    "plans.delete": catalog.delete_plan,
    "customers.get_or_create": customers.get_or_create,
    "customers.get": customers.get,
    "customers.list": customers.list_customers,
    "customers.update": customers.update,
    "customers.delete": customers.delete,
    "customers.advance_test_clock": customers.advance_test_clock,
    "entities.create": customers.create_entity,
    "entities.get": customers.get_entity,
    "entities.list": customers.list_entities,
    "entities.update": customers.update_entity,
    "entities.delete": customers.delete_entity,
    "billing.attach": billing.attach,
    "billing.update": billing.update,
    "subscriptions.list": billing.list_subscriptions,
    "balances.create": grants.create_balance,
    "balances.list": grants.list_balances,
    "balances.update": grants.update_balance,
    "balances.delete": grants.delete_balance,
    "balances.finalize": lambda _, request: locks.finalize(_reservations, request),
    "balances.list_locks": lambda management, request: locks.list_locks(management, _reservations, request),
    "events.list": _events(events.list_events),
    "events.aggregate": _events(events.aggregate_events),
    "keys.create": keys.create_key,
    "keys.list": keys.list_keys,
    "keys.revoke": keys.revoke_key,
}
PATHS: dict[str, Route] = {f"POST /v1/{name}": route for name, route in RPCS.items()} | {
    "POST /v1/balances/create": grants.create_balance,
    "POST /v1/balances/list": grants.list_balances,
    "POST /v1/balances/update": grants.update_balance,
    "POST /v1/usage": legacy.set_usage,
    "POST /v1/query": _events(events.query),
    "GET /v1/customers": legacy.list_customers,
    "POST /v1/customers": legacy.create_customer,
    "GET /v1/customers/{}": legacy.get_customer,
    "POST /v1/customers/{}": legacy.update_customer,
    "DELETE /v1/customers/{}": legacy.delete_customer,
    "POST /v1/customers/{}/balances": legacy.set_balances,
    "POST /v1/customers/{}/entities": legacy.create_entities,
    "GET /v1/customers/{}/entities/{}": legacy.get_entity,
    "DELETE /v1/customers/{}/entities/{}": legacy.delete_entity,
    "GET /v1/products": legacy.list_products,
    "POST /v1/products": legacy.create_product,
    "GET /v1/products/{}": legacy.get_product,
    "POST /v1/products/{}": legacy.update_product,
    "DELETE /v1/products/{}": legacy.delete_product,
    "POST /v1/attach": legacy.attach,
    "POST /v1/cancel": legacy.cancel,
}

_once = runtime.idempotency()


def found(route: str) -> tuple[Route, list[str]] | None:
    """The route of `METHOD /path`, and what its `{}` stand for. An HTTP API has decoded all but `%25`."""
    if route in PATHS:
        return PATHS[route], []
    parts = route.split("/")
    for template, served in PATHS.items():
        pattern = template.split("/")
        if len(pattern) == len(parts) and all(p in ("{}", part) for p, part in zip(pattern, parts, strict=True)):
            return served, [unquote(part) for p, part in zip(pattern, parts, strict=True) if p == "{}"]
    return None


def _manage(request: Request) -> Answer:
    version_of(request.headers.get("x-api-version"))
    request.caller.require_secret("manage")
    served = found(request.route)
    if served is None:
        raise NotFound("route", request.path[:100])
    route, arguments = served
    call = partial(route, _management, request, *arguments)
    key = header_key(request) if request.method != "GET" else ()
    return guarded(_once, request, key, call) if key else call()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return handle(event, _manage, runtime.clock, runtime.defect)
