"""What was given up on goes back where it came from, all of it or the letter stays; and a redrive ends."""

from __future__ import annotations

import copy
import io
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from tollgate_cli import dead
from tollgate_cli.__main__ import app

BEGAN = 1_767_225_600_000
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:"
OUTPUTS = {
    "DeadLetterQueueUrl": "dead",
    "QueueUrl": "usage",
    "UsageEventsFunctionName": "stack-UsageEvents",
    "WaitingEventsFunctionName": "stack-WaitingEvents",
}


class Queue:
    """Stands for SQS: the dead letters, of which one received is held until it is let go, and what the usage queue got."""

    def __init__(self) -> None:
        self.there: dict[str, tuple[str, int]] = {}
        self.held: set[str] = set()
        self.lapsed: dict[str, str] = {}
        self.sent: list[str] = []
        self.pages = 0
        self.on_page: Callable[[], None] = lambda: None
        self._ids = itertools.count()

    def put(self, body: Any, sent: int = BEGAN) -> None:
        self.there[f"m{next(self._ids)}"] = body if isinstance(body, str) else json.dumps(body), sent

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for body, _ in self.there.values()]

    def receive_message(self, **request: Any) -> dict[str, Any]:
        self.pages += 1
        assert self.pages < 100, "it never ends"
        self.on_page()
        ids = [id for id in self.there if id not in self.held][: request["MaxNumberOfMessages"]]
        self.held |= set(ids)
        return {
            "Messages": [
                {
                    "MessageId": id,
                    "ReceiptHandle": id,
                    "Body": self.there[id][0],
                    "Attributes": {"SentTimestamp": str(self.there[id][1])},
                }
                for id in ids
            ]
        }

    def change_message_visibility(self, **request: Any) -> None:
        if code := self.lapsed.get(request["ReceiptHandle"]):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "ChangeMessageVisibility")
        self.held.remove(request["ReceiptHandle"])

    def delete_message(self, **request: Any) -> None:
        del self.there[request["ReceiptHandle"]]
        self.held.remove(request["ReceiptHandle"])

    def send_message(self, **request: Any) -> None:
        assert request["QueueUrl"] == "usage"
        self.sent.append(request["MessageBody"])


class Functions:
    """Stands for Lambda."""

    def __init__(self) -> None:
        self.invoked: list[tuple[str, dict[str, Any]]] = []
        self.sizes: list[int] = []
        self.then: Callable[[list[dict[str, Any]]], None] = lambda _: None
        self.broken = False

    def invoke(self, **request: Any) -> dict[str, Any]:
        event = json.loads(request["Payload"])
        self.invoked.append((request["FunctionName"], event))
        self.sizes.append(len(request["Payload"]))
        self.then(event["Records"])
        return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b"broken")} if self.broken else {}

    @property
    def numbers(self) -> list[list[str]]:
        """The sequence numbers of the records, by invocation."""
        return [[record["dynamodb"]["SequenceNumber"] for record in event["Records"]] for _, event in self.invoked]


class Stream:
    """Stands for DynamoDB's stream, of one shard; an iterator is the number of a page. An open shard has empty pages after
    its last."""

    def __init__(self, *pages: list[dict[str, Any]], open: bool = True) -> None:
        self.pages = pages
        self.open = open
        self.asked: dict[str, Any] = {}

    def get_shard_iterator(self, **request: Any) -> dict[str, Any]:
        self.asked = request
        return {"ShardIterator": "0"}

    def get_records(self, ShardIterator: str) -> dict[str, Any]:  # noqa: N803 - botocore's name
        number = int(ShardIterator)
        records = copy.deepcopy(self.pages[number]) if number < len(self.pages) else []
        more = self.open or number + 1 < len(self.pages)
        return {"Records": records, **({"NextShardIterator": str(number + 1)} if more else {})}


def record(number: int, sk: str = "BALANCE#messages#", event: str = "MODIFY", size: int = 0) -> dict[str, Any]:
    """As botocore reads it of the stream."""
    return {
        "eventName": event,
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": datetime.fromtimestamp(BEGAN / 1000, UTC),
            "Keys": {"pk": {"S": "sandbox#customer#c1"}, "sk": {"S": sk}},
            "SequenceNumber": str(number),
            "NewImage": {"held": {"B": b"\x00\xff"}, "data": {"S": "x" * size}},
        },
    }


