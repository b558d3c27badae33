"""What was given up on, and sending it again: `dead-letters list` and `redrive`.

Three kinds of letters: a message of the usage queue (with its reason, or moved aside by the queue after five deliveries), a
stream record that could not be read (with its reason), and a note of Lambda's that it gave up on records of the stream.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import botocore.session
from botocore.exceptions import ClientError

from tollgate import runtime
from tollgate.packing import packed
from tollgate.store import keys

LISTED_SECONDS = 30
REDRIVEN_SECONDS = 600
"""How long letters are held: ten are taken at once and sent one after another, and a function has a minute for each."""
READING_SECONDS = 60.0
PAUSE_SECONDS = 0.25
"""Between empty pages: a shard may be read five times a second."""
MOST_BYTES = 4_000_000
"""Of records in one invocation, which takes 6 MB."""
NEWER_PAGES = 10
"""After so many pages in a row without a letter of before the redrive, letters come faster than they can be looked through."""


class Kind(StrEnum):
    """What a dead letter holds: a message of the usage queue, a record of the stream, or the note of a whole batch."""

    USAGE = "usage"
    RECORD = "record"
    BATCH = "stream batch"


@dataclass(frozen=True)
class Letter:
    """A message of the dead letter queue. `sent` is when it came there (epoch ms), `receipt` deletes it."""

    kind: Kind
    reason: str
    body: str
    """What is to be sent again: a message, a record, or the note of a batch."""
    sent: int
    receipt: str


@dataclass(frozen=True)
class Redriven:
    """What a redrive did with each dead letter."""

    sent: list[Letter] = field(default_factory=list)
    failed: list[tuple[Letter, str]] = field(default_factory=list)
    """Those that could not be sent and stay, each with what went wrong."""
    newer: list[Letter] = field(default_factory=list)
    """Those that came since the redrive began, which lets them be: what it sent, given up on again, is among them."""


@dataclass(frozen=True)
class Consumer:
    """A function that reads the stream: what it is sent is what its event source mapping in template.yaml sends it."""

    output: str
    """Of the stack, with the function's name."""
    most: int
    wants: Callable[[Mapping[str, Any]], bool]


def _is_told(record: Mapping[str, Any]) -> bool:
    sk = _sk(record)
    return sk == keys.LOCK or sk.startswith((keys.BALANCE, keys.SUBSCRIPTION, keys.USE))


def _is_new_balance(record: Mapping[str, Any]) -> bool:
    made = "made" in record["dynamodb"].get("OldImage", {})  # by a large change
    return (record["eventName"] == "INSERT" or made) and _sk(record).startswith(keys.BALANCE)


def _sk(record: Mapping[str, Any]) -> str:
    return str(record["dynamodb"]["Keys"]["sk"]["S"])


USAGE_EVENTS = Consumer("UsageEventsFunctionName", 100, _is_told)
WAITING_EVENTS = Consumer("WaitingEventsFunctionName", 10, _is_new_balance)


def letter_of(message: Mapping[str, Any]) -> Letter:
    """The dead letter that an SQS message is."""
    text = message["Body"]
    sent = int(message.get("Attributes", {}).get("SentTimestamp", 0))
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    if "record" in body and "reason" in body:
        kind, reason, text = Kind.RECORD, body["reason"], json.dumps(body["record"])
    elif "message" in body and "reason" in body:
        kind, reason, text = Kind.USAGE, body["reason"], body["message"]
    elif "DDBStreamBatchInfo" in body:
        kind, reason = Kind.BATCH, body.get("requestContext", {}).get("condition", "given up")
    else:
        kind, reason = Kind.USAGE, "delivered five times and never counted"
    return Letter(kind, reason, text, sent, message["ReceiptHandle"])


