"""`tollgate catalog` as it is typed, against the deployed stack (docs/catalog.md)."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from tests.e2e.fixture import Shop, new
from tollgate_cli import stack as local
from tollgate_cli.__main__ import app
from tollgate_cli.catalog import yaml_text
from tollgate_cli.stack import Stack

COMMAND = [sys.executable, "-m", "tollgate_cli", "catalog"]


@dataclass(frozen=True)
class Shell:
    """A directory in which the command is typed, and what it knows of the stack."""

    folder: Path
    env: dict[str, str]

    def run(self, *words: str, exits: int = 0, **env: str) -> str:
        """What is printed; of a failure, what it fails with."""
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if exits == 1 else done.stdout

    def write(self, value: Any) -> None:
        (self.folder / "tollgate.yaml").write_text(yaml_text.write(value))

    def planned(self, *words: str) -> list[tuple[str, str, str]]:
        """What `plan` says would be done with what."""
        answer = json.loads(self.run("plan", "--json", *words))
        return [(each["action"], each["kind"], each["id"]) for each in answer["each"]]


@pytest.fixture
def shell(stack: Stack, tmp_path: Path) -> Shell:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TOLLGATE_URL": stack.url,
        "TOLLGATE_SECRET_KEY": stack.secret_key,
        "TOLLGATE_LIVE_SECRET_KEY": stack.live_secret_key,
    }
    return Shell(tmp_path, env)


def catalog_of(calls: str, *plans: str) -> dict[str, Any]:
    """A feature, and plans that grant it."""
    item = {"feature_id": calls, "included": 10, "reset": {"interval": "month"}}
    return {
        "features": [{"feature_id": calls, "name": "Calls", "type": "metered", "consumable": True}],
        "plans": [{"plan_id": plan, "name": plan.title(), "group": plan, "items": [item]} for plan in plans],
    }


def test_what_is_pulled_needs_no_changes(shell: Shell, shop: Shop) -> None:
    """Of all that the other tests have made."""
    shop.plan()
    shell.run("pull")
    assert "No changes." in shell.run("plan", "--detailed-exitcode")
    assert "nothing wrong" in shell.run("validate", TOLLGATE_URL="http://127.0.0.1:1")


def test_a_catalog_is_planned_applied_and_changed_under_its_customers(shell: Shell, shop: Shop) -> None:
    """management.md 3: they stay on their version, which is what a check says."""
    calls, plan = new("calls"), new("plan")
    value = catalog_of(calls, plan)
    shell.write(value)
    shell.run("plan", "--detailed-exitcode", exits=2)
    assert "Done: create 2." in shell.run("apply", "--yes")
    assert shell.planned() == []
    customer = shop.customer()
    shop.autumn.billing.attach(customer_id=customer, plan_id=plan)
    value["plans"][0]["items"][0]["included"] = 20
    shell.write(value)
    shown = shell.run("plan", "--detailed-exitcode", exits=2)
    assert f"~ plan {plan}  makes version 2" in shown
    assert "1 customer stays on version 1" in shown
    shell.run("apply", "--yes")
    assert shell.planned() == []
    assert shop.left(customer, calls) == 10
    assert shop.autumn.plans.get(plan_id=plan).items[0].included == 20


@contextmanager
def between(stack: Stack, call: str, id: str, *, before: bool) -> Iterator[str]:
    """The address of a server that passes everything on to the stack, but for the first call of this name that names this
    id: that is answered with 503, or (not `before`) gets no answer after the stack has made it."""
    failed = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            fails = self.path == f"/v1/{call}" and id.encode() in body and not failed.is_set()
            if fails and before:
                failed.set()
                self._answer(503, b'{"message": "Try again", "code": "service_unavailable", "env": "live"}')
                return
            headers = {"authorization": self.headers["authorization"], "content-type": "application/json"}
            answer = httpx.request(
                self.command, stack.url + self.path, content=body, headers=headers, timeout=30, trust_env=False
            )
            if fails:
                failed.set()
                self.connection.close()
                return
            self._answer(answer.status_code, answer.content)

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("before", [True, False], ids=["refused", "answer lost"])
def test_after_a_step_that_failed_the_next_apply_makes_the_rest(
    shell: Shell, stack: Stack, live: Shop, before: bool
) -> None:
    calls, first, second, third = new("calls"), new("plan-a"), new("plan-b"), new("plan-c")
    shell.write(catalog_of(calls, first, second, third))
    with between(stack, "plans.create", second, before=before) as url:
        told = shell.run("apply", "--yes", "--env", "live", exits=1, TOLLGATE_URL=url)
    assert told.startswith(f"tollgate: plan {second}: ")
    assert "2 of 4 changes were made" in told
    assert ("It may have been made all the same" in told) is not before
    left = [("create", "plan", second), ("create", "plan", third)]
    assert shell.planned("--env", "live") == (left if before else left[1:])
    assert [item.feature_id for item in live.autumn.plans.get(plan_id=first).items] == [calls]
    shell.run("apply", "--yes", "--env", "live")
    assert shell.planned("--env", "live") == []


def test_a_key_of_another_environment_is_refused_before_anything_is_written(shell: Shell, stack: Stack) -> None:
    calls = new("calls")
    shell.write(catalog_of(calls))
    told = shell.run("apply", "--yes", "--env", "live", exits=1, TOLLGATE_LIVE_SECRET_KEY=stack.secret_key)
    assert told == "tollgate: the key is one of sandbox, not of live: nothing was called\n"
    for env in ("sandbox", "live"):
        assert shell.planned("--env", env) == [("create", "feature", calls)]


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"TOLLGATE_URL": "http://127.0.0.1:1"}, "no answer from http://127.0.0.1:1"),
        ({"TOLLGATE_URL": "nowhere"}, "nowhere is no address of an API"),
        ({"TOLLGATE_SECRET_KEY": ""}, "set TOLLGATE_SECRET_KEY to a secret key of sandbox"),
        ({"TOLLGATE_SECRET_KEY": "clé"}, "the key has characters that no key has"),
        ({"TOLLGATE_SECRET_KEY": "am_sk_test_none"}, "refuses the key of sandbox"),
        ({"TOLLGATE_SECRET_KEY": "publishable"}, "use a secret key"),
    ],
)
def test_what_cannot_be_reached_is_told_in_a_line(shell: Shell, stack: Stack, env: dict[str, str], told: str) -> None:
    shell.write(catalog_of(new("calls")))
    if env.get("TOLLGATE_SECRET_KEY") == "publishable":
        env = {"TOLLGATE_SECRET_KEY": stack.publishable_key}
    line = shell.run("plan", exits=1, **env)
    assert told in line
    assert line.count("\n") == 1


def test_it_asks_on_a_terminal_and_fits_it(shell: Shell) -> None:
    """80 columns wide; without colors, where they are not wanted."""
    shell.write(catalog_of(new("calls"), new("a-plan-with-a-rather-long-id-" + "x" * 60)))
    shown, code = on_a_terminal(shell, "n", "apply")
    assert code == 1
    assert "\x1b[1;32m+ feature" in shown
    assert "nothing was changed" in shown
    shown, code = on_a_terminal(shell, "y", "apply", NO_COLOR="1")
    assert code == 0
    assert not re.search(r"\x1b\[[\d;]*3\dm", shown)
    assert "Done: create 2." in shown
    lines = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", shown).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= 80
    assert shell.planned() == []


def on_a_terminal(shell: Shell, answer: str, *words: str, **env: str) -> tuple[str, int]:
    """What a terminal of 80 columns shows, and the exit code; the question is answered."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=shell.folder,
        env=shell.env | {"TERM": "xterm-256color"} | env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, asked = b"", False
    with open(ours, "r+b", buffering=0) as terminal:
        while chunk := _read(terminal.fileno()):
            shown += chunk
            if not asked and b"[y/N]" in shown:
                terminal.write(f"{answer}\n".encode())
                asked = True
    return shown.decode(), process.wait(timeout=30)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux: the other side has been closed
        return b""


def test_without_an_address_it_is_the_local_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "current", lambda: stack)
    for variable in ("TOLLGATE_URL", "TOLLGATE_SECRET_KEY"):
        monkeypatch.delenv(variable, raising=False)
    done = CliRunner().invoke(app, ["catalog", "plan", str(local.CATALOG), "--detailed-exitcode"])
    assert done.exit_code == 0, done.output
    assert "No changes." in done.output
