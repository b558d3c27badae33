"""A catalog file, checked: its fields by the model, what they mean by the rules that the API itself decides by.

A file stands for itself: what its plans and credit systems name is in it. So it is checked without asking anybody, and can
be applied to an environment that has nothing yet.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tollgate.dialects.autumn.catalog import (
    CreateFeatureParams,
    CreatePlanParams,
    managed_feature_json,
    new_feature,
    plan_json,
)
from tollgate.dialects.field_rules import type_name
from tollgate.domain import features as domain
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput, NotFound, TollgateError
from tollgate.domain.plans import Plan, checked_plan
from tollgate.usecases.catalog import check_automatic
from tollgate_cli.catalog import model, yaml_text
from tollgate_cli.catalog.shapes import Body, body_of_feature, body_of_plan
from tollgate_cli.catalog.yaml_text import Document, Position

SCHEMA = "tollgate.schema.json"
FIRST_LINE = "# yaml-language-server: $schema={}\n"
MOST_TOLD = 20
_TYPES = {
    "string_type": "text (in quotes where it looks like something else)",
    "bool_type": "true or false",
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "a list",
}


@dataclass(frozen=True)
class Catalog:
    """Features and plans by id, each in the form of `shapes`, in the order in which they are to be made."""

    features: Mapping[str, Body]
    plans: Mapping[str, Body]


class Problem(NamedTuple):
    """What is wrong, and where: `plans[0].items[2].included`."""

    path: yaml_text.Path
    rule: str


class FileError(RuntimeError):
    """The file cannot be read, or is no catalog; the message has a line for each problem."""


def load(path: Path) -> Catalog:
    """The catalog that the file holds. Raises FileError."""
    try:
        document = yaml_text.read(path.read_bytes())
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from error
    except yaml_text.TextError as error:
        raise FileError(_line(path, error.position, error.rule)) from error
    catalog, problems = checked(document.value)
    if problems:
        raise FileError("\n".join(_told(path, document, problems)))
    return catalog


def checked(value: Any) -> tuple[Catalog, list[Problem]]:
    """The catalog that a file's value stands for, and all that is wrong with it: where anything is, the catalog is empty."""
    nothing = Catalog({}, {})
    if value is None:
        return nothing, [Problem((), "holds nothing: a catalog has features or plans")]
    try:
        model.Catalog.model_validate(value)
    except ValidationError as error:
        return nothing, [_problem(detail) for detail in error.errors(include_url=False)]
    features, problems = _features(value.get("features") or [])
    plans, more = _plans(value.get("plans") or [], features)
    problems = [*problems, *more] or list(_together(plans, features))
    if problems:
        return nothing, problems
    env = Environment.SANDBOX  # the shapes are the same in each
    return Catalog(
        {id: body_of_feature(managed_feature_json(feature, env)) for id, feature in features.items()},
        {id: body_of_plan(plan_json(plan, env, features)) for id, plan in plans.items()},
    ), []


def text(catalog: Catalog, schema: str = SCHEMA) -> bytes:
    """The catalog as a file's content, whose first line names its JSON Schema."""
    parts = [FIRST_LINE.format(schema)]
    for noun, bodies in (("features", catalog.features), ("plans", catalog.plans)):
        entries = (
            "".join(f"  {line}\n" for line in yaml_text.write([body]).rstrip("\n").split("\n"))
            for body in bodies.values()
        )
        parts.append(f"{noun}:\n" + "\n".join(entries) if bodies else f"{noun}: []\n")
    return "\n".join(parts).encode()


