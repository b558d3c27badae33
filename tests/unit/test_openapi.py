"""The OpenAPI documents under docs/openapi: made of what is served, valid, and complete in words."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tollgate_cli import openapi
from tollgate_cli.openapi import DIALECTS, examples, served
from tollgate_cli.openapi.document import JSON, Dialect, refused

EACH = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def written(dialect: Dialect) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((openapi.FOLDER / f"{dialect.name}.json").read_text())
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_the_documents_are_generated() -> None:
    """`make openapi` writes them."""
    assert {path.name: path.read_text() for path in openapi.FOLDER.glob("*.json")} == openapi.texts()


@EACH
def test_a_document_is_valid(dialect: Dialect) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(OpenAPIV31SpecValidator(written(dialect)).iter_errors()) == []


@EACH
def test_a_document_has_the_routes_that_are_served(dialect: Dialect) -> None:
    assert set(dialect.operations) == set(dialect.served())
    assert len(list(operations(written(dialect)))) == len(dialect.operations)


def test_each_route_of_autumns_functions_is_in_one_document() -> None:
    described = [
        route for dialect in DIALECTS if dialect.name in ("autumn", "tollgate") for route in dialect.operations
    ]
    assert sorted(described) == sorted(served.autumn())


@EACH
def test_each_operation_has_a_name_of_its_own(dialect: Dialect) -> None:
    ids = [operation["operationId"] for _, operation in operations(written(dialect))]
    assert len(ids) == len(set(ids))


@EACH
def test_each_tag_of_an_operation_is_described_and_no_other(dialect: Dialect) -> None:
    document = written(dialect)
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert {tag["name"] for tag in document["tags"] if tag["description"]} == used


@EACH
def test_everything_is_described(dialect: Dialect) -> None:
    document = written(dialect)
    for route, operation in operations(document):
        assert operation["summary"], route
        assert operation["description"].endswith("."), route
        for parameter in operation["parameters"]:
            assert "$ref" in parameter or parameter["description"], (route, parameter)
    bare = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, said in schema.get("properties", {}).items()
        if not said.get("description") and "$ref" not in said
    ]
    assert bare == []
    assert [name for name, schema in document["components"]["schemas"].items() if not schema.get("description")] == []


@EACH
def test_each_kind_of_refusal_is_in_words(dialect: Dialect) -> None:
    codes = {
        code for each in dialect.operations.values() for known in refused(dialect, each).values() for code in known
    }
    assert codes | {dialect.internal} == set(dialect.codes)


@EACH
def test_the_words_of_fields_are_all_used(dialect: Dialect) -> None:
    """A field that is gone leaves no words behind."""
    document = written(dialect)
    names = {field for schema in document["components"]["schemas"].values() for field in schema.get("properties", {})}
    names |= {parameter.get("name") for _, operation in operations(document) for parameter in operation["parameters"]}
    assert {key.rpartition(".")[2] for key in dialect.fields} <= names


@EACH
def test_each_example_is_as_its_schemas_say(dialect: Dialect) -> None:
    document = written(dialect)
    by_route = {
        "/".join("{}" if part.startswith("{") else part for part in route.split("/")): operation
        for route, operation in operations(document)
    }
    for each in examples.read(dialect.name):
        operation = by_route.get(each.route)
        if operation is None:  # it only sets the stage
            continue
        assert str(each.status) in operation["responses"], each.name
        if each.succeeds and each.body is not None and "requestBody" in operation:
            schema = operation["requestBody"]["content"][JSON]["schema"]
            told = Draft202012Validator({**schema, "components": document["components"]}).iter_errors(each.body)
            assert [error.message for error in told] == [], each.name


@EACH
def test_each_example_of_a_parameter_is_as_its_schema_says(dialect: Dialect) -> None:
    for route, operation in operations(written(dialect)):
        for parameter in operation["parameters"]:
            if "example" in parameter and "schema" in parameter:
                told = Draft202012Validator(parameter["schema"]).iter_errors(parameter["example"])
                assert [error.message for error in told] == [], (route, parameter["name"])


@EACH
def test_bounds_are_said_in_words_of_json_schema(dialect: Dialect) -> None:
    text = json.dumps(written(dialect)["components"]["schemas"])
    assert not re.findall(r'"(?:ge|gt|le|lt)": [0-9-]', text)


def test_a_query_is_described_without_what_it_cannot_say() -> None:
    """`filters` come in a body alone, and `sort` in a query is a field's name (flexprice.md 1.6)."""
    operation = openapi.document(openapi.FLEXPRICE, ())["paths"]["/v1/features"]["get"]
    named = {parameter["name"]: parameter["schema"] for parameter in operation["parameters"]}
    assert "filters" not in named
    assert named["sort"]["type"] == "string"
    assert named["feature_ids"]["type"] == "array"


def test_what_is_tollgates_own_is_marked() -> None:
    schemas = openapi.document(openapi.AUTUMN, ())["components"]["schemas"]
    for name, field in (("PlanItemParams", "usage_limit"), ("CreateFeatureParams", "meter"), ("Balance", "overage")):
        assert schemas[name]["properties"][field][openapi.OWN] is True
    assert openapi.OWN not in schemas["PlanItemParams"]["properties"]["included"]


def test_what_is_refused_is_said() -> None:
    schemas = openapi.document(openapi.AUTUMN, ())["components"]["schemas"]
    assert "`licenses`" in schemas["CreatePlanParams"]["description"]


def test_an_older_name_of_a_field_is_said() -> None:
    schemas = openapi.document(openapi.AUTUMN, ())["components"]["schemas"]
    assert "`granted_balance`" in schemas["CreateBalanceParams"]["properties"]["included_grant"]["description"]
