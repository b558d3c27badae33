"""What is said of a route beyond what its code says by itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tollgate.domain.errors import AlreadyExists, NotFound, TollgateError


class Parameter(NamedTuple):
    """A parameter of the query, which the code reads by its name."""

    name: str
    text: str
    schema: Mapping[str, Any] = MappingProxyType({"type": "string"})
    required: bool = False


class Operation(NamedTuple):
    """One route: a summary, the shape of its answer and the errors of its own.

    `answers` is a shape, or shapes by status. `text` stands after what the code's docstring says. `body` replaces the
    model that the code reads the body with, where no function of its own does. `older` are the shapes that versions
    below the newest are answered with.
    """

    summary: str
    answers: Any
    refusals: tuple[TollgateError, ...] = ()
    text: str = ""
    query: tuple[Parameter, ...] = ()
    body: Any = None
    older: Mapping[str, Any] = MappingProxyType({})

    @property
    def by_status(self) -> Mapping[int, Any]:
        """The answers by their status."""
        return self.answers if isinstance(self.answers, dict) else {200: self.answers}


def missing(*kinds: str) -> tuple[TollgateError, ...]:
    """Nothing of these kinds has the id that is named."""
    return tuple(NotFound(kind, "x") for kind in kinds)


def taken(kind: str) -> tuple[TollgateError, ...]:
    """Something of this kind has the id already."""
    return (AlreadyExists(kind, "x"),)
