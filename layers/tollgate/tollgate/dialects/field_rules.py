"""What a field of a request must be, for every dialect: ids, numbers, times, properties, and fields that are not
served.

This module needs pydantic's core alone: the check function validates with it and never imports pydantic itself, which
would be a quarter of its start (docs/decisions/0002). The models built on it are in `fields`. A rule takes a parsed
JSON value and returns what it stands for; it refuses with PydanticCustomError, which learns the field's name where it
is caught.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pydantic_core import PydanticCustomError

from tollgate.domain.errors import InvalidInput
from tollgate.domain.ids import checked_id
from tollgate.domain.quantities import number_of, quantity
from tollgate.domain.use_records import checked_properties_size
from tollgate.exact_json import dumps

MIN_TIME = 1_000_000_000_000  # 2001-09-09: what is less was meant in seconds
MAX_TIME = 253_402_300_799_999  # the last millisecond of the year 9999
_SINCE_EVER = 100_000_000  # as seconds it would be in 1973
LAST_START = 190_288_396_800_000 - 1  # of the year 7999: trials, periods and rollovers that follow stay in the calendar


def id_rule(value: str) -> str:
    """An id that a table key can hold."""
    try:
        return checked_id(value, "")
    except InvalidInput as error:
        raise _refusal(error) from error


def number_rule(value: Any) -> Decimal:
    """A JSON number, as large and as fine as a quantity may be."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PydanticCustomError("number", f"must be a number (received {type_name(value)})")
    return _quantity(value)


def number_or_text_rule(value: Any) -> Decimal:
    """A number as for `number_rule`, or text that holds one."""
    number = number_of(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        raise PydanticCustomError("number", "must be a number")
    return _quantity(number)


def whole(number: Decimal) -> int:
    """The same number as an int; refuses one with a fraction."""
    if number != number.to_integral_value():
        raise PydanticCustomError("whole", "must be a whole number")
    return int(number)


def whole_rule(value: Any) -> int:
    """A JSON number without a fraction."""
    return whole(number_rule(value))


def time_rule(value: Any) -> int:
    """An instant from 2001-09-09 on and before the year 10000, in epoch milliseconds (autumn.md 3.13)."""
    moment = whole_rule(value)
    if not 0 < moment <= MAX_TIME:
        raise PydanticCustomError("time", "must be a time in epoch milliseconds")
    if moment < MIN_TIME:
        raise PydanticCustomError(
            "seconds", "must be a time in epoch milliseconds, from 10^12 on (this would be in seconds)"
        )
    return moment


def start_rule(value: Any) -> int:
    """The same, of what periods are counted from."""
    return started(time_rule(value))


def started(moment: int) -> int:
    """An instant that periods may be counted from."""
    if moment > LAST_START:
        raise PydanticCustomError("start", "must be before the year 8000")
    return moment


def range_rule(value: Any) -> int:
    """The same as `time_rule`, or an instant near 0: since ever."""
    moment = whole_rule(value)
    return moment if 0 <= moment < _SINCE_EVER else time_rule(moment)


def properties_rule(value: dict[str, Any]) -> dict[str, Any]:
    """Properties or metadata, at most as long (as JSON) as a balance item should carry."""
    try:
        checked_properties_size(len(dumps(value)))
    except InvalidInput as error:
        raise _refusal(error) from error
    return value


def later_rule(body: Any, names: Sequence[str], nothing: Sequence[Any], words: str) -> None:
    """Refuses fields that would change what the call means and are not served: they are never ignored.

    `nothing`: the values under which such a field asks for nothing. `words`: the refusal, with `{name}`.
    """
    for name in names:
        if isinstance(body, dict) and body.get(name) not in nothing:
            raise PydanticCustomError("later", words, {"name": name})


def type_name(value: Any) -> str:
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


def _quantity(value: int | Decimal) -> Decimal:
    try:
        return quantity(value, "")
    except InvalidInput as error:
        raise _refusal(error) from error


def _refusal(error: InvalidInput) -> PydanticCustomError:
    """The domain's refusal as pydantic's, which knows the field's name."""
    return PydanticCustomError("rule", "{rule}", {"rule": error.rule})
