"""One process that makes its operations, and writes down when each begins and what it was answered.

    python -m tests.soak.worker RUN_DIRECTORY NUMBER

Started again after it was killed, it goes on after the last operation that had begun: what became of those that had not
ended, it does not know.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.soak.plan import Operation, operations
from tests.soak.stage import Functions, Stage


class Log:
    """The lines of one worker, each written whole before the call returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, *line: Any) -> None:
        os.write(self._file, (json.dumps(line) + "\n").encode())


def begun(path: Path) -> set[str]:
    """The ids of the operations that have begun."""
    return {line[1] for line in lines(path) if line[0] == "s"} if path.exists() else set()


def lines(path: Path) -> Iterator[list[Any]]:
    """The lines of a log that are whole."""
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def told(answer: Any) -> Any:
    """What the verdict needs of an answer: whether it was allowed, an error's code and words, what moved."""
    if not isinstance(answer, dict):
        return {}
    found = {name: answer[name] for name in ("allowed", "code", "message") if name in answer}
    if answer.get("deductions"):
        found["moved"] = [[one.get("balance_id"), one["value"]] for one in answer["deductions"]]
    return found


def main(run: str, number: str) -> None:
    """Makes what is left of the worker's operations."""
    stage = Stage.load(Path(run))
    functions = Functions(stage)
    for function in ("check", "track", "manage"):
        functions.handler(function)
    path = stage.run / f"worker-{number}.jsonl"
    done, log = begun(path), Log(path)
    left = (one for one in operations(stage.chapter, int(number)) if one.id not in done)
    turn = threading.Lock()

    def next_one() -> Operation | None:
        with turn:
            one = next(left, None)
            if one is not None:
                log.write("s", one.id)
            return one

    def work() -> None:
        while (one := next_one()) is not None:
            start = time.perf_counter()
            status, answer = functions.run(one)
            log.write("e", one.id, status, round((time.perf_counter() - start) * 1000, 1), told(answer))

    threads = [threading.Thread(target=work) for _ in range(stage.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
