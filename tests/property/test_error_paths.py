"""An error names a field by its path in what the caller sent, in every dialect: no word of pydantic's own stands on it.
And it says in the dialect's words what the field must be, never in pydantic's.

Rules: autumn.md 1.1, lotus.md 1.9, flexprice.md 1.4.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core.core_schema import ErrorType

from tests.profiles import examples
from tollgate import dialects
from tollgate.dialects import lotus
from tollgate.dialects.fields import BaseParams
from tollgate.dialects.lotus.errors import Invalid
from tollgate.dialects.problems import Path, problems
from tollgate.dialects.reported_usage import UsageReported
from tollgate_cli.openapi.check_body import CheckBody

OWN_WORDS = ("str", "int", "bool", "literal['now']", "list[constrained-str]", "function-plain[start_rule()]", "a.b", "")
PYDANTIC = set(get_args(ErrorType)) - {"value_error"}  # what its own words are for
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.just(Decimal("0.5")),
    st.sampled_from(["", "ada", "now", "inf", "a b", "2026-01-01", "x" * 5000]),
)


def _models(base: type[BaseParams]) -> Iterator[type[BaseParams]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _name(model: Any) -> str:
    return f"{model.__module__}.{model.__qualname__}"


for module in pkgutil.walk_packages(dialects.__path__, f"{dialects.__name__}."):
    importlib.import_module(module.name)
MODELS = sorted({*_models(BaseParams), CheckBody, UsageReported}, key=_name)


def bodies(schema: dict[str, Any], definitions: dict[str, Any], deep: int = 4) -> st.SearchStrategy[Any]:
    """What a model of this JSON Schema is sent: of its shape for the most part, and anything where it is not."""
    anything = st.one_of(
        LEAVES, st.lists(LEAVES, max_size=2), st.dictionaries(st.sampled_from(OWN_WORDS), LEAVES, max_size=2)
    )
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    members = schema.get("anyOf", schema.get("oneOf"))
    if deep == 0:
        return anything
    if members:
        return st.one_of(*(bodies(each, definitions, deep - 1) for each in members), anything)
    if "properties" in schema:
        fields = {name: bodies(of, definitions, deep - 1) for name, of in schema["properties"].items()}
        shaped: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional={**fields, "unknown": anything})
        return st.one_of(shaped, shaped, anything)
    if isinstance(schema.get("additionalProperties"), dict):
        values = bodies(schema["additionalProperties"], definitions, deep - 1)
        return st.one_of(st.dictionaries(st.sampled_from((*OWN_WORDS, "a")), values, max_size=3), anything)
    if "items" in schema:
        return st.one_of(st.lists(bodies(schema["items"], definitions, deep - 1), max_size=3), anything)
    if "enum" in schema or "const" in schema:
        return st.one_of(st.sampled_from(schema.get("enum", [schema.get("const")])), anything)
    return anything


def at(path: Path, body: Any) -> Any:
    """What stands there; raises where nothing does."""
    for part in path:
        body = body[part]
    return body


@pytest.mark.parametrize(
    "model", MODELS, ids=lambda model: f"{model.__module__.removeprefix('tollgate')}.{model.__name__}"
)
def test_a_path_of_an_error_is_one_of_the_body(model: type[BaseParams]) -> None:
    schema = model.model_json_schema(mode="validation")
    transforms = model.__module__.startswith(lotus.__name__)  # numbers are read as texts: another value than was sent

    @settings(max_examples=examples(0.3))
    @given(bodies(schema, schema.get("$defs", {}), 5))
    def held(body: Any) -> None:
        try:
            model.model_validate(body)
        except ValidationError as error:
            found = problems(error, body)
            assert found
            refusal = model.refused(error, body) if issubclass(model, BaseParams) else ""
            told = str(refusal.problems if isinstance(refusal, Invalid) else refusal)
            assert not re.search(r"[a-z]Params\b|instance of|Decimal|Value error", told)
            assert not [each for _, each in found if each["type"] in PYDANTIC and each["msg"] in told]
            for path, detail in found:
                if detail["type"] == "missing":
                    assert isinstance(at(path[:-1], body), dict)
                    assert path[-1] not in at(path[:-1], body)
                else:
                    assert transforms or at(path, body) is detail["input"]

    held()
