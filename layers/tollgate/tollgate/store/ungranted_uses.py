"""Uses of features that nothing grants: they move no balance, and are remembered all the same (autumn.md 3.6, 3.7).

One item for a feature and customer (or entity) carries the last of them to the table's stream, as a balance item does.
Its version starts at the time of its making, so that one made anew never repeats a version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef
from tollgate.domain.use_records import UseRecord
from tollgate.store import keys
from tollgate.store.codecs.use_records import encode_ungranted_use

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

KEPT_SECONDS = 7 * 86_400  # the stream has told of it within a day


def ungranted_use_write(
    table_name: str, customer: CustomerRef, key: BalanceKey, record: UseRecord, now: int
) -> TransactWriteItemTypeDef:
    """A write, for a transaction, that remembers the use; refused where it was remembered just before."""
    stored = encode_ungranted_use(record, now // 1000 + KEPT_SECONDS)
    sets = ", ".join(f"#{name} = :{name}" for name in stored)
    return {
        "Update": {
            "TableName": table_name,
            "Key": keys.ungranted_use(customer, key),
            "UpdateExpression": f"SET version = if_not_exists(version, :now) + :one, {sets}",
            "ConditionExpression": "attribute_not_exists(last_id) OR last_id <> :last_id",
            "ExpressionAttributeNames": {f"#{name}": name for name in stored},
            "ExpressionAttributeValues": {
                ":now": {"N": str(now)},
                ":one": {"N": "1"},
                **{f":{name}": value for name, value in stored.items()},
            },
        }
    }
