"""Usage in through EventBridge and out again, while answers are lost, requests are throttled and functions are killed:
balances, history and events agree to the unit, and nothing is left over."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_for
from tests.e2e.fixture import new
from tollgate_cli.api import Api
from tollgate_cli.dead import DeadLetters
from tollgate_cli.servers import Server, microburst, set_rules
from tollgate_cli.stack import NAME, RECORD, Stack

EVENTS = 1000
CUSTOMERS = 4
DUPLICATES = EVENTS // 10
WITHIN = 90.0

LOST = {"response": {"abort_frac": 0.0}}
THROTTLED = {"error": {"code": "ProvisionedThroughputExceededException"}}
FAULTS = [
    {"service": "dynamodb", "operation": "TransactWriteItems", "probability": 0.03, **LOST},
    {"service": "dynamodb", "operation": "TransactWriteItems", "probability": 0.03, **THROTTLED},
    {"service": "dynamodb", "operation": "BatchWriteItem", "probability": 0.03, **LOST},
    {"service": "dynamodb", "operation": "UpdateItem", "probability": 0.05, **LOST},
    {"service": "dynamodb", "operation": "UpdateItem", "probability": 0.05, **THROTTLED},
    {"service": "dynamodb", "operation": "BatchGetItem", "probability": 0.03, **THROTTLED},
    {"service": "events", "operation": "PutEvents", "probability": 0.02, **LOST},
]


def function_name(stack: Stack, part: str) -> str:
    functions = stack.client("lambda").get_paginator("list_functions").paginate()
    (name,) = (
        f["FunctionName"]
        for page in functions
        for f in page["Functions"]
        if f["FunctionName"].startswith(f"{NAME}-{part}")
    )
    return str(name)


@contextmanager
def through(stack: Stack, names: Sequence[str], endpoint: str) -> Iterator[None]:
    """The functions reach AWS through another endpoint meanwhile: by a version of their own."""
    client = stack.client("lambda")
    before = {}
    for name in names:
        before[name] = client.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
        variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        variables = variables | {"TOLLGATE_ENDPOINT_URL": endpoint}
        client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        version = client.publish_version(FunctionName=name)["Version"]
        client.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
    try:
        yield
    finally:
        for name, version in before.items():
            client.update_alias(FunctionName=name, Name="live", FunctionVersion=version)


def workers(stack: Stack, name: str) -> list[int]:
    """The processes in which the emulator runs this function now."""
    emulator = json.loads((stack.state / RECORD).read_text())["pid"]
    found = []
    for task in Path(f"/proc/{emulator}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in children:
            try:
                environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"AWS_LAMBDA_FUNCTION_NAME={name}".encode() in environment:
                found.append(int(child))
    return found


def kill(stack: Stack, name: str) -> int:
    """Kills the processes that run a function, wherever they are in their work; says how many."""
    running = workers(stack, name)
    for process in running[:1]:
        os.kill(process, signal.SIGKILL)
    return len(running[:1])


@contextmanager
def two_at_a_time(stack: Stack, function: str) -> Iterator[None]:
    """The queue's messages are taken by two at once: this machine would only start ten processes."""
    client = stack.client("lambda")
    mappings = client.list_event_source_mappings()["EventSourceMappings"]
    (mapping,) = (m for m in mappings if function in m["FunctionArn"] and ":sqs:" in m["EventSourceArn"])
    before = mapping.get("ScalingConfig", {})
    client.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": 2})
    try:
        yield
    finally:
        client.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig=before)


@contextmanager
def impatient(stack: Stack, seconds: int) -> Iterator[None]:
    """The usage queue delivers again what a killed function had after so many seconds, not after two minutes."""
    queues, url = stack.client("sqs"), stack.outputs["QueueUrl"]
    name = "VisibilityTimeout"
    before = queues.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]
    queues.set_queue_attributes(QueueUrl=url, Attributes={name: str(seconds)})
    try:
        yield
    finally:
        queues.set_queue_attributes(QueueUrl=url, Attributes={name: before})


