"""What commands print: tables for people, JSON for programs; words about the work go to the standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tollgate.exact_json import dumps
from tollgate_cli.api import Api
from tollgate_cli.errors import CommandError, line

console = Console()
errors = Console(stderr=True)

_PAGE = 200


def pages(api: Api, call: str, body: dict[str, Any], most: int, page: int = _PAGE) -> Iterator[dict[str, Any]]:
    """What a call lists, page by page, at most so many. `page`: how many the call gives at most."""
    cursor, left = None, most
    while left > 0:
        asked = body | {"limit": min(page, left)} | ({"start_cursor": cursor} if cursor else {})
        answer = api.exact(call, asked)
        found = answer["list"]
        if not all(isinstance(each, dict) for each in found):
            raise TypeError("a list of objects is expected")
        yield from found[:left]
        left -= len(found)
        before, cursor = cursor, answer.get("next_cursor")
        if not cursor:
            return
        if cursor == before or not found:
            raise CommandError(f"{api.url} answers the same page for ever")


def document(value: Any) -> None:
    """Prints one JSON document, with its numbers as they came."""
    typer.echo(dumps(value))


def lines(values: Iterable[Any]) -> None:
    """Prints a line of JSON for each, as it comes."""
    for value in values:
        typer.echo(dumps(value))


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A table that fits the terminal: what is too long goes on in the next line of its cell."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def add(table: Table, *cells: Any) -> None:
    """Adds a line; what a cell holds is never read as markup, nor obeyed by the terminal."""
    table.add_row(*(Text(cell(each)) for each in cells))


def cell(value: Any) -> str:
    """A value for people."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    return line(str(value))


def say(words: str, style: str = "") -> None:
    """Prints a line of words for people, which a terminal may wrap."""
    console.print(Text(line(words), style=style), soft_wrap=not console.is_terminal)


def when(ms: Any) -> str:
    """An instant (epoch ms) in UTC to the second; empty for none."""
    if ms is None:
        return ""
    return datetime.fromtimestamp(int(ms) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def bar(what: str) -> Progress:
    """A bar for long work, on the standard error; it vanishes when the work is done."""
    return Progress(
        SpinnerColumn(),
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
    )
