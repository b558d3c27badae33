"""One request to AWS: what its answer says, and what is known where there is none (docs/decisions/0009).

Rules: invariants.md 2; autumn.md 0.
"""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.raw_server import HANG_UP, RawServer, Request, Say, http, raw_server
from tollgate import runtime
from tollgate.aws import connections, credentials
from tollgate.aws.client import Answered, Client, endpoint_of
from tollgate.aws.connections import IDLE_SECONDS, Connections, NoAnswer, NotSent
from tollgate.aws.credentials import EARLY_SECONDS, Renewed, source_of
from tollgate.aws.services import EVENTS, SQS, Bus, Queues
from tollgate.aws.signing import Credentials
from tollgate.store.dynamodb import PROTOCOL, DynamoDB
from tollgate.store.table import Busy, Lost, Refused, Table
from tollgate_cli.servers import free_port

OK = Say(http())


class Clock:
    def __init__(self, now: float = 1_767_225_600.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def client(server: RawServer | str, clock: Clock | None = None, context: ssl.SSLContext | None = None) -> DynamoDB:
    url = server if isinstance(server, str) else server.url()
    told = clock or Clock()
    made = Connections(url, context=context, clock=told)
    return DynamoDB(Client(PROTOCOL, "us-east-1", lambda: Credentials("id", "secret", "token"), made, told))


class TestConnections:
    def test_one_is_kept_open_for_the_next_request(self) -> None:
        with raw_server(OK, OK, OK) as server:
            here = client(server)
            for _ in range(3):
                assert here.get_item(TableName="t", Key={}) == {}
            assert [request.connection for request in server.received] == [1, 1, 1]

    def test_one_that_was_closed_while_idle_is_noticed_before_a_request_is_sent_on_it(self) -> None:
        with raw_server(OK, OK) as server:
            here = client(server)
            here.get_item(TableName="t")
            server.hang_up_idle()
            assert here.get_item(TableName="t") == {}
            assert [request.connection for request in server.received] == [1, 2]

    def test_one_that_was_idle_for_long_is_renewed_before_it_is_used(self) -> None:
        clock = Clock()
        with raw_server(OK, OK, OK) as server:
            here = client(server, clock)
            here.get_item(TableName="t")
            clock.now += IDLE_SECONDS - 1
            here.get_item(TableName="t")
            clock.now += IDLE_SECONDS
            here.get_item(TableName="t")
            assert [request.connection for request in server.received] == [1, 1, 2]

    def test_one_whose_server_says_close_is_not_kept(self) -> None:
        with raw_server(Say(http(Connection="close"), closes=True), OK) as server:
            here = client(server)
            for _ in range(2):
                here.get_item(TableName="t")
            assert server.connections == 2

    def test_a_copy_of_the_process_shares_none(self) -> None:
        with raw_server(OK, OK) as server:
            made = Connections(server.url())
            here = Client(PROTOCOL, "us-east-1", lambda: Credentials("id", "secret"), made)
            here.call("GetItem", b"{}")
            here.forget()
            here.call("GetItem", b"{}")
            assert server.connections == 2


class TestWhatBecameOfARequest:
    """Each is sent once, whatever comes of it."""

    def test_nobody_listens(self) -> None:
        with pytest.raises(NotSent):
            client(f"http://127.0.0.1:{free_port()}").get_item(TableName="t")

    def test_no_such_host(self) -> None:
        with pytest.raises(NotSent):
            client("http://nowhere.invalid").get_item(TableName="t")

    @pytest.mark.parametrize(
        "say",
        [
            HANG_UP,
            Say(http({"Item": {}})[:-1], closes=True),
            Say(http({"Item": {}})[:20], closes=True),
            Say(http(raw=b"{}", x_amz_crc32="1")),
            Say(http(raw=b"{}", x_amz_crc32="much")),
            Say(http(raw=b"<html>")),
            Say(http(raw=b"[]")),
            Say(http(raw=b'{"Item": {"a": {"B": "!"}}}')),
            Say(b"not HTTP\r\n\r\n", closes=True),
        ],
        ids=["closed", "cut", "cut in its head", "damaged", "no checksum", "HTML", "a list", "no base64", "no HTTP"],
    )
    def test_no_whole_answer_came(self, say: Say) -> None:
        with raw_server(OK, say) as server:
            here = client(server)
            here.get_item(TableName="t")
            with pytest.raises(NoAnswer):
                here.get_item(TableName="t")
            assert len(server.received) == 2

    def test_the_answer_is_late(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections, "READ_SECONDS", 0.05)
        with raw_server(Say(b"")) as server, pytest.raises(NoAnswer):
            client(server).get_item(TableName="t")

    def test_a_failed_connection_is_not_used_again(self) -> None:
        with raw_server(Say(http(raw=b"{}", x_amz_crc32="1")), OK) as server:
            here = client(server)
            with pytest.raises(NoAnswer):
                here.get_item(TableName="t")
            here.get_item(TableName="t")
            assert server.connections == 2

    @pytest.mark.parametrize(
        ("say", "expected"),
        [
            (HANG_UP, Lost),
            (Say(http({"__type": "x#ConditionalCheckFailedException"}, 400)), Refused),
            (Say(http({"__type": "x#ThrottlingException", "message": "slow"}, 400)), Busy),
            (Say(http({"__type": "x#InternalServerError"}, 500)), Lost),
            (Say(http(raw=b"Service Unavailable", status=503)), Lost),
            (Say(http({"__type": "x#ValidationException"}, 400)), Answered),
            (
                Say(
                    http(
                        {
                            "__type": "x#TransactionCanceledException",
                            "CancellationReasons": [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}],
                        },
                        400,
                    )
                ),
                Refused,
            ),
        ],
    )
    def test_the_store_is_told_what_it_knows_of_botocores(self, say: Say, expected: type[Exception]) -> None:
        with raw_server(say) as server:
            table = Table(client(server), "t")  # type: ignore[arg-type]
            with pytest.raises(expected):
                table.send_once(table.client.update_item, TableName="t", Key={})


