"""`tollgate events list` and `tail`: uses as the history has them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tollgate.runtime import clock
from tollgate_cli import output, schemas
from tollgate_cli.api import Api, ApiError
from tollgate_cli.errors import told
from tollgate_cli.options import Limit, Many, gathered
from tollgate_cli.output import add, cell, console, errors, table, when

app = typer.Typer(no_args_is_help=True, help="Uses as they were counted; events' schemas.", rich_markup_mode=None)

OVERLAP_MS = 60_000
"""How far back each look of the tail goes: a use is in the history some seconds after it was counted, at its own time."""
_MOST = 1000
_TRIES = 5

OfCustomer = Annotated[str | None, typer.Option("--customer", help="Only this customer's.")]
OfFeature = Annotated[list[str] | None, typer.Option("--feature", help="Only of this feature; may be repeated.")]


@app.command("list")
@gathered
def list_events(
    customer: OfCustomer = None,
    feature: OfFeature = None,
    limit: Limit = 50,
    *,
    how: Many,
) -> None:
    """List uses, the newest first."""
    api = how.api()
    with told(api.url):
        found = output.pages(api, "events.list", _filter(customer, feature), limit)
        if how.as_json:
            output.lines(found)
            return
        shown = table("time (UTC)", "customer", "entity", "feature", "value", "properties", right=("value",))
        for use in found:
            add(shown, *_cells(use))
        console.print(shown)


@app.command("tail")
@gathered
def tail(
    customer: OfCustomer = None,
    feature: OfFeature = None,
    every: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two looks.")] = 2.0,
    most: Annotated[int | None, typer.Option("--stop-after", min=1, help="Stop after so many uses.")] = None,
    *,
    how: Many,
) -> None:
    """Show uses as they are counted, until Ctrl-C."""
    api = how.api()
    with told(api.url):
        api.exact("events.list", _filter(customer, feature) | {"limit": 1})  # a wrong key is told at once
        if not how.as_json:
            errors.print(f"uses of {api.url}; Ctrl-C ends it", soft_wrap=True, markup=False)
        for number, use in enumerate(_uses(api, _filter(customer, feature), every), 1):
            if how.as_json:
                output.lines([use])
            else:
                time_, who, entity, what, value, properties = _cells(use)
                whose = f"{who}/{entity}" if entity else who
                typer.echo(f"{time_}  {whose}  {what}  {cell(value)}  {properties}".rstrip())
            if number == most:
                return


def _uses(api: Api, body: dict[str, Any], every: float) -> Iterator[dict[str, Any]]:
    """Each use that is not in the history yet, one time; within one look in the order of their times."""
    seen, newest, failed, first = dict[str, int](), 0, 0, True
    while True:
        horizon = min(newest, clock()) - OVERLAP_MS
        found = []
        try:
            for use in output.pages(api, "events.list", body, _MOST):
                if int(use["timestamp"]) < horizon:
                    break
                found.append(use)
            failed = 0
        except (ConnectionError, ApiError) as error:
            failed += 1
            if failed == _TRIES or (isinstance(error, ApiError) and error.status < 500):
                raise
        for use in reversed(found):
            if use["id"] not in seen and not first:
                yield use
            seen[use["id"]] = int(use["timestamp"])
            newest = max(newest, seen[use["id"]])
        seen = {id: at for id, at in seen.items() if at >= horizon}
        first = first and failed > 0
        time.sleep(every)


def _filter(customer: str | None, feature: list[str] | None) -> dict[str, Any]:
    return ({"customer_id": customer} if customer is not None else {}) | ({"feature_id": feature} if feature else {})


def _cells(use: dict[str, Any]) -> tuple[str, str, str, str, Any, str]:
    properties = " ".join(f"{cell(name)}={cell(value)}" for name, value in (use["properties"] or {}).items())
    return (
        when(use["timestamp"]),
        cell(use["customer_id"]),
        cell(use["entity_id"]),
        cell(use["feature_id"]),
        use["value"],
        properties,
    )


@app.command("schemas")
@gathered
def events_schemas(path: Annotated[str, typer.Argument(help="Where to.")] = str(schemas.FOLDER)) -> None:
    """Write the JSON Schema of each event to docs/events/."""
    from pathlib import Path

    for name in schemas.write(Path(path)):
        typer.echo(name)
