"""`make soak`: a mix of operations under faults, in chapters, until so many were made; each is proved to the unit.

    make soak                                 what fits in three minutes
    make soak ARGS="--operations 1000000"
    make soak ARGS="--seed 7 --chapter 3"     a chapter again: the same operations, faults and kills

Ends with status 1 where anything was lost, doubled, overspent, stranded or different. The order in which four processes meet
is the machine's; all else comes from the seed.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.soak.verdict import Verdict
from tollgate_cli.servers import ROOT

CHAPTER = 10_000
SECONDS = 180.0
MEMORY = Path("/dev/shm")


class Sized(NamedTuple):
    """How much is done: operations in all (None: until the seconds are over), in chapters of so many."""

    operations: int | None
    chapter: int
    seconds: float
    workers: int = 4
    threads: int = 3


def chapters(size: Sized, seed: int, first: int, progress: Progress) -> Iterator[tuple[int, Verdict]]:
    """Plays chapter after chapter, and yields the verdict on each."""
    bar = progress.add_task("operations", total=size.operations)
    deadline = time.monotonic() + size.seconds
    done, number = 0, first
    while done < size.operations if size.operations else time.monotonic() < deadline:
        many = min(size.chapter, size.operations - done) if size.operations else size.chapter
        many = max(many // size.workers, 1) * size.workers
        verdict = played(
            size, (seed, number, many), lambda now, before=done: progress.update(bar, completed=before + now)
        )
        done += many
        progress.update(bar, completed=done)
        yield number, verdict
        number += 1


def played(size: Sized, which: tuple[int, int, int], told: Any) -> Verdict:
    """Plays one chapter (seed, number, operations) in a process of its own. Its files stay where it found something."""
    run = Path(tempfile.mkdtemp(prefix="tollgate-soak-", dir=MEMORY if MEMORY.is_dir() else None))
    arguments = [str(each) for each in (run, *which, size.workers, size.threads)]
    command = [sys.executable, "-m", "tests.soak.chapter", *arguments]
    last: dict[str, Any] = {}
    with (
        (run / "chapter.log").open("wb") as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout
        try:
            for line in process.stdout:
                last = json.loads(line)
                if "done" in last:
                    told(last["done"])
        except BaseException:
            process.terminate()
            raise
    if process.returncode or "wrong" not in last:
        log = (run / "chapter.log").read_text()[-3000:]
        raise RuntimeError(f"the chapter did not come to its end; its files are in {run}\n{log}")
    verdict = Verdict(**last)
    if any(verdict.wrong.values()):
        verdict.examples.append(f"files of the chapter: {run}")
    else:
        shutil.rmtree(run)
    return verdict


class Report:
    """What all chapters together found."""

    def __init__(self) -> None:
        self.seconds, self.operations = 0.0, 0
        self.wrong: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.became: dict[str, Counter[str]] = defaultdict(Counter)
        self.latencies: dict[str, list[list[float]]] = defaultdict(list)

    def add(self, verdict: Verdict) -> None:
        self.seconds += verdict.seconds
        self.operations += verdict.operations
        for counter, more in (
            (self.wrong, verdict.wrong), (self.totals, verdict.totals), (self.faults, verdict.faults),
        ):  # fmt: skip
            for name, count in more.items():
                counter[name] += count
        for kind, counts in verdict.became.items():
            self.became[kind].update(counts)
        for kind, found in verdict.latencies.items():
            self.latencies[kind].append(found)

    def show(self, console: Console) -> None:
        """Tables of at most 80 columns."""
        table = Table(title=f"{self.operations:,} operations in {self.seconds:,.0f} s, {self.rate:,.0f} a second")
        columns = ("accepted", "refused", "busy", "unknown", "killed")
        for name in ("operation", *columns, "half ms", "99 % ms"):
            table.add_column(name, justify="left" if name == "operation" else "right")
        for kind in sorted(self.became, key=lambda kind: -self.became[kind].total()):
            counts, found = self.became[kind], self.latencies[kind]
            middle, most = (sorted(each[n] for each in found)[len(found) // 2] for n in (0, 1)) if found else (0, 0)
            table.add_row(kind, *(f"{counts[name]:,}" for name in columns), f"{middle:,.0f}", f"{most:,.0f}")
        console.print(table)
        for title, counter in (("Faults", self.faults), ("Counted", self.totals), ("Must be zero", self.wrong)):
            told = Table(title=title, show_header=False)
            for name, count in counter.items():
                told.add_row(name, f"{count:,}", style="bold red" if counter is self.wrong and count else None)
            console.print(told)

    @property
    def rate(self) -> float:
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def clean(self) -> bool:
        return not self.wrong.total()


def soak(
    operations: Annotated[int | None, typer.Option(help="how many in all; else what fits in the seconds")] = None,
    seconds: Annotated[float, typer.Option(help="begin no chapter after so long")] = SECONDS,
    seed: Annotated[int | None, typer.Option(help="repeats a run; else drawn")] = None,
    chapter: Annotated[int | None, typer.Option(help="play this chapter alone")] = None,
    size: Annotated[int, typer.Option(help="operations of a chapter")] = CHAPTER,
) -> None:
    """Soaks, and shows what was found."""
    console = Console()
    seed = random.randrange(10**6) if seed is None else seed
    console.print(f"seed {seed}")
    if operations is None and chapter is None:
        size = min(size, 2_000)  # several of them in three minutes
    sized = Sized(size if chapter is not None else operations, size, seconds)
    report = Report()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        for number, verdict in chapters(sized, seed, chapter or 0, progress):
            report.add(verdict)
            wrong = sum(verdict.wrong.values())
            state = "[bold red]" + f"{wrong} wrong" + "[/]" if wrong else "all agree"
            progress.console.print(f"chapter {number}: {verdict.operations:,} in {verdict.seconds:,.0f} s, {state}")
            for example in verdict.examples:
                progress.console.print(example, markup=False, soft_wrap=True)
            if wrong:
                again = f'make soak ARGS="--seed {seed} --chapter {number} --size {verdict.operations}"'
                progress.console.print(f"again: {again}", markup=False)
    report.show(console)
    if not report.clean:
        raise SystemExit(1)


if __name__ == "__main__":
    typer.run(soak)