def certificate(host: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(the server's context, a client's that trusts it) of a certificate for this host."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    alternative: Any = x509.IPAddress(IPv4Address(host)) if host[0].isdigit() else x509.DNSName(host)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())


class TestTls:
    def test_a_certificate_of_the_host_is_accepted(self, tmp_path: Path) -> None:
        server_side, trusting = certificate("127.0.0.1", tmp_path)
        with raw_server(OK, OK, context=server_side) as server:
            here = client(server, context=trusting)
            for _ in range(2):
                assert here.get_item(TableName="t") == {}
            assert server.connections == 1

    def test_one_of_another_host_is_not(self, tmp_path: Path) -> None:
        server_side, trusting = certificate("dynamodb.example", tmp_path)
        with raw_server(OK, context=server_side) as server:
            with pytest.raises(NotSent, match="certificate"):
                client(server, context=trusting).get_item(TableName="t")
            assert server.received == []

    def test_nor_one_that_nobody_vouches_for(self, tmp_path: Path) -> None:
        server_side, _ = certificate("127.0.0.1", tmp_path)
        with raw_server(OK, context=server_side) as server:
            with pytest.raises(NotSent, match="certificate"):
                client(server).get_item(TableName="t")
            assert server.received == []


class TestTheClock:
    """A signature is of a time; DynamoDB says what time it is when it refuses one."""

    def test_a_clock_that_is_wrong_is_set_by_the_servers(self) -> None:
        clock = Clock()
        ahead = datetime.fromtimestamp(clock.now, UTC) + timedelta(hours=3)
        refused = http({"__type": "x#InvalidSignatureException"}, 400, Date=format_datetime(ahead, usegmt=True))
        with raw_server(Say(refused), OK, OK) as server:
            here = client(server, clock)
            for _ in range(2):
                assert here.get_item(TableName="t") == {}
            signed = [request.headers["x-amz-date"] for request in server.received]
            assert signed == ["20260101T000000Z", "20260101T030000Z", "20260101T030000Z"]

    @pytest.mark.parametrize("date", [None, "soon", "Thu, 01 Jan 2026 00:00:10 GMT"])
    def test_a_key_that_is_wrong_is_not_tried_again(self, date: str | None) -> None:
        headers: dict[str, Any] = {"Date": date} if date else {}
        refused = http({"__type": "x#InvalidSignatureException"}, 400, **headers)
        with raw_server(Say(refused)) as server:
            with pytest.raises(Answered, match="InvalidSignature"):
                client(server).get_item(TableName="t")
            assert len(server.received) == 1


class TestCredentials:
    def test_of_the_environment(self) -> None:
        told = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
        assert source_of(told)() == Credentials("id", "secret", "token")
        assert source_of(told | {"AWS_SESSION_TOKEN": ""})().token is None

    def test_of_a_containers_endpoint(self, tmp_path: Path) -> None:
        given = {
            "AccessKeyId": "id",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": "2026-01-01T06:00:00Z",
        }
        asked: list[str | None] = []

        def answer(request: Request) -> Say:
            asked.append(request.headers.get("authorization"))
            return Say(http(given))

        (tmp_path / "token").write_text("from a file\n")
        with raw_server(answer, answer) as server:
            told = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url()}/creds?of=me"}
            for variable, value in {
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "from the environment",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
            }.items():
                found = source_of(told | {variable: value})()
                assert found == Credentials("id", "secret", "token", 1_767_247_200.0)
        assert asked == ["from the environment", "from a file"]

    @pytest.mark.parametrize("say", [Say(http({}, 500)), Say(http(raw=b"?")), Say(http({})), HANG_UP])
    def test_an_endpoint_that_gives_none(self, say: Say) -> None:
        with raw_server(say) as server, pytest.raises(NotSent):
            source_of({"AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url()})()

    def test_they_are_renewed_before_they_end_also_of_a_process_that_was_frozen(self) -> None:
        clock, given = Clock(0.0), iter([Credentials("1", "s", None, 1000.0), Credentials("2", "s", None, 9000.0)])
        source = Renewed(lambda: next(given), clock)
        keys = []
        for now in (0.0, 999.0 - EARLY_SECONDS, 1001.0 - EARLY_SECONDS, 5000.0):
            clock.now = now
            keys.append(source().access_key)
        assert keys == ["1", "1", "2", "2"]

    def test_those_that_cannot_be_renewed_are_used_until_they_end(self) -> None:
        clock, tried = Clock(0.0), []

        def fetch() -> Credentials:
            tried.append(clock.now)
            if len(tried) > 1:
                raise NotSent("no")
            return Credentials("1", "s", None, 1000.0)

        source = Renewed(fetch, clock)
        for now in (0.0, 800.0, 801.0, 999.0):
            clock.now = now
            assert source().access_key == "1"
        assert tried == [0.0, 800.0, 999.0]
        clock.now = 1000.0
        with pytest.raises(NotSent):
            source()

    def test_a_copy_of_the_process_fetches_its_own(self) -> None:
        given = iter([Credentials("1", "s", None, 1e12), Credentials("2", "s", None, 1e12)])
        source = Renewed(lambda: next(given))
        assert source().access_key == "1"
        source.forget()
        assert source().access_key == "2"

    def test_elsewhere_they_are_botocores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        assert isinstance(source := source_of({}), credentials._Botocores)
        assert source()[:2] == ("id", "secret")


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "dynamodb.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "dynamodb.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "dynamodb.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_address_follows_from_region_and_partition(region: str, host: str) -> None:
    session: Any = botocore.session.get_session()
    theirs = session.create_client(
        "dynamodb", region_name=region, aws_access_key_id="i", aws_secret_access_key="s"
    ).meta.endpoint_url
    assert endpoint_of("dynamodb", region) == theirs == f"https://{host}"


# ------------------------------------------------------------------ botocore's answers

KEY = {"pk": {"S": "p"}, "sk": {"B": "AAEC"}}
ITEM = {
    **KEY,
    "number": {"N": "1.50"},
    "binary": {"B": "/w=="},
    "set": {"SS": ["a", "b"]},
    "binaries": {"BS": ["AA==", "AQ=="]},
    "list": {"L": [{"B": "AA=="}, {"M": {"B": {"B": "AQ=="}}}, {"NULL": True}]},
    "B": {"M": {"x": {"B": "Ag=="}}},
    "yes": {"BOOL": True},
}
ANSWERS: list[tuple[str, int, dict[str, Any]]] = [
    ("get_item", 200, {}),
    ("get_item", 200, {"Item": ITEM}),
    ("put_item", 200, {}),
    ("update_item", 200, {"Attributes": ITEM, "ConsumedCapacity": {"TableName": "t", "CapacityUnits": 1.0}}),
    ("delete_item", 200, {"Attributes": ITEM}),
    ("query", 200, {"Items": [ITEM, KEY], "Count": 2, "ScannedCount": 2, "LastEvaluatedKey": KEY}),
    ("batch_get_item", 200, {"Responses": {"t": [ITEM]}, "UnprocessedKeys": {"t": {"Keys": [KEY]}}}),
    (
        "batch_write_item",
        200,
        {"UnprocessedItems": {"t": [{"PutRequest": {"Item": ITEM}}, {"DeleteRequest": {"Key": KEY}}]}},
    ),
    ("transact_write_items", 200, {}),
    ("update_item", 400, {"__type": "a#ConditionalCheckFailedException", "message": "no", "Item": ITEM}),
    ("update_item", 400, {"__type": "a#ConditionalCheckFailedException", "Message": "The conditional request failed"}),
    ("put_item", 400, {"__type": "a#ProvisionedThroughputExceededException", "message": "slow"}),
    ("put_item", 413, {"__type": "a#ValidationException", "message": "too large"}),
    ("get_item", 500, {"__type": "a#InternalServerError", "message": "oh"}),
    (
        "transact_write_items",
        400,
        {
            "__type": "a#TransactionCanceledException",
            "Message": "cancelled",
            "CancellationReasons": [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Message": "m", "Item": ITEM}],
        },
    ),
]


@pytest.mark.parametrize(("operation", "status", "body"), ANSWERS)
def test_answers_and_errors_are_read_as_botocore_reads_them(operation: str, status: int, body: dict[str, Any]) -> None:
    say = Say(http(body, status))
    requests: dict[str, dict[str, Any]] = {
        "get_item": {"TableName": "t", "Key": {"pk": {"S": "p"}, "sk": {"B": b"\x00"}}},
        "put_item": {"TableName": "t", "Item": {"pk": {"B": b"\xff"}}},
        "update_item": {
            "TableName": "t",
            "Key": {"pk": {"S": "ü"}},
            "ExpressionAttributeValues": {":b": {"B": b"\x01"}},
        },
        "delete_item": {"TableName": "t", "Key": {"pk": {"S": "p"}}},
        "query": {"TableName": "t", "ExclusiveStartKey": {"sk": {"B": b"\x01\x02"}}},
        "batch_get_item": {"RequestItems": {"t": {"Keys": [{"pk": {"S": "p"}}]}}},
        "batch_write_item": {"RequestItems": {"t": [{"DeleteRequest": {"Key": {"pk": {"S": "p"}}}}]}},
        "transact_write_items": {
            "TransactItems": [{"Delete": {"TableName": "t", "Key": {"pk": {"B": b"\x00"}}}}],
            "ClientRequestToken": "t",
        },
    }
    request = requests[operation]
    with raw_server(say, say) as server:
        session: Any = botocore.session.get_session()
        theirs = session.create_client(
            "dynamodb",
            endpoint_url=server.url(),
            region_name="us-east-1",
            aws_access_key_id="i",
            aws_secret_access_key="s",
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        )
        ours = client(server)
        found = []
        for of, refusal in ((theirs, ClientError), (ours, Answered)):
            try:
                answer = getattr(of, operation)(**request)
            except refusal as error:
                answer = dict(error.response)
                answer["status"] = answer["ResponseMetadata"]["HTTPStatusCode"]
                answer["Error"] = {name: answer["Error"].get(name, "") for name in ("Code", "Message")}
            found.append(
                {k: v for k, v in answer.items() if k not in ("ResponseMetadata", "Body", "message", "Message")}
            )
        assert found[1] == found[0]
        sent = [json.loads(request.body) for request in server.received]
        assert sent[0] == sent[1]
        assert server.received[0].headers["x-amz-target"] == server.received[1].headers["x-amz-target"]


class TestQueueAndBus:
    def queues(self, server: RawServer) -> Queues:
        made = Client(SQS, "us-east-1", lambda: Credentials("i", "s"), Connections(server.url()))
        return Queues(made, sleep=lambda _: None)

    def test_a_message_is_sent_as_sqs_reads_it(self) -> None:
        with raw_server(Say(http({"MessageId": "1"}))) as server:
            assert self.queues(server).send_message(QueueUrl="u", MessageBody="b", DelaySeconds=1) == {"MessageId": "1"}
            (request,) = server.received
            assert request.headers["x-amz-target"] == "AmazonSQS.SendMessage"
            assert request.body == b'{"QueueUrl":"u","MessageBody":"b","DelaySeconds":1}'

    def test_it_is_sent_up_to_three_times(self) -> None:
        busy = Say(http({"__type": "x#ThrottlingException"}, 400))
        with raw_server(HANG_UP, busy, Say(http({"MessageId": "1"}))) as server:
            assert self.queues(server).send_message(QueueUrl="u", MessageBody="b")["MessageId"] == "1"
        with raw_server(HANG_UP, HANG_UP, HANG_UP) as server, pytest.raises(NoAnswer):
            self.queues(server).send_message(QueueUrl="u", MessageBody="b")

    def test_a_defect_is_not_tried_again(self) -> None:
        with raw_server(Say(http({"__type": "com.amazonaws.sqs#QueueDoesNotExist"}, 400))) as server:
            with pytest.raises(Answered, match="QueueDoesNotExist"):
                self.queues(server).send_message(QueueUrl="u", MessageBody="b")
            assert len(server.received) == 1

    def test_the_bus_has_a_protocol_of_its_own(self) -> None:
        with raw_server(Say(http({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}))) as server:
            made = Client(EVENTS, "us-east-1", lambda: Credentials("i", "s"), Connections(server.url()))
            assert Bus(made).put_events(Entries=[])["FailedEntryCount"] == 0
            (request,) = server.received
            assert request.headers["x-amz-target"] == "AWSEvents.PutEvents"
            assert request.headers["content-type"] == "application/x-amz-json-1.1"


@pytest.mark.parametrize(
    ("variable", "own"), [("HTTPS_PROXY", False), ("AWS_USE_FIPS_ENDPOINT", False), ("OTHER", True)]
)
def test_where_a_proxy_or_a_special_endpoint_is_asked_for_clients_are_botocores(
    monkeypatch: pytest.MonkeyPatch, variable: str, own: bool
) -> None:
    """docs/decisions/0009: botocore knows what they need."""
    for name in runtime._SPECIAL:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv(variable, "true" if "FIPS" in variable else "http://127.0.0.1:1")
    for service in ("dynamodb", "sqs", "events"):
        made = runtime.client.__wrapped__(service)
        assert hasattr(made, "meta") is not own
