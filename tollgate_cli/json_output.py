"""What each command prints with --json, as JSON Schemas: `docs/commands.schema.json` (`tollgate tools pages` writes it).

A command that prints an answer of the API has the answer's schema of the OpenAPI documents; the shapes of the others are
here. The tests hold what every command prints to them. Only the tests and `tools pages` load this module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from tollgate_cli import openapi
from tollgate_cli.openapi.document import JSON
from tollgate_cli.schemas import Numbers
from tollgate_cli.servers import ROOT

FILE = ROOT / "docs" / "commands.schema.json"
EnvironmentName = Literal["sandbox", "live"]
Kind = Literal["feature", "plan"]


class RevokedKey(TypedDict):
    """A key that opens nothing any more."""

    id: str
    revoked: Literal[True]


class ProfileLine(TypedDict):
    """A profile. `key` says where its key is, and is never the key."""

    name: str
    environment: EnvironmentName
    url: str
    key: str


class RemovedProfile(TypedDict):
    """A profile that is no more."""

    name: str
    removed: Literal[True]


class StackStatus(TypedDict):
    """Where the local stack is: its API, console and documents, the emulator's AWS, and the stack's outputs."""

    url: str
    console: str
    docs: str
    endpoint: str
    outputs: dict[str, str]


class StackStopped(TypedDict):
    """Whether one was running."""

    stopped: bool


class StackSetting(TypedDict):
    """A parameter of the stack, its value there, and what it says."""

    parameter: str
    value: str
    says: str


class DeadLetterLine(TypedDict):
    """What was given up on: when (ISO 8601, UTC), why, and the message itself."""

    sent: str
    kind: str
    reason: str
    what: str


class FailedLetter(TypedDict):
    """A dead letter that could not be sent, and stays."""

    kind: str
    problem: str


class NewerLetter(TypedDict):
    """A dead letter that came meanwhile, and was not sent."""

    kind: str
    reason: str


class RedrivenLetters(TypedDict):
    """How many were sent where they came from, and which were not."""

    sent: int
    failed: list[FailedLetter]
    newer: list[NewerLetter]


class Exported(TypedDict):
    """What an export holds, by kind of item."""

    env: EnvironmentName
    items: int
    kinds: dict[str, int]
    file: str


class Restored(TypedDict):
    """How many items are there now."""

    env: EnvironmentName
    items: int


class CatalogSize(TypedDict):
    """How much a file of a catalog holds."""

    file: str
    features: int
    plans: int


class Pulled(CatalogSize):
    """The same, and whether it was written: not where it said the same before."""

    written: bool


class CatalogDifference(TypedDict):
    """One value that changes; `old` is null where it is new, `new` where it goes."""

    path: str
    old: Any
    new: Any


class Staying(TypedDict):
    """How many customers stay on a version."""

    version: int
    customers: int


class CatalogChange(TypedDict):
    """What becomes of a feature or plan."""

    action: Literal["create", "update", "remove"]
    kind: Kind
    id: str
    differences: list[CatalogDifference]
    new_version: int | None
    customers_who_stay: list[Staying]
    archives: bool


class CatalogEntry(TypedDict):
    """A feature or plan, by its id."""

    kind: Kind
    id: str


class CatalogChanges(TypedDict):
    """What one catalog lacks of another. `changes` names them for --expect, and is null where there are none."""

    environment: EnvironmentName
    changes: str | None
    each: list[CatalogChange]
    left_alone: list[CatalogEntry]
    nothing_to_remove: list[str]


class CatalogChanged(CatalogChanges):
    """The same, when they were made."""

    made: int


class ProofOfDemo(TypedDict):
    """Three sums of tokens, and whether they agree for every customer."""

    granted_less_remaining: int
    allowed: int
    on_the_bus: int
    holds: bool


class Calls(TypedDict):
    """How many calls were made to one side, how many of them again, and how often it asked to wait."""

    calls: int
    repeated: int
    told_to_wait: int


class BothSides(TypedDict):
    """Calls to the service that is left, and to Tollgate."""

    source: Calls
    target: Calls


class _Imported(TypedDict):
    vendor: str
    to: str
    environment: EnvironmentName
    dry_run: bool
    customers: dict[str, int]
    calls: BothSides
    seconds: float
    customers_per_second: float
    differences: int
    features: int
    plans: int
    report: str


class Imported(_Imported, TypedDict("_From", {"from": str})):  # a word of Python's own
    """What was brought over: customers by state, what was called, how many things are not as they were, and the report's
    file, which names each."""


class DifferingAnswers(TypedDict):
    """How often a customer's feature was asked, how often the answers differed, and the first that did."""

    customer: str
    feature: str
    entity: str | None
    asked: int
    differed: int
    there: dict[str, Any]
    here: dict[str, Any]


class Shadowed(TypedDict):
    """How many checks were asked, and for whom the answers differ."""

    checks: int
    differ: list[DifferingAnswers]


