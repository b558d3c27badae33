"""The management API: `POST /v1/<noun>.<verb>`, Autumn's older REST paths, and the 404 of all that is not served. Of
Flexprice's API, what is asked of the history: that may take the memory and the time that this function has."""

from __future__ import annotations

from functools import partial
from typing import Any

from tollgate import runtime
from tollgate.dialects.autumn.errors import AUTUMN
from tollgate.dialects.autumn.requests import header_key
from tollgate.dialects.autumn.shared_paths import shared_paths
from tollgate.dialects.autumn.versions import version_of
from tollgate.dialects.edge import handle
from tollgate.dialects.flexprice.errors import FLEXPRICE, NotServed
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.paths import path_of
from tollgate.dialects.routing import Match, OnDemand, Route, run, taking
from tollgate.domain.errors import NotFound

_MODULES = [
    OnDemand(f"tollgate.dialects.autumn.{name}")
    for name in (
        "activity",
        "billing",
        "catalog",
        "catalog_update",
        "customers",
        "events",
        "explain",
        "grants",
        "keys",
        "legacy",
        "locks",
        "organization",
        "webhooks",
    )
]
activity, billing, catalog, catalog_update, customers, events, explain, grants, keys, legacy, *_more = _MODULES
locks, organization, webhooks = _more
event_queries = OnDemand("tollgate.dialects.flexprice.event_queries")
runtime.before_snapshot(*(module.load for module in (*_MODULES, event_queries)))
_activity = runtime.activity()
_catalogs = runtime.catalogs()
_customers = runtime.customers()
_idempotency = runtime.idempotency()

ROUTES: dict[str, Route] = {
    **shared_paths(_catalogs, _customers),
    **taking(
        _catalogs,
        routes={
            "POST /v1/features.create": catalog.create_feature,
            "POST /v1/features.get": catalog.get_feature,
            "POST /v1/features.list": catalog.list_features,
            "POST /v1/features.update": catalog.update_feature,
            "POST /v1/features.delete": catalog.delete_feature,
            "POST /v1/plans.create": catalog.create_plan,
            "POST /v1/plans.get": catalog.get_plan,
            "POST /v1/plans.update": catalog.update_plan,
            "POST /v1/plans.delete": catalog.delete_plan,
            "POST /v1/catalog.preview_update": catalog_update.preview,
            "POST /v1/catalog.update": catalog_update.update,
            "POST /v1/rewards.list": organization.list_rewards,
            "POST /v1/referral_programs.list": organization.list_referral_programs,
            "GET /v1/organization": organization.me,
            "GET /v1/organization/me": organization.me,
            "POST /v1/products": legacy.create_product,
            "GET /v1/products/{}": legacy.get_product,
            "POST /v1/products/{}": legacy.update_product,
            "DELETE /v1/products/{}": legacy.delete_product,
        },
    ),
    **taking(
        _customers,
        routes={
            "POST /v1/customers.delete": customers.delete,
            "POST /v1/customers.advance_test_clock": customers.advance_test_clock,
            "POST /v1/entities.delete": customers.delete_entity,
            "POST /v1/billing.update": billing.update,
            "POST /v1/billing.preview_update": billing.preview_update,
            "POST /v1/balances.create": grants.create_balance,
            "POST /v1/balances.update": grants.update_balance,
            "POST /v1/balances.delete": grants.delete_balance,
            "POST /v1/balances/create": grants.create_balance,
            "POST /v1/balances/update": grants.update_balance,
            "POST /v1/usage": legacy.set_usage,
            "POST /v1/cancel": legacy.cancel,
        },
    ),
    **taking(
        _catalogs,
        _customers,
        routes={
            "POST /v1/customers.get_or_create": customers.get_or_create,
            "POST /v1/customers.get": customers.get,
            "POST /v1/customers.list": customers.list_customers,
            "POST /v1/balances.explain": explain.explain_check,
            "POST /v1/balances.list": grants.list_balances,
            "POST /v1/balances/list": grants.list_balances,
            "POST /v1/customers.update": customers.update,
            "POST /v1/entities.create": customers.create_entity,
            "POST /v1/entities.get": customers.get_entity,
            "POST /v1/entities.list": customers.list_entities,
            "POST /v1/entities.update": customers.update_entity,
            "POST /v1/subscriptions.list": billing.list_subscriptions,
            "POST /v1/purchases.list": billing.list_purchases,
            "POST /v1/billing.attach": billing.attach,
            "POST /v1/billing.preview_attach": billing.preview_attach,
            "POST /v1/plans.list": catalog.list_plans,
            "GET /v1/products": legacy.list_products,
            "GET /v1/products_beta": legacy.list_products,
            "POST /v1/attach": legacy.attach,
        },
    ),
    **taking(
        runtime.usage(),
        routes={
            "POST /v1/events.list": events.list_events,
            "POST /v1/events.aggregate": events.aggregate_events,
            "POST /v1/events/list": events.list_events,
            "POST /v1/events/aggregate": events.aggregate_events,
            "POST /v1/query": events.query,
        },
    ),
    **taking(
        _activity,
        routes={
            "POST /v1/activity.get": activity.get,
            "POST /v1/alerts.list": activity.list_alerts,
            "POST /v1/audit.list": activity.list_audit,
            "POST /v1/balances.list_near_limit": activity.list_near_limit,
        },
    ),
    "POST /v1/customers.list_log": partial(activity.list_log, _activity, _catalogs, _customers),
    **taking(
        runtime.api_keys(),
        routes={
            "POST /v1/keys.create": keys.create_key,
            "POST /v1/keys.list": keys.list_keys,
            "POST /v1/keys.revoke": keys.revoke_key,
        },
    ),
    **taking(
        runtime.webhooks(),
        routes={
            "POST /v1/webhooks.create": webhooks.create,
            "POST /v1/webhooks.get": webhooks.get,
            "POST /v1/webhooks.list": webhooks.list_webhooks,
            "POST /v1/webhooks.update": webhooks.update,
            "POST /v1/webhooks.delete": webhooks.delete,
            "POST /v1/webhooks.rotate_secret": webhooks.rotate_secret,
            "POST /v1/webhooks.test": webhooks.test,
            "POST /v1/webhooks.deliveries": webhooks.deliveries,
            "POST /v1/webhooks.resend": webhooks.resend,
        },
    ),
    "POST /v1/balances.finalize": partial(locks.finalize, runtime.reservations()),
    "POST /v1/balances.list_locks": partial(locks.list_locks, _customers, runtime.reservations()),
}