def save(path: Path, content: bytes) -> None:
    """Writes the file whole, or not at all. Raises FileError."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise FileError(f"{path}: {error.strerror}") from error


# ------------------------------------------------------------------ what the fields mean


def _features(bodies: list[Body]) -> tuple[dict[str, domain.Feature], list[Problem]]:
    found: dict[str, domain.Feature] = {}
    at: dict[str, yaml_text.Path] = {}
    problems = []
    for index, body in enumerate(bodies):
        path: yaml_text.Path = ("features", index)
        if body["feature_id"] in found:
            problems.append(Problem((*path, "feature_id"), f"{body['feature_id']} is in the file already"))
            continue
        try:
            params = CreateFeatureParams.of(body_to_create(body))
            feature = params.applied(new_feature(params, 0))._replace(archived=bool(body.get("archived")))
        except TollgateError as error:
            problems.append(_misfit(path, body, error))
            continue
        found[feature.id], at[feature.id] = feature, path
    for id, feature in found.items():
        try:
            domain.checked_feature(feature, found)
        except TollgateError as error:
            problems.append(_misfit(at[id], bodies[int(at[id][1])], error))
    return found, problems


def _plans(bodies: list[Body], features: Mapping[str, domain.Feature]) -> tuple[dict[str, Plan], list[Problem]]:
    found: dict[str, Plan] = {}
    problems = []
    for index, body in enumerate(bodies):
        path: yaml_text.Path = ("plans", index)
        if body["plan_id"] in found:
            problems.append(Problem((*path, "plan_id"), f"{body['plan_id']} is in the file already"))
            continue
        try:
            params = CreatePlanParams.of(body_to_create(body))
            plan = params.applied(Plan(params.plan_id, params.name, archived=bool(body.get("archived"))))
            found[plan.id] = checked_plan(plan, features)
        except TollgateError as error:
            problems.append(_misfit(path, body, error))
    return found, problems


def _together(plans: Mapping[str, Plan], features: Mapping[str, domain.Feature]) -> Iterator[Problem]:
    automatic = [plan for plan in plans.values() if plan.auto_enable and not plan.archived]
    try:
        check_automatic(automatic, domain.Catalog(features), 0)
    except TollgateError as error:
        yield Problem(("plans",), f"{error} ({', '.join(plan.id for plan in automatic)})")


def body_to_create(body: Body) -> Body:
    """What the call that creates a feature or plan takes of what a file says of it."""
    return {name: value for name, value in body.items() if name != "archived" and value is not None}


def _misfit(path: yaml_text.Path, body: Body, error: TollgateError) -> Problem:
    """What a rule says of a feature or plan, at the field that it names."""
    if isinstance(error, NotFound):
        where = next(_named(body, error.id, ()), ())
        return Problem((*path, *where), f"there is no {error.kind} {error.id} in this file")
    if isinstance(error, InvalidInput):
        return Problem((*path, *_path(error.field)), error.rule)
    return Problem(path, str(error))


def _path(field: str) -> yaml_text.Path:
    """`items[0].price` or `credit_schema.0.credit_cost`, taken apart."""
    return tuple(int(part) if part.isdecimal() else part for part in re.findall(r"[^.\[\]]+", field))


def _named(value: Any, id: str, path: yaml_text.Path) -> Iterator[yaml_text.Path]:
    """Where a feature is named within a body."""
    parts: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, each in parts:
        if each == id and path and str(key).endswith("feature_id"):
            yield (*path, key)
        yield from _named(each, id, (*path, key))


# ------------------------------------------------------------------ how problems are told


def _problem(detail: ErrorDetails) -> Problem:
    path, kind = tuple(detail["loc"]), detail["type"]
    if kind == "missing":
        return Problem(path, "is required")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), _fields_beside(path), 1)
        return Problem(path, "is no field here" + (f": is {near[0]} meant?" if near else ""))
    if kind in _TYPES:
        return Problem(path, f"must be {_TYPES[kind]}, and is {_article(type_name(detail['input']))}")
    if kind == "literal_error":
        return Problem(path, f"must be one of {detail['ctx']['expected']}")
    return Problem(path, detail["msg"])


def _article(kind: str) -> str:
    return kind if kind == "null" else f"{'an' if kind[0] in 'ao' else 'a'} {kind}"


def _fields_beside(path: yaml_text.Path) -> list[str]:
    """The fields that the model knows where an unknown one stands."""
    found: Any = model.Catalog
    for part in path[:-1]:
        if not isinstance(part, int):
            found = _model_of(found.model_fields[part].annotation)
    return list(found.model_fields)


def _model_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, model.Model):
        return annotation
    return next((found for each in getattr(annotation, "__args__", ()) if (found := _model_of(each))), None)


def _told(path: Path, document: Document, problems: list[Problem]) -> Iterator[str]:
    located = sorted(((document.position(problem.path), problem) for problem in problems), key=lambda each: each[0])
    for position, problem in located[:MOST_TOLD]:
        yield _line(path, position, f"{_field(problem.path)} {problem.rule}")
    if len(located) > MOST_TOLD:
        yield f"{path}: and {len(located) - MOST_TOLD} more"


def _field(path: yaml_text.Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".") or "the file"


def _line(path: Path, position: Position, rule: str) -> str:
    return f"{path}:{position.line}:{position.column}: {rule}"
