"""The real handlers over the table in memory, and queues and a bus of moto's."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
import pytest
from moto import mock_aws

from tests.conftest import create_table, dynamodb_client
from tests.described import watched
from tests.http_events import authorized, http_event
from tests.memory import fresh_url
from tests.permissions import Fence, Names
from tests.service import FEATURES, Service, service
from tollgate import runtime
from tollgate.domain.features import Feature

HANDLERS = (
    "check",
    "track",
    "manage",
    "authorizer",
    "metric_access",
    "lotus",
    "entitlements",
    "usage_queue",
    "usage_events",
    "waiting_events",
    "due_times",
    "webhooks",
)
botocores = runtime._botocores
Handler = Callable[[dict[str, Any], object], dict[str, Any]]


@dataclass(frozen=True)
class Here:
    """The handlers by function name, and the balances behind them."""

    handlers: dict[str, Handler]
    service: Service

    def call(self, function: str, route: str, body: Any, **more: Any) -> tuple[int, dict[str, Any]]:
        """The status and parsed body of a call with a sandbox secret key; `body` is a JSON value, or text as it is."""
        answer = self.handlers[function](authorized(http_event(route, body, **more), **more), None)
        return answer["statusCode"], json.loads(answer["body"])

    def contents(self) -> str:
        """Everything in the table."""
        return repr(self.service.table.client.scan(TableName=self.service.table.name)["Items"])


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with a_place() as place:
        yield place


@contextmanager
def a_place(catalog: Sequence[Feature] = FEATURES, url: str = "", **variables: str) -> Iterator[Here]:
    """Functions that were just started, over a table that has the features of this catalog and nothing else: of the
    DynamoDB at this address, else in memory. `variables` are set in their environment."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        client = dynamodb_client(url or fresh_url())
        name = create_table(client)
        queues: Any = botocore.session.get_session().create_client(
            "sqs", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        queue, dead, webhooks, given_up = (
            queues.create_queue(QueueName=each)["QueueUrl"] for each in ("usage", "dead", "webhooks", "given-up")
        )
        for variable, value in {
            "TOLLGATE_TABLE": name,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "POWERTOOLS_SERVICE_NAME": "tollgate",
            "POWERTOOLS_METRICS_NAMESPACE": "Tollgate",
            "TOLLGATE_BUS": "default",
            "TOLLGATE_USAGE_QUEUE_URL": queue,
            "TOLLGATE_DEAD_LETTER_QUEUE_URL": dead,
            "TOLLGATE_WEBHOOK_QUEUE_URL": webhooks,
            "TOLLGATE_WEBHOOK_DEAD_LETTER_QUEUE_URL": given_up,
            "TOLLGATE_LOOPBACK_WEBHOOKS": "true",
            "TOLLGATE_BROWSER_ORIGINS": "https://app.example,http://localhost:3000",
            **variables,
        }.items():
            patch.setenv(variable, value)
        for cached in vars(runtime).values():
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()
        fence = Fence(Names(name, queue, dead, "default", webhooks, given_up))
        fence.watch(client, "dynamodb")

        @cache
        def guarded_client(service: str) -> Any:
            if service == "dynamodb":
                return client
            made = botocores(service)  # moto answers botocore's clients alone
            fence.watch(made, service)
            return made

        patch.setattr(runtime, "client", guarded_client)
        handlers: dict[str, Handler] = {}
        for function in HANDLERS:
            sys.modules.pop(f"functions.{function}.app", None)
            handlers[function] = fence.guarded(
                function, watched(function, importlib.import_module(f"functions.{function}.app").handler)
            )
        yield Here(handlers, service(client, name, catalog))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-recorded", action="store_true", help="write what the stream's consumer tells anew")
