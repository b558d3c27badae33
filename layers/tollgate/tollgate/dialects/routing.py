"""Which route a request takes: tables of `METHOD /path`, in which `{}` stands for one part of a path.

Each function has the table of what it serves. Lotus's tables are in its dialect: two functions share its paths, and
each must know the other's to answer 405.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import NamedTuple
from urllib.parse import unquote

from tollgate.dialects.http import Answer
from tollgate.domain.errors import NotFound, TollgateError

Route = Callable[..., Answer]
"""Takes the request, and what the path's `{}` stand for."""


class Match(NamedTuple):
    """The template that a path follows, and what its `{}` stand for, in order."""

    template: str
    arguments: list[str]


def match(templates: Iterable[str], path: str) -> Match | None:
    """The most specific template that a path follows: the one with the fewest `{}`. None where it follows none.

    API Gateway leaves `%25` in a path encoded, so the parts are unquoted here, and nowhere else.
    """
    parts = path.split("/")
    found: list[Match] = []
    for template in templates:
        pattern = template.split("/")
        if len(pattern) == len(parts) and all(p in ("{}", part) for p, part in zip(pattern, parts, strict=True)):
            arguments = [unquote(part) for p, part in zip(pattern, parts, strict=True) if p == "{}"]
            found.append(Match(template, arguments))
    return min(found, key=lambda each: len(each.arguments), default=None)


def wide_match(templates: Iterable[str], path: str) -> Match | None:
    """As `match`, where a `{}` may stand for several parts: an id with a slash in it, which API Gateway has decoded
    (management.md 1). Of several templates, the one with the most text of its own.
    """
    found = [
        Match(template, [unquote(part) for part in fits.groups()])
        for template in templates
        if (fits := re.fullmatch(re.escape(template).replace(r"\{\}", "(.+)"), path))
    ]
    return max(found, key=lambda each: len(each.template.replace("{}", "")), default=None)


def run(templates: Iterable[str], path: str, call: Callable[[Match], Answer], missing: TollgateError) -> Answer:
    """Calls the route that a path follows; raises `missing` where it follows none.

    Where it follows one only if an id has a slash, and there is nothing of that id, it was no such id: that too raises
    `missing`.
    """
    templates = tuple(templates)
    found = match(templates, path)
    if found is not None:
        return call(found)
    found = wide_match(templates, path)
    if found is None:
        raise missing
    try:
        return call(found)
    except NotFound as error:
        raise missing from error


class OnDemand:
    """A module whose functions can be named in a table of routes before it is loaded: it is, when one is first called.

    A request needs few of the dozens of models that a dialect has, and a function should not start with all of them.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def load(self) -> ModuleType:
        """The module itself."""
        return import_module(self._module)

    def __getattr__(self, name: str) -> Route:
        def route(*arguments: object) -> Answer:
            answer: Answer = getattr(self.load(), name)(*arguments)
            return answer

        return route


def taking(*use_cases: object, routes: Mapping[str, Route]) -> dict[str, Route]:
    """Routes whose handlers take these use cases before the request."""
    return {template: partial(route, *use_cases) for template, route in routes.items()}
