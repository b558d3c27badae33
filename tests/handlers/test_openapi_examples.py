"""The examples of the OpenAPI documents: each is sent to the functions, one after another, and answered just so.

The clock goes on by a second with each call, and ids are counted. An example's `key` is why it has no right one. `--write-recorded` writes the answers anew.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from tests.handlers.conftest import Here, a_place
from tests.handlers.test_events import CONTEXT
from tests.handlers.test_usage_events import Bus
from tests.http_events import authorized, http_event, unauthorized
from tests.service import NOW
from tollgate import runtime
from tollgate.domain.ids import time_ordered_id
from tollgate.usecases.webhooks import is_message
from tollgate_cli.openapi import DIALECTS, examples, served
from tollgate_cli.openapi.document import Dialect
from tollgate_cli.openapi.served import Served

SERVED: dict[str, dict[str, Served]] = {
    "autumn": served.autumn(),
    "tollgate": served.autumn(),
    "flexprice": served.flexprice(),
    "lotus": served.lotus(),
}


class Queue:
    """Stands for SQS: a message waits until the call that sent it was answered."""

    def __init__(self) -> None:
        self.waiting: list[str] = []

    def send(self, call: str, *, Entries: Sequence[dict[str, Any]] = (), **_: Any) -> dict[str, Any]:  # noqa: N803 - SQS's name
        """Takes all of them. Those for webhooks are sent nowhere. Asked how many wait, it says none."""
        if call == "get_queue_attributes":
            return {"Attributes": {"ApproximateNumberOfMessages": "0"}}
        bodies = (entry["MessageBody"] for entry in Entries)
        self.waiting += [body for body in bodies if not is_message(body)]
        return {}

    def send_message(self, **_: Any) -> None:
        """No dead letter is kept."""

    def deliver(self, place: Here) -> None:
        """Hands over what waits."""
        records = [{"messageId": str(at), "body": body, "attributes": {}} for at, body in enumerate(self.waiting)]
        self.waiting.clear()
        if records:
            assert place.handlers["usage_queue"]({"Records": records}, CONTEXT)["batchItemFailures"] == []


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def place(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """Functions that were just started, where nothing is left to chance."""
    with a_place(()) as here:
        numbers = count(1)
        monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(numbers), version=4))
        monkeypatch.setattr("secrets.token_bytes", lambda size: next(numbers).to_bytes(size, "big"))
        monkeypatch.setattr("secrets.token_urlsafe", lambda _: f"example{next(numbers)}")
        monkeypatch.setattr(
            "tollgate.store.balances.time_ordered_id",
            lambda *_: time_ordered_id(NOW, next(numbers).to_bytes(10, "big")),
        )
        monkeypatch.setattr("tollgate.usecases.features.CACHE_SECONDS", -1)
        monkeypatch.setattr("tollgate.usecases.plans.CACHE_SECONDS", -1)
        consumer = sys.modules["functions.usage_events.app"]
        monkeypatch.setattr(consumer, "_events", Bus())
        monkeypatch.setattr(consumer, "_queue", queue)
        monkeypatch.setattr("tollgate.runtime._queued", queue.send)
        still = SimpleNamespace(time_ns=lambda: runtime.clock() * 1_000_000)  # a balance's versions begin with the time
        monkeypatch.setattr("tollgate.store.balances.time", still)
        monkeypatch.setattr("tollgate.store.customers.time", still)
        yield here


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_each_example_is_answered_as_it_says(
    dialect: Dialect,
    place: Here,
    queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    path = examples.FOLDER / f"{dialect.name}.json"
    recorded: list[dict[str, Any]] = json.loads(path.read_text())
    told = 0
    answered = []
    for number, example in enumerate(recorded):
        monkeypatch.setattr("tollgate.runtime.clock", lambda number=number: NOW + 1000 * number)
        status, answer = send(place, dialect, example)
        answered.append({**example, "status": status, "answer": answer})
        queue.deliver(place)
        records = place.service.table.client.records(place.service.table.name)  # type: ignore[attr-defined]
        for record in records[told:]:
            record["dynamodb"]["ApproximateCreationDateTime"] = NOW // 1000 + number
        place.handlers["usage_events"]({"Records": records[told:]}, CONTEXT)
        told = len(records)
    if request.config.getoption("--write-recorded"):
        path.write_text(json.dumps(answered, indent=1, ensure_ascii=False) + "\n")
    assert answered == recorded


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_each_route_has_an_example_that_succeeds(dialect: Dialect) -> None:
    succeeded = {each.route for each in examples.read(dialect.name) if each.succeeds}
    assert set(dialect.operations) - succeeded == set()


def test_each_example_has_a_name_of_its_own() -> None:
    for dialect in DIALECTS:
        names = [each.name for each in examples.read(dialect.name)]
        assert len(names) == len(set(names))


def send(place: Here, dialect: Dialect, example: dict[str, Any]) -> tuple[int, Any]:
    """The answer to an example. One that only sets the stage may be a call of Autumn's."""
    routes = SERVED[dialect.name]
    own = example["route"] in routes
    if not own:
        routes = served.autumn()
    route = example["route"]
    for value in example.get("path", {}).values():
        route = route.replace("{}", quote(value, safe=""), 1)
    by_header = own and "x-api-key" in json.dumps(dialect.scheme)
    key = {"x-api-key": "k"} if by_header else {"authorization": "Bearer k"}
    headers = {**key, **example.get("headers", {})}
    event = http_event(route, example.get("body"), query=example.get("query", ""), headers=headers)
    event = unauthorized(event, example["key"]) if "key" in example else authorized(event)
    answer = place.handlers[routes[example["route"]].function](event, CONTEXT)
    return answer["statusCode"], json.loads(answer["body"]) if "body" in answer else None
