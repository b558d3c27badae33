"""The parameters of Lotus's requests: named in the query, or in a JSON body, of which the query's stand over the
body's."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from tollgate.dialects.field_rules import started
from tollgate.dialects.fields import BaseParams, iso_ms
from tollgate.dialects.http import Request
from tollgate.dialects.lotus.errors import Invalid, Problem, invalid
from tollgate.domain.errors import InvalidInput
from tollgate.domain.quantities import number_of
from tollgate.exact_json import loads

FILTERS = "subscription_filters"
_PART = re.compile(rf"{FILTERS}\[([0-9]{{1,3}})\](?:\[(\w+)\]|\.?(\w+))").fullmatch
_MOST_TEXT = 4096


def _text(value: Any) -> Any:
    """Numbers are taken as text, as Django REST framework takes them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if not isinstance(value, str | list | dict) and value is not None else value


def _number(value: Any) -> Any:
    """A text counts as the number that it spells; empty, which is none, where it spells none."""
    if not isinstance(value, str):
        return value
    number = number_of(value)
    return "" if number is None else number


def _whole(value: Any) -> Any:
    number = _number(value)
    return int(number) if isinstance(number, Decimal) and number == number.to_integral_value() else number


def _listed(value: Any) -> list[Any]:
    """One value is taken as a list of it alone."""
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


Text = Annotated[str, StringConstraints(min_length=1, max_length=1000), BeforeValidator(_text)]


class Params(BaseParams):
    """A request's parameters in Lotus's words. Numbers and booleans may be sent as text, as in Django."""

    model_config = ConfigDict(strict=False)

    @classmethod
    def of(cls, request: Request) -> Self:
        """The parsed query and body; raises Invalid with all that is wrong."""
        return cls.parsed(parameters(request))

    @classmethod
    def refused(cls, error: ValidationError, sent: Any) -> Invalid:
        """What pydantic found wrong, as Lotus's error."""
        return invalid(error, sent)


class FilterParams(Params):
    """One property by which subscriptions are picked, and the value it must have."""

    property_name: Text
    value: Text


class Filtered(Params):
    """A request that may name subscription filters."""

    subscription_filters: Annotated[list[FilterParams], Field(max_length=20), BeforeValidator(_listed)] | None = None

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        """The filters as (property, value), each once and in order."""
        return tuple(sorted({(each.property_name, each.value) for each in self.subscription_filters or ()}))


def parameters(request: Request) -> dict[str, Any]:
    """The parameters of a request, by name. The last value of a repeated one counts, as in Django."""
    body = request.body if isinstance(request.body, dict) else {}
    named = {name: values[-1] for name, values in request.query.items() if not name.startswith(FILTERS)}
    filters = query_filters(request.query)
    if filters is None and FILTERS in body:
        filters = body[FILTERS]
    return {**body, **named, FILTERS: filters}


def query_filters(query: Mapping[str, Sequence[str]]) -> list[Any] | None:
    """The filters in a query, in any form that some client sends (lotus.md 1.3); None where it asks for none.

    Nested: `subscription_filters[0]property_name=`, with brackets or a dot around the name. Whole: a JSON object or
    list, or an object as Python prints it, under `subscription_filters` or `subscription_filters[]`. lotus-python
    0.12.0 sends the words `property_name` and `value` and loses what they were: that asks for nothing. Raises Invalid
    for anything else.
    """
    nested: dict[int, dict[str, str]] = {}
    whole: list[Any] = []
    for name, values in query.items():
        if not name.startswith(FILTERS):
            continue
        if part := _PART(name):
            nested.setdefault(int(part[1]), {})[part[2] or part[3]] = values[-1]
        elif name in (FILTERS, f"{FILTERS}[]") or re.fullmatch(rf"{FILTERS}\[[0-9]{{1,3}}\]", name):
            whole += [read for value in values if value not in ("property_name", "value", "") for read in _read(value)]
        else:
            raise Invalid(Problem("invalid", "Not a valid list of subscription filters.", FILTERS))
    found = [*(nested[number] for number in sorted(nested)), *whole]
    return found or None


def _read(text: str) -> list[Any]:
    try:
        return _listed(loads(text))
    except InvalidInput:
        pass
    try:
        return _listed(ast.literal_eval(text[:_MOST_TEXT]))
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise Invalid(Problem("invalid", "Not a valid list of subscription filters.", FILTERS)) from error


def time_of(value: Any) -> int | None:
    """A time in ms: ISO 8601 with a T or a space, with an offset or in UTC; None where it is none."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        return iso_ms(value.strip())
    except ValueError:
        return None


def time_text(ms: int) -> str:
    """A time as Lotus writes it, in UTC."""
    whole = datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{ms % 1000:03d}Z" if ms % 1000 else f"{whole}Z"


def moment(value: Any) -> int:
    """A time in ms, for a pydantic field; raises ValueError in the words of Django REST framework."""
    found = time_of(value)
    if found is None:
        raise ValueError(
            "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
        )
    return found


Moment = Annotated[int, BeforeValidator(moment)]
Start = Annotated[Moment, AfterValidator(started)]
Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[Decimal, BeforeValidator(_number)]
