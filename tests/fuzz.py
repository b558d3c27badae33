"""`make fuzz`: calls that nobody would make, drawn by schemathesis from the OpenAPI documents, against a stack of their own.

    make fuzz ARGS="--minutes 10"             shared by the four documents
    make fuzz ARGS="--only autumn --seed 7"   the same calls again

For each document, first each route alone (its examples, the edges of its schema, and what is drawn of it), then chains of
routes in which an answer's ids are what the next call is about: made, read, used, deleted. Right is no defect, every answer
as it is described, and a refusal of what the document forbids. Ends with status 1 where something was found.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

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
ALONE, IN_CHAINS = "examples,coverage,fuzzing", "stateful"
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
REFUSES = "negative_data_rejection"  # not of Lotus: it takes numbers and booleans as texts, and texts as those, as Django does


class Drawn(NamedTuple):
    """What calls are drawn from, for how long (seconds), and which."""

    dialect: Dialect
    phases: str
    seconds: float
    seed: int


def found(stack: Stack, drawn: Drawn, folder: Path) -> str | None:
    """What is wrong with the answers, as schemathesis tells it; None: nothing."""
    dialect = drawn.dialect
    _, key = local.api_keys(stack.table).create(Environment.SANDBOX, Scope.SECRET, dialect.name, clock())
    header = f"x-api-key: {key}" if dialect.scheme["type"] == "apiKey" else f"Authorization: Bearer {key}"
    checks = ",".join(CHECKS if dialect is openapi.LOTUS else (*CHECKS, REFUSES))
    command = [
        *(str(TOOL), "--config-file", str(CONFIG), "run", str(openapi.FOLDER / f"{dialect.name}.json")),
        *("--url", stack.url, "-H", header, "--checks", checks, "--seed", str(drawn.seed), "--no-color"),
        *("--phases", drawn.phases, "--max-time", str(max(1, round(drawn.seconds))), "--max-examples", "20"),
        *("--request-timeout", "30"),  # of the emulator's cold starts, several at once
        *(("--exclude-operation-id", "keys_revoke") if dialect.own else ()),  # it would find the key that it calls with
    ]
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment | {"no_proxy": "*"}, cwd=folder
    )
    return None if done.returncode == 0 else done.stdout[-8000:] + done.stderr[-2000:]


def main(
    minutes: Annotated[float, typer.Option(help="How long, all documents together.", min=0.1)] = 4,
    seed: Annotated[int | None, typer.Option(help="Draws the same again.")] = None,
    only: Annotated[str | None, typer.Option(help="One document: autumn, flexprice, lotus or tollgate.")] = None,
) -> None:
    """Draws calls from the documents, and tells what is answered as it should not be."""
    console = Console()
    chosen = [dialect for dialect in openapi.DIALECTS if only in (None, dialect.name)]
    if not chosen:
        raise typer.BadParameter(f"there is no document {only}", param_hint="--only")
    seed = random.SystemRandom().randrange(10**9) if seed is None else seed
    seconds = minutes * 60 / len(chosen) / 2
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        console.print("A stack is started …")
        running, server = local.start(free_port(), folder / "stack", detached=False)
        assert server
        with server:
            for dialect in chosen:
                for phases in (ALONE, IN_CHAINS):
                    with console.status(f"{dialect.name}: {phases}, {seconds:.0f} s"):
                        told = found(running, Drawn(dialect, phases, seconds, seed), folder)
                    wrong += told is not None
                    console.print(f"{dialect.name}: {phases}: {'nothing' if told is None else 'FOUND'}")
                    if told is not None:
                        console.print(told, markup=False, highlight=False)
    console.print(f"{wrong} of {2 * len(chosen)} found something. Seed {seed}.")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
