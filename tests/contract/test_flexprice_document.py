"""Flexprice's document of ours beside what Flexprice's SDK, made from their own, knows of each route. What differs is listed,
with its reason, in docs/openapi/flexprice-differences.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.conftest import ROOT
from tests.flexprice_models import Known, routes
from tests.vendor import NOT_HERE, NOT_THEIRS, REQUIRED, TYPE, Difference, differences
from tollgate_cli.openapi import FLEXPRICE, document
from tollgate_cli.openapi.document import JSON
from tollgate_cli.openapi.json_schemas import request_models
from tollgate_cli.openapi.served import flexprice

PAGE = ROOT / "docs" / "openapi" / "flexprice-differences.md"
NOT_IN_THE_SDK = {
    *("GET /v1/customers/{}/usage", "PUT /v1/customers/{}", "GET /v1/customers/lookup/{}"),
    *(f"GET /v1/{noun}" for noun in ("addons", "customers", "entitlements", "features", "plans", "subscriptions")),
    *("GET /v1/features/{}", "GET /v1/meters", "GET /v1/meters/{}"),
}
WORDS = {NOT_THEIRS: "ours alone", TYPE: "another type", REQUIRED: "required here"}
DOCUMENT = document(FLEXPRICE, ())
OPERATIONS = {
    f"{method.upper()} {re.sub(r'{[^}]+}', '{}', path)}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
MODELS = request_models(
    [each.model for each in flexprice().values()] + [each.body for each in FLEXPRICE.operations.values()]
)


def found() -> Iterator[tuple[str, str, str]]:
    """Each difference: the schema, the field, and how it differs in the page's words."""
    for route, operation in OPERATIONS.items():
        known = routes().get(route)
        if known is not None:
            for each in _of(operation, known):
                yield each.schema, each.field, _word(each)


def _of(operation: dict[str, Any], known: Known) -> Iterator[Difference]:
    components = DOCUMENT["components"]["schemas"]
    if "requestBody" in operation:
        body = operation["requestBody"]["content"][JSON]["schema"]
        yield from differences(body, known.body, components, answers=False)
    for status, answer in operation["responses"].items():
        if status.startswith("2") and "content" in answer:
            yield from differences(answer["content"][JSON]["schema"], known.answer, components, answers=True)


def _word(each: Difference) -> str:
    if each.kind != NOT_HERE:
        return WORDS[each.kind]
    if each.schema not in MODELS:
        return "not answered"
    return "refused" if each.field in MODELS[each.schema].later else "ignored"


def listed() -> Iterator[tuple[str, str, str]]:
    """Those of the page's table."""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            assert cells[3], line
            for field in re.findall(r"`(\w+)`", cells[1]):
                yield cells[0].strip("`"), field, cells[2]


def test_the_sdk_knows_each_route_but_for_those_that_are_named() -> None:
    assert {route for route in OPERATIONS if route not in routes()} == NOT_IN_THE_SDK


def test_each_difference_is_listed_with_its_reason() -> None:
    assert sorted(set(found())) == sorted(set(listed()))


def test_no_difference_is_listed_twice() -> None:
    every = list(listed())
    assert len(every) == len(set(every))
