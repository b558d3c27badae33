"""Calls that nobody would make (`make fuzz`, for some seconds), against a stack of their own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import ALONE, IN_CHAINS, Drawn, found
from tollgate_cli import openapi
from tollgate_cli import stack as local
from tollgate_cli.openapi.document import Dialect
from tollgate_cli.servers import free_port
from tollgate_cli.stack import Stack

SECONDS = {ALONE: 6, IN_CHAINS: 3}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that nothing else is tested on: what is drawn changes its catalog, too."""
    running, server = local.start(free_port(), tmp_path_factory.mktemp("fuzzed"), detached=False)
    assert server
    with server:
        yield running


@pytest.mark.parametrize("phases", SECONDS, ids=["alone", "in chains"])
@pytest.mark.parametrize("dialect", openapi.DIALECTS, ids=lambda dialect: dialect.name)
def test_what_is_drawn_is_answered_as_described(fuzzed: Stack, dialect: Dialect, phases: str, tmp_path: Path) -> None:
    """The seed is printed where something is found: `make fuzz ARGS="--seed …"` draws the same again."""
    seed = random.SystemRandom().randrange(10**9)
    print(f"schemathesis: {dialect.name}: seed {seed}")
    assert found(fuzzed, Drawn(dialect, phases, SECONDS[phases], seed), tmp_path) is None
