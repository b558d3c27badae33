"""The field types and the base of Autumn's request models."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainValidator,
    StringConstraints,
    ValidationError,
    model_validator,
)

from tollgate.dialects.autumn.rules import (
    id_rule,
    invalid_input,
    later_rule,
    number_rule,
    properties_rule,
    time_rule,
    whole_rule,
)

Text = Annotated[str, StringConstraints(max_length=1000)]
Id = Annotated[str, AfterValidator(id_rule)]
Number = Annotated[Decimal, PlainValidator(number_rule)]
Whole = Annotated[int, PlainValidator(whole_rule)]
Time = Annotated[int, PlainValidator(time_rule)]
Properties = Annotated[dict[str, Any], AfterValidator(properties_rule)]
Cursor = Annotated[str, StringConstraints(max_length=2000)]
IntervalName = Literal["one_off", "minute", "hour", "day", "week", "month", "quarter", "semi_annual", "year"]


class Params(BaseModel):
    """A request's body. Fields nobody knows are ignored, as Autumn does; those named in `later` are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    later: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _refuse_later(cls, data: Any) -> Any:
        later_rule(data, cls.later)
        return data

    @classmethod
    def of(cls, body: Any) -> Self:
        """The parsed body; raises InvalidInput in Autumn's words."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise invalid_input(error) from error


class CustomerData(Params):
    """What a customer made on the way is called (below 2.1)."""

    name: Text | None = None
    email: Text | None = None
    fingerprint: Text | None = None


class EntityData(Params):
    feature_id: Id
    name: Text | None = None
