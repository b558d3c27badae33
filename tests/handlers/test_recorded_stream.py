"""What the stream's consumer makes of records that were kept: every byte of it stays as it was.

`recorded/records.jsonl` holds records of the table's stream, one a line, of customers with plans, add-ons, rollovers,
overage, credits, entities, usage limits, alerts and reservations, over four months. `recorded/told.jsonl` holds what the
consumer made of them: the entries for the bus, the reasons of the dead letters and the messages for the usage queue, batch
by batch; then the items that it wrote (history, sums, alert states). Where the consumer is meant to tell something else,
`python -m pytest tests/handlers/test_recorded_stream.py --write-recorded` writes that file anew: read its difference.
"""

from __future__ import annotations

import base64
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.service import FEATURES, FIXTURE, NOW, SANDBOX
from tollgate.dialects.events_models import MODELS
from tollgate.domain.features import Feature, FeatureType
from tollgate.exact_json import loads
from tollgate.usecases.due_times import Delayed

FOLDER = Path(__file__).parent / "recorded"
LEVELS = {"info": 50, "warning": 20, "critical": 5}
SETTINGS = {name: {"threshold": str(value), "condition": "below"} for name, value in LEVELS.items()}
CATALOG = (
    *(feature for feature in FIXTURE if feature not in FEATURES),
    Feature("wallet", "", FeatureType.METERED, extra={"alert_settings": {"alert_enabled": True, **SETTINGS}}),
    Feature("tier", "", FeatureType.STATIC, consumable=False),
)
WRITTEN = (
    "history",
    "events",
    "hours",
    "days",
    "watch",
    "due",
)  # by the consumer: the second part of the partition key


class Sent:
    """Stands for EventBridge and for SQS."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - botocore's name
        self.entries += Entries
        return {"Entries": [{} for _ in Entries]}

    def send_later(self, messages: Sequence[Delayed]) -> None:
        self.messages += [{"body": json.loads(one.body), "DelaySeconds": one.seconds} for one in messages]

    def send_message(self, QueueUrl: str, MessageBody: str, **more: Any) -> None:  # noqa: N803 - botocore's names
        assert QueueUrl
        body = json.loads(MessageBody)
        self.messages.append({"reason": body["reason"]} if "reason" in body else {"body": body, **more})


def batches(records: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The records in batches of different sizes; every third comes twice."""
    start = 0
    for number, size in enumerate(itertools.cycle((1, 2, 3, 5, 8, 4))):
        if start >= len(records):
            return
        batch = records[start : start + size]
        yield from (batch, batch) if number % 3 == 0 else (batch,)
        start += size


def write(here: Here, record: dict[str, Any]) -> None:
    """Does to the table what the record tells of, as alerts look at the balances that there are."""
    change = record["dynamodb"]
    table = here.service.table
    if "NewImage" not in change:
        table.client.delete_item(TableName=table.name, Key=change["Keys"])
        return
    item: Any = {
        name: {"B": base64.b64decode(value["B"])} if "B" in value else value
        for name, value in change["NewImage"].items()
    }
    table.client.put_item(TableName=table.name, Item=item)


@pytest.fixture(scope="module")
def told(here: Here) -> list[dict[str, Any]]:
    """What the consumer makes of the records that were kept."""
    records = [json.loads(line) for line in (FOLDER / "records.jsonl").read_text().splitlines()]
    for feature in CATALOG:
        here.service.catalogs.create_feature(SANDBOX, feature)
    module: Any = sys.modules["functions.usage_events.app"]
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tollgate.runtime.clock", lambda: NOW)
        for batch in batches(records):
            sent = Sent()
            patch.setattr(module, "_events", sent)
            patch.setattr(module, "_queue", sent)
            patch.setattr(module._due_times, "_send", sent.send_later)
            for record in batch:
                write(here, record)
            here.handlers["usage_events"]({"Records": batch}, CONTEXT)
            # Lanes go to the bus side by side; test_usage_events.py holds the order within one.
            found.append({"entries": sorted(sent.entries, key=lambda one: one["Detail"]), "messages": sent.messages})
    items = here.service.table.client.scan(TableName=here.service.table.name)["Items"]
    written = [item for item in items if item["pk"]["S"].split("#")[1] in WRITTEN]
    return [*found, *sorted(written, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))]


def test_what_the_consumer_tells_and_writes_is_as_it_was(told: list[dict[str, Any]], request: Any) -> None:
    file = FOLDER / "told.jsonl"
    lines = [json.dumps(one, sort_keys=True) for one in told]
    if request.config.getoption("--write-recorded", default=False):
        file.write_text("\n".join([*lines, ""]))
    expected = file.read_text().splitlines()
    for number, (line, was) in enumerate(zip(lines, expected, strict=True)):
        assert line == was, f"line {number + 1}"


def test_every_entry_is_as_its_model_says(told: list[dict[str, Any]]) -> None:
    entries = [entry for one in told for entry in one.get("entries", ())]
    kinds = {entry["DetailType"] for entry in entries}
    wanted = {kind for kind in MODELS if kind.split(".")[0] in ("usage", "balance", "reservation")}
    assert kinds >= {kind for kind in wanted if ".top_up_" not in kind}  # of those: tests/handlers/test_top_ups.py
    for entry in entries:
        detail = loads(entry["Detail"])
        known = TypeAdapter(MODELS[entry["DetailType"]]).validate_python(detail)
        assert known == detail  # what its shape does not name is not in `known`
