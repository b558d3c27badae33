"""Where a soak runs: its settings, and the functions' handlers in this process, with their requests through the proxy."""

from __future__ import annotations

import importlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from tests.http_events import authorized, http_event
from tests.soak.plan import LOCK_MS, SPEED, Chapter, Operation
from tests.soak.proxy import READ_SECONDS

CONTEXT = SimpleNamespace(
    function_name="soak", memory_limit_in_mb=512, invoked_function_arn="arn:aws:lambda:::soak", aws_request_id="soak"
)
Handler = Callable[[Mapping[str, Any], Any], Any]


class Stage(NamedTuple):
    """A run's settings, as they lie in its directory. `started`: when the functions' clock was right (epoch ms)."""

    run: Path
    chapter: Chapter
    url: str
    database: str
    table: str
    started: int
    threads: int = 2

    def save(self) -> None:
        told = self._asdict() | {"run": str(self.run), "chapter": list(self.chapter)}
        (self.run / "stage.json").write_text(json.dumps(told))

    @classmethod
    def load(cls, run: Path) -> Stage:
        told = json.loads((run / "stage.json").read_text())
        return cls(**{**told, "run": run, "chapter": Chapter(*told["chapter"])})

    def clock(self) -> int:
        """The functions' time (epoch ms)."""
        return self.started + int((time.time() * 1000 - self.started) * SPEED)


class _Who(threading.local):
    """On whose behalf this thread's requests are; empty: they pass the proxy unharmed."""

    name = ""
    sent = 0


WHO = _Who()


class Functions:
    """The handlers, each loaded when it is first called. Only one set of them is in a process."""

    def __init__(self, stage: Stage, read_seconds: float = READ_SECONDS) -> None:
        os.environ |= {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "POWERTOOLS_SERVICE_NAME": "tollgate",
            "POWERTOOLS_METRICS_NAMESPACE": "Tollgate",
            "POWERTOOLS_METRICS_DISABLED": "true",
            "POWERTOOLS_LOG_LEVEL": "ERROR",
            "TOLLGATE_TABLE": stage.table,
            "TOLLGATE_ENDPOINT_URL": stage.url,
            "TOLLGATE_BUS": "soak",
            "TOLLGATE_USAGE_QUEUE_URL": "http://queue/usage",
            "TOLLGATE_DEAD_LETTER_QUEUE_URL": "http://queue/dead",
            "TOLLGATE_WEBHOOK_QUEUE_URL": "http://queue/dead-webhooks",
            "TOLLGATE_WEBHOOK_DEAD_LETTER_QUEUE_URL": "http://queue/dead-webhooks",
        }
        from tollgate import runtime
        from tollgate.aws import connections

        connections.READ_SECONDS = read_seconds
        runtime.clock = stage.clock
        post = connections.Connections.post

        def named(self: Any, head: bytes, body: bytes) -> Any:
            if WHO.name:
                WHO.sent += 1
                head = head[:-2] + f"x-soak: {WHO.name}.{WHO.sent}\r\n\r\n".encode()
            return post(self, head, body)

        connections.Connections.post = named  # type: ignore[method-assign]
        self._stage = stage
        self._handlers: dict[str, Handler] = {}
        self._lock = threading.Lock()

    def handler(self, function: str) -> Handler:
        """A function's handler."""
        with self._lock:
            if function not in self._handlers:
                module = importlib.import_module(f"functions.{function}.app")
                self._handlers[function] = module.handler
            return self._handlers[function]

    def call(self, function: str, route: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """The status and the body of an answer to a call with a sandbox secret key."""
        event = authorized(http_event(route, body, headers=dict(headers or {})))
        answer = self.handler(function)(event, CONTEXT)
        return answer["statusCode"], json.loads(answer["body"])

    def run(self, operation: Operation) -> tuple[int, Any]:
        """The answer to one operation, whose requests may meet faults."""
        WHO.name, WHO.sent = operation.id, 0
        body = operation.body
        for name in operation.lives:
            until = self._stage.clock() + LOCK_MS
            body = {**body, "expires_at": until} if not name else {**body, name: {**body[name], "expires_at": until}}
        try:
            return self.call(operation.function, operation.route, body, operation.headers)
        finally:
            WHO.name = ""
