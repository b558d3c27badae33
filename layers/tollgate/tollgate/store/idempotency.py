"""Idempotency keys: one item for each. It is written in the transaction of the call that it guards, so a key is used if
and only if its call was done.

TTL removes an item some time after the key's time is over, so the conditions compare the time.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tollgate.domain.environments import Environment
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.store import keys
from tollgate.store.codecs.idempotency import decode_idempotency_key, encode_idempotency_key
from tollgate.store.table import Refused, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

CLAIM_MS = 60_000  # a claimed key becomes free after this time where its call never ended


class IdempotencyStore:
    """The idempotency keys of one table. `now` is the wall clock's time in epoch ms."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def write(self, env: Environment, idempotency_keys: IdempotencyKey, now: int) -> TransactWriteItemTypeDef:
        """A write, for a transaction, that uses a key; refused where the key is in use."""
        kept_until = now + idempotency_keys.kept_ms
        return {
            "Put": {
                "TableName": self._table.name,
                "Item": {
                    **keys.idempotency_key(env, idempotency_keys.digest),
                    **encode_idempotency_key(kept_until, idempotency_keys.about, kept_until // 1000 + 3600),
                },
                "ConditionExpression": "attribute_not_exists(pk) OR kept_until <= :now",
                "ExpressionAttributeValues": {":now": {"N": str(now)}},
            }
        }

    def used(self, env: Environment, wanted: Sequence[IdempotencyKey], now: int) -> dict[str, tuple[int, str]]:
        """Of these keys, those in use, by their text: when each was used (epoch ms), and its `about`. One request for
        up to 100 keys.
        """
        return {
            idempotency_keys.text: (kept_until - idempotency_keys.kept_ms, about)
            for idempotency_keys, kept_until, about in self._kept(env, wanted, now)
        }

    def in_use(self, env: Environment, wanted: Sequence[IdempotencyKey], now: int) -> set[IdempotencyKey]:
        """Those of these keys that are in use. One request for up to 100 keys."""
        return {idempotency_keys for idempotency_keys, _, _ in self._kept(env, wanted, now)}

    def _kept(
        self, env: Environment, wanted: Sequence[IdempotencyKey], now: int
    ) -> Iterator[tuple[IdempotencyKey, int, str]]:
        """Those of these keys in use, each with the time at which it becomes free (epoch ms) and its `about`. Read
        consistently.
        """
        by_pk = {
            keys.idempotency_key(env, idempotency_keys.digest)["pk"]["S"]: idempotency_keys
            for idempotency_keys in wanted
        }
        found = (
            self._table.get_all(
                [keys.idempotency_key(env, idempotency_keys.digest) for idempotency_keys in by_pk.values()]
            )
            if by_pk
            else []
        )
        for item in found:
            kept_until, about = decode_idempotency_key(item)
            if kept_until > now:
                yield by_pk[item["pk"]["S"]], kept_until, about

    def claim(self, env: Environment, idempotency_keys: IdempotencyKey, now: int) -> bool:
        """Uses a key while its call runs; False where it is in use already. Raises Unavailable or OutcomeUnknown."""
        try:
            self._table.transact([self.write(env, idempotency_keys._replace(kept_ms=CLAIM_MS), now)], str(uuid.uuid4()))
        except Refused:
            return False
        return True

    def seed(self, env: Environment, idempotency_keys: IdempotencyKey, now: int) -> uuid.UUID:
        """The value from which a call under a claimed key makes its ids. Repeats of the call get the same value, also
        after a failure, which frees the key; a call that uses the key after its time gets another.

        It is stored at the first try, so it is gone no later than the key is after a success. Raises Unavailable or
        OutcomeUnknown; a repeat then finds the value or stores one.
        """
        known = idempotency_keys._replace(scope=f"{idempotency_keys.scope} seed", about=str(uuid.uuid4()))
        try:
            self._table.transact([self.write(env, known, now)], str(uuid.uuid4()))
        except Refused:
            _, text = self.used(env, [known], now)[known.text]
            return uuid.UUID(text)
        return uuid.UUID(known.about)

    def keep(self, env: Environment, idempotency_keys: IdempotencyKey, now: int) -> None:
        """Keeps a claimed key for its whole time, because its call has succeeded. Raises Unavailable."""
        item = self.write(env, idempotency_keys, now)["Put"]["Item"]
        self._table.repeated(self._table.client.put_item, TableName=self._table.name, Item=item)

    def release(self, env: Environment, idempotency_keys: IdempotencyKey) -> None:
        """Frees a claimed key, because its call has failed. Raises Unavailable."""
        self._table.repeated(
            self._table.client.delete_item,
            TableName=self._table.name,
            Key=keys.idempotency_key(env, idempotency_keys.digest),
        )
