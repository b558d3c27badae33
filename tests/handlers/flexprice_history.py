"""Events on their whole way in tests: reported, counted, told by the stream, kept in the history, and asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.flexprice import call
from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.handlers.test_usage_events import Bus, Letters
from tests.service import NOW
from tests.streams import records
from tollgate import runtime

DAY = 86_400_000


class Flow:
    """The handlers with a clock of their own."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self.now = NOW

    def send(self, *events: dict[str, Any]) -> None:
        """Reports events, and follows them until they are in the history."""
        status, answer = self.post("events/bulk", {"events": list(events)})
        assert status == 202, answer
        self.deliver()

    def deliver(self) -> None:
        queue, url = runtime.client("sqs"), os.environ["TOLLGATE_USAGE_QUEUE_URL"]
        messages: list[dict[str, Any]] = []
        while found := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                messages.append({"messageId": message["MessageId"], "body": message["Body"], "attributes": {}})
                queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        if messages:
            assert self.here.handlers["usage_queue"]({"Records": messages}, CONTEXT)["batchItemFailures"] == []
        table = self.here.service.table
        told = [record for record in records(table.client, table.name) if _wanted(record)]
        self.here.handlers["usage_events"]({"Records": told}, CONTEXT)

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """A call of Flexprice's API, by the function that has it."""
        function = "manage" if path.startswith(("events/query", "events/usage", "events/analytics")) else "entitlements"
        return call(self.here.handlers[function], f"POST /v1/{path}", body)

    def asked(self, path: str, body: Any) -> Any:
        """The same, where it must succeed."""
        status, answer = self.post(path, body)
        assert status == 200, answer
        return answer

    def used(self, customer: str) -> dict[str, str]:
        """What counts in the running periods, by feature."""
        _, body = call(self.here.handlers["entitlements"], f"GET /v1/customers/{customer}/usage")
        return {entry["feature"]["id"]: entry["current_usage"] for entry in body["features"]}


def _wanted(record: dict[str, Any]) -> bool:
    """Whether the event source mapping of the template would send a record to the consumer."""
    sort_key = json.loads(json.dumps(record["dynamodb"]["Keys"]["sk"]["S"]))
    return bool(sort_key.startswith(("BALANCE#", "SUBSCRIPTION#", "USE#")))


@contextmanager
def flowing(here: Here) -> Iterator[Flow]:
    flow = Flow(here)
    module = sys.modules["functions.usage_events.app"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_events", Bus())
        patch.setattr(module, "_queue", Letters())
        patch.setattr(runtime, "clock", lambda: flow.now)
        yield flow
