"""What reported events need in the table beside the balances: who is known, which values were counted, and the events of
customers to come.

    item     holds                                  written
    unique   the periods that counted a value       if it is as it was read, in the transaction that counts it
    waiting  an event of a customer to come         with its idempotency key, if there is no such customer still; it
                                                    goes in the transaction that counts it

A customer's creation and the wait for it meet on the customer's item: an event either waits before there is a customer,
and is found when the first balances are made, or is counted at once.
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
from tollgate.store.codecs.customers import decode_frozen_time
from tollgate.store.codecs.usage_events import (
    decode_unique_value,
    decode_waiting_event,
    encode_unique_value,
    encode_waiting_event,
)
from tollgate.store.table import Item, Refused, Table, delete_existing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

KEPT_MS = 45 * DAY_MS  # an event's id, and an event that waits: longer than a message can live in the queues


class Value(NamedTuple):
    """A value of a feature's COUNT_UNIQUE, as the digest of what it is and whose."""

    digest: str

    @classmethod
    def of(cls, customer_id: str, feature_id: str, value: str) -> Value:
        return cls(hashlib.sha256(f"{customer_id}\n{feature_id}\n{value}".encode()).hexdigest())


class EventRead(NamedTuple):
    """What an event may touch, as it was read. `known`: there is such a customer."""

    known: bool
    frozen_time: int | None
    stored: dict[BalanceKey, StoredBalance]
    unique_values: dict[Value, Item]

    def counted_in(self, value: Value) -> PeriodsCounted:
        item = self.unique_values.get(value)
        return decode_unique_value(item) if item else {}


class Waiting(NamedTuple):
    """An event whose customer was not known when it came; `key_id` sent it. `key` is where it lies."""

    event: UsageEvent
    key_id: str
    key: keys.Key


class UsageEventStore:
    """The events of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, customer: CustomerRef, balance_keys: Collection[BalanceKey], values: Collection[Value]) -> EventRead:
        """All that an event may touch, read consistently in one request (for up to 100 items)."""
        env = customer.environment
        wanted = [keys.customer(customer), *(keys.balance(customer, key) for key in balance_keys)]
        wanted += [keys.unique(env, value.digest) for value in values]
        profile: Item | None = None
        stored: dict[BalanceKey, StoredBalance] = {}
        counted_in: dict[str, Item] = {}
        for item in self._table.get_all(wanted):
            sk = item["sk"]["S"]
            if sk == keys.CUSTOMER:
                profile = item
            elif sk.startswith(keys.BALANCE):
                balance = decode_balance(item)
                stored[balance.balance.key] = balance
            else:
                counted_in[item["pk"]["S"]] = item
        by_value = {v: counted_in[pk] for v in values if (pk := keys.unique(env, v.digest)["pk"]["S"]) in counted_in}
        frozen = decode_frozen_time(profile) if profile else None
        return EventRead(profile is not None, frozen, stored, by_value)

    def count_value(
        self, env: Environment, value: Value, found: EventRead, counted_in: PeriodsCounted
    ) -> TransactWriteItemTypeDef:
        """A write, for a transaction, of the periods that have counted a value now, if it is as it was found."""
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
        """Keeps an event until its customer is made; False where it was made meanwhile. Raises DuplicateRequest."""
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
        """Up to `limit` events that wait for a customer, by their time, from a position on."""
        items = self._table.page(keys.waiting_partition(customer), after, limit)
        return [Waiting(*decode_waiting_event(item), {"pk": item["pk"], "sk": item["sk"]}) for item in items]

    def counted(self, waiting: Waiting) -> TransactWriteItemTypeDef:
        """A write, for a transaction, that ends an event's wait: refused where it has ended."""
        return delete_existing(self._table.name, waiting.key)


def position(waiting: Sequence[Waiting]) -> str:
    return str(waiting[-1].key["sk"]["S"])
