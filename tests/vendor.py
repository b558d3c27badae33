"""How a document of ours differs from the models of a vendor's SDK: fields, types, and what is required."""

from __future__ import annotations

import datetime
import re
import types
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import TypeAliasType

from tests.vendor_sdk import Known
from tollgate.dialects.fields import BaseParams
from tollgate_cli.openapi.document import JSON
from tollgate_cli.openapi.json_schemas import REFS

Schema = Mapping[str, Any]

NEVER: Schema = {"type": "null"}
NOT_HERE, NOT_THEIRS, TYPE, REQUIRED = "not here", "not theirs", "type", "required"


WORDS = {NOT_THEIRS: "ours alone", TYPE: "another type", REQUIRED: "required here"}
"""How a page of differences says each kind but the first."""


class Difference(NamedTuple):
    """One field of one of our schemas, and how it differs."""

    schema: str
    field: str
    kind: str


def operations(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A document's operations by `METHOD /path`, with `{}` for what is named in the path."""
    return {
        f"{method.upper()} {re.sub(r'{[^}]+}', '{}', path)}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def route_differences(operation: Schema, known: Known, document: Mapping[str, Any]) -> Iterator[Difference]:
    """Those of one route: of its body, and of what it answers when it succeeds."""
    components = document["components"]["schemas"]
    if "requestBody" in operation:
        body = operation["requestBody"]["content"][JSON]["schema"]
        yield from differences(body, known.body, components, answers=False)
    for status, answer in operation["responses"].items():
        if status.startswith("2") and "content" in answer:
            yield from differences(answer["content"][JSON]["schema"], known.answer, components, answers=True)


def word(each: Difference, models: Mapping[str, type[BaseParams]]) -> str:
    """How a page of differences says it; `models` are those of our requests."""
    if each.kind != NOT_HERE:
        return WORDS[each.kind]
    if each.schema not in models:
        return "not answered"
    return "refused" if each.field in models[each.schema].later else "ignored"


def listed(page: Path) -> Iterator[tuple[str, str, str]]:
    """What a page of differences lists, each with a reason: the schema, the field, and how it differs."""
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            assert cells[3], line
            for field in re.findall(r"`(\w+)`", cells[1]):
                yield cells[0].strip("`"), field, cells[2]


def differences(schema: Schema, model: Any, components: Mapping[str, Schema], *, answers: bool) -> Iterator[Difference]:
    """Those of a schema and all that it is made of, from a model that describes the same."""
    yield from _walk("", schema, model, components, answers, set())


def _walk(
    name: str, schema: Schema, theirs: Any, components: Mapping[str, Schema], answers: bool, seen: set[Any]
) -> Iterator[Difference]:
    schema = _bare(schema)
    for each in schema.get("anyOf", ()):
        yield from _walk(name, each, theirs, components, answers, seen)
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REFS)
        schema = components[name]
    model = _bare_type(theirs)
    if schema.get("type") == "array":
        items = get_args(model)
        if items and get_origin(model) is list:
            yield from _walk(name, schema["items"], items[0], components, answers, seen)
        return
    if "properties" not in schema or not (isinstance(model, type) and issubclass(model, BaseModel)):
        return
    if (name, model) in seen:
        return
    seen.add((name, model))
    fields = {field.alias or key: field for key, field in model.model_fields.items()}
    if fields and fields.keys().isdisjoint(schema["properties"]):  # what another SDK of theirs reads
        return
    for field in sorted(set(fields) | set(schema["properties"])):
        ours = schema["properties"].get(field, NEVER)
        if answers and ours.get("type") == "null":
            if field in fields:  # else a key that another SDK of theirs reads
                yield Difference(name, field, NOT_HERE)
        elif ours is NEVER:
            yield Difference(name, field, NOT_HERE)
        elif field not in fields:
            yield Difference(name, field, NOT_THEIRS)
        else:
            their = fields[field]
            if _kinds(ours, components).isdisjoint(_their_kinds(their.annotation)):
                yield Difference(name, field, TYPE)
            required = field in schema.get("required", ())
            if (not required and their.is_required()) if answers else (required and not their.is_required()):
                yield Difference(name, field, REQUIRED)
            yield from _walk(f"{name}.{field}", ours, their.annotation, components, answers, seen)


def _bare(schema: Schema) -> Schema:
    """The schema without null."""
    kept = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return kept[0] if len(kept) == 1 else schema


def _kinds(schema: Schema, components: Mapping[str, Schema]) -> set[str]:
    """The JSON types that a schema takes."""
    if "$ref" in schema:
        return _kinds(components[schema["$ref"].removeprefix(REFS)], components)
    if "anyOf" in schema:
        return set().union(*(_kinds(each, components) for each in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        schema = {"type": schema.get("type", "string" if isinstance(schema.get("const", ""), str) else "integer")}
    kind = schema.get("type", "any")
    return {"number", "integer"} if kind == "number" else {kind}


def _bare_type(theirs: Any) -> Any:
    """The model in an annotation: without what may be absent or null, and without another name for it."""
    if isinstance(theirs, TypeAliasType):
        return _bare_type(theirs.__value__)
    if isinstance(get_origin(theirs), TypeAliasType):
        return _bare_type(get_origin(theirs).__value__[get_args(theirs)])
    if get_origin(theirs) is Annotated:
        return _bare_type(get_args(theirs)[0])
    if get_origin(theirs) in (Union, types.UnionType):
        kept = [each for each in get_args(theirs) if each is not type(None) and "Unset" not in str(each)]
        return _bare_type(kept[0]) if len(kept) == 1 else theirs
    return theirs


def _their_kinds(theirs: Any) -> set[str]:
    theirs = _bare_type(theirs)
    origin = get_origin(theirs)
    if origin in (Union, types.UnionType):
        return set().union(*(_their_kinds(each) for each in get_args(theirs)))
    if origin is Literal:
        return {"string"}
    if origin is list:
        return {"array"}
    if origin is dict or theirs is dict:
        return {"object"}
    if theirs is Any:
        return {"any", "object", "string", "number", "integer", "boolean", "array", "null"}
    for known, kinds in (
        (BaseModel, {"object"}),
        (bool, {"boolean"}),
        (Enum, {"string"}),
        (str, {"string"}),
        (int, {"integer"}),
        ((float, Decimal), {"number", "integer"}),
        (datetime.date, {"string"}),
    ):
        if isinstance(theirs, type) and issubclass(theirs, known):
            return kinds
    return {"null"} if theirs is type(None) else {"any"}
