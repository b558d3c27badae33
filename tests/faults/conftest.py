"""A proxy before each backend that breaks answers, and balances whose requests all pass it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import OwnClient, create_table, dynamodb_client
from tests.service import FIXTURE, Service, service
from tollgate_cli.servers import Server, microburst, set_rules

CUT: dict[str, Any] = {"service": "dynamodb", "operation": "UpdateItem", "response": {"abort_frac": 0.0}}
THROTTLED: dict[str, Any] = {
    "service": "dynamodb",
    "operation": "UpdateItem",
    "error": {"code": "ProvisionedThroughputExceededException"},
}


@pytest.fixture(scope="module")
def proxies(servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """One proxy before each backend."""
    logs = tmp_path_factory.mktemp("proxies")
    with ExitStack() as running:
        yield {
            server.url: running.enter_context(microburst(server.url, [], logs / f"{number}.log"))
            for number, server in enumerate(servers.values())
        }


@pytest.fixture(
    params=[("ministack", dynamodb_client), ("DynamoDB Local", OwnClient)],
    ids=["ministack, botocore", "DynamoDB Local, own client"],
)
def place(request: pytest.FixtureRequest) -> tuple[str, Callable[[str], Any]]:
    """Which backend, and what makes a client of it."""
    found: tuple[str, Callable[[str], Any]] = request.param
    return found


@pytest.fixture
def backend(place: tuple[str, Callable[[str], Any]], servers: dict[str, Server]) -> Server:
    return servers[place[0]]


@pytest.fixture
def proxy(backend: Server, proxies: dict[str, Server]) -> Server:
    """The backend's proxy, with no rules yet."""
    set_rules(proxies[backend.url], [])
    return proxies[backend.url]


@pytest.fixture
def here(place: tuple[str, Callable[[str], Any]], backend: Server, proxy: Server) -> Service:
    """Balances whose requests all pass the proxy; its table was made without it."""
    return service(place[1](proxy.url), create_table(dynamodb_client(backend.url)), FIXTURE)
