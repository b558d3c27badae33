"""`balances.check` (autumn.md 1.2 and 2): request in, answer out."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as schema

from tollgate.dialects.autumn.balances import balance_json, flag_json
from tollgate.dialects.autumn.rules import id_rule, invalid_input, later_rule, number_rule, properties_rule
from tollgate.dialects.autumn.versions import version_of
from tollgate.dialects.http import Answer, Request
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import InvalidRequest, NotFound
from tollgate.domain.keys import Scope
from tollgate.domain.usage import NO_PROPERTIES
from tollgate.usecases.usage import Meter, Use

_ONE = Decimal(1)
_LATER = ("lock", "product_id", "with_preview", "customer_data", "entity_data", "skip_event", "expand")


class CheckParams(NamedTuple):
    """The body of a check. `required_quantity` is another name for `required_balance`."""

    customer_id: str
    feature_id: str
    entity_id: str | None = None
    required_balance: Decimal | None = None
    required_quantity: Decimal | None = None
    properties: Mapping[str, Any] | None = None
    send_event: bool | None = None
    skip_cache: bool | None = None


def _optional(of: schema.CoreSchema) -> schema.TypedDictField:
    return schema.typed_dict_field(schema.nullable_schema(of), required=False)


def _refuse_later(body: Any) -> Any:
    later_rule(body, _LATER)
    return body


_ID = schema.no_info_after_validator_function(id_rule, schema.str_schema(strict=True))
_NUMBER = schema.no_info_plain_validator_function(number_rule)
_PARAMS = SchemaValidator(
    schema.no_info_before_validator_function(
        _refuse_later,
        schema.typed_dict_schema(
            {
                "customer_id": schema.typed_dict_field(_ID),
                "feature_id": schema.typed_dict_field(_ID),
                "entity_id": _optional(_ID),
                "required_balance": _optional(_NUMBER),
                "required_quantity": _optional(_NUMBER),
                "properties": _optional(
                    schema.no_info_after_validator_function(
                        properties_rule, schema.dict_schema(schema.str_schema(), strict=True)
                    )
                ),
                "send_event": _optional(schema.bool_schema(strict=True)),
                "skip_cache": _optional(schema.bool_schema(strict=True)),
            },
            extra_behavior="ignore",
        ),
    )
)


def check(meter: Meter, request: Request) -> Answer:
    version_of(request.headers.get("x-api-version"))
    try:
        params = CheckParams(**_PARAMS.validate_python(request.body))
    except ValidationError as error:
        raise invalid_input(error) from error
    if params.entity_id is not None:
        raise NotFound("entity", params.entity_id)
    required = params.required_balance
    if required is None:
        required = _ONE if params.required_quantity is None else params.required_quantity
    if params.send_event:
        if request.caller.scope is not Scope.SECRET:
            raise InvalidRequest("Can't use send_event: true with a publishable key: use a secret key")
        properties = params.properties or NO_PROPERTIES
        use = Use(params.customer_id, params.feature_id, required, Overage.REJECT, properties)
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
