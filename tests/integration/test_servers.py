"""The stand-ins for AWS do what the other tests rely on: conditional writes, private ports, lost answers."""

import io
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from tollgate_cli.servers import (
    REGION,
    Server,
    ServerError,
    dynamodb_local,
    free_port,
    microburst,
    ministack,
    set_rules,
    stop_detached,
)

LOSE_ONE_ANSWER = {"service": "dynamodb", "operation": "UpdateItem", "times": 1, "response": {"abort_frac": 0.0}}
THROTTLE_ONE = {
    "service": "dynamodb",
    "operation": "UpdateItem",
    "times": 1,
    "error": {"code": "ProvisionedThroughputExceededException"},
}

Start = Callable[[Path], Server]


def start_ministack(directory: Path) -> Server:
    return ministack(free_port(), None, directory / "ministack.log")


def start_dynamodb_local(directory: Path) -> Server:
    return dynamodb_local(directory / "dynamodb.log")


@pytest.fixture(scope="module")
def dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_dynamodb_local(tmp_path_factory.mktemp("dynamodb")) as server:
        Balance(server).create()
        yield server


def client(service: Literal["dynamodb", "lambda"], server: Server) -> Any:
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


class Balance:
    """One item of a table, seen through a client that never tries again."""

    def __init__(self, server: Server) -> None:
        self.client = client("dynamodb", server)

    def create(self) -> None:
        self.client.create_table(
            TableName="balances",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )

    def grant(self, amount: int) -> None:
        self.client.put_item(TableName="balances", Item={"pk": {"S": "one"}, "headroom": {"N": str(amount)}})

    def deduct(self, amount: int) -> Any:
        return self.client.update_item(
            TableName="balances",
            Key={"pk": {"S": "one"}},
            UpdateExpression="SET headroom = headroom - :v",
            ConditionExpression="headroom >= :v",
            ExpressionAttributeValues={":v": {"N": str(amount)}},
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ReturnConsumedCapacity="TOTAL",
        )

    def headroom(self) -> int:
        answer = self.client.get_item(TableName="balances", Key={"pk": {"S": "one"}}, ConsistentRead=True)
        return int(answer["Item"]["headroom"]["N"])


