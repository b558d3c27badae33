"""Which of Lotus's routes are served, and by which of two functions: those that read, and those that write."""

from __future__ import annotations

from collections.abc import Mapping

from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus.errors import NotAllowed, NotServed
from tollgate.dialects.routing import Match, Route, match, run
from tollgate.domain.errors import NotFound

# Lotus's own, and not served here: said so, rather than not found.
NOT_SERVED = ("invoices", "credits", "plans", "customers", "subscriptions")

READS = (
    "/api/metric_access",
    "/api/feature_access",
    "/api/customer_access",
    "/api/customer_metric_access",
    "/api/customer_feature_access",
    "/api/ping",
    "/api/customers",
    "/api/customers/{}",
    "/api/customer_detail",
    "/api/subscriptions",
    "/api/subscriptions/{}",
    "/api/plans",
    "/api/plans/{}",
)
WRITES = (
    "/api/track",
    "/api/verify_idems_received",
    "/api/customers",
    "/api/batch_create_customers",
    "/api/subscriptions",
    "/api/subscriptions/{}/cancel",
)
PUBLISHABLE = READS[:5]  # what a publishable key may do: check access, and nothing else


def dispatch(method: str, routes: Mapping[str, Route], request: Request) -> Answer:
    """Runs the route of the request's path.

    Raises NotAllowed for another method than `method`, Forbidden where the key's scope is too small, NotServed for a
    route of Lotus's that is not served here, and NotFound for any other.
    """
    path = request.route.partition(" ")[2]
    own, others = (READS, WRITES) if method == "GET" else (WRITES, READS)
    found = match(own, path)
    if (found and request.method != method) or (not found and match(others, path)):
        raise NotAllowed(f'Method "{request.method}" not allowed.')

    def called(found: Match) -> Answer:
        if found.template not in PUBLISHABLE or method != "GET":
            request.caller.require_secret("do this")
        return routes[found.template](request, *found.arguments)

    served = not (path.split("/")[2:3] and path.split("/")[2] in NOT_SERVED)
    missing = NotFound("route", path[:100]) if served else NotServed(f"{path} is not served")
    if request.method != method:
        raise missing
    return run(own, path, called, missing)
