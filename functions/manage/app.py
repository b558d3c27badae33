"""The management API: features, plans, customers, subscriptions and keys (`POST /v1/<noun>.<verb>`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tollgate import runtime
from tollgate.dialects.autumn import catalog, customers, keys
from tollgate.dialects.autumn.edge import handle
from tollgate.dialects.autumn.versions import version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.errors import NotFound
from tollgate.usecases.management import Management

ROUTES: dict[str, Callable[[Management, Request], Answer]] = {
    "POST /v1/features.create": catalog.create_feature,
    "POST /v1/features.get": catalog.get_feature,
    "POST /v1/features.list": catalog.list_features,
    "POST /v1/plans.create": catalog.create_plan,
    "POST /v1/plans.get": catalog.get_plan,
    "POST /v1/plans.list": catalog.list_plans,
    "POST /v1/customers.get_or_create": customers.get_or_create,
    "POST /v1/customers.get": customers.get,
    "POST /v1/billing.attach": customers.attach,
    "POST /v1/keys.create": keys.create_key,
    "POST /v1/keys.list": keys.list_keys,
    "POST /v1/keys.revoke": keys.revoke_key,
}

_management = runtime.management()


def _manage(request: Request) -> Answer:
    version_of(request.headers.get("x-api-version"))
    request.caller.require_secret("manage")
    route = ROUTES.get(request.route)
    if route is None:
        raise NotFound("route", request.path[:100])
    return route(_management, request)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return handle(event, _manage, runtime.clock, runtime.defect)
