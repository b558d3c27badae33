"""Flexprice's document of ours beside what Flexprice's SDK, made from their own, knows of each route. What differs is listed,
with its reason, in docs/openapi/flexprice-differences.md."""

from __future__ import annotations

from collections.abc import Iterator

import flexprice

from tests.conftest import ROOT
from tests.vendor import listed, operations, route_differences, word
from tests.vendor_sdk import routes
from tollgate_cli.openapi import FLEXPRICE, document, served
from tollgate_cli.openapi.json_schemas import request_models

PAGE = ROOT / "docs" / "openapi" / "flexprice-differences.md"
NOT_IN_THE_SDK = {
    *("GET /v1/customers/{}/usage", "PUT /v1/customers/{}", "GET /v1/customers/lookup/{}"),
    *(
        f"GET /v1/{noun}"
        for noun in ("addons", "customers", "entitlements", "events", "features", "plans", "subscriptions")
    ),
    *("GET /v1/features/{}", "GET /v1/meters", "GET /v1/meters/{}"),
}
DOCUMENT = document(FLEXPRICE, ())
OPERATIONS = operations(DOCUMENT)
SDK = routes(flexprice)
MODELS = request_models(
    [each.model for each in served.flexprice().values()] + [each.body for each in FLEXPRICE.operations.values()]
)


def found() -> Iterator[tuple[str, str, str]]:
    """Each difference: the schema, the field, and how it differs in the page's words."""
    for route, operation in OPERATIONS.items():
        known = SDK.get(route)
        if known is not None:
            for each in route_differences(operation, known, DOCUMENT):
                yield each.schema, each.field, word(each, MODELS)


def test_the_sdk_knows_each_route_but_for_those_that_are_named() -> None:
    assert {route for route in OPERATIONS if route not in SDK} == NOT_IN_THE_SDK


def test_each_difference_is_listed_with_its_reason() -> None:
    assert sorted(set(found())) == sorted(set(listed(PAGE)))


def test_no_difference_is_listed_twice() -> None:
    every = list(listed(PAGE))
    assert len(every) == len(set(every))
