"""`python tests/bench/peers.py URL ROUNDS CALLS`: what others' ways of deciding and counting a use cost, against a bare
boto3 update on the same DynamoDB Local. Runs in an environment with their libraries (requirements/peers.txt), and prints
one JSON object a line.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ |= {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "POWERTOOLS_SERVICE_NAME": "peers",
}

import boto3
import botocore.client
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from zae_limiter import Limit, RateLimitExceeded, SyncRateLimiter, SyncRepository

from tests.bench.timing import Call, ratios

TABLE, KEYS, PLENTY = "peers", "idempotency", 10**12
KEY: Any = {"pk": {"S": "bare"}}


@contextmanager
def seen() -> Iterator[list[float]]:
    """The write units of each request to DynamoDB that is made meanwhile, by whichever client of boto3; of a refused one,
    DynamoDB tells none."""
    units: list[float] = []
    send = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def counted(client: Any, operation: str, request: dict[str, Any]) -> Any:
        units.append(0.0)
        answer = send(client, operation, {**request, "ReturnConsumedCapacity": "TOTAL"})
        if operation not in ("GetItem", "Query", "BatchGetItem"):
            units[-1] = answer["ConsumedCapacity"]["CapacityUnits"]
        return answer

    botocore.client.BaseClient._make_api_call = counted  # type: ignore[attr-defined]
    try:
        yield units
    finally:
        botocore.client.BaseClient._make_api_call = send  # type: ignore[attr-defined]


def bare_update(client: Any) -> Call:
    """One conditional update."""
    return lambda: client.update_item(
        TableName=TABLE,
        Key=KEY,
        UpdateExpression="SET headroom = headroom - :v",
        ConditionExpression="headroom >= :v",
        ExpressionAttributeValues={":v": {"N": "1"}},
        ReturnValues="ALL_NEW",
    )


def get_compare_add(client: Any) -> Call:
    """The way with a race in it: read, compare, add."""

    def call() -> None:
        item = client.get_item(TableName=TABLE, Key=KEY, ConsistentRead=True)["Item"]
        assert int(item["headroom"]["N"]) >= 1
        client.update_item(
            TableName=TABLE,
            Key=KEY,
            UpdateExpression="ADD headroom :v",
            ExpressionAttributeValues={":v": {"N": "-1"}},
        )

    return call


def behind_idempotency(client: Any) -> Call:
    """The update behind Powertools' idempotency, each call under a key of its own."""
    layer = DynamoDBPersistenceLayer(table_name=KEYS, boto3_client=client)
    update = bare_update(client)

    @idempotent_function(  # type: ignore[untyped-decorator]
        data_keyword_argument="key", persistence_store=layer, config=IdempotencyConfig()
    )
    def counted(key: str) -> int:  # noqa: ARG001 - idempotency reads it
        update()
        return 1

    return lambda: counted(key=str(uuid.uuid4()))


def limiter(url: str) -> tuple[Call, Call]:
    """zae-limiter's acquire: one that is let through, and one that is refused."""
    repository = SyncRepository("limits", "us-east-1", url, _skip_deprecation_warning=True)
    repository.create_table()
    rate = SyncRateLimiter(repository=repository)
    limits = {customer: [Limit.per_day("units", units)] for customer, units in (("rich", PLENTY), ("poor", 1))}

    def acquire(customer: str) -> None:
        with rate.acquire(customer, "feature", consume={"units": 1}, limits=limits[customer]):
            pass

    def refused() -> None:
        try:
            acquire("poor")
        except RateLimitExceeded:
            return
        raise AssertionError("it was let through")

    acquire("poor")
    return lambda: acquire("rich"), refused


def main() -> None:
    url, rounds, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    client = boto3.client("dynamodb", endpoint_url=url)
    for name, key in ((TABLE, "pk"), (KEYS, "id")):
        client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    client.put_item(TableName=TABLE, Item={**KEY, "headroom": {"N": str(PLENTY)}})
    acquired, refused = limiter(url)
    peers = {
        "get, compare, ADD (a race)": get_compare_add(client),
        "an update behind Powertools' idempotency": behind_idempotency(client),
        "zae-limiter, acquired": acquired,
        "zae-limiter, refused": refused,
    }
    for name, call in peers.items():
        call()
        with seen() as units:
            call()
        measured = ratios(bare_update(client), call, rounds, calls)
        print(json.dumps({"name": name, "requests": len(units), "units": sum(units), **measured._asdict()}), flush=True)


if __name__ == "__main__":
    main()