def note(first: int, last: int, function: str = "stack-UsageEvents:live") -> dict[str, Any]:
    """What Lambda sends when it gives up on a batch."""
    return {
        "requestContext": {
            "requestId": "r",
            "functionArn": FUNCTION + function,
            "condition": "MaxRecordAgeExceeded",
            "approximateInvokeCount": 3,
        },
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "shardId": "shard",
            "startSequenceNumber": str(first),
            "endSequenceNumber": str(last),
            "batchSize": 2,
            "streamArn": "stream",
        },
    }


class Here:
    def __init__(self) -> None:
        self.queue, self.functions, self.stream = Queue(), Functions(), Stream()

    @property
    def letters(self) -> dead.DeadLetters:
        clients = {"sqs": self.queue, "lambda": self.functions, "dynamodbstreams": self.stream}
        return dead.DeadLetters(clients.__getitem__, OUTPUTS, lambda: BEGAN)

    def redrive(self) -> dead.Redriven:
        return self.letters.redrive()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setattr(dead, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(dead, "READING_SECONDS", 0.1)
    return Here()


def test_a_message_goes_to_the_usage_queue_and_a_record_to_the_consumer_of_records(here: Here) -> None:
    here.queue.put({"reason": "NotFound", "message": "the message"})
    here.queue.put({"reason": "KeyError", "record": {"dynamodb": {"SequenceNumber": "5"}}})
    done = here.redrive()
    assert (len(done.sent), done.failed, done.newer) == (2, [], [])
    assert here.queue.sent == ["the message"]
    event = {"Records": [{"dynamodb": {"SequenceNumber": "5"}}], "overtaken": True}
    assert here.functions.invoked == [("stack-UsageEvents", event)]
    assert here.queue.there == {}


STREAMED = [
    record(1, event="INSERT"),
    record(2),
    record(3, "USE#messages#"),
    record(4, "LOCK"),
    record(5, "SUBSCRIPTION#s"),
    record(6, "LOCKS#"),
    record(7, "CUSTOMER", event="INSERT"),
    record(8, event="INSERT"),
    record(9),
]


@pytest.mark.parametrize(
    ("named", "invoked", "wanted"),
    [
        ("stack-UsageEvents:live", "stack-UsageEvents:live", ["1", "2", "3", "4", "5", "8"]),
        ("stack-UsageEvents", "stack-UsageEvents", ["1", "2", "3", "4", "5", "8"]),
        ("stack-WaitingEvents:live", "stack-WaitingEvents:live", ["1", "8"]),
        ("stack-WaitingEvents:$LATEST", "stack-WaitingEvents:$LATEST", ["1", "8"]),
        (
            "stack-WaitingEvents:12",
            "stack-WaitingEvents",
            ["1", "8"],
        ),  # a version is gone after the deploy that mends it
    ],
)
def test_a_batch_goes_to_the_function_that_gave_it_up_with_the_records_that_it_reads(
    here: Here, named: str, invoked: str, wanted: list[str]
) -> None:
    here.stream = Stream(STREAMED)
    here.queue.put(note(1, 8, named))
    assert len(here.redrive().sent) == 1
    ((function, event),) = here.functions.invoked
    assert function == FUNCTION + invoked
    assert event["overtaken"] is True
    assert here.functions.numbers == [wanted]
    assert here.stream.asked["SequenceNumber"] == "1"
    assert event["Records"][0]["dynamodb"]["ApproximateCreationDateTime"] == BEGAN / 1000
    assert event["Records"][0]["dynamodb"]["NewImage"]["held"] == {"B": "AP8="}


def test_a_batch_of_a_function_that_reads_no_stream_stays(here: Here) -> None:
    here.stream = Stream(STREAMED)
    here.queue.put(note(1, 8, "stack-Check:live"))
    ((_, problem),) = here.redrive().failed
    assert "stack-Check is no function of this stack that reads the stream" in problem
    assert here.functions.invoked == []
    assert len(here.queue.there) == 1


def test_a_batch_is_read_through_empty_pages(here: Here) -> None:
    here.stream = Stream([], [record(1)], [], [], [record(2), record(3)])
    here.queue.put(note(1, 2))
    assert len(here.redrive().sent) == 1
    assert here.functions.numbers == [["1", "2"]]


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (Stream(), "0 seconds of reading the stream did not reach 3"),
        (Stream([record(1)], [record(2)]), "0 seconds of reading the stream did not reach 3"),
        (Stream([record(1), record(2)], open=False), "the shard ends before the batch's last record, 3"),
        (Stream([record(2), record(3)]), "the stream no longer has the batch's first record, 1"),
    ],
)
def test_a_batch_that_cannot_be_read_whole_stays_and_nothing_of_it_is_sent(
    here: Here, stream: Stream, problem: str
) -> None:
    here.stream = stream
    here.queue.put(note(1, 3))
    done = here.redrive()
    assert done.sent == []
    assert [told.partition(": ")[2] for _, told in done.failed] == [problem]
    assert here.functions.invoked == []
    assert here.queue.bodies == [note(1, 3)]
    assert here.queue.held == set()  # the operator can list it at once


