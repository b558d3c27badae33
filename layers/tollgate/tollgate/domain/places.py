"""Where in a request a rule was broken, when the rule names a field in other words than the request.

Rules name fields as a plan or a balance has them (`items.0.included`). These name what that is in the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from tollgate.domain.errors import InvalidInput


@contextmanager
def told_as(name: Callable[[str], str]) -> Iterator[None]:
    """Names the field of an InvalidInput that is raised inside as `name` has it."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(name(error.field), error.rule) from error


def within(where: str) -> AbstractContextManager[None]:
    """The same for a part of the request: its fields stand behind the part's own path."""
    return told_as(lambda field: f"{where}.{field}".rstrip("."))


def renamed(names: Mapping[str, str]) -> AbstractContextManager[None]:
    """The same for fields that the request names otherwise, each part of a path by itself."""
    return told_as(lambda field: ".".join(names.get(part, part) for part in field.split(".")))
