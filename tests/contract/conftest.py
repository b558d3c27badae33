"""The service on each backend that is atomic, the one in this process among them, with the catalog of autumn.md 5."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.conftest import OwnClient, create_table, dynamodb_client
from tests.memory import fresh_url
from tests.service import FIXTURE, Service, service
from tollgate_cli.servers import Server

MEMORY = "memory"


class Backend(NamedTuple):
    """Where a table is, and whose client the store has: Tollgate's own or botocore's."""

    url: str
    own: bool = False

    def client(self) -> Any:
        return OwnClient(self.url) if self.own else dynamodb_client(self.url)


ALL = [
    pytest.param(("ministack", False), id="ministack, botocore", marks=pytest.mark.servers),
    pytest.param(("DynamoDB Local", True), id="DynamoDB Local, own client", marks=pytest.mark.servers),
    pytest.param((MEMORY, False), id=MEMORY),
]


@pytest.fixture(params=ALL)
def backend(request: pytest.FixtureRequest) -> Backend:
    name, own = request.param
    if name == MEMORY:
        return Backend(fresh_url())
    servers: dict[str, Server] = request.getfixturevalue("servers")
    return Backend(servers[name].url, own)


@pytest.fixture
def here(backend: Backend) -> Service:
    client = backend.client()
    return service(client, create_table(client), FIXTURE)
