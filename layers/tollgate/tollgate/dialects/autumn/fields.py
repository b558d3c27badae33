"""The field types and the base of Autumn's request models."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, PlainValidator, StringConstraints, ValidationError

from tollgate.dialects.autumn.errors import invalid_input
from tollgate.dialects.field_rules import number_rule, properties_rule, range_rule, start_rule, time_rule, whole_rule
from tollgate.dialects.fields import BaseParams, Id, Text
from tollgate.domain.errors import InvalidInput

__all__ = [
    "Cursor",
    "CustomerData",
    "Email",
    "EntityData",
    "Id",
    "IntervalName",
    "Number",
    "Params",
    "Properties",
    "RangeTime",
    "Start",
    "Text",
    "Time",
    "Whole",
]

Number = Annotated[Decimal, PlainValidator(number_rule)]
Whole = Annotated[int, PlainValidator(whole_rule)]
Time = Annotated[int, PlainValidator(time_rule)]
Start = Annotated[int, PlainValidator(start_rule)]
RangeTime = Annotated[int, PlainValidator(range_rule)]
Properties = Annotated[dict[str, Any], AfterValidator(properties_rule)]
Email = Annotated[str, StringConstraints(max_length=320, pattern=r"^([^@\s]+@[^@\s.]+(\.[^@\s.]+)+)?$")]  # or none: ""
Cursor = Annotated[str, StringConstraints(max_length=2000)]
IntervalName = Literal["one_off", "minute", "hour", "day", "week", "month", "quarter", "semi_annual", "year"]


class Params(BaseParams):
    """A request's body in Autumn's words."""

    refusal = "{name} is not supported yet"
    nothing = (None, False, [], {})

    @classmethod
    def of(cls, body: Any) -> Self:
        """The parsed body; raises InvalidInput with all that is wrong."""
        return cls.parsed(body)

    @classmethod
    def refused(cls, error: ValidationError, sent: Any) -> InvalidInput:
        """What pydantic found wrong, as the domain's error."""
        return invalid_input(error, sent)


class CustomerData(Params):
    """What a customer made on the way is called (below 2.1)."""

    later = ("auto_enable_plan_id", "billing_controls")

    name: Text | None = None
    email: Text | None = None
    fingerprint: Text | None = None


class EntityData(Params):
    """What an entity made on the way is called, and the feature that counts it (below 2.1)."""

    feature_id: Id
    name: Text | None = None
