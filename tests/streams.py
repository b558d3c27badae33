"""Reading a table's stream as `usage_events` would."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tests.conftest import session
from tests.memory import Memory
from tollgate.domain.balances import Balance, BalanceKey
from tollgate.domain.recorded_writes import record_id
from tollgate.domain.use_records import UseRecord
from tollgate.store.large_records import with_records
from tollgate.store.stream import change_of
from tollgate.store.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class RecordedUse(NamedTuple):
    """One write of a balance that counted, and the balance after it."""

    id: str
    environment: str
    customer_id: str
    entity_id: str | None
    event: UseRecord
    balance: Balance


def recorded(dynamodb: DynamoDBClient, table_name: str) -> list[RecordedUse]:
    """Every use that the table's stream tells of, in order."""
    found = []
    for change in filter(None, map(change_of, records(dynamodb, table_name))):
        write, event, after = change.write, change.write.event, change.after
        if event is not None and after is not None:
            entity_id = event.entity_id or write.key.entity_id or None
            id = record_id(write, event.id)
            found.append(RecordedUse(id, write.environment, write.customer_id, entity_id, event, after))
    return found


def records(dynamodb: DynamoDBClient, table_name: str) -> list[dict[str, Any]]:
    """Every record of the table's stream, in order, with what is kept apart of the uses that they tell of."""
    return cast(list[dict[str, Any]], with_records(Table(dynamodb, table_name), as_sent(dynamodb, table_name)))


def as_sent(dynamodb: DynamoDBClient, table_name: str) -> list[dict[str, Any]]:
    """Every record of the table's stream, in order, as the stream sends it."""
    if isinstance(dynamodb, Memory):
        return dynamodb.records(table_name)
    streams: Any = session().create_client(
        "dynamodbstreams",
        endpoint_url=dynamodb.meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    arn = dynamodb.describe_table(TableName=table_name)["Table"]["LatestStreamArn"]
    found: list[dict[str, Any]] = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        position = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while position:
            page = streams.get_records(ShardIterator=position, Limit=1000)
            found += [_as_lambda_sends(record) for record in page["Records"]]
            position = page.get("NextShardIterator") if page["Records"] else None
    return found


def _as_lambda_sends(record: dict[str, Any]) -> dict[str, Any]:
    """Times as numbers, not as botocore reads them."""
    at = record["dynamodb"]["ApproximateCreationDateTime"].timestamp()
    return {**record, "dynamodb": {**record["dynamodb"], "ApproximateCreationDateTime": at}}


def used(dynamodb: DynamoDBClient, table_name: str) -> list[tuple[str, Decimal]]:
    """(event id, what moved) of every use in the table's stream."""
    return [(use.event.id, use.event.drawn) for use in recorded(dynamodb, table_name)]


def drawn(dynamodb: DynamoDBClient, table_name: str, customer_id: str) -> dict[BalanceKey, Decimal]:
    """What the stream says was drawn from each of the customer's balances, in its units."""
    sums: Counter[BalanceKey] = Counter()
    for use in recorded(dynamodb, table_name):
        if use.customer_id == customer_id:
            sums[use.balance.key] += use.event.drawn  # type: ignore[assignment]
    return dict(sums)  # type: ignore[arg-type]
