"""Autumn's document of ours beside what Autumn's SDK, made from their own, knows of each route. What differs is listed,
with its reason, in docs/openapi/autumn-differences.md."""

from __future__ import annotations

import builtins
import importlib
import re
from collections.abc import Iterator

import autumn_sdk

from tests.conftest import ROOT
from tests.vendor import listed, operations, route_differences, word
from tests.vendor_sdk import Known, routes
from tollgate_cli.openapi import AUTUMN, document, served
from tollgate_cli.openapi.json_schemas import request_models

PAGE = ROOT / "docs" / "openapi" / "autumn-differences.md"
UNDEFINED = {  # autumn-sdk 1.2.0 names what it does not define: these modules of it fail to load
    "createfeatureop": "CreateFeatureDimensionsResponse5",
    "updatefeatureop": "UpdateFeatureDimensionsResponse5",
}
DOCUMENT = document(AUTUMN, ())
OPERATIONS = operations(DOCUMENT)


def known() -> dict[str, Known]:
    """What the SDK knows of each route."""
    for module, name in UNDEFINED.items():
        for each in (name, f"{name}TypedDict"):
            setattr(builtins, each, dict)
        importlib.import_module(f"autumn_sdk.models.{module}")
    return routes(autumn_sdk)


SDK = known()
MODELS = request_models(
    [each.model for each in served.autumn().values()] + [each.body for each in AUTUMN.operations.values()]
)


def found() -> Iterator[tuple[str, str, str]]:
    """Each difference: the schema, the field, and how it differs in the page's words."""
    for route in sorted(OPERATIONS.keys() & SDK.keys()):
        for each in route_differences(OPERATIONS[route], SDK[route], DOCUMENT):
            yield each.schema, each.field, word(each, MODELS)


def test_each_route_of_both_is_named_where_one_has_it_alone() -> None:
    text = PAGE.read_text()
    ours, theirs = (
        set(re.findall(r"`([A-Z]+ /[^`]+)`", part)) for part in text.split("## Fields")[0].split("## ")[1:3]
    )
    assert ours == OPERATIONS.keys() - SDK.keys()
    assert theirs == SDK.keys() - OPERATIONS.keys()


def test_each_difference_is_listed_with_its_reason() -> None:
    assert sorted(set(found())) == sorted(set(listed(PAGE)))


def test_no_difference_is_listed_twice() -> None:
    every = list(listed(PAGE))
    assert len(every) == len(set(every))
