"""The service on each backend that is atomic, the one in this process among them, with the catalog of autumn.md 5."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.conftest import BACKENDS, create_table, dynamodb_client
from tests.memory import fresh_url
from tests.service import FIXTURE, Service, service
from tollgate_cli.servers import Server

MEMORY = "memory"


class Nearby(NamedTuple):
    """Stands where a server does."""

    url: str


ALL = [*(pytest.param(name, marks=pytest.mark.servers) for name in BACKENDS), MEMORY]


@pytest.fixture(params=ALL)
def backend(request: pytest.FixtureRequest) -> Server | Nearby:
    if request.param == MEMORY:
        return Nearby(fresh_url())
    servers: dict[str, Server] = request.getfixturevalue("servers")
    return servers[request.param]


@pytest.fixture
def here(backend: Server | Nearby) -> Service:
    client = dynamodb_client(backend.url)
    return service(client, create_table(client), FIXTURE)
