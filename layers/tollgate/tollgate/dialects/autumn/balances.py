"""`balances.check` and `balances.track` (autumn.md 1.2): requests in, answers out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from tollgate.dialects.autumn.fields import Id, Number, Params, Properties, Time
from tollgate.dialects.autumn.versions import version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.balances import Balance, Row
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import InvalidInput, InvalidRequest, NotFound
from tollgate.domain.keys import Scope
from tollgate.domain.quantities import ZERO
from tollgate.usecases.usage import Meter, Outcome, Use

_ONE = Decimal(1)


class CheckParams(Params):
    later = ("lock", "product_id", "with_preview", "customer_data", "entity_data")

    customer_id: Id
    feature_id: Id
    entity_id: Id | None = None
    required_balance: Number | None = None
    properties: Properties | None = None
    send_event: bool | None = None
    skip_cache: bool | None = None


class TrackParams(Params):
    later = ("lock", "idempotency_key", "customer_data", "entity_data", "event_name")

    customer_id: Id
    feature_id: Id
    entity_id: Id | None = None
    value: Number | None = None
    properties: Properties | None = None
    timestamp: Time | None = None
    overage_behavior: Literal["cap", "reject", "overflow"] | None = None
    async_: bool | None = Field(default=None, alias="async")


def check(meter: Meter, request: Request) -> Answer:
    version_of(request.headers.get("x-api-version"))
    params = CheckParams.of(request.body)
    if params.entity_id is not None:
        raise NotFound("entity", params.entity_id)
    required = _ONE if params.required_balance is None else params.required_balance
    if params.send_event:
        if request.caller.scope is not Scope.SECRET:
            raise InvalidRequest("Can't use send_event: true with a publishable key: use a secret key")
        use = Use(params.customer_id, params.feature_id, required, Overage.REJECT, params.properties or {})
        outcome = meter.check_and_track(request.caller, use, request.now)
    else:
        env, fresh = request.caller.environment, bool(params.skip_cache)
        outcome = meter.check(env, params.customer_id, params.feature_id, required, request.now, fresh=fresh)
    return Answer(
        {
            "allowed": outcome.allowed,
            "customer_id": params.customer_id,
            "required_balance": required,
            "balance": balance_json(outcome),
            "flag": flag_json(outcome),
        }
    )


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
    return Answer({**answer, "balance": balance_json(outcome)})


def flag_json(outcome: Outcome) -> dict[str, Any] | None:
    """A boolean feature that the customer has; None otherwise."""
    balance = outcome.balance
    if balance is None or not balance.flag or not balance.rows:
        return None
    row = balance.rows[0]
    return {"id": row.id, "plan_id": row.plan_id, "expires_at": row.expires_at, "feature_id": balance.feature_id}


def balance_json(outcome: Outcome) -> dict[str, Any] | None:
    balance = outcome.balance
    return None if balance is None or balance.flag or not balance.rows else metered_json(balance)


def metered_json(balance: Balance) -> dict[str, Any]:
    """A folded balance of a metered feature. An unlimited one reports its usage, and zeros for what has no number."""
    rows = balance.rows
    unlimited = any(row.unlimited for row in rows)
    resets = [row.next_reset_at for row in rows if row.next_reset_at is not None]
    return {
        "object": "balance",
        "feature_id": balance.feature_id,
        "granted": ZERO if unlimited else sum((row.granted for row in rows), ZERO),
        "remaining": ZERO if unlimited else sum((max(row.remaining, ZERO) for row in rows), ZERO),
        "usage": sum((row.used for row in rows), ZERO),
        "unlimited": unlimited,
        "overage_allowed": False,
        "max_purchase": None,
        "next_reset_at": min(resets, default=None),
        "breakdown": [_row_json(row) for row in rows],
    }


def _row_json(row: Row) -> dict[str, Any]:
    reset = row.reset and {
        "interval": row.reset.interval.value,
        "interval_count": row.reset.count,
        "resets_at": row.next_reset_at,
    }
    return {
        "object": "balance_breakdown",
        "id": row.id,
        "plan_id": row.plan_id,
        "included_grant": ZERO if row.unlimited else row.granted,
        "prepaid_grant": ZERO,
        "remaining": max(row.remaining, ZERO),
        "usage": row.used,
        "unlimited": row.unlimited,
        "reset": reset,
        "price": None,
        "expires_at": row.expires_at,
        "source": "customer",
    }
