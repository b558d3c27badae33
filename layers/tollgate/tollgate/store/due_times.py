"""Due times: one item for each message that is to be sent later, in the order of their times.

Shards spread the writes: DynamoDB does not split a partition that grows at its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tollgate.domain.environments import Environment
from tollgate.domain.errors import Unavailable
from tollgate.store import keys
from tollgate.store.codecs.due_times import decode_due_time, encode_due_time
from tollgate.store.table import Item, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef

SHARDS = 4
_PAGE = 100
_DELETES = 25  # in one request


class DueTime(NamedTuple):
    """A message, and the time at which it is to be sent (epoch ms). `key` is the key of its item."""

    at: int
    message: str
    key: keys.Key


class DueTimeStore:
    """The due times of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, env: Environment, at: int, message: str) -> None:
        """Keeps a message until `at` (epoch ms). May be repeated: it is kept once. Raises Unavailable."""
        digest = hashlib.sha256(message.encode()).hexdigest()
        item = {**keys.due_time(env, int(digest, 16) % SHARDS, at, digest), **encode_due_time(message)}
        self._table.repeated(self._table.client.put_item, TableName=self._table.name, Item=item)

    def until(self, env: Environment, shard: int, at: int) -> Iterator[Sequence[DueTime]]:
        """What is due at `at` (epoch ms) or before, the first first, by pages: each is read when it is asked for.

        Raises Unavailable.
        """
        after = ""
        while True:
            items = self._table.page(keys.due_times(env, shard), after, _PAGE)
            page = [DueTime(_time(item["sk"]["S"]), decode_due_time(item), _key(item)) for item in items]
            due = [one for one in page if one.at <= at]
            if due:
                yield due
            if len(due) < _PAGE:
                return
            after = items[-1]["sk"]["S"]

    def delete(self, sent: Sequence[DueTime]) -> None:
        """Deletes what was sent. May be repeated. Raises Unavailable."""
        for start in range(0, len(sent), _DELETES):
            self._delete([{"DeleteRequest": {"Key": one.key}} for one in sent[start : start + _DELETES]])

    def _delete(self, left: list[WriteRequestTypeDef]) -> None:
        for _ in self._table.tries():
            answer = self._table.repeated(self._table.client.batch_write_item, RequestItems={self._table.name: left})
            left = list(answer.get("UnprocessedItems", {}).get(self._table.name, ()))  # type: ignore[arg-type]
            if not left:
                return
        raise Unavailable("The database did not delete in time what was due: try again")


def _time(sort_key: str) -> int:
    return int(sort_key.partition("#")[0])


def _key(item: Item) -> keys.Key:
    return {"pk": item["pk"], "sk": item["sk"]}
