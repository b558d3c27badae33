"""Lotus's document of ours beside Lotus's own: routes, what their queries take, the status of success. What differs is listed, with
its reason, in docs/openapi/lotus-differences.md."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.conftest import ROOT
from tests.vendor import operations
from tollgate_cli.openapi import LOTUS, document

PAGE = (ROOT / "docs" / "openapi" / "lotus-differences.md").read_text()
THEIRS: dict[str, dict[str, Any]] = json.loads((ROOT / "tests" / "contract" / "lotus_openapi.json").read_text())[
    "routes"
]
OURS = operations(document(LOTUS, ()))
BOTH = sorted(OURS.keys() & THEIRS.keys())


def test_each_route_of_one_alone_is_named() -> None:
    _, ours, theirs, _ = (set(re.findall(r"`([A-Z]+ /[^`]+)`", part)) for part in PAGE.split("\n## "))
    assert ours == OURS.keys() - THEIRS.keys()
    assert theirs - OURS.keys() == THEIRS.keys() - OURS.keys()


def test_each_parameter_that_differs_is_named_with_its_reason() -> None:
    listed = set()
    for line in PAGE.partition("## Parameters")[2].splitlines()[4:]:
        route, names, _, reason = (cell.strip() for cell in line.strip("|").split("|"))
        assert reason, line
        listed |= {(route.strip("`"), name) for name in re.findall(r"`(\w+)`", names)}
    differing = {
        (route, name) for route in BOTH for name, _ in _query(OURS[route]).items() ^ THEIRS[route]["query"].items()
    }
    assert differing == listed


def test_success_has_their_status() -> None:
    for route in BOTH:
        succeeded = [status for status in OURS[route]["responses"] if status.startswith("2")]
        assert succeeded == [THEIRS[route]["success"]], route


def _query(operation: dict[str, Any]) -> dict[str, bool]:
    """What the query takes: each name, and whether it is required."""
    return {each["name"]: each.get("required", False) for each in operation["parameters"] if each.get("in") == "query"}
