"""`tollgate import` (docs/moving-in.md)."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from tollgate.domain.api_keys import Scope, digest
from tollgate.domain.environments import Environment
from tollgate.runtime import clock
from tollgate.store.api_keys import ApiKeyStore
from tollgate.store.table import Table
from tollgate_cli import output, profiles, stack
from tollgate_cli.catalog.commands import connected
from tollgate_cli.importing import autumn, flexprice, lotus, report
from tollgate_cli.importing.client import NoSource, SourceError
from tollgate_cli.importing.journal import Journal
from tollgate_cli.importing.run import Import, Options, Sides, WrongEnvironment
from tollgate_cli.importing.source import Source
from tollgate_cli.options import AsJson
from tollgate_cli.output import console, errors

DIFFERENT = 3
"""The exit code that says that something is not as it was."""


class Vendor(StrEnum):
    """Whose API is read."""

    AUTUMN = "autumn"
    FLEXPRICE = "flexprice"
    LOTUS = "lotus"


_READERS: dict[Vendor, Callable[[str, str, float | None, int], Source]] = {
    Vendor.AUTUMN: autumn.Autumn,
    Vendor.FLEXPRICE: flexprice.Flexprice,
    Vendor.LOTUS: lotus.Lotus,
}
_RATES = {Vendor.AUTUMN: autumn.RATE, Vendor.FLEXPRICE: flexprice.RATE, Vendor.LOTUS: lotus.RATE}
AT_ONCE = 8

From = Annotated[str, typer.Option("--from", metavar="URL", help="The address of the service that is left.")]
KeyEnv = Annotated[str, typer.Option(metavar="NAME", help="The environment variable that holds its secret key.")]
Env = Annotated[Environment, typer.Option(help="The environment of Tollgate that is meant.")]
Rate = Annotated[
    float | None,
    typer.Option(min=0, help="At most so many calls a second there; 0: no bound. By default the vendor's."),
]


def import_customers(  # noqa: PLR0913 - each is an option of the command
    vendor: Vendor,
    url: From,
    key_env: KeyEnv,
    env: Env = Environment.SANDBOX,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, and write nothing.")] = False,
    only: Annotated[list[str] | None, typer.Option(metavar="CUSTOMER", help="This customer; may be repeated.")] = None,
    without_emails: Annotated[bool, typer.Option("--without-emails", help="Leave e-mail addresses out.")] = False,
    checks: Annotated[bool, typer.Option(help="Ask both sides a check of each customer and feature, too.")] = True,
    journal: Annotated[Path, typer.Option(help="Where how far it is, is kept.")] = Path("tollgate-import.sqlite"),
    report_to: Annotated[Path, typer.Option("--report", metavar="STEM", help="The report: STEM.json and STEM.txt.")] = (
        Path("tollgate-import-report")
    ),
    rate: Rate = None,
    as_json: AsJson = False,
) -> None:
    """Bring in what another service holds, and compare.

    Features, plans, customers, entities, subscriptions and balances. It can be interrupted and typed again at any point.
    Exit code 3: something is not as it was, and the report says what and why.
    """
    options = Options(env, tuple(only or ()), dry_run, without_emails, checks, AT_ONCE)
    with (
        opened(vendor, url, key_env, env, rate) as sides,
        _journal(None if dry_run else journal, vendor, url, options) as kept,
    ):
        begun = time.monotonic()
        with progress() as told:
            work = Import(sides, kept, options, told, clock)
            work.run()
        about = _about(vendor, url, options, sides, kept, round(time.monotonic() - begun, 1)) | work.sizes()
        if not as_json:
            report.show(console, about, kept)
        try:
            paths = report.write(report_to, about, kept)
        except OSError as error:
            raise SourceError(f"{report_to}: {error.strerror}: the report could not be written") from error
        if as_json:
            output.document({**about, "report": str(paths[0])})
        else:
            console.print(Text(f"The report: {paths[0]} and {paths[1]}"))
        raise typer.Exit(DIFFERENT if about["differences"] else 0)


@contextmanager
def opened(vendor: Vendor, url: str, key_env: str, env: Environment, rate: float | None) -> Iterator[Sides]:
    """Both sides, after their keys were tried. Raises SourceError, ChangeError and WrongEnvironment."""
    secret = os.environ.get(key_env, "")
    if not secret:
        raise NoSource(f"set {key_env} to a secret key of {vendor.value.capitalize()}")
    try:
        named = urlsplit(url)
    except ValueError as error:
        raise NoSource(f"{url} is no address of an API: {error}") from error
    if named.username or named.password:
        raise NoSource("--from must hold no key or password: the key's variable is named by --key-env")
    reader = _READERS[vendor]
    source = reader(url, secret, _RATES[vendor] if rate is None else rate or None, AT_ONCE)
    connected(env, writes=True)
    _, _, here, own_key = profiles.resolve(None, env, writes=True)
    table = stack.environment_table()
    _check_table(table, own_key, env)
    yield Sides(source, reader(here, own_key, None, AT_ONCE), table)


def _check_table(table: Table, key: str, env: Environment) -> None:
    """Raises WrongEnvironment where the key is not one of this table's, of the environment that is meant."""
    found = ApiKeyStore(table).find(digest(key))
    if found is None:
        raise WrongEnvironment(
            f"table {table.name} does not know the key of {env.value}: it is not the table of that API. Nothing was changed"
        )
    if found.environment is not env or found.scope is not Scope.SECRET:
        raise WrongEnvironment(f"the key of Tollgate is no secret key of {env.value}: nothing was changed")


@contextmanager
def _journal(path: Path | None, vendor: Vendor, url: str, options: Options) -> Iterator[Journal]:
    about = {
        "vendor": vendor.value,
        "from": url.rstrip("/"),
        "environment": options.env.value,
        "only": " ".join(sorted(options.only)),
        "without_emails": str(options.without_emails),
    }
    with tempfile.TemporaryDirectory() as scratch:
        kept = Journal(Path(scratch) / "journal.sqlite" if path is None else path, about)
        try:
            yield kept
        finally:
            kept.close()


def _about(
    vendor: Vendor, url: str, options: Options, sides: Sides, journal: Journal, seconds: float
) -> dict[str, Any]:
    counts = journal.counts()
    customers = sum(number for state, number in counts.items() if state != "compared")
    return {
        "vendor": vendor.value,
        "from": url.rstrip("/"),
        "environment": options.env.value,
        "to": sides.table.name,
        "dry_run": options.dry_run,
        "customers": dict(counts),
        "calls": {"source": sides.source.client.counts._asdict(), "target": sides.target.client.counts._asdict()},
        "seconds": seconds,
        "customers_per_second": round(customers / seconds, 1) if seconds else 0,
        "differences": journal.differences(),
    }


@contextmanager
def progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Shows a step with how much is done and how long the rest takes, on the terminal's other output."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=errors, transient=True) as shown:
        tasks: dict[str, Any] = {}

        def told(step: str, done: int, total: int | None) -> None:
            if step not in tasks:
                for known in tasks.values():
                    shown.update(known, visible=False)
                tasks[step] = shown.add_task(step, total=total)
            shown.update(tasks[step], completed=done, total=total)

        yield told
