"""A world on each backend that is atomic, with the catalog of autumn.md 5."""

from __future__ import annotations

import pytest

from cli.servers import Server
from tests.conftest import create_table, dynamodb_client
from tests.world import FIXTURE, World, world


@pytest.fixture
def here(backend: Server) -> World:
    client = dynamodb_client(backend.url)
    return world(client, create_table(client), FIXTURE)
