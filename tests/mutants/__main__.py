"""Changes the domain, one small defect at a time, and tells which defects no fast test notices.

    make mutants ARGS="--sample 80"                 80 of all mutations, chosen by a seed that is printed
    make mutants ARGS="--files balances limits"     all mutations of these modules
    make mutants ARGS="--within recomputed use"       all mutations of these functions or classes

The checkout is never touched: each of the parallel runs works on a copy of it. A survivor is printed with its place and its
line before and after; one that changes nothing that anybody could see goes to accepted.txt, with the reason. The exit code
is 0 where no other one survives, 1 where one does, and 2 where the tests fail without any mutation.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from tests.mutants.mutations import Mutation, mutations

ROOT = Path(__file__).resolve().parent.parent.parent
DOMAIN = Path("layers/tollgate/tollgate/domain")
ACCEPTED = Path(__file__).with_name("accepted.txt")
STAGES = (("tests/unit", "tests/property"), ("tests/handlers", "tests/contract"))  # the first one notices most
SKIPPED = ("tests/unit/test_mutants.py", "tests/unit/test_memory.py")  # they are about tests
LEFT_OUT = (".git", ".venv*", ".local", ".aws-sam", ".*_cache", ".hypothesis", "__pycache__")
FIRST = 4  # test files: those that noticed most of a module's mutations are asked alone, before all others
MEMORY = 4 << 30  # bytes that a run may take: a mutation may make a loop endless


class Mutant(NamedTuple):
    """A mutation of one module (its path in the tree)."""

    module: Path
    mutation: Mutation

    @property
    def place(self) -> str:
        return f"{self.module}:{self.mutation.line} {self.mutation.within}"

    @property
    def diff(self) -> tuple[str, str]:
        return self.mutation.old, self.mutation.new


def main() -> int:
    options = _options()
    with suppress(ValueError, OSError):  # where the system has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    console = Console(highlight=False, soft_wrap=True)
    chosen = _chosen(options.files, options.within, options.sample, random.Random(options.seed))
    console.print(f"{len(chosen)} mutations, seed {options.seed}, {options.jobs} at a time")
    accepted = accepted_in(ACCEPTED.read_text())
    started = time.monotonic()
    with _trees(options.jobs) as trees:
        tests = Tests(trees, str(options.seed))
        if failure := tests.failure_without_mutation():
            console.print(Text(failure))
            return 2
        survivors = _survivors(chosen, accepted, tests, options.jobs, console)
    unlisted = [mutant for mutant in survivors if mutant.diff not in accepted]
    killed = len(chosen) - len(survivors)
    console.print(
        f"{killed} of {len(chosen)} noticed ({killed / max(1, len(chosen)):.0%}), {len(survivors) - len(unlisted)} accepted,"
        f" {len(unlisted)} survived, in {time.monotonic() - started:.0f} s"
    )
    return 1 if unlisted else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests.mutants", description="Which defects of the domain no fast test notices"
    )
    parser.add_argument("--files", nargs="+", metavar="NAME", help="modules of the domain, with or without .py")
    parser.add_argument("--within", nargs="+", metavar="NAME", help="functions and classes of the domain")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutations, chosen at random")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(2**32), help="of the choice and the tests"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (2)")
    return parser.parse_args()


def _chosen(
    files: Sequence[str] | None, within: Sequence[str] | None, sample: int | None, chance: random.Random
) -> list[Mutant]:
    modules = sorted(path.relative_to(ROOT) for path in (ROOT / DOMAIN).glob("*.py"))
    if files:
        names = {Path(name).stem for name in files}
        if unknown := names - {module.stem for module in modules}:
            sys.exit(f"The domain has no module {', '.join(sorted(unknown))}")
        modules = [module for module in modules if module.stem in names]
    found = [Mutant(module, m) for module in modules for m in mutations((ROOT / module).read_bytes())]
    if within:
        found = [mutant for mutant in found if not set(within).isdisjoint(mutant.mutation.within.split("."))]
    chance.shuffle(found)  # modules take turns, so that what noticed one mutation is soon asked about the next
    return found[:sample]


def accepted_in(text: str) -> set[tuple[str, str]]:
    """The survivors that are no defects: each is a line before (`- `) and after (`+ `), below the reason (`# `)."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return {(old.removeprefix("- "), new.removeprefix("+ ")) for old, new in pairs}


