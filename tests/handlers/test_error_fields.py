"""What a refusal names is a field of the call that it refuses: one that was sent, or one that is documented and missing.

Each example of the documents is sent with something else in one of its fields, drawn by the run's seed, and then as it is.
Rules: autumn.md 1.1, lotus.md 1.9, flexprice.md 1.4.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.described import documents
from tests.handlers.conftest import a_place
from tests.handlers.test_openapi_examples import send
from tollgate.dialects import edge
from tollgate.dialects.lotus.errors import Invalid
from tollgate.dialects.problems import Path
from tollgate.domain.errors import InvalidInput, TollgateError
from tollgate_cli.openapi import DIALECTS, examples
from tollgate_cli.openapi.document import JSON, Dialect

DRAWN = 2  # changes of each example
OTHER = [
    *(
        None,
        True,
        -1,
        0,
        0.5,
        5,
        10**12,
        2_000_000_000_000,
        10**16,
        "",
        "x",
        "a b",
        "9" * 300,
        "messages",
        "sso",
        "seats",
    ),
    *("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", [], {}, [5], {"a": 1}),
]


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """Every path of a body, the whole of it first."""
    yield at
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for part, inside in parts:
            yield from places(inside, (*at, part))


def part(body: Any, at: Path) -> Any:
    for each in at:
        body = body[each]
    return body


def changed(body: Any, at: Path, value: Any) -> Any:
    if not at:
        return value
    body = copy.deepcopy(body)
    part(body, at[:-1])[at[-1]] = value
    return body


class Described:
    """The bodies of a document's calls."""

    def __init__(self, dialect: Dialect) -> None:
        whole = documents()[dialect.name]
        self._schemas = whole["components"]["schemas"]
        self.routes = {
            f"{method.upper()} {'/'.join('{}' if part[:1] == '{' else part for part in path.split('/'))}": operation
            for path, operations in whole["paths"].items()
            for method, operation in operations.items()
        }

    def fields(self, route: str, at: Path) -> set[str]:
        """The names of fields at a place of the route's body."""
        body = self.routes[route].get("requestBody")
        found = [body["content"][JSON]["schema"]] if body else []
        for each in at:
            inside = [of for schema in found for of in self._members(schema)]
            if isinstance(each, int):
                found = [schema["items"] for schema in inside if "items" in schema]
            else:
                found = [schema["properties"][each] for schema in inside if each in schema.get("properties", ())]
        return {name for schema in found for of in self._members(schema) for name in of.get("properties", ())}

    def _members(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        yield schema
        for key in ("anyOf", "oneOf", "allOf"):
            for each in schema.get(key, ()):
                yield from self._members(each)


def told(error: TollgateError) -> list[str]:
    """The fields that an error names."""
    if isinstance(error, Invalid):
        return [problem.attr for problem in error.problems if problem.attr]
    return [error.field] if isinstance(error, InvalidInput) and error.field not in ("", "body") else []


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_refusal_names_a_field_of_the_call(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    raised: list[TollgateError] = []
    answered = edge._answer

    def noted(*given: Any) -> Any:
        try:
            return answered(*given)
        except TollgateError as error:
            raised.append(error)
            raise

    monkeypatch.setattr(edge, "_answer", noted)
    random = Random(int(request.config.getoption("hypothesis_seed")))
    described = Described(dialect)
    with a_place(()) as place:
        for example in json.loads((examples.FOLDER / f"{dialect.name}.json").read_text()):
            if (
                isinstance(example.get("body"), dict | list)
                and "key" not in example
                and example["route"] in described.routes
            ):
                for body in drawn(random, described, example):
                    raised.clear()
                    status, _ = send(place, dialect, {**example, "body": body})
                    assert status != 500, (example["route"], body)
                    for field in (name for error in raised for name in told(error)):
                        assert is_of(described, example["route"], body, field), (example["route"], body, field)
            send(place, dialect, example)


def drawn(random: Random, described: Described, example: dict[str, Any]) -> Iterator[Any]:
    """The body with another value in one of its fields, or with one more field that is documented."""
    body, route = example["body"], example["route"]
    for _ in range(DRAWN):
        at = random.choice([*places(body)])
        if isinstance(part(body, at), dict) and random.random() < 0.5:
            at = (*at, random.choice([*sorted(described.fields(route, at)), "unknown"]))
        yield changed(body, at, random.choice(OTHER)) or {}


def is_of(described: Described, route: str, body: Any, field: str) -> bool:
    """Whether a field was sent, or could have been beside what was sent."""
    known = {".".join(map(str, at)): at for at in places(body)}
    if field in known:
        return True
    above, _, name = field.rpartition(".")
    return above in known and name in described.fields(route, known[above])
