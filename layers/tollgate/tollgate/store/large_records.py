"""Records of uses that are large, because of a use's properties or because one write counted many uses, are in items of their
own.

DynamoDB charges a write for all of an item, before it or after it: a large record in a balance would be paid for by the use
that made it and again by the next one. So it is written first, under the use's id, and the balance names it. The stream's
consumer reads it back. Where the use is then declined, nobody asks for it; TTL removes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.use_records import UseRecord
from tollgate.store import keys
from tollgate.store.codecs.use_records import (
    decode_large_record,
    encode_large_record,
    encode_use_apart,
    encode_use_record,
    use_apart,
)
from tollgate.store.table import Item, Table

MOST_BYTES = 480  # of JSON in a balance: one of a few grants stays within a write unit
KEPT_SECONDS = 16 * 86_400  # the stream delivers for a day; who is in the dead letters then stays there for two weeks


def event_of(table: Table, customer: CustomerRef, key: BalanceKey, record: UseRecord, now: int) -> str:
    """The attribute `event` of the item with this key that is to record this use, which has its id. A large record is written
    to an item of its own: one request, a write unit for each KB. `now` is epoch ms. Raises Unavailable."""
    event = encode_use_record(record)
    if len(event) <= MOST_BYTES:
        return event
    item: Item = {
        **keys.use_record(customer.environment, record.id, key),
        **encode_large_record(event, now // 1000 + KEPT_SECONDS),
    }
    table.repeated(table.client.put_item, TableName=table.name, Item=item)
    return encode_use_apart(record.id)


def with_records(table: Table, records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Records of the table's stream, with the records of uses that they only name: one request for each hundred of those. What
    is gone stays named. Raises Unavailable.
    """
    found = list(records)
    named = {number: key for number, record in enumerate(found) if (key := _named(record)) is not None}
    if not named:
        return found
    wanted = {(key["pk"]["S"], key["sk"]["S"]): key for key in named.values()}
    items = {(item["pk"]["S"], item["sk"]["S"]): item for item in table.get_all(list(wanted.values()))}
    for number, key in named.items():
        item = items.get((key["pk"]["S"], key["sk"]["S"]))
        if item is not None:
            found[number] = _whole(found[number], decode_large_record(item))
    return found


def _named(record: Mapping[str, Any]) -> keys.Key | None:
    """The key of the item with the use that this stream record is of; None where it holds all that it tells."""
    change = record["dynamodb"]
    new, old = change.get("NewImage", {}), change.get("OldImage", {})
    if "event" not in new or new["event"] == old.get("event") or "change" in new:
        return None
    use_id = use_apart(new["event"].get("S", ""))
    if use_id is None:
        return None
    environment = Environment(change["Keys"]["pk"]["S"].partition("#")[0])
    _, feature_id, entity_id = change["Keys"]["sk"]["S"].split("#")
    return keys.use_record(environment, use_id, BalanceKey(feature_id, entity_id))


def _whole(record: Mapping[str, Any], event: str) -> Mapping[str, Any]:
    change = record["dynamodb"]
    image = {**change["NewImage"], "event": {"S": event}}
    return {**record, "dynamodb": {**change, "NewImage": image}}
