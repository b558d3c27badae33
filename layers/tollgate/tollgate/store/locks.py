"""Locks: one item for each reservation, found by its lock id alone.

A lock id is in use while its reservation lives: until it is finalized or expires. The item's `state` changes once, from
`held` to `confirmed`, `released` or `expired`, in the transaction that changes the balances.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tollgate.domain.environments import Environment
from tollgate.domain.reservations import HELD, Lock
from tollgate.store import keys
from tollgate.store.codecs import reservations as codec
from tollgate.store.codecs.reservations import Finalized
from tollgate.store.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from tollgate.store.table import Item

KEPT_SECONDS = 3600  # an item is kept for an hour after its reservation expires (autumn.md 5.9, S197)


class LockStore:
    """The locks of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, env: Environment, digest: str) -> Lock | None:
        """The lock with this digest of its lock id; None where there is none. Read consistently: one request, one read
        unit.
        """
        item = self._table.get(keys.lock(env, digest))
        return decode_lock(item) if item else None

    def get_all(self, env: Environment, digests: list[str]) -> list[Lock]:
        """The locks that exist among these digests, read consistently: one request for up to 100."""
        return [decode_lock(item) for item in self._table.get_all([keys.lock(env, digest) for digest in digests])]

    def write(self, env: Environment, lock: Lock, now: int) -> TransactWriteItemTypeDef:
        """A write, for a transaction, of a new lock: refused while a reservation with this lock id lives. `now` is
        epoch ms.
        """
        reservation = lock.reservation
        ttl = reservation.expires_at // 1000 + KEPT_SECONDS
        return {
            "Put": {
                "TableName": self._table.name,
                "Item": {
                    **keys.lock(env, reservation.id),
                    **codec.encode_lock(reservation, HELD, lock.key_id, ttl),
                },
                "ConditionExpression": "attribute_not_exists(pk) OR #state <> :held OR expires_at <= :now",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {":held": {"S": HELD}, ":now": {"N": str(now)}},
            }
        }

    def finalize(self, env: Environment, lock: Lock, state: str, final: Decimal, now: int) -> TransactWriteItemTypeDef:
        """A write, for a transaction, that ends a reservation at `final` units: refused where it was finalized
        already.
        """
        finalized = codec.encode_finalized(Finalized(final, now))
        return {
            "Update": {
                "TableName": self._table.name,
                "Key": keys.lock(env, lock.reservation.id),
                "UpdateExpression": "SET #state = :state, settled_value = :settled_value, settled_at = :settled_at",
                "ConditionExpression": "#state = :held AND expires_at = :expires_at",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {
                    ":state": {"S": state},
                    **{f":{name}": value for name, value in finalized.items()},
                    ":held": {"S": HELD},
                    ":expires_at": {"N": str(lock.reservation.expires_at)},
                },
            }
        }


def decode_lock(item: Item) -> Lock:
    """The lock that an item holds. Raises Unavailable where the item's layout is newer than this code."""
    return Lock(*codec.decode_lock(item))