EITHER = "/v1/events"
FLEXPRICE_ROUTES = taking(
    runtime.usage(),
    routes={
        "GET /v1/events": event_queries.list_events_by_query,
        "POST /v1/events/query": event_queries.list_events,
        "POST /v1/events/usage": event_queries.usage_by_event,
        "POST /v1/events/usage/meter": event_queries.usage_by_meter,
        "POST /v1/events/analytics": event_queries.analytics,
    },
)


def _flexprice(request: Request) -> Answer:
    request.caller.require_secret("use this API")
    missing = NotServed(f"{request.method} {request.path[:100]} is not served")
    routes = FLEXPRICE_ROUTES
    return run(routes, request.route, lambda found: routes[found.template](request, *found.arguments), missing)


def _manage(request: Request) -> Answer:
    version_of(request.headers.get("x-api-version"))
    request.caller.require_secret("manage")
    given = header_key(request) if request.method != "GET" else ()

    def called(found: Match) -> Answer:
        call = partial(runtime.told_as_done, partial(ROUTES[found.template], request, *found.arguments))
        return _idempotency.guarded(request.caller.environment, given, request.now, call) if given else call()

    return run(ROUTES, request.route, called, NotFound("route", request.path[:100]))


_flexprice_route, _autumn_route = runtime.limited(_flexprice), runtime.limited(_manage)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers one management call of API Gateway's (payload format 2.0). Never raises: every error is an answer.

    The answer is in Flexprice's words where a key came in `x-api-key` on a path that takes either header.
    """
    on_shared = f"{path_of(event)}/".startswith(f"{EITHER}/")
    if on_shared and any(name.lower() == "x-api-key" for name in event["headers"]):
        return handle(event, FLEXPRICE, _flexprice_route, runtime.clock, runtime.defect)
    return handle(event, AUTUMN, _autumn_route, runtime.clock, runtime.defect)
