"""`POST /v1/check`, `/v1/entitled` and `/v1/balances.check`: may this customer do this now, and if so, count it."""

from __future__ import annotations

from functools import partial
from typing import Any

from tollgate import runtime
from tollgate.dialects.autumn.check import CheckUseCases, check
from tollgate.dialects.autumn.errors import AUTUMN
from tollgate.dialects.browsers import handle_from_pages

_origins = runtime.settings().browser_origins
_check = partial(
    check,
    CheckUseCases(
        runtime.checks(),
        runtime.tracking(),
        runtime.ledger().features,
        runtime.idempotency,
        runtime.catalogs,
        runtime.customers,
        runtime.reservations,
        runtime.denials().count,
    ),
)
_route = runtime.limited(_check)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers one check of API Gateway's (payload format 2.0). Never raises: every error is an answer."""
    return handle_from_pages(_origins, event, AUTUMN, _route, runtime.clock, runtime.defect)
