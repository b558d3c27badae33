"""`POST /v1/<noun>/search`: `{items, pagination}` of what the filters leave."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from tollgate.dialects.flexprice.fields import Params, Text, Whole
from tollgate.dialects.http import Answer, Request

Thing = TypeVar("Thing")


class SearchParams(Params):
    """What all searches share. `expand` is not needed: what can be expanded is always there."""

    later: ClassVar[tuple[str, ...]] = ("filters", "sort", "start_time", "end_time")

    limit: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    offset: Annotated[Whole, Field(ge=0)] | None = None
    order: Literal["asc", "desc"] | None = None
    status: Literal["published", "archived", "deleted"] | None = None
    expand: Text | None = None

    def page(self, found: Iterable[tuple[int, Thing]], shown: Callable[[Thing], dict[str, Any]]) -> Answer:
        """The page asked for of (time of creation, thing), the newest first unless told."""
        ordered = sorted(found, key=lambda entry: entry[0], reverse=self.order != "asc")
        limit, offset = self.limit or 20, self.offset or 0
        items = [shown(thing) for _, thing in ordered[offset : offset + limit]]
        return Answer({"items": items, "pagination": {"total": len(ordered), "limit": limit, "offset": offset}})

    def has_status(self, archived: bool) -> bool:
        """Published ones unless told."""
        return (self.status or "published") == ("archived" if archived else "published")


def whole_list(items: list[dict[str, Any]]) -> Answer:
    return Answer({"items": items, "pagination": {"total": len(items), "limit": len(items), "offset": 0}})


def ids_in_query(request: Request, name: str) -> frozenset[str] | None:
    """A filter's ids: repeated keys, comma lists, or both; None where there is none."""
    named = [part.strip() for value in request.query.get(name, ()) for part in value.split(",")]
    return frozenset(part for part in named if part) or None


def among(value: str, wanted: Collection[str] | None) -> bool:
    return not wanted or value in wanted
