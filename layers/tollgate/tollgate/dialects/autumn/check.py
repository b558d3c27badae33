"""`balances.check` (autumn.md 1.2 and 2): request in, answer out."""

from __future__ import annotations

from decimal import Decimal

from tollgate.dialects.autumn.balances import balance_json, flag_json
from tollgate.dialects.autumn.fields import Id, Number, Params, Properties
from tollgate.dialects.autumn.versions import version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import InvalidRequest, NotFound
from tollgate.domain.keys import Scope
from tollgate.usecases.usage import Meter, Use

_ONE = Decimal(1)


class CheckParams(Params):
    later = ("lock", "product_id", "with_preview", "customer_data", "entity_data", "skip_event", "expand")

    customer_id: Id
    feature_id: Id
    entity_id: Id | None = None
    required_balance: Number | None = None
    required_quantity: Number | None = None  # another name for it
    properties: Properties | None = None
    send_event: bool | None = None
    skip_cache: bool | None = None


def check(meter: Meter, request: Request) -> Answer:
    version_of(request.headers.get("x-api-version"))
    params = CheckParams.of(request.body)
    if params.entity_id is not None:
        raise NotFound("entity", params.entity_id)
    required = params.required_balance
    if required is None:
        required = _ONE if params.required_quantity is None else params.required_quantity
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
            "balance": balance_json(outcome.balance),
            "flag": flag_json(outcome.balance),
        }
    )
