"""`POST /v1/<noun>/search`: searches, which answer `{items, pagination}` of what matches all filters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from tollgate.dialects.flexprice.fields import Params, Text, Whole
from tollgate.dialects.http import Answer, Request

Thing = TypeVar("Thing")


class SearchParams(Params):
    """The fields that all searches share. `expand` has no effect: what it asks for is always shown."""

    later: ClassVar[tuple[str, ...]] = ("filters", "sort", "start_time", "end_time")

    limit: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    offset: Annotated[Whole, Field(ge=0)] | None = None
    order: Literal["asc", "desc"] | None = None
    status: Literal["published", "archived", "deleted"] | None = None
    expand: Text | None = None

    def page(self, found: Iterable[tuple[int, Thing]], shown: Callable[[Thing], dict[str, Any]]) -> Answer:
        """The page that is asked for, newest first unless told. `found` pairs each thing with its creation (ms)."""
        ordered = sorted(found, key=lambda entry: entry[0], reverse=self.order != "asc")
        limit, offset = self.limit or 20, self.offset or 0
        items = [shown(thing) for _, thing in ordered[offset : offset + limit]]
        return Answer({"items": items, "pagination": {"total": len(ordered), "limit": limit, "offset": offset}})

    def has_status(self, archived: bool) -> bool:
        """Whether a thing has the status that is asked for; published unless told."""
        return (self.status or "published") == ("archived" if archived else "published")


def whole_list(items: list[dict[str, Any]]) -> Answer:
    """A list that is never paged, in the shape of a page."""
    return Answer({"items": items, "pagination": {"total": len(items), "limit": len(items), "offset": 0}})


def ids_in_query(request: Request, name: str) -> frozenset[str] | None:
    """A filter's ids: repeated keys, comma lists, or both; None where there is none."""
    named = [part.strip() for value in request.query.get(name, ()) for part in value.split(",")]
    return frozenset(part for part in named if part) or None


def among(value: str, wanted: Collection[str] | None) -> bool:
    """Whether a filter lets the value through; one that names nothing lets everything through."""
    return not wanted or value in wanted
