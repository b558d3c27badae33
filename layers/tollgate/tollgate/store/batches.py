"""Many items put and deleted in as few requests as it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from tollgate.domain.errors import Unavailable
from tollgate.store.table import Item, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef

THREADS = 4
_MOST = 25  # in one BatchWriteItem


def put_and_delete(table: Table, writes: Mapping[tuple[str, str], Item | None], *, at_once: int = THREADS) -> None:
    """Puts each item under its `pk` and `sk`, and deletes what is None, `at_once` requests at a time. May be repeated.
    Raises Unavailable."""
    requests = [_request(pk, sk, item) for (pk, sk), item in writes.items()]
    batches = [requests[start : start + _MOST] for start in range(0, len(requests), _MOST)]
    if len(batches) == 1:
        _write(table, batches[0])
        return
    with ThreadPoolExecutor(at_once) as threads:
        list(threads.map(partial(_write, table), batches))


def _request(pk: str, sk: str, item: Item | None) -> WriteRequestTypeDef:
    key: Item = {"pk": {"S": pk}, "sk": {"S": sk}}
    if item is None:
        return {"DeleteRequest": {"Key": key}}
    return {"PutRequest": {"Item": {**key, **item}}}


def _write(table: Table, left: Sequence[WriteRequestTypeDef]) -> None:
    for _ in table.tries():
        answer = table.repeated(table.client.batch_write_item, RequestItems={table.name: left})
        left = answer.get("UnprocessedItems", {}).get(table.name, ())  # type: ignore[assignment]
        if not left:
            return
    raise Unavailable("The database did not take all items in time: try again")
