"""Lists, which answer `{items, pagination}` of what matches all filters: `GET /v1/<noun>` takes them in the query,
`POST /v1/<noun>/search` in the body (flexprice.md 1.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin

from pydantic import Field

from tollgate.dialects.fields import iso_ms
from tollgate.dialects.flexprice.fields import Number, Params, Text, Time, Whole
from tollgate.dialects.http import Answer, Request
from tollgate.domain.errors import InvalidInput

Thing = TypeVar("Thing")
DEFAULT_LIMIT = 50
_OLDER_SDK = re.compile(r"speakeasy-sdk/typescript 2\.0\..* @flexprice/sdk").fullmatch
Shown = Mapping[str, Any]
"""A thing as it is answered."""

_OPERATORS = {
    "string": ("eq", "contains", "not_contains"),
    "number": ("eq", "gt", "gte", "lt", "lte"),
    "date": ("before", "after"),
    "array": ("in", "not_in"),
}


class ValueParams(Params):
    """What a filter compares with: the field of its data type."""

    string: Text | None = None
    number: Number | None = None
    date: Time | None = None
    array: Annotated[list[Text], Field(max_length=1000)] | None = None


class FilterParams(Params):
    """One condition on a field of the answer."""

    field: Text
    operator: Literal["eq", "contains", "not_contains", "gt", "gte", "lt", "lte", "in", "not_in", "before", "after"]
    data_type: Literal["string", "number", "date", "array"]
    value: ValueParams

    def checked(self, fields: Collection[str], where: str) -> FilterParams:
        """Raises InvalidInput where the field is not one of these, or the operator or value does not go with the data
        type.
        """
        if self.field not in fields:
            raise InvalidInput(f"{where}.field", f"must be one of {', '.join(fields)}")
        if self.operator not in _OPERATORS[self.data_type]:
            raise InvalidInput(f"{where}.operator", f"must be one of {', '.join(_OPERATORS[self.data_type])}")
        if getattr(self.value, self.data_type) is None:
            raise InvalidInput(f"{where}.value.{self.data_type}", "is required")
        return self

    def passes(self, shown: Shown) -> bool:
        """Whether a thing passes. One whose field is null, or of another type than the filter's, passes none but
        `not_contains` and `not_in`. Text is searched whatever its case.
        """
        given = _typed(shown[self.field], self.data_type)
        wanted = getattr(self.value, self.data_type)
        if self.operator in ("not_contains", "not_in"):
            return given is None or not _holds[self.operator.removeprefix("not_")](given, wanted)
        return given is not None and _holds[self.operator](given, wanted)


_holds: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda given, wanted: bool(given == wanted),
    "contains": lambda given, wanted: wanted.lower() in given.lower(),
    "in": lambda given, wanted: given in wanted,
    "gt": lambda given, wanted: bool(given > wanted),
    "gte": lambda given, wanted: bool(given >= wanted),
    "lt": lambda given, wanted: bool(given < wanted),
    "lte": lambda given, wanted: bool(given <= wanted),
    "after": lambda given, wanted: bool(given > wanted),
    "before": lambda given, wanted: bool(given < wanted),
}


def _typed(value: Any, data_type: str) -> Any:
    """A value of an answer as a filter of this type compares it; None where it is none of this type."""
    if value is None:
        return None
    if data_type == "number":
        return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
    if data_type == "date":
        try:
            return iso_ms(value)
        except (TypeError, ValueError):
            return None
    return str(value).lower() if isinstance(value, bool) else str(value)


class SortParams(Params):
    """A field to sort by; those before it come first."""

    field: Text
    direction: Literal["asc", "desc"] = "desc"


class SearchParams(Params):
    """The fields that all lists share. `expand` has no effect: what it asks for is always shown.

    `fields` are those of an answer that `filters` and `sort` may name; `start_time` and `end_time` bound its creation.
    """

    later: ClassVar[tuple[str, ...]] = ("filter_node",)
    fields: ClassVar[tuple[str, ...]] = ("id", "status", "created_at", "updated_at")

    limit: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    offset: Annotated[Whole, Field(ge=0)] | None = None
    order: Literal["asc", "desc"] | None = None
    status: Literal["published", "archived", "deleted"] | None = None
    expand: Text | None = None
    sort: Annotated[list[SortParams], Field(max_length=10)] | Text | None = None
    filters: Annotated[list[FilterParams], Field(max_length=100)] | None = None
    start_time: Time | None = None
    end_time: Time | None = None

    @classmethod
    def asked(cls, request: Request) -> Self:
        """The parameters of a call, from its body or, of a GET, from its query. Raises InvalidInput."""
        return cls.of(request.body if request.method != "GET" else cls._in_query(request)).checked()

    @classmethod
    def _in_query(cls, request: Request) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in (*cls.model_fields, *cls.later):
            if values := request.query.get(name):
                types = get_args(cls.model_fields[name].annotation) if name in cls.model_fields else ()
                found[name] = _read(name, values, types)
        return found

    def checked(self) -> Self:
        """Raises InvalidInput where a filter or a sort names no field of the answer, or the times are out of order."""
        for index, condition in enumerate(self.filters or ()):
            condition.checked(self.fields, f"filters.{index}")
        for sort in self._sorts():
            if sort.field not in self.fields:
                raise InvalidInput("sort", f"must name one of {', '.join(self.fields)}")
        if self.start_time is not None and self.end_time is not None and self.end_time < self.start_time:
            raise InvalidInput("end_time", "must not be before start_time")
        return self

    def _sorts(self) -> list[SortParams]:
        """What to sort by; nothing where it is the creation alone."""
        if isinstance(self.sort, str):
            return [SortParams(field=self.sort, direction=self.order or "desc")] if self.sort else []
        return self.sort or []

    def page(self, found: Iterable[tuple[int, Thing]], shown: Callable[[Thing], dict[str, Any]]) -> Answer:
        """The page that is asked for, newest first unless told. `found` pairs each thing with its creation (ms)."""
        first, last = self.start_time or 0, self.end_time
        kept = [entry for entry in found if first <= entry[0] and (last is None or entry[0] <= last)]
        ordered = [thing for _, thing in sorted(kept, key=lambda entry: entry[0], reverse=self.order != "asc")]
        limit, offset = self.limit or DEFAULT_LIMIT, self.offset or 0
        if self.by_creation:
            items = [shown(thing) for thing in ordered[offset : offset + limit]]
            return _page(items, len(ordered), limit, offset)
        answers = [shown(thing) for thing in ordered]
        answers = [answer for answer in answers if all(condition.passes(answer) for condition in self.filters or ())]
        for sort in reversed(self._sorts()):
            answers.sort(key=partial(_sort_key, field=sort.field), reverse=sort.direction == "desc")
        return _page(answers[offset : offset + limit], len(answers), limit, offset)

    @property
    def by_creation(self) -> bool:
        """Whether the creation of things alone says which the page shows, and no field of their answers."""
        return not self.filters and not self._sorts()

    def has_status(self, archived: bool) -> bool:
        """Whether a thing has the status that is asked for; published unless told."""
        return (self.status or "published") == ("archived" if archived else "published")


def _read(name: str, values: Sequence[str], types: tuple[Any, ...]) -> Any:
    """A parameter of a query as the body would have it; of these `types`, where it is known."""
    if any(get_origin(type) is list for type in types):
        return _parts(values)
    if bool in types:
        return {"true": True, "false": False}.get(values[-1], values[-1])
    number = name in ("limit", "offset") and re.fullmatch("[0-9]{1,9}", values[-1])
    return int(values[-1]) if number else values[-1]


def _parts(values: Iterable[str]) -> list[str]:
    """The parts of repeated keys, comma lists, or both."""
    return [part for value in values for text in value.split(",") if (part := text.strip())]


def _sort_key(shown: Shown, field: str) -> tuple[bool, Any]:
    """Null is above everything, as it is in Flexprice's database."""
    value = shown[field]
    return value is None, 0 if value is None else value


def _page(items: list[dict[str, Any]], total: int, limit: int, offset: int) -> Answer:
    return Answer({"items": items, "pagination": {"total": total, "limit": limit, "offset": offset}})


def whole_list(items: list[dict[str, Any]]) -> Answer:
    """A list that is never paged, in the shape of a page."""
    return _page(items, len(items), len(items), 0)


def reads_older_shapes(request: Request) -> bool:
    """Whether the client is @flexprice/sdk 2.0, whose document says of two lists that they are something else
    (flexprice.md 1.7)."""
    return _OLDER_SDK(request.headers.get("user-agent", "")) is not None


def ids_in_query(request: Request, name: str) -> frozenset[str] | None:
    """A filter's ids: repeated keys, comma lists, or both; None where there is none."""
    return frozenset(_parts(request.query.get(name, ()))) or None


def among(value: str, wanted: Collection[str] | None) -> bool:
    """Whether a filter lets the value through; one that names nothing lets everything through."""
    return not wanted or value in wanted
