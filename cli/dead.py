"""What was given up on, and sending it again: `dead-letters list` and `redrive`.

Three kinds of letters: a message of the usage queue (with its reason, or moved aside by the queue after five deliveries), a
stream record that could not be read (with its reason), and a note of Lambda's that it gave up on records of the stream.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import botocore.session


class Kind(StrEnum):
    USAGE = "usage"
    RECORD = "record"
    BATCH = "stream batch"


@dataclass(frozen=True)
class Letter:
    kind: Kind
    reason: str
    body: str
    """What is to be sent again: a message, a record, or the note of a batch."""
    sent: int
    receipt: str


def letter_of(message: Mapping[str, Any]) -> Letter:
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
        kind, reason = Kind.USAGE, "delivered five times and never settled"
    return Letter(kind, reason, text, sent, message["ReceiptHandle"])


class DeadLetters:
    """The dead-letter queue of one stack; `client` makes AWS clients, `outputs` are the stack's."""

    def __init__(self, client: Callable[[str], Any], outputs: Mapping[str, str]) -> None:
        self._client = client
        self._outputs = outputs
        self._queue = client("sqs")
        self._url = outputs["DeadLetterQueueUrl"]

    def all(self) -> list[Letter]:
        """The letters that are there; each stays, and can be seen again at once."""
        found = list(self._taken(30))
        for letter in found:
            self._queue.change_message_visibility(QueueUrl=self._url, ReceiptHandle=letter.receipt, VisibilityTimeout=0)
        return found

    def redrive(self) -> list[tuple[Letter, str]]:
        """Sends each letter where it came from, and then removes it; (letter, what went wrong or nothing)."""
        done = []
        for letter in self._taken(120):
            try:
                self._again(letter)
            except Exception as error:  # noqa: BLE001 - told to the operator; the letter stays
                done.append((letter, f"{type(error).__name__}: {error}"))
                continue
            self._queue.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt)
            done.append((letter, ""))
        return done

    def _taken(self, seconds: int) -> Iterator[Letter]:
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
            yield from map(letter_of, fresh)

    def _again(self, letter: Letter) -> None:
        if letter.kind is Kind.USAGE:
            self._queue.send_message(QueueUrl=self._outputs["QueueUrl"], MessageBody=letter.body)
        elif letter.kind is Kind.RECORD:
            self._tell([json.loads(letter.body)])
        else:
            self._tell(list(self._records(json.loads(letter.body)["DDBStreamBatchInfo"])))

    def _tell(self, records: list[dict[str, Any]]) -> None:
        """Hands records to the stream's consumer, and waits for its answer."""
        payload = json.dumps({"Records": records, "overtaken": True}).encode()
        answer = self._client("lambda").invoke(FunctionName=self._outputs["UsageEventsFunctionName"], Payload=payload)
        if "FunctionError" in answer:
            raise RuntimeError(answer["Payload"].read().decode()[:500])

    def _records(self, batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The records of a batch, while the stream still has them (a day)."""
        streams = self._client("dynamodbstreams")
        position = streams.get_shard_iterator(
            StreamArn=batch["streamArn"],
            ShardId=batch["shardId"],
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            SequenceNumber=batch["startSequenceNumber"],
        )["ShardIterator"]
        while position:
            page = streams.get_records(ShardIterator=position)
            for record in page["Records"]:
                change = record["dynamodb"]
                change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
                if change["Keys"]["sk"]["S"].startswith(("BALANCE#", "SUBSCRIPTION#", "USE#", "LOCK")):
                    yield _as_json(record)
                if change["SequenceNumber"] == batch["endSequenceNumber"]:
                    return
            position = page.get("NextShardIterator") if page["Records"] else None


def _as_json(value: Any) -> Any:
    """A record as Lambda sends it: binary as base64 text."""
    import base64

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