class DeadLetters:
    """The dead-letter queue of one stack; `client` makes AWS clients, `outputs` are the stack's."""

    def __init__(
        self, client: Callable[[str], Any], outputs: Mapping[str, str], clock: Callable[[], int] = runtime.clock
    ) -> None:
        self._client = client
        self._outputs = outputs
        self._clock = clock
        self._queue = client("sqs")
        self._url = outputs["DeadLetterQueueUrl"]

    def all(self) -> list[Letter]:
        """The letters that are there; each stays, and can be seen again at once."""
        found = [letter for page in self._taken(LISTED_SECONDS) for letter in page]
        self._let_go(found)
        return found

    def redrive(self) -> Redriven:
        """Sends each letter of before now where it came from, and then removes it."""
        began = self._clock()
        done, only_newer = Redriven(), 0
        try:
            for page in self._taken(REDRIVEN_SECONDS):
                older = [letter for letter in page if letter.sent <= began]
                done.newer.extend(letter for letter in page if letter.sent > began)
                for letter in older:
                    try:
                        self._again(letter)
                    except Exception as error:  # noqa: BLE001 - told to the operator; the letter stays
                        done.failed.append((letter, f"{type(error).__name__}: {error}"))
                        continue
                    self._queue.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt)
                    done.sent.append(letter)
                only_newer = 0 if older else only_newer + 1
                if only_newer == NEWER_PAGES:
                    break
        finally:
            self._let_go([*(letter for letter, _ in done.failed), *done.newer])
        return done

    def _taken(self, seconds: int) -> Iterator[list[Letter]]:
        """Page by page, what is there; held for so many seconds."""
        seen: set[str] = set()
        while True:
            messages = self._queue.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=seconds,
                WaitTimeSeconds=1,
                AttributeNames=["SentTimestamp"],
            ).get("Messages", [])
            fresh = [message for message in messages if message["MessageId"] not in seen]
            seen |= {message["MessageId"] for message in fresh}
            if not fresh:
                return
            yield [letter_of(message) for message in fresh]

    def _let_go(self, letters: Iterable[Letter]) -> None:
        for letter in letters:
            try:
                self._queue.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=letter.receipt, VisibilityTimeout=0
                )
            except ClientError as error:
                # Held for so long that it is no longer: it can be seen already. SQS has two answers to this.
                if not error.response["Error"]["Code"].endswith(("MessageNotInflight", "InvalidParameterValue")):
                    raise

    def _again(self, letter: Letter) -> None:
        if letter.kind is Kind.USAGE:
            self._queue.send_message(QueueUrl=self._outputs["QueueUrl"], MessageBody=letter.body)
        elif letter.kind is Kind.RECORD:
            self._tell(self._outputs[USAGE_EVENTS.output], USAGE_EVENTS, [json.loads(letter.body)])
        else:
            note = json.loads(letter.body)
            function, consumer = self._reader(note["requestContext"]["functionArn"])
            records = [record for record in self._records(note["DDBStreamBatchInfo"]) if consumer.wants(record)]
            self._tell(function, consumer, records)

    def _reader(self, arn: str) -> tuple[str, Consumer]:
        """What to invoke for a note that names this function, and as whom."""
        parts = arn.split(":")  # arn:aws:lambda:<region>:<account>:function:<name>, and perhaps an alias or version
        name, qualifier = parts[6], parts[7:]
        if qualifier and qualifier[0].isdigit():
            # The alias may have been resolved to its version, which is the one that failed, and goes with the next deploy.
            arn = arn.removesuffix(f":{qualifier[0]}")
        for consumer in (USAGE_EVENTS, WAITING_EVENTS):
            if name == self._outputs[consumer.output]:
                return arn, consumer
        raise RuntimeError(f"{name} is no function of this stack that reads the stream")

    def _tell(self, function: str, consumer: Consumer, records: Iterable[dict[str, Any]]) -> None:
        """Hands records to a consumer of the stream, in order, and waits for its answers."""
        for part in packed(records, consumer.most, _size, MOST_BYTES):
            payload = json.dumps({"Records": part, "overtaken": True}).encode()
            answer = self._client("lambda").invoke(FunctionName=function, Payload=payload)
            if "FunctionError" in answer:
                raise RuntimeError(answer["Payload"].read().decode()[:500])

    def _records(self, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The records of a batch, and what lies between them, while the stream still has all of them (a day)."""
        streams = self._client("dynamodbstreams")
        first, last = batch["startSequenceNumber"], batch["endSequenceNumber"]
        position = streams.get_shard_iterator(
            StreamArn=batch["streamArn"],
            ShardId=batch["shardId"],
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            SequenceNumber=first,
        )["ShardIterator"]
        found: list[dict[str, Any]] = []
        until = time.monotonic() + READING_SECONDS
        while position:
            page = streams.get_records(ShardIterator=position)
            for record in page["Records"]:
                change = record["dynamodb"]
                if not found and change["SequenceNumber"] != first:
                    raise RuntimeError(f"the stream no longer has the batch's first record, {first}")
                change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
                found.append(_as_json(record))
                if change["SequenceNumber"] == last:
                    return found
            if time.monotonic() > until:
                raise TimeoutError(f"{READING_SECONDS:.0f} seconds of reading the stream did not reach {last}")
            if not page["Records"]:
                # Nothing here is not the end: the shard goes on as long as there is a next iterator.
                time.sleep(PAUSE_SECONDS)
            position = page.get("NextShardIterator")
        raise RuntimeError(f"the shard ends before the batch's last record, {last}")


def _size(record: Mapping[str, Any]) -> int:
    return len(json.dumps(record)) + 2  # and what joins it to the next


def _as_json(value: Any) -> Any:
    """A record as Lambda sends it: binary as base64 text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _as_json(one) for name, one in value.items()}
    return [_as_json(one) for one in value] if isinstance(value, list) else value


def of_environment(current: Callable[[], Any]) -> DeadLetters:
    """Of the stack that TOLLGATE_STACK names in the account of your credentials, else of the local one."""
    if name := os.environ.get("TOLLGATE_STACK"):
        session = botocore.session.get_session()

        def client(service: str) -> Any:
            return session.create_client(service)

        stack = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        return DeadLetters(client, {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]})
    running = current()
    return DeadLetters(running.client, running.outputs)
