"""The processes that read what the operations leave: the table's stream, and the usage queue.

    python -m tests.soak.consumers RUN_DIRECTORY stream-0|stream-1|queue

Each hands batches to its function as Lambda does: at least once, in the stream's order, halved after an error. How far the
stream was read is written down after each batch, so that one that was killed comes again.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from tests.conftest import session
from tests.soak.stage import CONTEXT, WHO, Functions, Handler, Stage
from tollgate.domain.errors import TollgateError
from tollgate_cli.servers import ROOT

PAGE = 1_000  # records of the stream that one request reads
BATCH = 250  # records that the function is given at a time, as in template.yaml
MESSAGES = 10
LANES = 2
CONSUMERS = ("queue", *(f"stream-{lane}" for lane in range(LANES)))
_PASSING = (BotoCoreError, ClientError, httpx.TransportError)


def handed_over(handler: Handler, records: Sequence[Mapping[str, Any]], who: str) -> None:
    """Gives a batch to the stream's function, until it takes it whole; halved after each error."""
    for number in range(1000):
        WHO.name, WHO.sent = f"{who}.{number}", 0
        try:
            handler({"Records": records}, CONTEXT)
            return
        except Exception as error:  # noqa: BLE001 - Lambda sends a batch again whatever was raised
            if not isinstance(error, TollgateError) and type(error).__module__ != "tollgate.aws.connections":
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            if len(records) > 1:
                middle = len(records) // 2
                handed_over(handler, records[:middle], f"{who}a")
                handed_over(handler, records[middle:], f"{who}b")
                return
        finally:
            WHO.name = ""
    raise RuntimeError(f"a record is not taken: {records[0]}")


class Idle:
    """Says in `<name>.idle` for how many seconds a consumer has found nothing to do; there is no file while it has."""

    def __init__(self, run: Path, name: str) -> None:
        self._file = run / f"{name}.idle"
        self._since = time.monotonic()

    def works(self) -> None:
        self._since = time.monotonic()
        self._file.unlink(missing_ok=True)

    def rests(self, seconds: float) -> None:
        self._file.write_text(str(time.monotonic() - self._since))
        time.sleep(seconds)


