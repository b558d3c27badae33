"""balances on each backend that is atomic, with the catalog of autumn.md 5."""

from __future__ import annotations

import pytest

from tests.conftest import create_table, dynamodb_client
from tests.service import FIXTURE, Service, service
from tollgate_cli.servers import Server


@pytest.fixture
def here(backend: Server) -> Service:
    client = dynamodb_client(backend.url)
    return service(client, create_table(client), FIXTURE)
