"""Uses of features that nothing grants: they change no balance, and are recorded all the same (autumn.md 3.6, 3.7).

One item for each feature and customer (or entity) holds the last such use, and so brings it into the table's stream, as
a balance item does. Its version starts at the time of its creation, so an item that is created again never repeats a
version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef
from tollgate.domain.use_records import UseRecord
from tollgate.store import keys
from tollgate.store.codecs.use_records import encode_ungranted_use
from tollgate.store.large_records import event_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from tollgate.store.table import Table

KEPT_SECONDS = 7 * 86_400  # the stream delivers it within a day


def ungranted_use_write(
    table: Table, customer: CustomerRef, key: BalanceKey, record: UseRecord, now: int
) -> TransactWriteItemTypeDef:
    """A write, for a transaction, that records an ungranted use; refused where it is the last one recorded. `now` is
    epoch ms. A large record is written before that. Raises Unavailable.
    """
    event = event_of(table, customer, key, record, now)
    stored = encode_ungranted_use(event, record.id, now // 1000 + KEPT_SECONDS)
    sets = ", ".join(f"#{name} = :{name}" for name in stored)
    return {
        "Update": {
            "TableName": table.name,
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
