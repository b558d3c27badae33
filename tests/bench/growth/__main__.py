"""`make growth`: what calls cost where a customer, an environment or a history is small and where it is large.

Requests and units are counted on a table in this process; CPU is a multiple of one bare boto3 `update_item` with a
condition, in alternating rounds of the same run on DynamoDB Local. `--write` makes docs/scale.md's table of it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tests.bench.__main__ import bare_update
from tests.bench.growth.axes import AXES, SHARED
from tests.bench.growth.sites import Axis, Cost, Site
from tests.bench.timing import ratios
from tests.conftest import create_table, dynamodb_client
from tests.handlers.conftest import HANDLERS
from tests.memory import SCHEME, fresh_url
from tests.service import FIXTURE, service
from tollgate import runtime
from tollgate_cli.servers import ROOT, dynamodb_local

PAGE = ROOT / "docs" / "scale.md"
START, END = "<!-- make growth: start -->", "<!-- make growth: end -->"


class Measured(NamedTuple):
    """One size of an axis."""

    size: int
    cost: Cost
    cpu: float | None


@contextmanager
def a_site(url: str) -> Iterator[Site]:
    """Functions that were just started, over a new table: of DynamoDB Local, or of the one in this process."""
    client = dynamodb_client(url)
    name = create_table(client)
    os.environ |= {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "POWERTOOLS_SERVICE_NAME": "tollgate",
        "POWERTOOLS_METRICS_NAMESPACE": "Tollgate",
        "POWERTOOLS_METRICS_DISABLED": "true",
        "POWERTOOLS_LOG_LEVEL": "ERROR",
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "TOLLGATE_TABLE": name,
        "TOLLGATE_BUS": "b",
        "TOLLGATE_DEAD_LETTER_QUEUE_URL": "http://127.0.0.1/q",
        "TOLLGATE_USAGE_QUEUE_URL": "http://127.0.0.1/q",
        "TOLLGATE_WEBHOOK_QUEUE_URL": "http://127.0.0.1/q",
        "TOLLGATE_WEBHOOK_DEAD_LETTER_QUEUE_URL": "http://127.0.0.1/q",
    }
    for cached in vars(runtime).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()
    made = runtime.client
    local = not url.startswith(SCHEME)
    if not local:
        runtime.client = lambda service: client if service == "dynamodb" else made(service)  # type: ignore[assignment]
    try:
        handlers = {}
        for function in HANDLERS:
            sys.modules.pop(f"functions.{function}.app", None)
            handlers[function] = importlib.import_module(f"functions.{function}.app").handler
        yield Site(handlers, service(client, name, FIXTURE), runtime.client("dynamodb"), at_once=4 if local else 1)
    finally:
        runtime.client = made


def costs(axes: Sequence[Axis]) -> Iterator[tuple[Axis, int, Cost]]:
    """What the calls of these axes cost at each of their sizes, on the table in this process, which charges as DynamoDB
    does. Axes that grow with the same are measured on one table, which is filled once."""
    for _, together in groupby(axes, lambda axis: (axis.grows, axis.sizes) if axis.grows in SHARED else axis):
        several = list(together)
        for size in several[0].sizes:
            with a_site(fresh_url()) as site:
                yield from ((axis, size, site.cost(axis.made(site, size))) for axis in several)


def measured(axis: Axis, size: int, cost: Cost, url: str, rounds: int) -> Measured:
    """That, with the CPU that the call takes on DynamoDB Local; without rounds it is not measured."""
    if not rounds:
        return Measured(size, cost, None)
    with a_site(url) as site:
        call = axis.made(site, size).call
        return Measured(size, cost, ratios(bare_update(url, site.service.table.name), call, rounds, 3).cpu_ratio)


def line_of(axis: Axis, found: Sequence[Measured]) -> list[str]:
    """An axis as cells: each number at every size, and whether it is bounded."""

    def told(numbers: Sequence[float]) -> str:
        return " / ".join(f"{number:,.{0 if number >= 100 or number == int(number) else 1}f}" for number in numbers)

    return [
        axis.call,
        f"{told([one.size for one in found])} {axis.grows}",
        told([one.cost.requests for one in found]),
        told([one.cost.read_units for one in found]),
        told([one.cost.write_units for one in found]),
        told([one.cpu for one in found if one.cpu is not None]) or "not measured",
        told([one.cost.answer / 1024 for one in found]),
    ]


def cells(axis: Axis, one: Measured) -> list[str]:
    """One size as cells."""
    requests, reads, writes, answer = one.cost
    return [
        f"{one.size:,} {axis.grows}", f"{requests}", f"{reads:g}", f"{writes:g}",
        "" if one.cpu is None else f"{one.cpu:.1f}", f"{answer / 1024:.1f}",
    ]  # fmt: skip


HEAD = ("call", "at", "requests", "read units", "write units", "CPU", "answer, KB")


def page_with(found: Sequence[Sequence[str]]) -> str:
    """docs/scale.md with these lines in its table."""
    lines = ["", f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", *(f"| {' | '.join(one)} |" for one in found), ""]
    before, _, rest = PAGE.read_text().partition(START)
    return f"{before}{START}{chr(10).join(lines)}{END}{rest.partition(END)[2]}"


def main() -> None:
    arguments = argparse.ArgumentParser(prog="make growth", description=__doc__)
    arguments.add_argument("--write", action="store_true", help="write docs/scale.md")
    arguments.add_argument("--only", default="", help="axes whose call or size contains this")
    arguments.add_argument("--rounds", type=int, default=5, help="of CPU; 0: it is not measured")
    asked = arguments.parse_args()
    lines: list[list[str]] = []
    broken: list[str] = []
    console = Console()
    report = Table("call", "at", "requests", "read", "write", "CPU", "KB", title="What calls cost as things grow")
    with tempfile.TemporaryDirectory() as scratch, dynamodb_local(Path(scratch) / "dynamodb.log") as server:
        axes = [axis for axis in AXES if asked.only in f"{axis.call} {axis.grows}"]
        by_axis: dict[Axis, list[tuple[int, Cost]]] = {axis: [] for axis in axes}
        for axis, size, cost in costs(axes):
            by_axis[axis].append((size, cost))
        for axis, sizes in by_axis.items():
            found = [measured(axis, size, cost, server.url, asked.rounds) for size, cost in sizes]
            lines.append(line_of(axis, found))
            for number, one in enumerate(found):
                report.add_row(axis.call if not number else "", *cells(axis, one), end_section=number == len(found) - 1)
            broken += [f"{axis.call} at {one.size}: {more}" for one in found for more in axis.broken(one.cost)]
    console.print(report)
    if asked.write and not asked.only:
        PAGE.write_text(page_with(lines))
    for each in broken:
        console.print(f"[red]{each}[/]")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
