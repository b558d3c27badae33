"""Servers shared by the whole run, and a fresh table on each of the two that are atomic."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.config import Config

from tests.memory import SCHEME, memory
from tollgate.aws.client import Client
from tollgate.aws.connections import Connections
from tollgate.aws.signing import Credentials
from tollgate.store.dynamodb import PROTOCOL, DynamoDB
from tollgate_cli.servers import Server, dynamodb_local, free_port, ministack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytest_plugins = ("tests.profiles", "tests.kinds", "tests.permission_use")

BACKENDS = ("ministack", "DynamoDB Local")

_numbers = itertools.count()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """ministack (in memory) and DynamoDB Local, started once. A missing one fails the run."""
    logs = tmp_path_factory.mktemp("servers")
    with ministack(free_port(), None, logs / "ministack.log") as first, dynamodb_local(logs / "dynamodb.log") as second:
        yield {"ministack": first, "DynamoDB Local": second}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    return servers[request.param]


@cache
def session() -> botocore.session.Session:
    """One for the run: it keeps the services' models, which take longer to read than most tests."""
    return botocore.session.get_session()


def dynamodb_client(url: str, *, connections: int = 32) -> DynamoDBClient:
    """The client that the functions use, against an emulator; or the one that is in this process."""
    if url.startswith(SCHEME):
        return memory(url)
    client: Any = session().create_client(
        "dynamodb",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(
            connect_timeout=2,
            read_timeout=5,
            retries={"total_max_attempts": 1},
            max_pool_connections=connections,
            parameter_validation=False,
        ),
    )
    dynamodb: DynamoDBClient = client
    return dynamodb


class OwnClient(DynamoDB):
    """Tollgate's own client, against an emulator; what only tests ask for, botocore's does."""

    def __init__(self, url: str) -> None:
        super().__init__(Client(PROTOCOL, "us-east-1", lambda: Credentials("test", "test"), Connections(url)))
        self._theirs = dynamodb_client(url)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._theirs, name)


def create_table(client: DynamoDBClient) -> str:
    """A new table with the stack's keys; its name."""
    name = f"tollgate-{os.getpid()}-{next(_numbers)}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return name


class Spent:
    """Counts what a client sends and what it is charged: one entry of (operation, units) a request."""

    def __init__(self, client: DynamoDBClient | DynamoDB) -> None:
        self.requests: list[tuple[str, float]] = []
        if isinstance(client, DynamoDB):
            self.stop = self._watched(client)  # type: ignore[method-assign]
            return
        self._events = client.meta.events
        self._events.register("provide-client-params.dynamodb.*", self._ask)
        self._events.register("after-call.dynamodb.*", self._count)

    def stop(self) -> None:
        self._events.unregister("provide-client-params.dynamodb.*", self._ask)
        self._events.unregister("after-call.dynamodb.*", self._count)

    def _watched(self, client: DynamoDB) -> Callable[[], None]:
        """Counts what Tollgate's own client sends; returns what ends it."""
        call = client._call

        def counted(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
            answer: dict[str, Any] = {}
            try:
                answer = call(operation, {**request, "ReturnConsumedCapacity": "TOTAL"})
            finally:
                self._add(operation, answer)
            return answer

        client._call = counted  # type: ignore[method-assign]
        return lambda: setattr(client, "_call", call)

    def _ask(self, params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def _count(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        self._add(model.name, parsed)

    def _add(self, operation: str, parsed: dict[str, Any]) -> None:
        capacity = parsed.get("ConsumedCapacity", {"CapacityUnits": 0.0})
        entries = capacity if isinstance(capacity, list) else [capacity]
        self.requests.append((operation, sum(entry["CapacityUnits"] for entry in entries)))

    def of(self, call: Callable[[], object]) -> list[tuple[str, float]]:
        """The requests that `call` makes."""
        self.requests.clear()
        call()
        return list(self.requests)


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Polls until the condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.05)


ROOT = Path(__file__).resolve().parent.parent
