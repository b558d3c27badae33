"""What usage events need in the table besides balances: whether the customer exists, which values were counted, and the
events that wait for their customer.

    item     holds                                  written
    unique   the periods that counted a value       if it is as it was read, in the transaction that counts it
    waiting  an event whose customer is unknown     with its idempotency key, if the customer still does not exist;
                                                    deleted in the transaction that counts it

Creating a customer and keeping an event for it both depend on the customer's item: either the event is kept before the
customer exists, and is found when its first balances are created, or it is counted at once.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import DuplicateRequest
from tollgate.domain.idempotency import DAY_MS
from tollgate.domain.meters import PeriodsCounted
from tollgate.domain.usage_events import UsageEvent
from tollgate.store import keys
from tollgate.store.codecs.balances import StoredBalance, decode_balance
from tollgate.store.codecs.test_clocks import decode_frozen_time
from tollgate.store.codecs.usage_events import (
    decode_unique_value,
    decode_waiting_event,
    encode_unique_value,
    encode_waiting_event,
)
from tollgate.store.large_changes import LargeChanges
from tollgate.store.table import Item, Refused, Table, delete_existing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

KEPT_MS = 45 * DAY_MS  # of an event's id and of a waiting event: longer than a message can stay in the queues


class Value(NamedTuple):
    """One value that COUNT_UNIQUE counts: the digest of customer, feature and value."""

    digest: str

    @classmethod
    def of(cls, customer_id: str, feature_id: str, value: str) -> Value:
        """The digest of a value of this customer and feature."""
        return cls(hashlib.sha256(f"{customer_id}\n{feature_id}\n{value}".encode()).hexdigest())


class EventRead(NamedTuple):
    """What an event may change, as it was read.

    - `known`: whether the customer exists. `frozen_time`: its test clock's time (epoch ms); None: it has none.
    - `stored`: the balances that exist. `unique_values`: the items of the values that were counted before.
    """

    known: bool
    frozen_time: int | None
    stored: dict[BalanceKey, StoredBalance]
    unique_values: dict[Value, Item]

    def counted_in(self, value: Value) -> PeriodsCounted:
        """The periods that counted this value; empty where none has."""
        item = self.unique_values.get(value)
        return decode_unique_value(item) if item else {}


class Waiting(NamedTuple):
    """An event that waits for its customer. `key_id` is the API key that sent it, `key` the key of its item."""

    event: UsageEvent
    key_id: str
    key: keys.Key


class UsageEventStore:
    """The usage events of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._large_changes = LargeChanges(table)

    def read(self, customer: CustomerRef, balance_keys: Collection[BalanceKey], values: Collection[Value]) -> EventRead:
        """All that an event may change, read consistently in one request for up to 100 items. Raises Unavailable."""
        env = customer.environment
        wanted = [keys.customer(customer), *(keys.balance(customer, key) for key in balance_keys)]
        wanted += [keys.unique(env, value.digest) for value in values]
        profile: Item | None = None
        balances: list[Item] = []
        counted_in: dict[str, Item] = {}
        for item in self._table.get_all(wanted):
            sk = item["sk"]["S"]
            if sk == keys.CUSTOMER:
                profile = item
            elif sk.startswith(keys.BALANCE):
                balances.append(item)
            else:
                counted_in[item["pk"]["S"]] = item
        stored = {one.balance.key: one for one in map(decode_balance, self._large_changes.standing(balances))}
        by_value = {v: counted_in[pk] for v in values if (pk := keys.unique(env, v.digest)["pk"]["S"]) in counted_in}
        frozen = decode_frozen_time(profile) if profile else None
        return EventRead(profile is not None, frozen, stored, by_value)

    def count_value(
        self, env: Environment, value: Value, found: EventRead, counted_in: PeriodsCounted
    ) -> TransactWriteItemTypeDef:
        """A write, for a transaction, of the periods that have counted a value now; refused where its item is not as it
        was read.
        """
        old = found.unique_values.get(value)
        put: dict[str, Any] = {
            "TableName": self._table.name,
            "Item": {**keys.unique(env, value.digest), **encode_unique_value(counted_in)},
            "ConditionExpression": "seen = :old" if old else "attribute_not_exists(pk)",
        }
        if old:
            put["ExpressionAttributeValues"] = {":old": old["seen"]}
        return {"Put": put}  # type: ignore[typeddict-item]

    def wait(
        self, customer: CustomerRef, event: UsageEvent, key_id: str, idempotency: TransactWriteItemTypeDef, now: int
    ) -> bool:
        """Keeps an event until its customer exists; False where the customer was created meanwhile. `now` is epoch ms.

        Raises DuplicateRequest where the event was received before, Unavailable or OutcomeUnknown.
        """
        item: Item = {
            **keys.waiting(customer, event.at, hashlib.sha256(event.id.encode()).hexdigest()),
            **encode_waiting_event(event, key_id, (now + KEPT_MS) // 1000),
        }
        writes: list[TransactWriteItemTypeDef] = [
            idempotency,
            {"Put": {"TableName": self._table.name, "Item": item}},
            {
                "ConditionCheck": {
                    "TableName": self._table.name,
                    "Key": keys.customer(customer),
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            },
        ]
        try:
            self._table.transact(writes, str(uuid.uuid4()))
        except Refused as refused:
            if 0 in refused.failed:
                raise DuplicateRequest from refused
            return False
        return True

    def waiting(self, customer: CustomerRef, after: str, limit: int) -> list[Waiting]:
        """Up to `limit` events that wait for a customer, ordered by their time, that follow the position `after`
        (empty: from the start).
        """
        items = self._table.page(keys.waiting_partition(customer), after, limit)
        return [Waiting(*decode_waiting_event(item), {"pk": item["pk"], "sk": item["sk"]}) for item in items]

    def counted(self, waiting: Waiting) -> TransactWriteItemTypeDef:
        """A write, for a transaction, that removes a waiting event; refused where it is gone already."""
        return delete_existing(self._table.name, waiting.key)


def position(waiting: Sequence[Waiting]) -> str:
    """The position of the last of these events, after which the next page starts."""
    return str(waiting[-1].key["sk"]["S"])
