"""How fast `tollgate import` is, and what it needs: many customers of an Autumn-like service, by the command as it is typed,
which is killed (SIGKILL) again and again on the way. At the end every customer is held against what it was.

    .venv/bin/python -m tests.bench.moving --customers 10000 --kills 5
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tests.handlers.conftest import Here, a_place
from tests.http_service import served, tollgate
from tests.vendor_services import DAY, NOW, AutumnService, autumn_balance, autumn_customer, service
from tollgate.domain.api_keys import Scope
from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef, Environment
from tollgate_cli.servers import ROOT, dynamodb_local

LIVE = Environment.LIVE
KEY = "am_sk_live_old"
STEPS = ("read", "written", "compared")
DIFFERENT = 3  # the catalog of the service has features without a counterpart


class Kill(NamedTuple):
    """Where a run is killed: once so many customers (of the list of subscriptions, for `read`) are done with in a step."""

    step: str
    customers: int


class Moved(NamedTuple):
    """An import with all its runs. `peaks` is the most resident memory of each, in MiB."""

    seconds: float
    peaks: list[float]
    killed: list[Kill]
    printed: str


def various(number: int) -> dict[str, Any]:
    """A customer of many: most are usual, some have overage, loose or unlimited grants, odd ids, plans that ended."""
    customer = autumn_customer(number)
    messages = customer["balances"]["messages"]
    line = messages["breakdown"][0]
    more: dict[str, Any] = {}
    if number % 3 == 1:
        more["rollovers"] = [{"granted": 30, "balance": number % 29 + 0.5, "expires_at": NOW + 400 * DAY}]
    if number % 11 == 2 and number % 13 != 4:  # an unlimited pool would pay for it
        line |= {"usage": 120 + number % 7, "remaining": -20 - number % 7}
    lines = [line]
    if number % 7 == 3:
        loose = {"id": f"loose_{number}", "plan_id": None, "included_grant": 40, "usage": -2, "remaining": 42}
        lines.append({**line, **loose, "reset": None, "expires_at": NOW + 500 * DAY})
    if number % 13 == 4:
        customer["balances"]["credits"] = autumn_balance(
            "credits",
            {
                **line,
                "id": f"u_{number}",
                "plan_id": None,
                "unlimited": True,
                "included_grant": 0,
                "usage": 7,
                "reset": None,
            },
        )
    if number % 17 == 5:
        customer["id"] = f"a/b?c=%20&{number:05d}"
    if number % 19 == 6:
        old = {**customer["subscriptions"][0], "id": f"ended_{number}", "status": "expired"}
        customer["subscriptions"].append({**old, "expires_at": NOW - 500 * DAY})
    customer["balances"]["messages"] = autumn_balance("messages", *lines, **more)
    return customer


def wrong(here: Here, number: int) -> str | None:
    """What of a customer is not as it was; None: all is."""
    was = various(number)
    held = here.service.customers.get(CustomerRef(LIVE, was["id"]))
    found: dict[str, Any] = {
        "profile": (held.customer.name, held.customer.email, held.customer.created_at),
        "subscriptions": sorted((s.id, s.started_at, s.expires_at) for s in held.subscriptions.values()),
    }
    wanted: dict[str, Any] = {
        "profile": (was["name"], was["email"], was["created_at"]),
        "subscriptions": sorted((s["id"], s["started_at"], s["expires_at"]) for s in was["subscriptions"]),
    }
    for feature, balance in was["balances"].items():
        grants = held.balances[BalanceKey(feature)].grants
        found[feature] = sorted((g.total, g.used, g.unlimited, g.next_reset_at or 0, g.expires_at or 0) for g in grants)
        wanted[feature] = sorted(
            (
                Decimal(0 if line["unlimited"] else line["included_grant"]),
                Decimal(str(line["usage"])),
                line["unlimited"],
                (line["reset"] or {"resets_at": 0})["resets_at"],
                line["expires_at"] or 0,
            )
            for line in balance["breakdown"]
        )
        found[f"{feature} rolled"] = [(r.granted, r.remaining, r.expires_at) for g in grants for r in g.rollovers]
        wanted[f"{feature} rolled"] = [
            (r["granted"], Decimal(str(r["balance"])), r["expires_at"]) for r in balance.get("rollovers", ())
        ]
    if len(held.balances) != len(was["balances"]) + len(was["flags"]):
        return f"{was['id']}: {sorted(held.balances)}"
    return next((f"{was['id']} {n}: {found[n]} for {wanted[n]}" for n in wanted if found[n] != wanted[n]), None)


def moved(path: Path, database: str, customers: int, kills: Sequence[Kill], *more: str) -> Moved:
    """Moves so many customers into a table of this DynamoDB; each run but the last is killed. Raises AssertionError where
    anything is not as it was at the end."""
    autumn = AutumnService(various, customers)
    begun = time.monotonic()
    with a_place((), database) as here, service(autumn.routes(), KEY) as (url, _):
        _, key = here.service.api_keys.create(LIVE, Scope.SECRET, "moving", 0)
        with served(tollgate({key: "live"})) as own:
            words = ["import", "autumn", "--from", url, "--key-env", "OLD_KEY", "--env", "live", "--rate", "0", *more]
            words += ["--journal", str(path / "journal.sqlite"), "--report", str(path / "report")]
            variables = {
                **{name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ},
                "AWS_ENDPOINT_URL_DYNAMODB": database,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "TOLLGATE_URL": own,
                "TOLLGATE_TABLE": here.service.table.name,
                "TOLLGATE_LIVE_SECRET_KEY": key,
                "OLD_KEY": KEY,
            }
            peaks, killed = [], []
            for kill in (*kills, None):
                code, peak, printed = _run(words, variables, path, kill)
                peaks.append(peak)
                if code == -signal.SIGKILL and kill is not None:
                    killed.append(kill)
                    continue
                assert code == DIFFERENT, (code, printed)
                break
        seconds = time.monotonic() - begun
        assert f"{customers} customers are here" in printed, printed
        report = json.loads((path / "report.json").read_text())
        assert [told for told in report["told"] if told["customer"]] == [], printed
        listed = sum(1 for _ in here.service.customers.listed(LIVE))
        problems = [problem for number in range(customers) if (problem := wrong(here, number))]
        assert (listed, problems) == (customers, []), (listed, problems[:5])
    return Moved(seconds, peaks, killed, printed)


def _run(words: list[str], variables: dict[str, str], path: Path, kill: Kill | None) -> tuple[int, float, str]:
    """Runs the command, and kills it where it is to be: its exit code, its peak memory in MiB, what it printed."""
    with (path / "printed").open("w+b") as printed:
        command = [sys.executable, "-m", "tollgate_cli", *words]
        process = subprocess.Popen(command, env=variables, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT)
        peak = 0.0
        for done in _progress(path / "journal.sqlite", kill.step if kill else STEPS[-1], process):
            peak = max(peak, _peak(process.pid))
            if kill is not None and done >= kill.customers:
                process.kill()
                break
        process.wait()
        printed.seek(0)
        return process.returncode, peak, printed.read().decode()


def _peak(pid: int) -> float:
    """The most memory that a process has had resident, in MiB: its own, which what the kernel tells of an ended child is
    not; 0 of one that has ended."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _progress(journal: Path, step: str, process: subprocess.Popen[bytes]) -> Iterator[int]:
    """How many customers are done with in a step, again and again until the process has ended."""
    asked = {
        "read": "SELECT count(*) FROM entries WHERE side = 'source' AND kind = 'subscriptions'",
        "written": "SELECT count(*) FROM customers WHERE state = 'written'",
        "compared": "SELECT count(*) FROM customers WHERE compared = 1",
    }[step]
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        try:
            with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
                yield int(db.execute(asked).fetchone()[0])
        except sqlite3.OperationalError:
            yield 0  # there is no journal yet
        time.sleep(0.02)


def drawn(customers: int, kills: int, seed: int) -> list[Kill]:
    """So many instants to be killed at, in the order in which an import comes to them: in every step, if there are three."""
    chance = random.Random(seed)
    steps = sorted((STEPS[number % 3] for number in range(kills)), key=STEPS.index)
    found = [Kill(step, chance.randrange(1, max(2, customers * 9 // 10))) for step in steps]
    return sorted(found, key=lambda kill: (STEPS.index(kill.step), kill.customers))


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, dynamodb_local(Path(scratch) / "dynamodb.log") as server:
        kills = drawn(given.customers, given.kills, given.seed)
        print(f"seed {given.seed}: killed at {', '.join(f'{k.customers} {k.step}' for k in kills)}", flush=True)
        done = moved(Path(scratch), server.url, given.customers, kills)
    print(done.printed)
    print(
        f"{len(done.killed)} times killed, {len(done.peaks)} runs, peak memory {', '.join(f'{p:.0f}' for p in done.peaks)} MiB"
    )
    print(
        f"{given.customers} customers in {done.seconds:.0f} s: {given.customers / done.seconds:.1f} a second; all are as they were"
    )


if __name__ == "__main__":
    main()
