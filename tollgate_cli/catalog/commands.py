"""`tollgate catalog`: pull, validate, plan, apply, diff, promote, schema (docs/catalog.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from tollgate.domain.environments import Environment
from tollgate_cli import output, profiles
from tollgate_cli.api import ApiError, NoAddress
from tollgate_cli.catalog import file, model, report
from tollgate_cli.catalog.changes import ChangeError, Changes, changes_to
from tollgate_cli.catalog.file import Catalog
from tollgate_cli.catalog.shapes import same
from tollgate_cli.catalog.target import Target
from tollgate_cli.errors import CommandError, Ends
from tollgate_cli.options import AsJson, gathered

NAME = Path("tollgate.yaml")
CHANGED = 2
"""The exit code that says that there are changes, where it is asked for."""
_USAGE_ERROR: Any = typer.BadParameter.__bases__[0]


class Commands(TyperGroup):
    """Commands whose exit code 2 means changes: what is not understood is 1, as all that fails."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that is named."""
        try:
            return super().invoke(ctx)
        except _USAGE_ERROR as error:
            error.exit_code = 1
            raise
        except CommandError as error:
            error.code = Ends.FAILED
            raise
        except NoAddress as error:
            raise CommandError(str(error)) from error


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The catalog as a file: features and plans, pulled, compared and applied.",
)
console = Console()
errors = Console(stderr=True)

File = Annotated[Path, typer.Argument(help="The catalog file.", show_default=True)]
Env = Annotated[
    Environment | None, typer.Option(help="The environment that is meant; sandbox unless the profile says.")
]
Source = Annotated[Environment, typer.Argument(help="The environment that has what is wanted.")]
Destination = Annotated[Environment, typer.Argument(help="The environment that is to become so.")]
Prune = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="Remove what is not named; feature:ID or plan:ID if both.")
]
Detailed = Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 2 where there are changes.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Expect = Annotated[
    str | None, typer.Option(metavar="CHANGES", help="Only if the changes are still those of this name.")
]


@dataclass(frozen=True)
class Making:
    """How changes are made."""

    yes: Yes = False
    expect: Expect = None
    as_json: AsJson = False


