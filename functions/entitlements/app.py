"""Flexprice's API: what a customer is entitled to, and all else of it that is served: usage, events, the catalog,
customers and subscriptions.

A few of its nouns are Autumn's too. There the header that came decides: `x-api-key` is Flexprice's, a bearer key
Autumn's (the authorizer checks the same one), and what is not served is refused in that dialect's words.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tollgate import runtime
from tollgate.dialects.autumn.errors import AUTUMN
from tollgate.dialects.edge import handle
from tollgate.dialects.flexprice.errors import FLEXPRICE, NotServed
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.routing import Match, OnDemand, Route, run, taking
from tollgate.domain.errors import NotFound

_MODULES = [
    OnDemand(f"tollgate.dialects.flexprice.{name}")
    for name in ("customers", "entitlements", "events", "features", "grants", "plans", "subscriptions", "usage")
]
customers, entitlements, events, features, grants, plans, subscriptions, usage = _MODULES
runtime.before_snapshot(*(module.load for module in _MODULES))
_entitlements = runtime.entitlements()
_catalogs = runtime.catalogs()
_customers = runtime.customers()
_send = runtime.to_usage_queue
runtime.client("sqs")  # made here, so that no request waits for it

ROUTES: dict[str, Route] = {
    **taking(
        _entitlements,
        routes={
            "GET /v1/customers/{}/entitlements": entitlements.customer_entitlements,
            "GET /v1/customers/external/{}/entitlements": entitlements.external_entitlements,
            "GET /v1/customers/usage": usage.usage_summary,
            "GET /v1/customers/{}/usage": usage.customer_usage,
        },
    ),
    "GET /v1/subscriptions/{}/entitlements": partial(entitlements.subscription_entitlements, _entitlements, _customers),
    **taking(
        _send,
        _customers,
        routes={"POST /v1/events": events.ingest, "POST /v1/events/bulk": events.ingest_bulk},
    ),
    **taking(
        _catalogs,
        routes={
            "GET /v1/features": features.search_features,
            "POST /v1/features": features.create_feature,
            "POST /v1/features/search": features.search_features,
            "GET /v1/features/{}": features.get_feature,
            "PUT /v1/features/{}": features.update_feature,
            "DELETE /v1/features/{}": features.delete_feature,
            "GET /v1/meters": features.list_meters,
            "GET /v1/meters/{}": features.get_meter,
            "GET /v1/plans": plans.search_plans,
            "POST /v1/plans": plans.create_plan,
            "POST /v1/plans/search": plans.search_plans,
            "GET /v1/plans/{}": plans.get_plan,
            "PUT /v1/plans/{}": plans.update_plan,
            "DELETE /v1/plans/{}": plans.delete_plan,
            "GET /v1/plans/{}/entitlements": grants.of_plan,
            "GET /v1/addons": plans.search_addons,
            "POST /v1/addons": plans.create_addon,
            "POST /v1/addons/search": plans.search_addons,
            "GET /v1/addons/lookup/{}": plans.get_addon_by_lookup_key,
            "GET /v1/addons/{}": plans.get_addon,
            "PUT /v1/addons/{}": plans.update_addon,
            "DELETE /v1/addons/{}": plans.delete_addon,
            "GET /v1/addons/{}/entitlements": grants.of_addon,
            "GET /v1/entitlements": grants.search,
            "POST /v1/entitlements": grants.create,
            "POST /v1/entitlements/bulk": grants.create_bulk,
            "POST /v1/entitlements/search": grants.search,
            "GET /v1/entitlements/{}": grants.get,
            "PUT /v1/entitlements/{}": grants.update,
            "DELETE /v1/entitlements/{}": grants.delete,
        },
    ),
    **taking(
        _customers,
        routes={
            "GET /v1/customers": customers.search_customers,
            "POST /v1/customers": customers.create_customer,
            "PUT /v1/customers": customers.update_customer,
            "PUT /v1/customers/{}": customers.update_customer,
            "GET /v1/customers/{}": customers.get_customer,
            "DELETE /v1/customers/{}": customers.delete_customer,
            "POST /v1/customers/search": customers.search_customers,
            "GET /v1/customers/external/{}": customers.get_customer,
            "GET /v1/customers/lookup/{}": customers.get_customer,
            "DELETE /v1/subscriptions/addon": subscriptions.remove_addon,
            "POST /v1/subscriptions/{}/cancel": subscriptions.cancel,
        },
    ),
    **taking(
        _catalogs,
        _customers,
        routes={
            "GET /v1/customers/external/{}/subscriptions": subscriptions.of_customer,
            "GET /v1/subscriptions": subscriptions.search,
            "POST /v1/subscriptions": subscriptions.create,
            "POST /v1/subscriptions/search": subscriptions.search,
            "POST /v1/subscriptions/addon": subscriptions.add_addon,
            "GET /v1/subscriptions/{}": subscriptions.get,
            "GET /v1/subscriptions/{}/addons/associations": subscriptions.associations,
        },
    ),
}


def _flexprice(request: Request) -> Answer:
    request.caller.require_secret("use this API")
    missing = NotServed(f"{request.method} {request.path[:100]} is not served")
    return run(ROUTES, request.route, lambda found: ROUTES[found.template](request, *found.arguments), missing)


def _autumn(request: Request) -> Answer:
    """Autumn's side of the paths that both have: its code is imported when such a request comes."""
    from tollgate.dialects.autumn.requests import header_key
    from tollgate.dialects.autumn.shared_paths import shared_paths
    from tollgate.dialects.autumn.track import TrackUseCases, track
    from tollgate.dialects.autumn.versions import version_of

    idempotency = runtime.idempotency()
    if request.route == "POST /v1/events":
        use_cases = TrackUseCases(runtime.tracking(), runtime.ledger().features, idempotency, runtime.customers, _send)
        return track(use_cases, request)
    version_of(request.headers.get("x-api-version"))
    request.caller.require_secret("manage")
    routes = shared_paths(_catalogs, _customers)
    keys = header_key(request) if request.method != "GET" else ()

    def called(found: Match) -> Answer:
        call = partial(runtime.told_as_done, partial(routes[found.template], request, *found.arguments))
        return idempotency.guarded(request.caller.environment, keys, request.now, call) if keys else call()

    return run(routes, request.route, called, NotFound("route", request.path[:100]))


_autumn_route, _flexprice_route = runtime.limited(_autumn), runtime.limited(_flexprice)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers one call of API Gateway (payload format 2.0). Never raises: every error is an answer.

    The answer is in Autumn's words where a bearer key came alone, else in Flexprice's.
    """
    headers = {name.lower() for name in event["headers"]}
    if "x-api-key" not in headers and "authorization" in headers:
        return handle(event, AUTUMN, _autumn_route, runtime.clock, runtime.defect)
    return handle(event, FLEXPRICE, _flexprice_route, runtime.clock, runtime.defect)
