"""What the fields of Autumn's requests must be, and the words in which a broken one is refused.

This module needs pydantic's core alone: the check function validates with it and never imports pydantic itself, which
would be a quarter of its start (docs/decisions/0002).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic_core import ErrorDetails, PydanticCustomError, ValidationError

from tollgate.domain.errors import InvalidInput
from tollgate.domain.ids import checked_id
from tollgate.domain.quantities import quantity
from tollgate.domain.use_records import checked_properties_size
from tollgate.exact_json import dumps


def id_rule(value: str) -> str:
    try:
        return checked_id(value, "")
    except InvalidInput as error:
        raise _refusal(error) from error


def number_rule(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PydanticCustomError("number", f"must be a number (received {_type_name(value)})")
    try:
        return quantity(value, "")
    except InvalidInput as error:
        raise _refusal(error) from error


MAX_TIME = 253_402_300_799_999  # the last millisecond of the year 9999


def whole_rule(value: Any) -> int:
    number = number_rule(value)
    if number != number.to_integral_value():
        raise PydanticCustomError("whole", "must be a whole number")
    return int(number)


def time_rule(value: Any) -> int:
    moment = whole_rule(value)
    if not 0 < moment <= MAX_TIME:
        raise PydanticCustomError("time", "must be a time in epoch milliseconds")
    return moment


def properties_rule(value: dict[str, Any]) -> dict[str, Any]:
    try:
        checked_properties_size(len(dumps(value)))
    except InvalidInput as error:
        raise _refusal(error) from error
    return value


def later_rule(body: Any, names: tuple[str, ...]) -> None:
    """Refuses fields that would change what the call means and are not served yet: they are never ignored."""
    for name in names:
        if isinstance(body, dict) and body.get(name) not in (None, False):
            raise PydanticCustomError("later", "{name} is not supported yet", {"name": name})


def invalid_input(error: ValidationError) -> InvalidInput:
    """All that is wrong with a request, in Autumn's words (autumn.md 1.1)."""
    problems = [_problem(detail) for detail in error.errors(include_url=False)]
    if len(problems) == 1:
        return InvalidInput(*problems[0])
    listed = "; ".join(f"{field}: {rule}" for field, rule in problems)
    return InvalidInput("", f"[Validation Errors] {listed}")


_TYPE_RULES = {
    "string_type": "must be a string",
    "bool_type": "must be a boolean",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "list_type": "must be an array",
    "tuple_type": "must be an array",
}


def _refusal(error: InvalidInput) -> PydanticCustomError:
    """The domain's refusal as pydantic's, which knows the field's name."""
    return PydanticCustomError("rule", "{rule}", {"rule": error.rule})


def _problem(detail: ErrorDetails) -> tuple[str, str]:
    field = ".".join(str(part) for part in detail["loc"])
    kind = detail["type"]
    if kind == "missing":
        return field, "is required"
    if kind in _TYPE_RULES:
        return field or "body", f"{_TYPE_RULES[kind]} (received {_type_name(detail['input'])})"
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
