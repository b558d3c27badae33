"""What is served: the routes of the functions' own tables, each with the function of a dialect that answers it, and the
model that this function reads the request with.

The tables are read as they stand in the functions' code: to run it would need a stack.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from tollgate.dialects.autumn import shared_paths
from tollgate.dialects.autumn.check import check
from tollgate.dialects.autumn.track import batch_track, track
from tollgate.dialects.autumn.track_tokens import track_tokens
from tollgate.dialects.fields import BaseParams
from tollgate.dialects.lotus.routes import READS, WRITES
from tollgate_cli.servers import ROOT

Handler = Callable[..., Any]

CHECKS = ("POST /v1/balances.check", "POST /v1/check", "POST /v1/entitled")
TRACKS = ("POST /v1/balances.track", "POST /v1/track")
ENTITLEMENTS = "entitlements"
READERS = ("of", "parsed", "asked")


class Served(NamedTuple):
    """One route: `METHOD /path`, in which `{}` stands for one part, and what answers it."""

    route: str
    handler: Handler
    function: str  # under functions/

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path, with its `{}`."""
        return self.route.partition(" ")[2]

    @property
    def model(self) -> type[BaseParams] | None:
        """The model that reads the request's body (or Lotus's query); None where none is read."""
        return model_of(self.handler)


@cache
def autumn() -> dict[str, Served]:
    """Autumn's routes."""
    found = [
        *(Served(route, check, "check") for route in CHECKS),
        *(Served(route, track, "track") for route in TRACKS),
        Served("POST /v1/balances.batch_track", batch_track, "track"),
        Served("POST /v1/balances.track_tokens", track_tokens, "track"),
        *_table("manage", "autumn"),
        Served("POST /v1/events", track, ENTITLEMENTS),
        *_entries(Path(shared_paths.__file__), ENTITLEMENTS, lambda name: vars(shared_paths)[name].load()),
    ]
    return {each.route: each for each in found}


@cache
def flexprice() -> dict[str, Served]:
    """Flexprice's routes."""
    found = [*_table(ENTITLEMENTS, "flexprice"), *_table("manage", "flexprice", "FLEXPRICE_ROUTES")]
    return {each.route: each for each in found}


@cache
def lotus() -> dict[str, Served]:
    """Lotus's routes: their paths end in a slash, as its clients send them."""
    found = {}
    for method, function, paths in (("GET", "metric_access", READS), ("POST", "lotus", WRITES)):
        table = {each.route: each for each in _table(function, "lotus")}
        for path in paths:
            route = f"{method} {path}/"
            found[route] = table[path]._replace(route=route)
    return found


def model_of(handler: Handler) -> type[BaseParams] | None:
    """The model whose `of` (or another of its readers) the function's own code calls."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(handler)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READERS:
            owner = node.func.value
            model = handler.__globals__.get(owner.id) if isinstance(owner, ast.Name) else None
            if isinstance(model, type) and issubclass(model, BaseParams):
                return model
    return None


def described(handler: Handler) -> str:
    """The function's docstring, for who calls the route: without the route's name and without the errors of the code."""
    text = " ".join((inspect.getdoc(handler) or "").split())
    text = re.sub(r"^(`[^`]+`[^.:`]*(, | and )?)+( \([^)]*\))?[.:] ?", "", text)
    kept = [part for part in re.split(r"(?<=\.) (?=[A-Z`])", text) if not re.match(r"Raises?\b|\w+ \(lotus\.md", part)]
    text = re.sub(r" \((autumn|management|lotus|flexprice)\.md [^)]*\)", "", " ".join(kept))
    return text[:1].upper() + text[1:]


def _table(function: str, dialect: str, table: str = "ROUTES") -> Iterator[Served]:
    """The entries of a table in a function's code."""
    path = ROOT / "functions" / function / "app.py"
    return _entries(path, function, lambda name: import_module(f"tollgate.dialects.{dialect}.{name}"), table)


def _entries(
    path: Path, function: str, module: Callable[[str], ModuleType], table: str | None = None
) -> Iterator[Served]:
    """The entries of a table of routes in a file, or of all in it; `module` finds one by the name that it has there."""
    for node in (node for top in ast.parse(path.read_text()).body if _holds(top, table) for node in ast.walk(top)):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and "/" in str(key.value):
                    yield Served(str(key.value), _handler(value, module), function)


def _holds(node: ast.stmt, table: str | None) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return table is None or any(isinstance(target, ast.Name) and target.id == table for target in targets)


def _handler(entry: ast.expr, module: Callable[[str], ModuleType]) -> Handler:
    """The function that an entry names: `module.function`, or a `partial` of it."""
    named = entry.args[0] if isinstance(entry, ast.Call) else entry
    assert isinstance(named, ast.Attribute), ast.unparse(entry)
    assert isinstance(named.value, ast.Name), ast.unparse(entry)
    handler: Handler = getattr(module(named.value.id), named.attr)
    return handler
