"""The command line on the running stack: the demo's proof, the catalog, and keys."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.e2e.fixture import Shop, monthly
from tollgate_cli import demo
from tollgate_cli import stack as local
from tollgate_cli.__main__ import app
from tollgate_cli.api import Api
from tollgate_cli.errors import CommandError
from tollgate_cli.stack import Stack


def test_the_demo_proves_its_three_numbers(stack: Stack) -> None:
    tokens = demo.read_trace(ROOT / "events" / "azure_llm_2023_code_2000.csv", None)
    assert len(tokens) == 2000
    assert tokens[:3] == [4818, 3188, 137]  # the source's first rows: 4808 + 10, 3180 + 8, 110 + 27
    api, output = Api(stack.url, stack.secret_key), io.StringIO()
    console = Console(file=output, width=120)
    proof = demo.run(api, stack.outputs["BusName"], stack.client, demo.Load(tokens[:150], 2, 3), console)
    assert proof.holds, output.getvalue()
    assert proof.allowed.total() > 0
    assert "All three are equal" in output.getvalue()


def test_a_proof_that_fails_is_told() -> None:
    assert not demo.Proof(Counter(a=5), Counter(a=5), Counter(a=4)).holds


@pytest.mark.parametrize("on_the_table", [False, True], ids=["by the API", "on the table"])
def test_a_key_is_created_listed_and_revoked(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, *, on_the_table: bool
) -> None:
    monkeypatch.setattr(local, "current", lambda: stack)
    if on_the_table:
        monkeypatch.setenv("TOLLGATE_TABLE", stack.outputs["TableName"])
        monkeypatch.setattr(local, "environment_table", lambda: stack.table)
    run = CliRunner().invoke
    created = run(app, ["keys", "create", "--env", "sandbox", "--scope", "publishable", "--name", "shop"])
    assert created.exit_code == 0
    key_id, key = re.findall(r"key_[0-9a-f]{32}|am_pk_test_\S+", created.output)
    check = {"customer_id": "customer-1", "feature_id": "messages"}
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(f"{stack.url}/v1/check", json=check, headers=headers, timeout=30, trust_env=False).is_success
    assert "shop" in run(app, ["keys", "list"], env={"COLUMNS": "200"}).output
    assert key not in run(app, ["keys", "list"]).output
    listed = [json.loads(line) for line in run(app, ["keys", "list", "--json"]).output.splitlines()]
    told = next(each for each in listed if each["id"] == key_id)
    assert told.keys() == {"id", "name", "scope", "env", "hint", "created_at", "expires_at", "last_used_at"}
    assert run(app, ["keys", "revoke", key_id]).exit_code == 0
    refused = run(app, ["keys", "revoke", key_id])
    assert isinstance(refused.exception, CommandError)
    assert refused.exception.code == 2


def test_a_use_is_checked_counted_listed_and_seen_live(stack: Stack, shop: Shop) -> None:
    """As typed; each answer as JSON, numbers as they were counted."""
    env = {"PATH": os.environ["PATH"], "TOLLGATE_URL": stack.url, "TOLLGATE_SECRET_KEY": stack.secret_key}

    def run(*words: str, exits: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "tollgate_cli", *words, "--json"],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    customer = shop.customer(monthly(10))
    tail = subprocess.Popen(
        [sys.executable, "-m", "tollgate_cli", "events", "tail", "--json", "--stop-after", "2", "--customer", customer],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    (denied,) = run("check", customer, "messages", "--amount", "10.5", "--why", exits=3)
    assert denied["allowed"] is False
    assert denied["explanation"]["would_allow"]["required_balance"] == 10
    run("check", customer, "messages", "--amount", "2", "--count")
    (tracked,) = run("track", customer, "messages", "--amount", "0.1", "--property", "model=small")
    assert tracked["balance"]["remaining"] == 7.9
    assert shop.left(customer) == 7.9
    assert [one["id"] for one in run("customers", "list", "--search", customer)] == [customer]
    assert tail.stdout is not None
    seen = [json.loads(line) for line in tail.stdout]
    assert tail.wait(60) == 0
    assert sorted((use["value"], use["properties"].get("model")) for use in seen) == [(0.1, "small"), (2, None)]
    assert len(run("events", "list", "--customer", customer)) == 2
    assert run("track", customer, "nothing-of-this-name", exits=2) == []


def test_a_second_start_reuses_what_is_there(stack: Stack) -> None:
    """The running emulator, its deployment and the keys of the last start."""
    port = int(stack.endpoint.rsplit(":", 1)[1])
    again, server = local.start(port, stack.state, detached=False)
    assert server is None
    assert (again.url, again.secret_key, again.outputs) == (stack.url, stack.secret_key, stack.outputs)


def test_the_settings_of_the_stack_are_listed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "current", lambda: stack)
    listed = CliRunner().invoke(app, ["stack", "settings"], env={"COLUMNS": "80"}).output
    assert re.search(r"CarryOverUsages\W+false\W+Whether a plan", listed)
    assert max(map(len, listed.splitlines())) <= 80


def test_a_stack_that_cannot_be_asked_is_told_in_a_line(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TOLLGATE_STACK": "s", "AWS_DEFAULT_REGION": "us-east-1"}
    env["AWS_EC2_METADATA_DISABLED"] = "true"
    done = subprocess.run(
        [sys.executable, "-m", "tollgate_cli", "stack", "settings"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("tollgate: Unable to locate credentials")
