"""Lotus's routes that write: events (`POST /api/track/`), customers and subscriptions. Those that read are
`metric_access`'s."""

from __future__ import annotations

from functools import partial
from typing import Any

from tollgate import runtime
from tollgate.dialects.edge import handle
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus.errors import LOTUS
from tollgate.dialects.lotus.routes import dispatch
from tollgate.dialects.routing import OnDemand, Route

_MODULES = [OnDemand(f"tollgate.dialects.lotus.{name}") for name in ("customers", "events", "subscriptions")]
customers, events, subscriptions = _MODULES
runtime.before_snapshot(*(module.load for module in _MODULES))
_customers = runtime.customers()
_access = runtime.access()
runtime.client("sqs")  # made here, so that no request waits for it

ROUTES: dict[str, Route] = {
    "/api/track": partial(events.track, runtime.to_usage_queue),
    "/api/verify_idems_received": partial(events.verify, runtime.usage_events()),
    "/api/customers": partial(customers.create, _customers, _access),
    "/api/batch_create_customers": partial(customers.create_batch, _customers),
    "/api/subscriptions": partial(subscriptions.create, runtime.catalogs(), _customers, _access),
    "/api/subscriptions/{}/cancel": partial(subscriptions.cancel, _customers, _access),
}


def _write(request: Request) -> Answer:
    return dispatch("POST", ROUTES, request)


_route = runtime.limited(_write)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers one call of API Gateway (payload format 2.0) on a route of Lotus's that writes. Never raises."""
    return handle(event, LOTUS, _route, runtime.clock, runtime.defect)
