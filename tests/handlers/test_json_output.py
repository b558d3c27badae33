"""What each command prints with --json is what its published schema says (docs/commands.schema.json), as it is typed, against
Tollgate's own functions. `import` and `shadow` are held to theirs where they are tried (`test_importing_command`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from tests.described import printed_wrong
from tests.handlers.conftest import Here, a_place
from tests.handlers.test_events import CONTEXT
from tests.http_service import served, tollgate
from tollgate.domain.api_keys import Scope, mint
from tollgate.domain.environments import Environment
from tollgate_cli import dead, demo, ends, json_output, output, profiles, stack
from tollgate_cli.__main__ import app
from tollgate_cli.catalog import commands
from tollgate_cli.nouns import events

COMMAND: Any = typer.main.get_command(app)
CATALOG = """\
features:
  - {feature_id: messages, name: Messages, type: metered, consumable: true}
  - {feature_id: sso, name: SSO, type: boolean}
plans:
  - plan_id: pro
    name: Pro
    items:
      - {feature_id: messages, included: 10, reset: {interval: month}}
      - {feature_id: sso}
"""
RUNNING = stack.Stack("http://e", "http://e/api", {"TableName": "t", "BusName": "b"}, "s", "p", "l")
LETTER = dead.Letter(dead.Kind.USAGE, "no such feature", "{}", 1_700_000_000_000, "r")
ELSEWHERE = {"import", "shadow"}


class Typed:
    """Types a command with --json, and gives what it printed after it was held to the command's schema."""

    def __init__(self, here: Here, capsys: pytest.CaptureFixture[str]) -> None:
        self._here, self._capsys = here, capsys
        self.seen: set[str] = set()

    def __call__(self, *words: str, exits: int = 0) -> list[Any]:
        name = " ".join(words[:2]) if " ".join(words[:2]) in json_output.OUTPUTS else words[0]
        self._capsys.readouterr()
        code = ends.run(COMMAND, [*words, "--json"])
        out, err = self._capsys.readouterr()
        assert code == exits, (words, err)
        lines = [json.loads(line) for line in out.splitlines()]
        assert lines, words
        assert name in json_output.LINES or len(lines) == 1, words
        for line in lines:
            assert printed_wrong(name, line) == "", words
        self.seen.add(name)
        return lines

    def consume(self) -> None:
        """The stream's consumer sees every write."""
        table: Any = self._here.service.table
        self._here.handlers["usage_events"]({"Records": table.client.records(table.name)}, CONTEXT)


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    keys = {mint(env, Scope.SECRET, "x"): env.value for env in Environment}
    sandbox, live = sorted(keys, key=lambda key: keys[key], reverse=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(profiles.FILE_VARIABLE, str(tmp_path / "profiles.toml"))
    with a_place(()) as here, served(tollgate(keys)) as url:
        for name, value in {"URL": url, "SECRET_KEY": sandbox, "LIVE_SECRET_KEY": live}.items():
            monkeypatch.setenv(f"TOLLGATE_{name}", value)
        stands_in(monkeypatch, here)
        yield Typed(here, capsys)


def stands_in(monkeypatch: pytest.MonkeyPatch, here: Here) -> None:
    """What is told of the emulator and of AWS, without them."""
    proof = demo.Proof(Counter(a=5), Counter(a=5), Counter(a=5))
    letters = SimpleNamespace(
        all=lambda: [LETTER], redrive=lambda: dead.Redriven([LETTER], [(LETTER, "throttled")], [LETTER])
    )
    for name, value in {
        "current": lambda: RUNNING,
        "start": lambda *_, **__: (RUNNING, None),
        "stop": lambda: True,
        "settings": lambda: [("RetentionDays", "90", "Days")],
        "environment_table": lambda: here.service.table,
    }.items():
        monkeypatch.setattr(stack, name, value)
    monkeypatch.setattr(demo, "read_trace", lambda *_: [])
    monkeypatch.setattr(demo, "run", lambda *_: proof)
    monkeypatch.setattr(dead, "of_environment", lambda _: letters)
    monkeypatch.setattr(events, "_uses", lambda api, body, _: output.pages(api, "events.list", body, 10))


def test_what_is_printed_is_what_the_schema_says(typed: Typed) -> None:
    Path(commands.NAME).write_text(CATALOG)
    of_the_catalog(typed)
    of_customers(typed)
    of_keys_and_webhooks(typed)
    of_the_stack(typed)
    assert typed.seen | ELSEWHERE == set(json_output.OUTPUTS)


def of_the_catalog(typed: Typed) -> None:
    typed("catalog", "validate")
    assert len(typed("catalog", "plan", "--detailed-exitcode", exits=2)[0]["each"]) == 3
    typed("catalog", "apply", "--yes")
    Path(commands.NAME).write_text(CATALOG.replace("included: 10", "included: 20.5"))
    (changed,) = typed("catalog", "plan")[0]["each"]
    assert changed["differences"][0]["new"] == 20.5
    typed("catalog", "diff", "sandbox", "live")
    assert typed("catalog", "promote", "sandbox", "live", "--yes")[0]["made"] == 3
    assert typed("catalog", "pull", "other.yaml")[0]["written"]
    assert not typed("catalog", "pull", "other.yaml")[0]["written"]
    for noun, id in (("plans", "pro"), ("features", "messages")):
        assert typed(noun, "list")
        typed(noun, "get", id)


def of_customers(typed: Typed) -> None:
    api = profiles.resolve().api()
    api.call("customers.get_or_create", {"customer_id": "ada", "name": "Ada"})
    api.call("billing.attach", {"customer_id": "ada", "plan_id": "pro"})
    typed("check", "ada", "messages")
    typed("check", "ada", "messages", "--why", "--amount", "10.5", exits=3)
    typed("check", "ada", "messages", "--count")
    typed("check", "ada", "sso", "--why")
    typed("track", "ada", "messages", "--amount", "0.5", "--property", "model=small")
    typed("customers", "list")
    typed("customers", "get", "ada")
    typed("balances", "list", "ada")
    typed("balances", "grants", "ada")
    typed("balances", "explain", "ada", "messages", "--amount", "99")
    typed.consume()
    assert len(typed("events", "list")) == 2
    typed("events", "tail", "--stop-after", "2")


def of_keys_and_webhooks(typed: Typed) -> None:
    (made,) = typed("keys", "create", "--name", "shop")
    typed("keys", "list")
    typed("keys", "revoke", made["id"])
    typed("profiles", "add", "mine", "--url", "https://tollgate.example", "--env", "live", "--key-variable", "KEY")
    typed("profiles", "list")
    typed("profiles", "remove", "mine")
    typed("audit")
    typed("audit", "--customer", "ada")
    typed("webhooks", "create", "w", "http://127.0.0.1:1/hook")
    typed("webhooks", "update", "w", "--description", "Ours")
    typed("webhooks", "rotate", "w")
    (sent,) = typed("webhooks", "test", "w")
    typed("webhooks", "list")
    typed("webhooks", "deliveries", "w")
    typed("webhooks", "resend", "w", sent["id"])
    typed("webhooks", "delete", "w")


def of_the_stack(typed: Typed) -> None:
    for words in ("up", "status", "settings", "down"):
        typed("stack", words)
    typed("demo")
    typed("dead-letters", "list")
    typed("dead-letters", "redrive", exits=1)
    typed("export", "out")
    typed("restore", "out", "--resume")
