"""The stream's consumer: in order, all or nothing for what can be read, and the dead letters for what cannot."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT, sample


class Bus:
    """Stands for EventBridge; refuses the entries whose number is in `refused`."""

    def __init__(self, refused: Sequence[int] = ()) -> None:
        self.refused = set(refused)
        self.entries: list[dict[str, Any]] = []

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - botocore's name
        answers = []
        for entry in Entries:
            number = len(self.entries)
            self.entries.append(entry)
            answers.append(
                {"ErrorCode": "Throttled", "ErrorMessage": "no"} if number in self.refused else {"EventId": "e"}
            )
        return {"Entries": answers, "FailedEntryCount": sum("ErrorCode" in answer for answer in answers)}

    @property
    def values(self) -> list[Any]:
        return [json.loads(entry["Detail"])["value"] for entry in self.entries]


class Letters:
    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803 - botocore's names
        assert QueueUrl
        self.bodies.append(json.loads(MessageBody))


def record(number: int) -> dict[str, Any]:
    """The sample's record as the item's write `number` (from 1), of value `number`."""
    (first,) = sample("usage_events")["Records"]
    change = json.loads(json.dumps(first))
    new = change["dynamodb"]["NewImage"]
    event = json.loads(new["event"]["S"])
    event |= {"id": f"019b76da-a800-7000-8000-{number:012d}", "value": number, "drawn": number}
    new["event"]["S"] = json.dumps(event)
    new["version"]["N"] = str(number)
    return change  # type: ignore[no-any-return]


@pytest.fixture
def consume(here: Here, monkeypatch: pytest.MonkeyPatch) -> Any:
    handler = here.handlers["usage_events"]
    module = sys.modules["functions.usage_events.app"]

    def run(records: list[dict[str, Any]], bus: Bus) -> Letters:
        letters = Letters()
        monkeypatch.setattr(module, "_events", bus)
        monkeypatch.setattr(module, "_queue", letters)
        handler({"Records": records}, CONTEXT)
        return letters

    return run


def test_events_go_out_in_order_in_batches_of_ten(consume: Any) -> None:
    bus = Bus()
    consume([record(number) for number in range(1, 26)], bus)
    assert bus.values == list(range(1, 26))


def test_the_same_record_always_gives_the_same_id_and_others_give_others(consume: Any) -> None:
    first, second = Bus(), Bus()
    for bus in (first, second):
        consume([record(1), record(2)], bus)
    ids = [json.loads(entry["Detail"])["id"] for entry in first.entries + second.entries]
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]


def test_a_refused_entry_fails_the_batch_so_that_it_comes_again(consume: Any) -> None:
    bus = Bus(refused=range(12, 100))
    with pytest.raises(Exception, match="Throttled"):
        consume([record(number) for number in range(1, 26)], bus)
    assert max(bus.values) == 20  # nothing after the batch that failed overtakes it


def test_an_entry_refused_once_is_sent_again_with_all_that_follow_it(consume: Any) -> None:
    bus = Bus(refused=[12])
    consume([record(number) for number in range(1, 26)], bus)
    assert bus.values == [*range(1, 21), *range(13, 21), *range(21, 26)]


@pytest.mark.parametrize(("attribute", "value"), [("rows", {"S": "no JSON"}), ("spent", {"N": "1001"})])
def test_poison_goes_to_the_dead_letters_with_its_reason_and_the_rest_goes_out(
    consume: Any, attribute: str, value: Any
) -> None:
    bad = record(2)
    bad["dynamodb"]["NewImage"][attribute] = value
    bus = Bus()
    letters = consume([record(1), bad, record(3)], bus)
    assert bus.values == [1, 3]
    (letter,) = letters.bodies
    assert letter["reason"]
    assert letter["record"]["dynamodb"]["NewImage"]["version"]["N"] == "2"


@pytest.mark.parametrize("what", ["the same event", "no event yet", "removed", "another item"])
def test_what_is_no_use_sends_nothing(consume: Any, what: str) -> None:
    change = record(2)
    images = change["dynamodb"]
    if what == "the same event":  # a fence, a grant
        images["OldImage"]["event"] = images["NewImage"]["event"]
    elif what == "no event yet":
        del images["NewImage"]["event"]
    elif what == "removed":
        del images["NewImage"]
    else:
        images["Keys"]["sk"]["S"] = "SUBSCRIPTION#sub_1"
    bus = Bus()
    assert consume([change], bus).bodies == []
    assert bus.entries == []
