"""Calls that nobody would make, drawn by schemathesis from the OpenAPI documents, against a stack of their own: no defect, every
answer as it is described, and what a document forbids is refused."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment
from tollgate.runtime import clock
from tollgate_cli import openapi
from tollgate_cli import stack as local
from tollgate_cli.openapi.document import Dialect
from tollgate_cli.servers import free_port
from tollgate_cli.stack import Stack

TOOL = ROOT / ".venv-schemathesis" / "bin" / "schemathesis"
CONFIG = ROOT / "tests" / "e2e" / "schemathesis.toml"
SECONDS = os.environ.get("TOLLGATE_FUZZ_SECONDS", "20")
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
REFUSES = "negative_data_rejection"  # not of Lotus: it takes numbers and booleans as texts, and texts as those, as Django does


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that nothing else is tested on: what is drawn changes its catalog, too."""
    running, server = local.start(free_port(), tmp_path_factory.mktemp("fuzzed"), detached=False)
    assert server
    with server:
        yield running


@pytest.mark.parametrize("dialect", openapi.DIALECTS, ids=lambda dialect: dialect.name)
def test_what_is_drawn_is_answered_as_described(fuzzed: Stack, dialect: Dialect, tmp_path: Path) -> None:
    """The seed is printed, and `--seed` draws the same again."""
    _, key = local.api_keys(fuzzed.table).create(Environment.SANDBOX, Scope.SECRET, dialect.name, clock())
    header = f"x-api-key: {key}" if dialect.scheme["type"] == "apiKey" else f"Authorization: Bearer {key}"
    checks = ",".join(CHECKS if dialect is openapi.LOTUS else (*CHECKS, REFUSES))
    seed = random.SystemRandom().randrange(10**9)
    print(f"schemathesis: {dialect.name}: seed {seed}")
    command = [
        *(str(TOOL), "--config-file", str(CONFIG), "run", str(openapi.FOLDER / f"{dialect.name}.json")),
        *("--url", fuzzed.url, "-H", header, "--checks", checks, "--seed", str(seed), "--no-color"),
        *("--phases", "examples,coverage,fuzzing", "--max-time", SECONDS, "--max-examples", "20"),
        *("--request-timeout", "30"),  # of the emulator's cold starts, several at once
        *(("--exclude-operation-id", "keys_revoke") if dialect.own else ()),  # it would find the key that it calls with
    ]
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment | {"no_proxy": "*"}, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
