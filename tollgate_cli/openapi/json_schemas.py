"""JSON Schemas (2020-12) of the models that read requests and of the shapes that describe answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue

from tollgate.dialects import field_rules
from tollgate.dialects.autumn import controls
from tollgate.dialects.field_rules import LAST_START, MAX_TIME, MIN_TIME
from tollgate.dialects.fields import BaseParams
from tollgate.dialects.flexprice import fields as flexprice
from tollgate.dialects.lotus import fields as lotus

BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
REFS = "#/components/schemas/"

ID = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": '^[!"$-~]+$'}
WIDEST = 10**15
NUMBER = {"type": "number", "exclusiveMinimum": -WIDEST, "exclusiveMaximum": WIDEST}
NUMBER_TEXT = {"type": "string", "pattern": r"^\s*-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\s*$"}
WHOLE = {**NUMBER, "type": "integer"}
MILLIS = {"type": "integer", "minimum": MIN_TIME, "maximum": MAX_TIME}
TIME_TEXT = {"type": "string", "format": "date-time"}

RULES: dict[Any, dict[str, Any]] = {
    field_rules.id_rule: ID,
    field_rules.number_rule: NUMBER,
    field_rules.number_or_text_rule: {"anyOf": [NUMBER, NUMBER_TEXT]},
    field_rules.whole_rule: WHOLE,
    field_rules.time_rule: MILLIS,
    field_rules.start_rule: {**MILLIS, "maximum": LAST_START},
    field_rules.range_rule: {"type": "integer", "minimum": 0, "maximum": MAX_TIME},
    field_rules.properties_rule: {},
    controls._filter: {},
    flexprice._whole: WHOLE,
    flexprice._limit: {**WHOLE, "minimum": 0},
    flexprice._time: TIME_TEXT,
    flexprice._start: TIME_TEXT,
    lotus.moment: TIME_TEXT,
    field_rules.started: {},
}
"""What each rule of a field means in JSON Schema: the rules are functions, which no generator can read."""


class _Wire(GenerateJsonSchema):
    """Pydantic's generator, which knows Tollgate's rules. Null is no default: a field that may be left out says no more."""

    def function_plain_schema(self, schema: Any) -> JsonSchemaValue:
        return dict(RULES[schema["function"]["function"]])

    def function_after_schema(self, schema: Any) -> JsonSchemaValue:
        rule = schema["function"]["function"]
        inner = self.generate_inner(schema["schema"])
        return inner if isinstance(rule, partial) else inner | RULES[rule]  # pydantic's own: it says them by itself

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:
        rule = schema["function"]["function"]
        return dict(RULES[rule]) if rule in RULES else self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        shown = super().default_schema(schema)
        if "default" in shown and shown["default"] is None:
            del shown["default"]
        return shown

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - a field's name says as much
        return False


def json_schemas(types: Iterable[Any]) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The schema of each type, and those of all models that they are made of, by the model's name."""
    mode: JsonSchemaMode = "validation"
    adapters = [(number, mode, TypeAdapter(each)) for number, each in enumerate(types)]
    found, every = TypeAdapter.json_schemas(adapters, ref_template=REFS + "{model}", schema_generator=_Wire)
    definitions = every.get("$defs", {})
    names = {key: name_of(key) for key in definitions}
    assert len(set(names.values())) == len(names), sorted(names.items())
    schemas = [_renamed(found[number, mode], names) for number in range(len(adapters))]
    return schemas, {names[key]: _renamed(schema, names) for key, schema in sorted(definitions.items())}


def name_of(key: str) -> str:
    """A model's name in a document: its class's; where a request's model has another's name, its module's before it."""
    *modules, name = key.split("__")
    return f"{modules[-1].capitalize()}{name}" if modules and "dialects" in modules else name


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        shown = {key: _renamed(each, names) for key, each in value.items()}
        if "$ref" in shown:
            shown["$ref"] = REFS + names[shown["$ref"].removeprefix(REFS)]
        if "properties" in shown:
            shown.pop("title", None)
        for word, bound in BOUNDS.items():
            if not isinstance(shown.get(word, {}), dict):  # pydantic's own word, which it leaves beside a rule
                shown[bound] = shown.pop(word)
        for bound, wide in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if bound in shown and abs(shown.get(wide, 0)) == WIDEST:
                del shown[wide]
        return shown
    return [_renamed(each, names) for each in value] if isinstance(value, list) else value


def request_models(types: Iterable[Any]) -> dict[str, type[BaseParams]]:
    """The models of requests among these types and in their fields, by their name in a document."""
    found: dict[type[BaseModel], None] = {}

    def visit(each: Any) -> None:
        if isinstance(each, type) and issubclass(each, BaseModel) and each not in found:
            found[each] = None
            for field in each.model_fields.values():
                visit(field.annotation)
        for argument in getattr(each, "__args__", ()):
            visit(argument)

    for each in types:
        visit(each)
    names = Counter(model.__name__ for model in found)
    return {
        name_of(
            f"{model.__module__.replace('.', '__')}__{model.__name__}" if names[model.__name__] > 1 else model.__name__
        ): model
        for model in found
        if issubclass(model, BaseParams)
    }