class Listener:
    """A queue with a copy of every event of Tollgate's whose customer's id starts with a prefix."""

    def __init__(self, stack: Stack, prefix: str) -> None:
        self._queues = stack.client("sqs")
        self.url = self._queues.create_queue(QueueName=prefix)["QueueUrl"]
        arn = self._queues.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        pattern = {"source": ["tollgate"], "detail": {"customer_id": [{"prefix": prefix}]}}
        events, bus = stack.client("events"), stack.outputs["BusName"]
        events.put_rule(Name=prefix, EventBusName=bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=prefix, EventBusName=bus, Targets=[{"Id": "test", "Arn": arn}])
        self.events: dict[str, tuple[str, dict[str, Any]]] = {}  # by their own id: delivery is at least once
        self.received = 0

    def take(self) -> None:
        """Takes what is there."""
        while True:
            messages = self._queues.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return
            for message in messages:
                envelope = json.loads(message["Body"])
                self.events[envelope["detail"]["id"]] = envelope["detail-type"], envelope["detail"]
            self.received += len(messages)
            entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
            self._queues.delete_message_batch(QueueUrl=self.url, Entries=entries)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [detail for found, detail in self.events.values() if found == kind]


def put(stack: Stack, details: Sequence[dict[str, Any]], source: str = "shop") -> None:
    """Reports usage on the bus, ten events a request."""
    bus, events = stack.outputs["BusName"], stack.client("events")
    batches = [details[start : start + 10] for start in range(0, len(details), 10)]

    def send(batch: Sequence[dict[str, Any]]) -> None:
        entries = [
            {"Source": source, "DetailType": "usage.reported", "EventBusName": bus, "Detail": json.dumps(detail)}
            for detail in batch
        ]
        assert events.put_events(Entries=entries)["FailedEntryCount"] == 0

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(send, batches))