@app.command("pull")
def pull(
    path: File = NAME,
    env: Env = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that says something else.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write an environment's catalog to a file."""
    catalog = connected(env).catalog()
    writes = force or not path.exists()
    if writes:
        file.save(path, file.text(catalog))
        file.save(path.with_name(file.SCHEMA), model.schema())
        catalog = file.load(path)
    elif not _equal(file.load(path), catalog):
        raise ChangeError(f"{path} says something else: --force writes over it")
    if as_json:
        output.document({**_sizes(path, catalog), "written": writes})
    else:
        console.print(Text(f"{path}{'' if writes else ' says the same'}: {_size(catalog)}"))


@app.command("validate")
def validate(path: File = NAME, as_json: AsJson = False) -> None:
    """Check a file, without asking an environment."""
    catalog = file.load(path)
    if as_json:
        output.document(_sizes(path, catalog))
    else:
        console.print(Text(f"{path}: {_size(catalog)}, nothing wrong"))


@app.command("plan")
def plan(
    path: File = NAME,
    env: Env = None,
    prune: Prune = None,
    as_json: AsJson = False,
    detailed_exitcode: Detailed = False,
) -> None:
    """Show what applying a file would change; change nothing."""
    wanted = file.load(path)
    target = connected(env)
    _compare(str(path), wanted, target, prune or (), as_json=as_json, detailed=detailed_exitcode)


@app.command("apply")
@gathered
def apply(path: File = NAME, env: Env = None, prune: Prune = None, *, how: Making) -> None:
    """Make those changes, after a question."""
    wanted = file.load(path)
    _make(str(path), wanted, connected(env, writes=True), prune or (), how)


@app.command("diff")
def diff(
    source: Source,
    destination: Destination,
    prune: Prune = None,
    as_json: AsJson = False,
    detailed_exitcode: Detailed = False,
) -> None:
    """Show what one environment lacks of another's catalog."""
    wanted, target = _both(source, destination)
    _compare(source.value, wanted, target, prune or (), as_json=as_json, detailed=detailed_exitcode)


@app.command("promote")
@gathered
def promote(source: Source, destination: Destination, prune: Prune = None, *, how: Making) -> None:
    """Make one environment's catalog the other's."""
    wanted, target = _both(source, destination)
    _make(source.value, wanted, target, prune or (), how)


@app.command("schema")
def schema(path: Annotated[Path, typer.Argument(help="Where to.")] = Path(file.SCHEMA)) -> None:
    """Write the JSON Schema of the file, for editors."""
    file.save(path, model.schema())
    console.print(Text(str(path)))


def _compare(
    name: str, wanted: Catalog, target: Target, prune: Sequence[str], *, as_json: bool, detailed: bool
) -> None:
    _, changes = _changes(wanted, target, prune)
    if as_json:
        output.document(report.said(changes, target.environment.value))
    else:
        console.print(Text(f"{name} → {target.name}\n"))
        report.show(console, changes, target.environment.value)
    raise typer.Exit(CHANGED if detailed and changes.each else 0)


def _make(name: str, wanted: Catalog, target: Target, prune: Sequence[str], how: Making) -> None:
    there, changes = _changes(wanted, target, prune)
    if not how.as_json:
        console.print(Text(f"{name} → {target.name}\n"))
        report.show(console, changes, target.environment.value)
    if changes.each:
        _carry_out(there, changes, target, how)
    if how.as_json:
        output.document({**report.said(changes, target.environment.value), "made": len(changes.each)})
    elif changes.each:
        console.print(Text(f"Done: {report.counts(changes)}."))


def _carry_out(there: Catalog, changes: Changes, target: Target, how: Making) -> None:
    if how.expect is not None and how.expect != changes.fingerprint(target.environment.value):
        raise ChangeError(f"these are not the changes {how.expect}: nothing was changed")
    if how.as_json and not how.yes:
        raise ChangeError("--json asks nobody: --yes says that the changes are to be made. Nothing was changed")
    if not how.yes and not _agreed():
        raise ChangeError("nothing was changed")
    if not _equal(target.catalog(), there):
        raise ChangeError("the catalog has changed since these changes were shown: nothing was changed")
    carry_out(target, changes)


def carry_out(target: Target, changes: Changes) -> None:
    """Makes the changes, one after another. Raises ChangeError at the first that fails: those before it are made."""
    for number, change in enumerate(changes.each):
        try:
            target.apply(change)
        except (ApiError, ChangeError, ConnectionError) as error:
            words = error.words if isinstance(error, ApiError) else str(error)
            if isinstance(error, ConnectionError):
                words += ". It may have been made all the same"
            raise ChangeError(
                f"{change.kind} {change.id}: {words}\n"
                f"{number} of {len(changes.each)} changes were made. What is left: `tollgate catalog plan`; "
                "applying again makes it."
            ) from error


def _agreed() -> bool:
    try:
        return typer.confirm("Make these changes?")
    except typer.Abort as error:
        raise ChangeError("nothing was changed: nobody answers here, --yes does not ask") from error


def _changes(wanted: Catalog, target: Target, prune: Sequence[str]) -> tuple[Catalog, Changes]:
    with errors.status("Comparing"):
        there = target.catalog()
        return there, target.foreseen(changes_to(there, wanted, prune), there)


def _equal(one: Catalog, other: Catalog) -> bool:
    return same(dict(one.features), dict(other.features)) and same(dict(one.plans), dict(other.plans))


def _both(source: Environment, destination: Environment) -> tuple[Catalog, Target]:
    if source is destination:
        raise ChangeError(f"{source.value} and {destination.value} are the same")
    wanted, target = connected(source, sibling=True), connected(destination, sibling=True)
    return wanted.catalog(), target


def connected(env: Environment | None, *, writes: bool = False, sibling: bool = False) -> Target:
    """The environment under its key (`profiles.resolve`), after asking which one the key opens."""
    profile = profiles.resolve(None, env, writes=writes, sibling=sibling)
    target = Target(profile.api(), profile.environment)
    try:
        target.check_key()
    except ApiError as error:
        if error.status not in (401, 403):
            raise
        raise ChangeError(f"{profile.url} refuses the key of {profile.environment.value}: {error.words}") from error
    return target


def _sizes(path: Path, catalog: Catalog) -> dict[str, Any]:
    return {"file": str(path), "features": len(catalog.features), "plans": len(catalog.plans)}


def _size(catalog: Catalog) -> str:
    return f"{len(catalog.features)} features, {len(catalog.plans)} plans"
