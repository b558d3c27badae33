"""The deployed local stack, built and deployed once for the run, with state of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli import stack as local
from cli.servers import free_port
from cli.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running, server = local.start(free_port(), tmp_path_factory.mktemp("stack"), detached=False)
    assert server
    with server:
        yield running
