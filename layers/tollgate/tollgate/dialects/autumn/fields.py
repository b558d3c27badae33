"""The field types that Autumn's requests share, and the words in which a broken one is refused."""

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
from pydantic_core import ErrorDetails, PydanticCustomError

from tollgate.domain.errors import InvalidInput
from tollgate.domain.ids import checked_id
from tollgate.domain.quantities import quantity
from tollgate.domain.usage import checked_properties_size
from tollgate.exact_json import dumps

_MAX_TIME = 253_402_300_799_999  # the last millisecond of the year 9999


def _id(value: str) -> str:
    try:
        return checked_id(value, "")
    except InvalidInput as error:
        raise _refusal(error) from error


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PydanticCustomError("number", f"must be a number (received {_type_name(value)})")
    try:
        return quantity(value, "")
    except InvalidInput as error:
        raise _refusal(error) from error


def _whole(value: Any) -> int:
    number = _number(value)
    if number != number.to_integral_value():
        raise PydanticCustomError("whole", "must be a whole number")
    return int(number)


def _properties(value: dict[str, Any]) -> dict[str, Any]:
    try:
        checked_properties_size(len(dumps(value)))
    except InvalidInput as error:
        raise _refusal(error) from error
    return value


def _refusal(error: InvalidInput) -> PydanticCustomError:
    """The domain's refusal as pydantic's, which knows the field's name."""
    return PydanticCustomError("rule", "{rule}", {"rule": error.rule})


Text = Annotated[str, StringConstraints(max_length=1000)]
Id = Annotated[str, AfterValidator(_id)]
Number = Annotated[Decimal, PlainValidator(_number)]
Whole = Annotated[int, PlainValidator(_whole)]
Properties = Annotated[dict[str, Any], AfterValidator(_properties)]
IntervalName = Literal["one_off", "minute", "hour", "day", "week", "month", "quarter", "semi_annual", "year"]


class Params(BaseModel):
    """A request's body. Fields nobody knows are ignored, as Autumn does; `later` names fields that would change what
    the call means and are not served yet: they are refused, not ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    later: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _refuse_later(cls, data: Any) -> Any:
        for name in cls.later:
            if isinstance(data, dict) and data.get(name) not in (None, False):
                raise PydanticCustomError("later", "{name} is not supported yet", {"name": name})
        return data

    @classmethod
    def of(cls, body: Any) -> Self:
        """The parsed body; raises InvalidInput in Autumn's words."""
        if not isinstance(body, dict):
            raise InvalidInput("body", f"must be an object (received {_type_name(body)})")
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            problems = [_problem(detail) for detail in error.errors(include_url=False, include_context=True)]
            if len(problems) == 1:
                raise InvalidInput(*problems[0]) from error
            listed = "; ".join(f"{field}: {rule}" for field, rule in problems)
            raise InvalidInput("", f"[Validation Errors] {listed}") from error


_TYPE_RULES = {
    "string_type": "must be a string",
    "bool_type": "must be a boolean",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "list_type": "must be an array",
    "tuple_type": "must be an array",
}


def _problem(detail: ErrorDetails) -> tuple[str, str]:
    field = ".".join(str(part) for part in detail["loc"])
    kind = detail["type"]
    if kind == "missing":
        return field, "is required"
    if kind in _TYPE_RULES:
        return field, f"{_TYPE_RULES[kind]} (received {_type_name(detail['input'])})"
    if kind == "literal_error":
        return field, f"must be one of {detail['ctx']['expected']}"
    return field, detail["msg"]


def _type_name(value: Any) -> str:
    """The JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _in_range(value: int) -> int:
    if not 0 < value <= _MAX_TIME:
        raise PydanticCustomError("time", "must be a time in epoch milliseconds")
    return value


Time = Annotated[int, PlainValidator(_whole), AfterValidator(_in_range)]
