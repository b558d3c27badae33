"""What the shapes of answers are made of.

A shape describes what a dialect's code builds as plain JSON. It is never used to build an answer: the tests hold that
every answer has its shape. A field's description is the text under it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

absent: Any = None
"""The default of a field that an answer may leave out."""

OWN = "x-tollgate-extension"
own = Field(json_schema_extra={OWN: True})
"""Marks a field that the vendor's API does not have."""

Number = Annotated[Decimal, WithJsonSchema({"type": "number"})]
Millis = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64"})]
NumberText = Annotated[str, WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"})]
TimeText = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Env = Literal["sandbox", "live"]


class Shape(BaseModel):
    """What all shapes share: an answer has the fields that are named, and no other."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True)


class Success(Shape):
    """It is done."""

    success: Literal[True]
    """Always true: what is refused is answered with an error."""


def listed(name: str, item: Any, text: str) -> type[Shape]:
    """A list that is not paged."""
    return create_model(name, __base__=Shape, __doc__=text, list=(list[item], Field(description="All of them.")))


def paged(name: str, item: Any, text: str) -> type[Shape]:
    """One page of a list, with the cursor of the next."""
    return create_model(
        name,
        __base__=Shape,
        __doc__=text,
        list=(list[item], Field(description="The items of this page.")),
        has_more=(bool, Field(description="Whether there is another page.")),
        next_cursor=(str | None, Field(description="`start_cursor` of the next page; null where this is the last.")),
    )


def paged_either_way(name: str, item: Any, text: str) -> type[Shape]:
    """One page of a list that is paged by cursor, or by offset where one was asked for."""
    asked = "Where an offset was asked for: "
    return create_model(
        name,
        __base__=paged(name, item, text),
        __doc__=text,
        total=(int, Field(default=None, description=f"{asked}how many are on this page.")),
        limit=(int, Field(default=None, description=f"{asked}at most so many on a page.")),
        offset=(int, Field(default=None, description=f"{asked}so many came before.")),
    )


def by_offset(name: str, item: Any, text: str, **more: Any) -> type[Shape]:
    """One page of a list that is paged by offset."""
    return create_model(
        name,
        __base__=Shape,
        __doc__=text,
        list=(list[item], Field(description="The items of this page.")),
        total=(int, Field(description="How many there are in all.")),
        limit=(int, Field(description="At most so many on a page.")),
        offset=(int, Field(description="So many came before.")),
        **more,
    )
