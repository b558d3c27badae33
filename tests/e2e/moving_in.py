"""`tollgate import` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from tollgate.store.table import Table
from tollgate_cli import stack as local
from tollgate_cli.__main__ import app


class Target(NamedTuple):
    """The live environment that is moved to: its API and key, and its table."""

    url: str
    key: str
    table: Table


class Done(NamedTuple):
    """What an import did: its exit code, what it printed, and what its report tells of customers."""

    code: int
    printed: str
    told: list[dict[str, Any]]


def moved_in(vendor: str, url: str, key: str, target: Target, path: Path, *customers: str, more: str = "") -> Done:
    """Imports these customers, with the journal and report in a folder. No key may be printed or written."""
    path.mkdir(exist_ok=True)
    variables = {
        "COLUMNS": "80",
        "TOLLGATE_URL": target.url,
        "TOLLGATE_LIVE_SECRET_KEY": target.key,
        "OLD_KEY": key,
    }
    words = ["import", vendor, "--from", url, "--key-env", "OLD_KEY", "--env", "live", "--rate", "0", *more.split()]
    words += ["--journal", str(path / "journal.sqlite"), "--report", str(path / "report")]
    words += [word for customer in customers for word in ("--only", customer)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "environment_table", lambda: target.table)
        done = CliRunner().invoke(app, words, env=variables)
    problem = "" if done.exception is None or isinstance(done.exception, SystemExit) else str(done.exception)
    printed = done.output + problem
    written = b"".join(each.read_bytes() for each in path.iterdir() if each.is_file())
    for secret in (key, target.key):
        assert secret not in printed
        assert secret.encode() not in written
    report = path / "report.json"
    told = json.loads(report.read_text())["told"] if report.exists() and not problem else []
    return Done(done.exit_code, printed, [each for each in told if each["customer"]])