def test_a_batch_that_the_function_refuses_stays(here: Here) -> None:
    here.stream = Stream([record(1), record(2)])
    here.functions.broken = True
    here.queue.put(note(1, 2))
    assert [told for _, told in here.redrive().failed] == ["RuntimeError: broken"]
    assert len(here.queue.there) == 1


@pytest.mark.parametrize(("function", "most"), [("stack-UsageEvents", 100), ("stack-WaitingEvents", 10)])
def test_a_batch_goes_in_parts_no_longer_than_what_the_stream_sends_in_order(
    here: Here, function: str, most: int
) -> None:
    here.stream = Stream([record(number, event="INSERT") for number in range(250)])
    here.queue.put(note(0, 249, function))
    assert len(here.redrive().sent) == 1
    assert [number for part in here.functions.numbers for number in part] == [str(number) for number in range(250)]
    assert max(map(len, here.functions.numbers)) == most
    assert all(event["overtaken"] for _, event in here.functions.invoked)


def test_a_batch_goes_in_parts_that_an_invocation_takes(here: Here) -> None:
    here.stream = Stream([record(number, size=700_000) for number in range(12)])
    here.queue.put(note(0, 11))
    assert len(here.redrive().sent) == 1
    assert [number for part in here.functions.numbers for number in part] == [str(number) for number in range(12)]
    assert 3_000_000 < max(here.functions.sizes) < 4_001_000


def unreadable_still(here: Here) -> None:
    """The consumer puts each record that it is sent among the letters again."""

    def put_again(records: list[dict[str, Any]]) -> None:
        for one in records:
            here.queue.put({"reason": "KeyError: 'version'", "record": one}, sent=BEGAN + 1)

    here.functions.then = put_again


def test_what_comes_back_is_told_and_not_taken_again(here: Here) -> None:
    unreadable_still(here)
    for number in range(25):
        here.queue.put({"reason": "KeyError", "record": {"dynamodb": {"SequenceNumber": str(number)}}})
    done = here.redrive()
    assert (len(done.sent), done.failed, len(done.newer)) == (25, [], 25)
    assert len(here.functions.invoked) == len(here.queue.there) == 25
    assert here.queue.held == set()


def test_letters_that_come_faster_than_they_can_be_looked_through_do_not_keep_it(here: Here) -> None:
    def pour() -> None:
        for _ in range(10):
            here.queue.put({"reason": "NotFound", "message": "new"}, sent=BEGAN + 1)

    here.queue.put({"reason": "NotFound", "message": "old"})
    here.queue.on_page = pour
    assert len(here.redrive().sent) == 1
    assert here.queue.sent == ["old"]


@pytest.mark.parametrize("code", ["AWS.SimpleQueueService.MessageNotInflight", "InvalidParameterValue"])
def test_a_letter_whose_hold_has_lapsed_is_told_as_any_other(here: Here, code: str) -> None:
    here.queue.put({"reason": "NotFound", "message": "new"}, sent=BEGAN + 1)
    here.queue.lapsed = dict.fromkeys(here.queue.there, code)
    assert len(here.redrive().newer) == 1


@pytest.mark.parametrize("again", [True, False])
def test_the_command_says_what_came_back_and_fails(here: Here, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    if again:
        unreadable_still(here)
    monkeypatch.setattr(dead, "of_environment", lambda _: here.letters)
    here.queue.put({"reason": "KeyError", "record": {"dynamodb": {"SequenceNumber": "1"}}})
    result = CliRunner().invoke(app, ["dead-letters", "redrive"])
    told = "record: KeyError: 'version'\nCame meanwhile, given up on again or new, and not sent: 1.\n" if again else ""
    assert (result.output, result.exit_code) == (f"Sent 1 of 1 again.\n{told}", int(again))
