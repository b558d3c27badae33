"""`tollgate shadow`: the same checks are asked of two services, and what they answer is compared (docs/moving-in.md).

Nothing is counted on the service that is left, whatever the trace says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import simplejson
import typer
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput
from tollgate.exact_json import dumps, loads
from tollgate_cli import output
from tollgate_cli.importing.client import SourceError
from tollgate_cli.importing.commands import AT_ONCE, DIFFERENT, Env, From, KeyEnv, Rate, Vendor, opened, progress
from tollgate_cli.importing.run import Sides
from tollgate_cli.importing.source import Question
from tollgate_cli.options import AsJson
from tollgate_cli.output import add, console, table

MOST_SHOWN = 20
_LONGEST = 1_000_000  # of a line


class TraceError(SourceError):
    """The trace cannot be read; the message names line and field."""


class Check(BaseModel):
    """A line of a trace: a check, as an application asks it. What else the line says is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    customer_id: Annotated[
        str, Field(min_length=1, validation_alias=AliasChoices("customer_id", "external_customer_id"))
    ]
    feature_id: Annotated[str, Field(min_length=1, validation_alias=AliasChoices("feature_id", "metric_id"))]
    entity_id: str | None = None
    required_balance: Decimal | None = Field(
        None, validation_alias=AliasChoices("required_balance", "required_quantity")
    )
    properties: dict[str, Any] | None = None


@dataclass
class Answers:
    """What the two answered of one customer's feature: how often they were asked, how often they differed, and the first
    answers that did."""

    asked: int = 0
    differed: int = 0
    there: Mapping[str, Any] = field(default_factory=dict)
    here: Mapping[str, Any] = field(default_factory=dict)

    def add(self, there: Mapping[str, Any], here: Mapping[str, Any], compared: Collection[str]) -> None:
        """Counts one check, of which these fields are compared; none: all."""
        self.asked += 1
        names = [name for name in {**there, **here} if not compared or name in compared]
        names = [name for name in names if there.get(name) != here.get(name)]
        if not names:
            return
        if not self.differed:
            self.there, self.here = ({name: side.get(name) for name in names} for side in (there, here))
        self.differed += 1


Found = dict[tuple[str, str, str], Answers]
"""By customer, feature and entity (or nothing)."""


_VERDICT = ("allowed", "access", "entitled", "is_enabled", "flag", "refused")


def shadow(  # noqa: PLR0913 - each is an option of the command
    url: From,
    key_env: KeyEnv,
    trace: Annotated[Path, typer.Option(help="The checks, as JSON Lines.")],
    vendor: Annotated[Vendor, typer.Option(help="Whose API is spoken.")] = Vendor.AUTUMN,
    env: Env = Environment.SANDBOX,
    verdict: Annotated[
        bool, typer.Option("--verdict", help="Compare whether it is allowed, not what is left.")
    ] = False,
    rate: Rate = None,
    report_to: Annotated[Path | None, typer.Option("--report", help="A file for what differed, as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask two services the same checks, and compare.

    Nothing is counted. Exit code 3: some answers differ.
    """
    total = sum(1 for _ in checks(trace))  # all of it is read and found right before the first check
    with opened(vendor, url, key_env, env, rate) as sides, progress() as told:
        found: Found = {}
        for number, (question, there, here) in enumerate(asked(sides, checks(trace)), 1):
            key = (question.customer_id, question.feature_id, question.entity_id)
            found.setdefault(key, Answers()).add(there, here, _VERDICT if verdict else ())
            told("Asking", number, total)
    differed = sum(bool(each.differed) for each in found.values())
    if as_json:
        output.document(_differing(found, total))
    else:
        _show(found, total)
    if report_to is not None:
        _report(report_to, found, total)
    raise typer.Exit(DIFFERENT if differed else 0)


def checks(trace: Path) -> Iterator[Question]:
    """The checks of a trace. Raises TraceError, which names the line and the field that is wrong."""
    try:
        with trace.open("rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(_LONGEST), b""), 1):
                if line.strip():
                    yield _question(line, f"{trace}:{number}")
    except OSError as error:
        raise TraceError(f"{trace}: {error.strerror}") from error


def _question(line: bytes, where: str) -> Question:
    try:
        check = Check.model_validate(loads(line.decode()))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"])) or "the line"
        raise TraceError(f"{where}: {name}: {first['msg']}") from error
    except (InvalidInput, UnicodeDecodeError) as error:
        raise TraceError(f"{where}: the line is no JSON ({error})") from error
    return Question(
        check.customer_id, check.feature_id, check.entity_id or "", check.required_balance, check.properties
    )


def asked(sides: Sides, questions: Iterator[Question]) -> Iterator[tuple[Question, Any, Any]]:
    """Each check with the answers of both, in the order of the trace. The two are asked one right after the other.

    Raises SourceError.
    """

    def both(question: Question) -> tuple[Question, Any, Any]:
        return question, sides.source.check(question), sides.target.check(question)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        while chunk := list(islice(questions, 16 * AT_ONCE)):
            yield from threads.map(both, chunk)


def _show(found: Found, total: int) -> None:
    different = [(key, each) for key, each in sorted(found.items()) if each.differed]
    if not different:
        console.print(f"{total} checks, and all were answered alike.")
        return
    shown = table("customer", "feature", "entity", "differed", "there", "here")
    for (customer, feature, entity), each in different[:MOST_SHOWN]:
        share = f"{each.differed} of {each.asked}"
        add(shown, customer, feature, entity, share, _told(each.there), _told(each.here))
    console.print(shown)
    if len(different) > MOST_SHOWN:
        console.print(f"and {len(different) - MOST_SHOWN} more: --report writes them all")
    console.print(f"{total} checks; answers differ for {len(different)} of {len(found)} customers and features.")


def _told(answer: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {dumps(value)}" for name, value in answer.items())


def _differing(found: Found, total: int) -> dict[str, Any]:
    each = [
        {"customer": customer, "feature": feature, "entity": entity or None, **vars(answers)}
        for (customer, feature, entity), answers in sorted(found.items())
        if answers.differed
    ]
    return {"checks": total, "differ": each}


def _report(path: Path, found: Found, total: int) -> None:
    text = simplejson.dumps(_differing(found, total), use_decimal=True, indent=2)
    try:
        path.write_text(text + "\n")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
