"""Flexprice's API: what a customer is entitled to, and what leads there.

A few of its paths are Autumn's too. There the header that came decides: `x-api-key` is Flexprice's, a bearer key Autumn's
(the authorizer checks the same one).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

from tollgate import runtime
from tollgate.dialects.autumn import edge as autumn_edge
from tollgate.dialects.flexprice import (
    customers,
    edge,
    entitlements,
    events,
    features,
    grants,
    plans,
    subscriptions,
    usage,
)
from tollgate.dialects.flexprice.errors import NotServed
from tollgate.dialects.http import Answer, Request
from tollgate.domain.errors import NotFound

Route = Callable[..., Answer]
"""Takes the request, and what the path's `{}` stand for."""

_entitlements = runtime.entitlements()
_management = runtime.management()
_send = runtime.to_usage_queue
runtime.client("sqs")  # made here, so that no request waits for it

READS: dict[str, Route] = {
    "GET /v1/customers/{}/entitlements": partial(entitlements.customer_entitlements, _entitlements),
    "GET /v1/customers/external/{}/entitlements": partial(entitlements.external_entitlements, _entitlements),
    "GET /v1/customers/usage": partial(usage.usage_summary, _entitlements),
    "GET /v1/customers/{}/usage": partial(usage.customer_usage, _entitlements),
    "GET /v1/subscriptions/{}/entitlements": partial(
        entitlements.subscription_entitlements, _entitlements, runtime.management
    ),
    "POST /v1/events": partial(events.ingest, _send),
    "POST /v1/events/bulk": partial(events.ingest_bulk, _send),
}
MANAGED: dict[str, Route] = {
    "POST /v1/customers": customers.create_customer,
    "PUT /v1/customers": customers.update_customer,
    "PUT /v1/customers/{}": customers.update_customer,
    "GET /v1/customers/{}": customers.get_customer,
    "DELETE /v1/customers/{}": customers.delete_customer,
    "POST /v1/customers/search": customers.search_customers,
    "GET /v1/customers/external/{}": customers.get_customer,
    "GET /v1/customers/lookup/{}": customers.get_customer,
    "GET /v1/customers/external/{}/subscriptions": subscriptions.of_customer,
    "POST /v1/features": features.create_feature,
    "POST /v1/features/search": features.search_features,
    "PUT /v1/features/{}": features.update_feature,
    "DELETE /v1/features/{}": features.delete_feature,
    "POST /v1/plans": plans.create_plan,
    "POST /v1/plans/search": plans.search_plans,
    "GET /v1/plans/{}": plans.get_plan,
    "PUT /v1/plans/{}": plans.update_plan,
    "DELETE /v1/plans/{}": plans.delete_plan,
    "GET /v1/plans/{}/entitlements": grants.of_plan,
    "POST /v1/addons": plans.create_addon,
    "POST /v1/addons/search": plans.search_addons,
    "GET /v1/addons/lookup/{}": plans.get_addon_by_lookup_key,
    "GET /v1/addons/{}": plans.get_addon,
    "PUT /v1/addons/{}": plans.update_addon,
    "DELETE /v1/addons/{}": plans.delete_addon,
    "GET /v1/addons/{}/entitlements": grants.of_addon,
    "POST /v1/entitlements": grants.create,
    "POST /v1/entitlements/bulk": grants.create_bulk,
    "POST /v1/entitlements/search": grants.search,
    "GET /v1/entitlements/{}": grants.get,
    "PUT /v1/entitlements/{}": grants.update,
    "DELETE /v1/entitlements/{}": grants.delete,
    "POST /v1/subscriptions": subscriptions.create,
    "POST /v1/subscriptions/search": subscriptions.search,
    "POST /v1/subscriptions/addon": subscriptions.add_addon,
    "DELETE /v1/subscriptions/addon": subscriptions.remove_addon,
    "GET /v1/subscriptions/{}": subscriptions.get,
    "POST /v1/subscriptions/{}/cancel": subscriptions.cancel,
    "GET /v1/subscriptions/{}/addons/associations": subscriptions.associations,
}
ROUTES: dict[str, Route] = READS | {route: partial(call, _management) for route, call in MANAGED.items()}


def found(routes: dict[str, Route], route: str) -> tuple[Route, list[str]] | None:
    """The route of `METHOD /path`, and what its `{}` stand for; a path without them goes first."""
    parts = route.split("/")
    best: tuple[int, Route, list[str]] | None = None
    for template, served in routes.items():
        pattern = template.split("/")
        if len(pattern) != len(parts) or any(p not in ("{}", part) for p, part in zip(pattern, parts, strict=True)):
            continue
        arguments = [unquote(part) for p, part in zip(pattern, parts, strict=True) if p == "{}"]
        if best is None or len(arguments) < best[0]:
            best = len(arguments), served, arguments
    return best and (best[1], best[2])


def _flexprice(request: Request) -> Answer:
    request.caller.require_secret("use this API")
    served = found(ROUTES, request.route)
    if served is None:
        raise NotServed(f"{request.method} {request.path[:100]} is not served")
    route, arguments = served
    return route(request, *arguments)


def _autumn(request: Request) -> Answer:
    """Autumn's side of the paths that both have."""
    from tollgate.dialects.autumn import legacy
    from tollgate.dialects.autumn.idempotency import guarded
    from tollgate.dialects.autumn.requests import header_key
    from tollgate.dialects.autumn.track import TrackUseCases, track
    from tollgate.dialects.autumn.versions import version_of

    if request.route == "POST /v1/events":
        use_cases = TrackUseCases(
            runtime.tracking(), runtime.ledger().features, runtime.idempotency(), runtime.management, _send
        )
        return track(use_cases, request)
    version_of(request.headers.get("x-api-version"))
    request.caller.require_secret("manage")
    served = found(
        {
            "POST /v1/customers": partial(legacy.create_customer, _management),
            "GET /v1/customers/{}": partial(legacy.get_customer, _management),
            "DELETE /v1/customers/{}": partial(legacy.delete_customer, _management),
        },
        request.route,
    )
    if served is None:
        raise NotFound("route", request.path[:100])
    route, arguments = served
    call = partial(route, request, *arguments)
    key = header_key(request) if request.method != "GET" else ()
    return guarded(runtime.idempotency(), request, key, call) if key else call()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if any(name.lower() == "x-api-key" for name in event["headers"]):
        return edge.handle(event, _flexprice, runtime.clock, runtime.defect)
    return autumn_edge.handle(event, _autumn, runtime.clock, runtime.defect)