class _Shapes(Numbers):
    """A field's name says as much as a title."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


class Of(NamedTuple):
    """Printed is the answer of a route, or what lies within it: names of fields, and `*` for each entry of a list."""

    route: str
    within: Sequence[str] = ()
    also: Mapping[str, str] = {}  # more fields, each with the route whose answer it is


OUTPUTS: dict[str, Any] = {
    "customers list": Of("customers.list", ("list", "*")),
    "customers get": Of("customers.get"),
    "check": Of("balances.check", also={"explanation": "balances.explain"}),
    "track": Of("balances.track"),
    "balances list": Of("customers.get", ("balances",)),
    "balances grants": Of("balances.list", ("list", "*")),
    "balances explain": Of("balances.explain"),
    "events list": Of("events.list", ("list", "*")),
    "events tail": Of("events.list", ("list", "*")),
    "plans list": Of("plans.list", ("list", "*")),
    "plans get": Of("plans.get"),
    "features list": Of("features.list", ("list", "*")),
    "features get": Of("features.get"),
    "catalog pull": Pulled,
    "catalog validate": CatalogSize,
    "catalog plan": CatalogChanges,
    "catalog apply": CatalogChanged,
    "catalog diff": CatalogChanges,
    "catalog promote": CatalogChanged,
    "keys create": Of("keys.create"),
    "keys list": Of("keys.list", ("list", "*")),
    "keys revoke": RevokedKey,
    "profiles list": ProfileLine,
    "profiles add": ProfileLine,
    "profiles remove": RemovedProfile,
    "audit": Of("audit.list", ("list", "*")),
    "webhooks create": Of("webhooks.create"),
    "webhooks list": Of("webhooks.list", ("list", "*")),
    "webhooks update": Of("webhooks.update"),
    "webhooks delete": Of("webhooks.delete"),
    "webhooks rotate": Of("webhooks.rotate_secret"),
    "webhooks test": Of("webhooks.test"),
    "webhooks deliveries": Of("webhooks.deliveries", ("list", "*")),
    "webhooks resend": Of("webhooks.resend"),
    "stack up": StackStatus,
    "stack down": StackStopped,
    "stack status": StackStatus,
    "stack settings": StackSetting,
    "demo": ProofOfDemo,
    "dead-letters list": DeadLetterLine,
    "dead-letters redrive": RedrivenLetters,
    "import": Imported,
    "shadow": Shadowed,
    "export": Exported,
    "restore": Restored,
}
LINES = {
    words for words, of in OUTPUTS.items() if isinstance(of, Of) and "*" in of.within
} | {"profiles list", "stack settings", "dead-letters list"}  # fmt: skip


def schema(documents: Sequence[Mapping[str, Any]], *, strict: bool = False) -> dict[str, Any]:
    """One JSON Schema, with a definition for each command and for all that it is made of. `documents` are the OpenAPI
    documents; with strict ones, and `strict`, nothing else may be printed."""
    definitions: dict[str, Any] = {}
    for words, of in OUTPUTS.items():
        own = _of_route(documents, of) if isinstance(of, Of) else _own(of, definitions, strict=strict)
        what = "A line of what" if words in LINES else "What"
        definitions[words] = {
            **own,
            "description": f"{what} `tollgate {words} --json` prints. {own.get('description', '')}",
        }
    known = {name: of for each in documents for name, of in each["components"]["schemas"].items()}
    waiting = [*_named(definitions)]
    while waiting:
        if (name := waiting.pop()) not in definitions:
            definitions[name] = known[name]
            waiting += _named(known[name])
    text = json.dumps(definitions).replace("#/components/schemas/", "#/$defs/")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "tollgate/commands/1",
        "title": "What the commands of tollgate print with --json",
        "description": "Each command has a definition of its name, such as `#/$defs/customers get`.",
        "$defs": dict(sorted(json.loads(text).items())),
    }


def text() -> str:
    """The published one."""
    documents = [json.loads((openapi.FOLDER / f"{name}.json").read_text()) for name in ("autumn", "tollgate")]
    return json.dumps(schema(documents), indent=1, ensure_ascii=False) + "\n"


def _own(shape: Any, definitions: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    made = TypeAdapter(shape).json_schema(schema_generator=_Shapes, ref_template="#/$defs/{model}")
    for name, inner in made.pop("$defs", {}).items():
        definitions[name] = inner | ({"additionalProperties": False} if strict else {})
    return made | ({"additionalProperties": False} if strict else {})


def _of_route(documents: Sequence[Mapping[str, Any]], of: Of) -> dict[str, Any]:
    found = _answer(documents, of.route)
    for part in of.within:
        found = _resolved(documents, found)
        found = found["items"] if part == "*" else found["properties"][part]
    if of.also:
        return _with(documents, found, {name: _answer(documents, route) for name, route in of.also.items()})
    return dict(found)


def _with(documents: Sequence[Mapping[str, Any]], found: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object with more fields; of each, where it is one of several."""
    whole = _resolved(documents, found)
    if "anyOf" in whole:
        return {**whole, "anyOf": [_with(documents, each, more) for each in whole["anyOf"]]}
    return {**whole, "properties": {**whole["properties"], **more}}


def _answer(documents: Sequence[Mapping[str, Any]], route: str) -> dict[str, Any]:
    """The schema of what the route answers where it succeeds, in the newest version."""
    operation = next(each["paths"][f"/v1/{route}"]["post"] for each in documents if f"/v1/{route}" in each["paths"])
    answer: dict[str, Any] = next(said for status, said in operation["responses"].items() if status.startswith("2"))
    return dict(answer["content"][JSON]["schema"])


def _resolved(documents: Sequence[Mapping[str, Any]], found: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in found:
        name = found["$ref"].rpartition("/")[2]
        found = next(each["components"]["schemas"][name] for each in documents if name in each["components"]["schemas"])
    return found


def _named(value: Any) -> Iterator[str]:
    """The definitions that a schema refers to."""
    for _, name in re.findall(r'"#/(components/schemas|\$defs)/([^"]+)"', json.dumps(value)):
        yield name


__all__ = ["FILE", "LINES", "OUTPUTS", "Of", "schema", "text"]