class Stream:
    """The table's stream, from where it was last read on."""

    def __init__(self, stage: Stage, lane: int) -> None:
        self._stage = stage
        self._client: Any = session().create_client(
            "dynamodbstreams",
            endpoint_url=stage.database,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        self._saved = stage.run / f"stream-{lane}.json"
        self.read: dict[str, Any] = {"finished": [], "shard": "", "sequence": "", "records": 0}
        if self._saved.exists():
            self.read = json.loads(self._saved.read_text())
        self._iterator = ""

    def next(self) -> list[dict[str, Any]]:
        """The next records in order, as Lambda sends them; none where there are none yet."""
        if not self._iterator and not self._opened():
            return []
        try:
            page = self._client.get_records(ShardIterator=self._iterator, Limit=PAGE)
        except _PASSING:
            self._iterator = ""
            raise
        self._iterator = page.get("NextShardIterator") or ""
        if not page["Records"] and not self._iterator:
            self.read["finished"].append(self.read["shard"])
            self.read |= {"shard": "", "sequence": ""}
        return [_as_lambda_sends(record) for record in page["Records"]]

    def taken(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes down that these were taken."""
        self.read["sequence"] = records[-1]["dynamodb"]["SequenceNumber"]
        self.read["records"] += len(records)
        new = self._saved.with_suffix(".new")
        new.write_text(json.dumps(self.read))
        os.replace(new, self._saved)

    def _opened(self) -> bool:
        (stream,) = self._client.list_streams(TableName=self._stage.table)["Streams"]
        arn = stream["StreamArn"]
        shards = self._client.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        if not self.read["shard"]:
            left = [shard["ShardId"] for shard in shards if shard["ShardId"] not in self.read["finished"]]
            if not left:
                return False
            self.read |= {"shard": left[0], "sequence": ""}
        where = {"ShardIteratorType": "TRIM_HORIZON"}
        if self.read["sequence"]:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self.read["sequence"]}
        found = self._client.get_shard_iterator(StreamArn=arn, ShardId=self.read["shard"], **where)
        self._iterator = found["ShardIterator"]
        return True


def _as_lambda_sends(record: dict[str, Any]) -> dict[str, Any]:
    at = record["dynamodb"]["ApproximateCreationDateTime"].timestamp()
    return {**record, "dynamodb": {**record["dynamodb"], "ApproximateCreationDateTime": at}}


def is_of(record: Mapping[str, Any], lane: int) -> bool:
    """Whether a record is of this lane: those of one partition key are of one, so that they stay in order."""
    return crc32(record["dynamodb"]["Keys"]["pk"]["S"].encode()) % LANES == lane


def patterns() -> list[Any]:
    """What the stream's function is sent, as template.yaml says: filters of EventBridge's."""
    source = (ROOT / "template.yaml").read_text().partition("!Ref UsageEventsFunction.Alias\n")[2].partition("\n\n")[0]
    return [json.loads(found) for found in re.findall(r"- Pattern: '(.*)'", source)]


def matches(pattern: Any, record: Any) -> bool:
    """Whether a record has all that a filter names: of each field one of the values, or a text that begins so."""
    if isinstance(pattern, dict):
        return isinstance(record, dict) and all(
            name in record and matches(pattern[name], record[name]) for name in pattern
        )
    return any(record.startswith(one["prefix"]) if isinstance(one, dict) else record == one for one in pattern)


def read_stream(stage: Stage, lane: int) -> None:
    """Consumes one lane of the stream for good, as one of the functions that Lambda runs side by side."""
    handler = Functions(stage).handler("usage_events")
    stream, idle, wanted = Stream(stage, lane), Idle(stage.run, f"stream-{lane}"), patterns()
    assert wanted
    while True:
        try:
            records = stream.next()
        except _PASSING:
            idle.works()
            time.sleep(0.2)
            continue
        if records:
            idle.works()
            own = [r for r in records if is_of(r, lane) and any(matches(pattern, r) for pattern in wanted)]
            for start in range(0, len(own), BATCH):
                batch = own[start : start + BATCH]
                handed_over(handler, batch, f"stream/{batch[0]['dynamodb']['SequenceNumber']}/{os.getpid()}")
            stream.taken(records)
        else:
            idle.rests(0.05)


def ask(client: httpx.Client, operation: str, **request: Any) -> Any:
    """The proxy's answer to a request of ours, which meets no fault."""
    answer = client.post("/", json=request, headers={"x-amz-target": f"AmazonSQS.{operation}"})
    return answer.raise_for_status().json()


def read_queue(stage: Stage) -> None:
    """Consumes the usage queue for good."""
    handler, idle = Functions(stage).handler("usage_queue"), Idle(stage.run, "queue")
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=60) as client:
        while True:
            found = ask(client, "ReceiveMessage", most=MESSAGES)["messages"]
            if not found:
                idle.rests(0.1)
                continue
            idle.works()
            records = [
                {
                    "messageId": one["id"],
                    "body": one["body"],
                    "attributes": {"ApproximateReceiveCount": str(min(one["receives"], 3))},
                }
                for one in found
            ]
            WHO.name, WHO.sent = f"queue/{found[0]['id']}/{found[0]['receives']}", 0
            again = {failed["itemIdentifier"] for failed in handler({"Records": records}, CONTEXT)["batchItemFailures"]}
            WHO.name = ""
            ask(client, "DeleteMessages", ids=[one["id"] for one in found if one["id"] not in again])


if __name__ == "__main__":
    what, _, number = sys.argv[2].partition("-")
    found = Stage.load(Path(sys.argv[1]))
    if what == "stream":
        read_stream(found, int(number))
    else:
        read_queue(found)
