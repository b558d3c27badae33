"""The deployed local stack, built and deployed once for the run, with state of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.fixture import Shop
from tollgate_cli import stack as local
from tollgate_cli.servers import free_port
from tollgate_cli.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running, server = local.start(free_port(), tmp_path_factory.mktemp("stack"), detached=False)
    assert server
    with server:
        yield running


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Shop:
    """The specification's catalogue in the sandbox."""
    shop = Shop(stack, stack.secret_key)
    shop.fill()
    return shop


@pytest.fixture(scope="session")
def live(stack: Stack) -> Shop:
    """The live environment, which few tests write to."""
    return Shop(stack, stack.live_secret_key)