def listening_addresses(pid: int) -> set[str]:
    """The addresses, in the kernel's hexadecimal, on which the process accepts TCP connections."""
    process = Path(f"/proc/{pid}")
    sockets = set()
    for descriptor in (process / "fd").iterdir():
        try:
            sockets.add(str(descriptor.readlink()))
        except FileNotFoundError:  # closed since it was listed
            continue
    tables = [(process / "net" / table).read_text() for table in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


STREAM_READER = """
import os
def handler(event, context):
    with open(os.environ["SEEN"], "a") as seen:
        for record in event["Records"]:
            print(record["dynamodb"]["NewImage"]["headroom"]["N"], file=seen)
"""


def deploy_stream_reader(server: Server, seen: Path) -> None:
    """A function that appends each new headroom in the table's stream to the file `seen`."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("app.py", STREAM_READER)
    functions = client("lambda", server)
    functions.create_function(
        FunctionName="reader",
        Runtime="python3.13",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/reader",
        Code={"ZipFile": archive.getvalue()},
        Environment={"Variables": {"SEEN": str(seen)}},
    )
    stream = client("dynamodb", server).describe_table(TableName="balances")["Table"]["LatestStreamArn"]
    functions.create_event_source_mapping(FunctionName="reader", EventSourceArn=stream, StartingPosition="TRIM_HORIZON")


def wait_for_last_line(file: Path, line: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not (file.is_file() and file.read_text().splitlines()[-1:] == [line]):
        assert time.monotonic() < deadline, f"{line} did not come in time"
        time.sleep(0.02)


@pytest.mark.parametrize("start", [start_ministack, start_dynamodb_local])
def test_a_conditional_write_answers_with_the_balance_and_its_price_whether_allowed_or_not(
    start: Start, tmp_path: Path
) -> None:
    with start(tmp_path) as server:
        balance = Balance(server)
        balance.create()
        balance.grant(5)

        allowed = balance.deduct(3)
        assert allowed["Attributes"]["headroom"] == {"N": "2"}
        assert allowed["ConsumedCapacity"]["CapacityUnits"] == 1.0

        with pytest.raises(balance.client.exceptions.ConditionalCheckFailedException) as refused:
            balance.deduct(3)
        assert refused.value.response["Item"]["headroom"] == {"N": "2"}
        assert balance.headroom() == 2

    assert server.process.poll() is not None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "start",
    [start_ministack, start_dynamodb_local, lambda directory: microburst("http://127.0.0.1:9", [], directory / "log")],
    ids=["ministack", "dynamodb_local", "microburst"],
)
def test_a_server_is_reachable_from_this_machine_only(start: Start, tmp_path: Path) -> None:
    ipv4, mapped_into_ipv6 = "0100007F", "0000000000000000FFFF00000100007F"
    with start(tmp_path) as server:
        assert listening_addresses(server.pid) in ({ipv4}, {mapped_into_ipv6})


def test_a_lost_answer_hides_a_write_that_took_effect(dynamodb: Server, tmp_path: Path) -> None:
    direct = Balance(dynamodb)
    direct.grant(5)
    with microburst(dynamodb.url, [LOSE_ONE_ANSWER], tmp_path / "microburst.log") as proxy:
        with pytest.raises(ConnectionClosedError):
            Balance(proxy).deduct(1)
        assert direct.headroom() == 4
        assert Balance(proxy).deduct(1)["Attributes"]["headroom"] == {"N": "3"}


def test_a_throttled_write_was_not_applied(dynamodb: Server, tmp_path: Path) -> None:
    direct = Balance(dynamodb)
    direct.grant(5)
    with microburst(dynamodb.url, [], tmp_path / "microburst.log") as proxy:
        set_rules(proxy, [THROTTLE_ONE])
        with pytest.raises(ClientError) as refused:
            Balance(proxy).deduct(1)
    assert refused.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    assert direct.headroom() == 5


def test_a_restarted_ministack_still_has_its_table_and_items(tmp_path: Path) -> None:
    for expected in (5, 4):
        with ministack(free_port(), tmp_path / "state", tmp_path / "log") as server:
            balance = Balance(server)
            if expected == 5:
                balance.create()
                balance.grant(5)
            assert balance.headroom() == expected
            balance.deduct(1)


def test_after_a_restart_a_function_reads_the_stream_from_the_first_new_write(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    for grants in ((5, 6), (7,)):
        with ministack(free_port(), tmp_path / "state", tmp_path / "log") as server:
            balance = Balance(server)
            if not seen.exists():
                balance.create()
                deploy_stream_reader(server, seen)
            for grant in grants:
                balance.grant(grant)
                wait_for_last_line(seen, str(grant))
    assert seen.read_text().split() == ["5", "6", "7"]


def test_a_detached_ministack_saves_its_state_when_stopped_by_its_pid(tmp_path: Path) -> None:
    server = ministack(free_port(), tmp_path / "state", tmp_path / "log", detached=True)
    try:
        Balance(server).create()
        assert not stop_detached(server.pid, "another program")
        assert stop_detached(server.pid, "ministack")
        assert not stop_detached(server.pid, "ministack")
    finally:
        server.stop()
    assert (tmp_path / "state" / "dynamodb.json").is_file()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with start_ministack(tmp_path) as first, pytest.raises(ServerError, match="in use"):
        ministack(int(first.url.rsplit(":", 1)[1]), None, tmp_path / "second.log")
    (tmp_path / "DynamoDBLocal.jar").touch()
    with pytest.raises(ServerError, match=r"(?s)ended with status 1 .*Could not find or load main class"):
        dynamodb_local(tmp_path / "third.log", home=tmp_path)