def _survivors(
    chosen: Sequence[Mutant], accepted: set[tuple[str, str]], tests: Tests, jobs: int, console: Console
) -> list[Mutant]:
    with Progress(console=console) as progress, ThreadPoolExecutor(jobs) as threads:
        task = progress.add_task("mutations", total=len(chosen))

        def survives(mutant: Mutant) -> bool:
            alive = not tests.notice(mutant)
            if alive and mutant.diff not in accepted:
                progress.console.print(Text(f"{mutant.place}\n  - {mutant.diff[0]}\n  + {mutant.diff[1]}"))
            progress.advance(task)
            if not console.is_terminal and progress.tasks[task].completed % 10 == 0:
                console.print(f"{progress.tasks[task].completed:.0f} of {len(chosen)}")
            return alive

        try:
            return [mutant for mutant, alive in zip(chosen, threads.map(survives, chosen), strict=True) if alive]
        except KeyboardInterrupt:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _trees(count: int) -> Iterator[list[Path]]:
    """Copies of the checkout."""
    with tempfile.TemporaryDirectory(prefix="tollgate-mutants-") as place:
        trees = [Path(place) / str(number) for number in range(count)]
        for tree in trees:
            shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
        yield trees


class Tests:
    """The fast tests, on whichever copy of the checkout is free."""

    def __init__(self, trees: Sequence[Path], seed: str) -> None:
        self._trees: Queue[Path] = Queue()
        for tree in trees:
            self._trees.put(tree)
        self._seed = seed
        self._seconds = 300.0
        self._noticed: dict[Path, Counter[str]] = defaultdict(Counter)

    def failure_without_mutation(self) -> str:
        """What fails as things are: empty, or nothing can be said of mutations."""
        tree = self._trees.get()
        started = time.monotonic()
        run = self._run(tree, [directory for stage in STAGES for directory in stage])
        self._seconds = 30 + 5 * (time.monotonic() - started)
        self._trees.put(tree)
        return "" if run.returncode == 0 else run.stdout

    def notice(self, mutant: Mutant) -> bool:
        tree = self._trees.get()
        source = tree / mutant.module
        original = source.read_bytes()
        try:
            self._write(source, mutant.mutation.apply(original))
            likely = [file for file, _ in self._noticed[mutant.module].most_common(FIRST)]
            return any(asked and self._fails(tree, asked, mutant.module) for asked in (likely, *STAGES))
        finally:
            self._write(source, original)
            self._trees.put(tree)

    def _fails(self, tree: Path, asked: Sequence[str], module: Path) -> bool:
        try:
            run = self._run(tree, asked)
        except subprocess.TimeoutExpired:
            return True
        if run.returncode == 0:
            return False
        for line in run.stdout.splitlines():
            if line.startswith(("FAILED ", "ERROR ")) and "::" in line:
                self._noticed[module][line.split()[1].partition("::")[0]] += 1
        return True

    def _run(self, tree: Path, asked: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-x", "-m", "not servers", "--no-header", "--tb=line", "-rfE"]
        command += ["-p", "no:cacheprovider", "--hypothesis-profile=mutants", f"--hypothesis-seed={self._seed}"]
        command += [f"--ignore={file}" for file in SKIPPED]
        environment = {**os.environ, "PYTHONPATH": f"{tree / 'layers/tollgate'}{os.pathsep}{tree}"}
        return subprocess.run(
            [*command, *asked],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=self._seconds,
        )

    @staticmethod
    def _write(source: Path, content: bytes) -> None:
        """Without what Python compiled from it: it compares but the second and the size of a source."""
        source.write_bytes(content)
        for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*"):
            compiled.unlink()


if __name__ == "__main__":
    sys.exit(main())
