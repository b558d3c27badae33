"""What a producer puts on the bus for Tollgate to count."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from tollgate.dialects.fields import iso_ms
from tollgate.domain.ids import RULE, is_id
from tollgate.domain.quantities import quantity

REPORTED = "usage.reported"


def _id(value: str) -> str:
    if not is_id(value):
        raise ValueError(RULE)
    return value


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a number")
    return quantity(value, "value")


def _time(value: Any) -> int:
    if isinstance(value, str):
        return iso_ms(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be epoch milliseconds or ISO 8601")
    return value


class UsageReported(BaseModel):
    """What a producer puts on the bus under `usage.reported`, from any source: a use that has happened. It is
    counted in full, past any limit, once by its id (the event's own where there is none). Of `feature_id` and
    `event_name` one is given; without a `value`, the properties say how much it is."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, defer_build=True)

    environment: Literal["sandbox", "live"] = "live"
    customer_id: Annotated[str, AfterValidator(_id)]
    entity_id: Annotated[str, AfterValidator(_id)] | None = None
    feature_id: Annotated[str, AfterValidator(_id)] | None = None
    event_name: Annotated[str, AfterValidator(_id)] | None = None
    value: Annotated[Decimal, PlainValidator(_number), WithJsonSchema({"type": "number"})] | None = None
    properties: dict[str, Any] | None = None
    id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    time: (
        Annotated[
            int,
            PlainValidator(_time),
            WithJsonSchema({"type": ["integer", "string"], "description": "Epoch milliseconds, or ISO 8601."}),
        ]
        | None
    ) = None
