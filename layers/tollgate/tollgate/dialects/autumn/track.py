"""`balances.track` (autumn.md 1.2 and 3): request in, answer out."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from tollgate.dialects.autumn.balances import balance_json
from tollgate.dialects.autumn.fields import Id, Number, Params, Properties, Time
from tollgate.dialects.autumn.versions import version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import InvalidInput, NotFound
from tollgate.usecases.usage import Meter, Use

_ONE = Decimal(1)


class TrackParams(Params):
    later = ("lock", "idempotency_key", "customer_data", "entity_data", "event_name", "skip_event", "expand")

    customer_id: Id
    feature_id: Id
    entity_id: Id | None = None
    value: Number | None = None
    properties: Properties | None = None
    timestamp: Time | None = None
    overage_behavior: Literal["cap", "reject", "overflow"] | None = None
    async_: bool | None = Field(default=None, alias="async")


def track(meter: Meter, request: Request) -> Answer:
    version_of(request.headers.get("x-api-version"))
    request.caller.require_secret("track usage")
    params = TrackParams.of(request.body)
    if params.entity_id is not None:
        raise NotFound("entity", params.entity_id)
    if params.timestamp is not None and params.timestamp > request.now:
        raise InvalidInput("timestamp", "must not be in the future")
    value = _ONE if params.value is None else params.value
    overage = Overage(params.overage_behavior or Overage.CAP)
    use = Use(params.customer_id, params.feature_id, value, overage, params.properties or {})
    outcome = meter.track(request.caller, use, request.now)
    answer = {"customer_id": params.customer_id, "value": value}
    if params.async_:
        return Answer({**answer, "balance": None}, status=202)
    return Answer({**answer, "balance": balance_json(outcome.balance)})
