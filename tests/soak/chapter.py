"""One chapter of a soak: a database, its proxy, workers and consumers, some of them killed on the way; then the verdict.

    python -m tests.soak.chapter RUN_DIRECTORY SEED NUMBER OPERATIONS WORKERS THREADS

Says how far it is in lines of JSON; the last one holds what was found.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import ReadTimeoutError

from tests.conftest import create_table, dynamodb_client
from tests.soak.consumers import CONSUMERS, ask
from tests.soak.plan import ENTITIES, FEATURES, LOCK_MS, SPEED, Chapter, plan_of, plans
from tests.soak.stage import Functions, Stage
from tests.soak.verdict import Verdict, verdict_on
from tollgate_cli.servers import ROOT, Server, dynamodb_local, free_port

STOPPED_SECONDS = 120.0  # within which what is left to be told must have been told, when nothing new comes
IDLE_SECONDS = 2.0
KILLS = ("worker", "stream-0", "database")
MORE_KILLS = ("worker", "stream-1", "queue")  # of a chapter of some length


def say(**told: Any) -> None:
    """One line for who started this."""
    print(json.dumps(told), flush=True)


class Cast:
    """The processes of a chapter."""

    def __init__(self, stage: Stage, running: ExitStack) -> None:
        self.stage = stage
        self._running = running
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.database: Server | None = None
        self.client = httpx.Client(base_url=stage.url, trust_env=False, timeout=60)
        running.callback(self.stop)

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Starts a process under this name (`worker-0`, `stream`, …)."""
        log = (self.stage.run / f"{name}.log").open("ab")
        command: list[Any] = [sys.executable, "-m", f"tests.soak.{module}", self.stage.run, *arguments]
        self._processes[name] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        log.close()

    def start_database(self, port: int) -> None:
        """Starts the database, with what it had."""
        run = self.stage.run
        self.database = dynamodb_local(run / "database.log", directory=run, port=port)

    def start_worker(self, number: int) -> None:
        self.start(f"worker-{number}", "worker", str(number))

    def start_consumer(self, what: str) -> None:
        self.start(what, "consumers", what)

    def kill(self, name: str) -> None:
        """Ends a process in the middle of what it does."""
        self._processes[name].kill()
        self._processes[name].wait()

    def ended(self, name: str) -> bool:
        """Whether a process has come to its end. Raises where it failed."""
        status = self._processes[name].poll()
        if status:
            log = (self.stage.run / f"{name}.log").read_text(errors="replace")
            raise RuntimeError(f"{name} ended with status {status}:\n{log[-3000:]}")
        return status is not None

    def restart_database(self, port: int) -> None:
        """Kills the database and starts it again. A transaction is not cut in the middle, because DynamoDB remembers its
        token, and this emulator forgets it."""
        ask(self.client, "Away")
        until(lambda: not ask(self.client, "Told")["transactions"], 10, "transactions end")
        assert self.database
        self.database.process.kill()
        self.database.process.wait()
        self.start_database(port)
        ask(self.client, "Restarted")

    def restarted(self, name: str, port: int, drawing: random.Random) -> None:
        """Kills one of those called so, and starts it again."""
        if name == "database":
            self.restart_database(port)
        elif name == "worker":
            number = drawing.randrange(self.stage.chapter.workers)
            if not self.ended(f"worker-{number}"):
                self.kill(f"worker-{number}")
                self.start_worker(number)
        else:
            self.kill(name)
            self.start_consumer(name)

    def stop(self) -> None:
        """Ends all that still run."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        if self.database:
            self.database.process.kill()
            self.database.process.wait()
        self.client.close()


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits for a condition. Raises TimeoutError where it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)


def stock(functions: Functions, chapter: Chapter) -> None:
    """The catalog and the customers of a chapter."""

    def call(route: str, **body: Any) -> None:
        status, answer = functions.call("manage", f"POST /v1/{route}", body)
        assert status == 200, (route, body, answer)

    for feature in FEATURES:
        call("features.create", **feature)
    for plan in plans(chapter.operations):
        call("plans.create", **plan)
    for customer in chapter.customers():
        call("customers.get_or_create", customer_id=customer)
        for entity in range(ENTITIES):
            call("entities.create", customer_id=customer, entity_id=f"w{entity}", feature_id="workspaces", name="w")
        call("billing.attach", customer_id=customer, plan_id=plan_of(customer))


def counted(stage: Stage) -> int:
    """How many operations have ended."""
    found = 0
    for log in stage.run.glob("worker-*.jsonl"):
        found += log.read_bytes().count(b'["e"')
    return found


def played(chapter: Chapter, run: Path, threads: int) -> Verdict:
    """Plays a chapter to its end, and judges it."""
    drawing = random.Random(f"{chapter.seed}/{chapter.number}/kills")
    kinds = KILLS if chapter.operations < 1_000 else KILLS + MORE_KILLS
    kills = sorted((drawing.uniform(0.1, 0.95), what) for what in kinds)
    with ExitStack() as running:
        port, database = free_port(), free_port()
        url = f"http://127.0.0.1:{port}"
        stage = Stage(run, chapter, url, f"http://127.0.0.1:{database}", "", int(time.time() * 1000), threads)
        cast = Cast(stage, running)
        cast.start_database(database)
        stage = cast.stage = stage._replace(table=_created(stage.database))
        stage.save()
        cast.start("proxy", "proxy", str(port), str(database), str(chapter.seed * 1000 + chapter.number))
        until(lambda: _answers(cast), 20, "the proxy answers")
        functions = Functions(stage, read_seconds=60)  # whoever sets up and judges meets no faults
        stock(functions, chapter)
        names = [f"worker-{number}" for number in range(chapter.workers)]
        start = time.monotonic()
        for number in range(chapter.workers):
            cast.start_worker(number)
        for consumer in CONSUMERS:
            cast.start_consumer(consumer)
        last = -1
        while len([name for name in names if cast.ended(name)]) < len(names):
            done = counted(stage)
            if done != last:
                say(done=done)
                last = done
            while kills and done >= kills[0][0] * chapter.operations:
                cast.restarted(kills.pop(0)[1], database, drawing)
            time.sleep(0.3)
        seconds = time.monotonic() - start
        say(done=counted(stage))
        time.sleep(LOCK_MS / SPEED / 1000 + 1)
        _drained(cast, stage)
        faults = ask(cast.client, "Told")["faults"]
        return verdict_on(stage, functions, seconds)._replace(faults=faults)


def _created(database: str) -> str:
    """A new table; a machine that does much else may need several tries."""
    for _ in range(5):
        try:
            return create_table(dynamodb_client(database))
        except ReadTimeoutError:
            time.sleep(1)
    raise TimeoutError("the database makes no table")


def _answers(cast: Cast) -> bool:
    cast.ended("proxy")
    try:
        ask(cast.client, "Told")
    except httpx.TransportError:
        return False
    return True


def _drained(cast: Cast, stage: Stage) -> None:
    """Waits until the consumers have nothing left: neither has found anything for a while, and no message waits."""
    told, since = -1, time.monotonic()
    while not _idle(cast, stage):
        size = (stage.run / "bus.jsonl").stat().st_size
        if size != told:
            told, since = size, time.monotonic()
        if time.monotonic() - since > STOPPED_SECONDS:
            raise TimeoutError(f"for {STOPPED_SECONDS:.0f} s nothing was told, and the consumers are not done")


def _idle(cast: Cast, stage: Stage) -> bool:
    time.sleep(0.5)
    for name in CONSUMERS:
        cast.ended(name)
        file = stage.run / f"{name}.idle"
        try:
            found, at = float(file.read_text() or 0), file.stat().st_mtime
        except FileNotFoundError:
            return False
        if found < IDLE_SECONDS or time.time() - at > IDLE_SECONDS:
            return False
    return not ask(cast.client, "Told")["messages"]


def main(arguments: Sequence[str]) -> None:
    run, seed, number, operations, workers, threads = arguments
    chapter = Chapter(int(seed), int(number), int(operations), int(workers))
    say(**played(chapter, Path(run), int(threads)).told())


if __name__ == "__main__":
    main(sys.argv[1:])
