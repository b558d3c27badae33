"""Calls and their answers, as they were really sent and given: `docs/openapi/examples/`.

A test sends them again, one after another on a stack of its own whose clock stands still and whose ids are counted, and
holds that each is answered just so.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote

from tollgate_cli.servers import ROOT

FOLDER = ROOT / "docs" / "openapi" / "examples"


class Exchange(NamedTuple):
    """One call and its answer. `route` is as the tables of routes have it; `path_values` fill its `{}` in order."""

    name: str
    summary: str
    route: str
    path_values: dict[str, str]
    query: dict[str, Any]
    headers: dict[str, str]
    body: Any
    status: int
    answer: Any

    @property
    def succeeds(self) -> bool:
        """Whether it is no refusal."""
        return self.status < 300

    @property
    def sent(self) -> str:
        """`METHOD /path` as it is sent."""
        route = self.route
        for value in self.path_values.values():
            route = route.replace("{}", quote(value, safe=""), 1)
        return route


def read(name: str) -> list[Exchange]:
    """The exchanges of a document; none where none were recorded yet."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return []
    return [exchange(each) for each in json.loads(path.read_text())]


def exchange(recorded: dict[str, Any]) -> Exchange:
    """One entry of a file."""
    query = {
        name: values if len(values) > 1 else values[0] for name, values in parse_qs(recorded.get("query", "")).items()
    }
    return Exchange(
        recorded["name"],
        recorded["summary"],
        recorded["route"],
        recorded.get("path", {}),
        query,
        recorded.get("headers", {}),
        recorded.get("body"),
        recorded.get("status", 0),
        recorded.get("answer"),
    )
