"""The field types and the base of Flexprice's requests, and how times and numbers are written in its answers."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, PlainValidator, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from tollgate.dialects.field_rules import id_rule, number_or_text_rule, properties_rule, started, whole
from tollgate.dialects.fields import BaseParams, Id, Text, iso_ms
from tollgate.dialects.flexprice.errors import invalid_input
from tollgate.domain.errors import InvalidInput

__all__ = [
    "Id",
    "Key",
    "Limit",
    "Metadata",
    "Name",
    "Number",
    "Params",
    "Period",
    "Properties",
    "Start",
    "Text",
    "Time",
    "Whole",
    "filled",
    "number_text",
    "time_text",
]

_STEP = Decimal("1e-10")


def _whole(value: Any) -> int:
    if isinstance(value, str):
        raise PydanticCustomError("whole", "must be a whole number")
    return whole(number_or_text_rule(value))


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
        return iso_ms(value)
    except (TypeError, ValueError) as error:
        raise PydanticCustomError("time", "must be a time as RFC 3339 has it") from error


def _start(value: Any) -> int | None:
    """The same, of what periods are counted from."""
    moment = _time(value)
    return None if moment is None else started(moment)


Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Key = Annotated[str, StringConstraints(max_length=200), AfterValidator(id_rule)]  # an id is made of it
Number = Annotated[Decimal, PlainValidator(number_or_text_rule)]
Whole = Annotated[int, PlainValidator(_whole)]
Limit = Annotated[int, PlainValidator(_limit)]
Time = Annotated[int | None, PlainValidator(_time)]
Start = Annotated[int | None, PlainValidator(_start)]
Metadata = Annotated[dict[str, str], AfterValidator(properties_rule)]
Properties = Annotated[dict[str, str | bool | int | Decimal | None], AfterValidator(properties_rule)]
Period = Literal["MONTHLY", "ANNUAL", "WEEKLY", "DAILY", "QUARTERLY", "HALF_YEARLY", "NEVER"]


class Params(BaseParams):
    """A request's body in Flexprice's words. An SDK sends empty fields: in `later` they ask for nothing."""

    nothing = (None, False, "", [], {})

    @classmethod
    def of(cls, body: Any) -> Self:
        """The parsed body; raises InvalidInput with all that is wrong."""
        return cls.parsed(body)

    @classmethod
    def refused(cls, error: ValidationError, sent: Any) -> InvalidInput:
        """What pydantic found wrong, as the domain's error."""
        return invalid_input(error, sent)


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
