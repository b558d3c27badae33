"""The field types and the base of Flexprice's requests, and how times and numbers are written in its answers."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
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
from pydantic_core import PydanticCustomError

from tollgate.domain.errors import InvalidInput
from tollgate.domain.ids import checked_id
from tollgate.domain.quantities import quantity
from tollgate.domain.use_records import checked_properties_size
from tollgate.exact_json import dumps

_STEP = Decimal("1e-10")


def _refused(error: InvalidInput) -> PydanticCustomError:
    return PydanticCustomError("rule", "{rule}", {"rule": error.rule})


def _id(value: str) -> str:
    try:
        return checked_id(value, "")
    except InvalidInput as error:
        raise _refused(error) from error


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise PydanticCustomError("number", "must be a number")
    try:
        return quantity(Decimal(value), "")
    except InvalidOperation as error:
        raise PydanticCustomError("number", "must be a number") from error
    except InvalidInput as error:
        raise _refused(error) from error


def _whole(value: Any) -> int:
    if isinstance(value, str):
        raise PydanticCustomError("whole", "must be a whole number")
    number = _number(value)
    if number != number.to_integral_value():
        raise PydanticCustomError("whole", "must be a whole number")
    return int(number)


def _limit(value: Any) -> int:
    number = _whole(value)
    if number < 0:
        raise PydanticCustomError("limit", "must not be negative")
    return number


def _time(value: Any) -> int | None:
    """RFC 3339 as epoch milliseconds; without an offset it is UTC, and an empty one is none."""
    if value == "":
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise PydanticCustomError("time", "must be a time as RFC 3339 has it") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _small(value: dict[str, Any]) -> dict[str, Any]:
    try:
        checked_properties_size(len(dumps(value)))
    except InvalidInput as error:
        raise _refused(error) from error
    return value


Text = Annotated[str, StringConstraints(max_length=1000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Id = Annotated[str, AfterValidator(_id)]
Key = Annotated[str, StringConstraints(max_length=200), AfterValidator(_id)]  # an id is made of it
Number = Annotated[Decimal, PlainValidator(_number)]
Whole = Annotated[int, PlainValidator(_whole)]
Limit = Annotated[int, PlainValidator(_limit)]
Time = Annotated[int | None, PlainValidator(_time)]
Metadata = Annotated[dict[str, str], AfterValidator(_small)]
Properties = Annotated[dict[str, str | bool | int | Decimal | None], AfterValidator(_small)]
Period = Literal["MONTHLY", "ANNUAL", "WEEKLY", "DAILY", "QUARTERLY", "HALF_YEARLY", "NEVER"]


class Params(BaseModel):
    """A request's body. Fields nobody knows are ignored; those in `later`, which would change what the call means, are
    refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    later: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _refuse_later(cls, data: Any) -> Any:
        for name in cls.later:
            if isinstance(data, dict) and data.get(name) not in (None, False, "", [], {}):
                raise PydanticCustomError("later", "{name} is not supported", {"name": name})
        return data

    @classmethod
    def of(cls, body: Any) -> Self:
        """The parsed body; raises InvalidInput with all that is wrong."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            problems = [_problem(detail["loc"], detail["type"], detail["msg"]) for detail in error.errors()]
            if len(problems) == 1:
                raise InvalidInput(*problems[0]) from error
            raise InvalidInput("", "; ".join(f"{field}: {rule}" for field, rule in problems)) from error


def _problem(where: tuple[int | str, ...], kind: str, message: str) -> tuple[str, str]:
    return ".".join(str(part) for part in where), "is required" if kind == "missing" else message


# ------------------------------------------------------------------ answers


def time_text(ms: int | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    if ms is None:
        return None
    moment = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000, tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def number_text(value: Decimal) -> str:
    """A number as text, digit for digit; a quotient that does not end has ten decimals."""
    if value != value.quantize(_STEP, rounding=ROUND_HALF_EVEN):
        value = value.quantize(_STEP, rounding=ROUND_HALF_EVEN)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def filled(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what is None: Flexprice leaves absent fields out."""
    return {name: value for name, value in fields.items() if value is not None}
