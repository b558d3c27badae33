"""Clients that are generated from the OpenAPI documents compile under strict settings, and count, hold and attach."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.e2e.programs import CLIENTS, NODE
from tollgate_cli.stack import Stack

DOCUMENTS = ROOT / "docs" / "openapi"
PYTHON = ROOT / ".venv-generated" / "bin"
STRICT = (
    *("--strict", "--noEmit", "--noUncheckedIndexedAccess", "--allowImportingTsExtensions"),
    *("--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom"),
)
EXPECTED = {
    "attached": True,
    "counted": 90,  # 100 are granted, 10 are counted by the check
    "tracked": 85,
    "held": 65,
    "finalized": True,
    "after": 77,  # of 20 held, 8 were used
    "refused": [404, "customer_not_found"],
}


def run(folder: Path, *command: str | Path, **environment: str) -> str:
    """What a command prints; what it prints of its failure, if it fails."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def answers(printed: str) -> Any:
    return json.loads(printed.splitlines()[-1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place for generated code, with what TypeScript's needs."""
    (tmp_path / "node_modules").symlink_to(CLIENTS / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def test_in_typescript(stack: Stack, folder: Path) -> None:
    modules = CLIENTS / "node_modules"
    types = []
    for document in sorted(DOCUMENTS.glob("*.json")):
        types.append(folder / f"{document.stem}.d.ts")
        run(folder, NODE, modules / "openapi-typescript" / "bin" / "cli.js", document, "-o", types[-1])
    assert {file.name for file in types} == {"autumn.d.ts", "flexprice.d.ts", "lotus.d.ts", "tollgate.d.ts"}
    shutil.copy(CLIENTS / "generated.ts", folder)
    run(folder, NODE, modules / "typescript" / "bin" / "tsc", *STRICT, "generated.ts", *types)
    assert answers(run(folder, NODE, "generated.ts", stack.url, stack.secret_key)) == EXPECTED


def test_in_python(stack: Stack, folder: Path) -> None:
    (folder / "settings.yaml").write_text("post_hooks: []\n")
    options = ("--meta", "none", "--config", "settings.yaml", "--fail-on-warning", "--output-path", "autumn_client")
    run(folder, PYTHON / "openapi-python-client", "generate", "--path", DOCUMENTS / "autumn.json", *options)
    shutil.copy(CLIENTS / "generated_client.py", folder)
    run(folder, PYTHON / "mypy", "--strict", "--cache-dir", "/dev/null", "generated_client.py")
    printed = run(folder, PYTHON / "python", "generated_client.py", stack.url, stack.secret_key)
    assert answers(printed) == EXPECTED