def depth(stack: Stack, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


@pytest.fixture(scope="module")
def proxy(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with microburst(stack.endpoint, [], tmp_path_factory.mktemp("delivery") / "microburst.log") as running:
        yield running


def test_1000_events_in_and_out_agree_to_the_unit(stack: Stack, proxy: Server) -> None:
    api = Api(stack.url, stack.secret_key)
    prefix = new("flow")
    names = [f"{prefix}-{number}" for number in range(CUSTOMERS)]
    for name in names:
        api.call("customers.get_or_create", {"customer_id": name})
        body = {
            "customer_id": name,
            "feature_id": "messages",
            "included_grant": 1_000_000,
            "reset": {"interval": "month"},
        }
        api.call("balances.create", body)
    chosen = random.Random(7)
    values: dict[str, dict[str, int]] = defaultdict(dict)
    details = []
    for number in range(EVENTS):
        name, value = names[number // 100 % CUSTOMERS], chosen.randint(1, 9)  # bursts of one customer
        values[name][f"shop:{prefix}-e{number}"] = value
        detail = {"environment": "sandbox", "customer_id": name, "feature_id": "messages", "value": value}
        details.append({**detail, "id": f"{prefix}-e{number}", "properties": {"model": f"m{value % 3}"}})
    details += chosen.sample(details, DUPLICATES)
    listener = Listener(stack, prefix)
    functions = [function_name(stack, part) for part in ("UsageQueueFunction", "UsageEventsFunction")]
    usage_queue, usage_events = functions
    victims = [
        (EVENTS * share // 10, name)
        for share, name in ((1, usage_events), (3, usage_queue), (5, usage_events), (7, usage_queue))
    ]
    killed = 0
    waiting = depth(stack, stack.outputs["QueueUrl"])  # what other tests left: it is tried for ten minutes
    start = time.monotonic()
    with through(stack, functions, proxy.url), impatient(stack, 6), two_at_a_time(stack, usage_queue):
        set_rules(proxy, FAULTS)
        put(stack, details)

        def out() -> bool:
            nonlocal killed
            listener.take()
            done = len(listener.of("usage.recorded"))
            if victims and done >= victims[0][0]:
                killed += kill(stack, victims.pop(0)[1])
            return done >= EVENTS

        wait_for(out, WITHIN, f"{EVENTS} events out")
        set_rules(proxy, [])
        wait_for(lambda: depth(stack, stack.outputs["QueueUrl"]) <= waiting, 60, "no more in the usage queue")
        listener.take()
    seconds = time.monotonic() - start
    fired = proxy_fired(proxy)
    recorded = listener.of("usage.recorded")
    print(f"{seconds:.1f} s, {killed} killed, faults {fired}, {listener.received} events received")
    assert killed > 0
    assert fired > 0
    assert len({event["cause"]["id"] for event in recorded}) == EVENTS
    for name in names:
        mine = [event for event in recorded if event["customer_id"] == name]
        assert {event["cause"]["id"]: event["value"] for event in mine} == values[name]
        total = sum(values[name].values())
        balance = api.call("balances.check", {"customer_id": name, "feature_id": "messages"})["balance"]
        assert (balance["usage"], 1_000_000 - balance["remaining"]) == (total, total)
        assert sum(event["deducted"] for event in mine) == total
        assert sum(moved["value"] for event in mine for moved in event["deductions"]) == total
    wait_for(lambda: history_of(api, names[0])["count"] == len(values[names[0]]), 10, "the history")
    for name in names:
        assert history_of(api, name) == {"count": len(values[name]), "sum": sum(values[name].values())}
    body = {"feature_id": "messages", "customer_id": names[0], "range": "24h", "group_by": "properties.model"}
    grouped: Counter[str] = Counter()
    for bin in api.call("events.aggregate", body)["list"]:
        grouped.update(bin["grouped_values"]["messages"])
    expected: Counter[str] = Counter()
    for value in values[names[0]].values():
        expected[f"m{value % 3}"] += value
    assert grouped == expected
    listed = api.call("events.list", {"customer_id": names[1], "limit": 5000})
    assert {event["id"]: event["value"] for event in listed["list"]} == values[names[1]]
    letters = DeadLetters(stack.client, stack.outputs).all()  # what other tests left may still come to its end here
    assert [letter for letter in letters if prefix in letter.body] == []


def history_of(api: Api, name: str) -> Any:
    body = {"feature_id": "messages", "customer_id": name, "range": "24h"}
    return api.call("events.aggregate", body)["total"]["messages"]


def proxy_fired(proxy: Server) -> int:
    """How many requests the proxy broke."""
    import httpx

    answer = httpx.get(f"{proxy.url}/_microburst/fired", trust_env=False).json()
    return len(answer) if isinstance(answer, list) else sum(v for v in answer.values() if isinstance(v, int))


def test_a_reported_use_of_what_is_not_there_waits_among_the_dead_letters_until_it_is_sent_again(stack: Stack) -> None:
    """The whole way of a mistake: the reason is told, the feature is made, and the letter counts."""
    from typer.testing import CliRunner

    from tollgate_cli import dead
    from tollgate_cli.__main__ import app

    api = Api(stack.url, stack.secret_key)
    name = new("late")
    put(
        stack,
        [{"environment": "sandbox", "customer_id": name, "feature_id": name, "value": 3, "id": f"{name}-1"}],
    )
    letters = dead.DeadLetters(stack.client, stack.outputs)

    def mine() -> list[dead.Letter]:
        return [letter for letter in letters.all() if name in letter.body]

    wait_for(lambda: bool(mine()), 30, "a dead letter")
    (letter,) = mine()
    assert letter.reason == f"NotFound: Feature {name} not found"
    api.call("customers.get_or_create", {"customer_id": name})
    api.call("features.create", {"feature_id": name, "name": name, "type": "metered", "consumable": True})
    api.call("balances.create", {"customer_id": name, "feature_id": name, "included_grant": 10})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tollgate_cli.stack.current", lambda: stack)
        listed = CliRunner().invoke(app, ["dead-letters", "list", "--json"]).output.splitlines()
        assert letter.reason in [json.loads(line)["reason"] for line in listed if name in line]
        CliRunner().invoke(app, ["dead-letters", "redrive"], catch_exceptions=False)
    wait_for(
        lambda: api.call("balances.check", {"customer_id": name, "feature_id": name})["balance"]["usage"] == 3,
        30,
        "the use counted",
    )
    assert mine() == []


@pytest.mark.parametrize("part", ["UsageEventsFunction", "WaitingEventsFunction"])
def test_a_batch_that_was_given_up_on_is_read_from_the_stream_and_sent_to_its_function(stack: Stack, part: str) -> None:
    from tollgate_cli import dead

    api, streams = Api(stack.url, stack.secret_key), stack.client("dynamodbstreams")
    name = new("batch")
    api.call("customers.get_or_create", {"customer_id": name})
    api.call("balances.create", {"customer_id": name, "feature_id": "messages", "included_grant": 10})
    api.call("balances.track", {"customer_id": name, "feature_id": "messages", "value": 2})
    arn = stack.client("dynamodb").describe_table(TableName=stack.table.name)["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    balance_key = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    position = streams.get_shard_iterator(**balance_key)["ShardIterator"]
    mine: list[str] = []
    while len(mine) < 2:
        page = streams.get_records(ShardIterator=position)
        position = page["NextShardIterator"]
        keys = [(record["dynamodb"], record["dynamodb"]["Keys"]) for record in page["Records"]]
        of_mine = [change for change, key in keys if key["pk"]["S"] == f"sandbox#customer#{name}"]
        mine += [change["SequenceNumber"] for change in of_mine if change["Keys"]["sk"]["S"].startswith("BALANCE#")]
    function = stack.client("lambda").get_alias(FunctionName=function_name(stack, part), Name="live")["AliasArn"]
    note = {
        "requestContext": {"functionArn": function, "condition": "MaxRecordAgeExceeded"},
        "DDBStreamBatchInfo": {
            "streamArn": arn,
            "shardId": shard["ShardId"],
            "startSequenceNumber": mine[0],
            "endSequenceNumber": mine[1],
        },
    }
    queues, url = stack.client("sqs"), stack.outputs["DeadLetterQueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody=json.dumps(note))
    done = dead.DeadLetters(stack.client, stack.outputs).redrive()
    about = [mine[0] in letter.body for letter in (*done.sent, *(one for one, _ in done.failed), *done.newer)]
    assert about.count(True) == 1  # and it was sent: what others left may come again
    assert any(mine[0] in letter.body for letter in done.sent)
    wait_for(lambda: history_of(api, name) == {"count": 1, "sum": 2}, 10, "the history, as before")


def test_the_archive_replays_events_under_the_same_ids_and_nothing_is_counted_again(stack: Stack) -> None:
    """The emulator's CloudFormation knows no archives, so this one is made by hand, as the template would."""
    api, events = Api(stack.url, stack.secret_key), stack.client("events")
    name = new("replay")
    api.call("customers.get_or_create", {"customer_id": name})
    api.call("balances.create", {"customer_id": name, "feature_id": "messages", "included_grant": 10})
    arn = stack.outputs["BusArn"]
    waiting = depth(stack, stack.outputs["QueueUrl"])  # what other tests left: it is tried for ten minutes
    archive = events.create_archive(ArchiveName=name, EventSourceArn=arn)["ArchiveArn"]
    listener = Listener(stack, name)
    put(
        stack,
        [{"environment": "sandbox", "customer_id": name, "feature_id": "messages", "value": 4, "id": f"{name}-1"}],
    )

    def told(times: int) -> bool:
        listener.take()
        return listener.received >= times

    wait_for(lambda: told(1) and bool(listener.of("usage.recorded")), 30, "the use recorded")
    received = listener.received
    now = time.time()
    events.start_replay(
        ReplayName=name,
        EventSourceArn=archive,
        EventStartTime=now - 3600,
        EventEndTime=now + 3600,
        Destination={"Arn": arn},
    )
    wait_for(lambda: told(received + 1), 30, "the replay")
    wait_for(lambda: depth(stack, stack.outputs["QueueUrl"]) <= waiting, 30, "no more in the usage queue")
    assert len(listener.of("usage.recorded")) == 1
    assert api.call("balances.check", {"customer_id": name, "feature_id": "messages"})["balance"]["usage"] == 4
    assert history_of(api, name) == {"count": 1, "sum": 4}
    events.delete_archive(ArchiveName=name)
