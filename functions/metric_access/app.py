"""Lotus's access checks (`GET /api/metric_access/` and its kin), and its other routes that read: customers,
subscriptions and plans. Those that write are `lotus`'s."""

from __future__ import annotations

from functools import partial
from typing import Any

from tollgate import runtime
from tollgate.dialects.browsers import handle_from_pages
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus.errors import LOTUS
from tollgate.dialects.lotus.routes import dispatch
from tollgate.dialects.routing import OnDemand, Route

_MODULES = [
    OnDemand(f"tollgate.dialects.lotus.{name}")
    for name in ("access", "customers", "events", "legacy", "plans", "subscriptions")
]
access, customers, events, legacy, plans, subscriptions = _MODULES
runtime.before_snapshot(*(module.load for module in _MODULES))
_policy = runtime.settings().metric_access_policy
_origins = runtime.settings().browser_origins
_access = runtime.access()
_denied = runtime.denials().count
_catalogs = runtime.catalogs()
_customers = runtime.customers()

ROUTES: dict[str, Route] = {
    "/api/metric_access": partial(access.metric_access, _access, _policy, _denied),
    "/api/feature_access": partial(access.feature_access, _access, _denied),
    "/api/customer_access": partial(legacy.customer_access, _access),
    "/api/customer_metric_access": partial(legacy.customer_metric_access, _access),
    "/api/customer_feature_access": partial(legacy.customer_feature_access, _access),
    "/api/ping": events.ping,
    "/api/customers": partial(customers.list_customers, _customers, _access),
    "/api/customers/{}": partial(customers.get, _customers, _access),
    "/api/customer_detail": partial(customers.get_detail, _customers, _access),
    "/api/subscriptions/{}": partial(subscriptions.get, _customers, _access),
    "/api/subscriptions": partial(subscriptions.list_subscriptions, _customers, _access),
    "/api/plans": partial(plans.list_plans, _catalogs, _access),
    "/api/plans/{}": partial(plans.get, _catalogs, _access),
}


def _read(request: Request) -> Answer:
    return dispatch("GET", ROUTES, request)


_route = runtime.limited(_read)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers one call of API Gateway (payload format 2.0) on a route of Lotus's that reads. Never raises."""
    return handle_from_pages(_origins, event, LOTUS, _route, runtime.clock, runtime.defect)
