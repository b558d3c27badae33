"""Reading and writing balance items: the fast path's one conditional write, and why it is applied exactly once.

Every deduction has a time-ordered id of its own, made just before it is sent, and stores it in one of the item's slots.
An id that may have been applied is never sent again.

    write       condition                                                       update
    spend       headroom (or ceiling) >= v, fresh_until > now, fence < id,      headroom -= v, ceiling -= v, spent += v,
                not before (a pool that pays for another feature)               version += 1, event, slot = id
    replace     version = the one decided on, fence < id                        the decided state, version += 1,
                                                                                event, slot = id
    commit      of every item: version = the one decided on                     the same, of several items in one
                                                                                transaction, with idempotency keys
    fence       fence < f                                                       fence = f

Where a commit is more than one transaction takes, it becomes a large change (`store.large_changes`). No write but its
own touches a balance on which one is staged: such a balance is never fresh, and `replace` and `commit` compare `change`.

A lost answer is resolved by a fence: after this write, no deduction with an older id can be applied.

    us      -- spend id=7 --x (answer lost)      -- fence f=9 -->  image: slot of 7 holds 7      applied, once
                                                                    slot holds an id made long before 7: not applied,
                                                                    and it never will be; try again as id=10
                                                                    (likewise where the version is still the one
                                                                    that a replace has read)
                                                                    slot holds another recent id: it is unknown
    late    ------------------------ spend id=7 (delayed in the network) --> refused: fence 9 >= 7

(docs/decisions/0001: why a fence and not a read.)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.balances import Balance, BalanceKey
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import WAS_COUNTED, DuplicateRequest, NotFound, OutcomeUnknown, Unavailable
from tollgate.domain.ids import id_text, id_time, time_ordered_id
from tollgate.domain.use_records import UseRecord
from tollgate.store import keys
from tollgate.store.codecs.balances import StoredBalance, decode_balance, slot_number, state_attributes, state_update
from tollgate.store.codecs.test_clocks import decode_frozen_time
from tollgate.store.large_records import event_of, with_records
from tollgate.store.table import Busy, Lost, Refused, Table
from tollgate.store.ungranted_uses import ungranted_use_write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from tollgate.store.keys import Key
    from tollgate.store.large_changes import LargeChanges
    from tollgate.store.table import Item

MOST_IN_ONE = 8  # writes that always fit one transaction
REQUEST_LIFETIME_MS = 60_000  # no request takes effect later: a function runs 20 s; the rest allows for clock skew
FENCE_TRIES = 2
TURNS = 16


class Applied(NamedTuple):
    """The deduction was applied exactly once. `stored` is the balance after it, or, where the answer was lost, some
    time later.
    """

    stored: StoredBalance
    use_id: str


class Declined(NamedTuple):
    """The deduction was not applied. `stored` is the balance that declined it; None where none was found or read."""

    stored: StoredBalance | None


class Deduct(NamedTuple):
    """A deduction on the fast path: `amount` units of the balance with this key, decided at `now` (epoch ms).

    - `record`: what the balance records of the use.
    - `alone`: nothing else pays for the feature, so the overage that the balance allows may be deducted too.
    - `pays_for`: the balance is a credit pool and pays for this feature. The deduction is declined where the customer
      has a balance of that feature.
    """

    key: BalanceKey
    amount: Decimal
    now: int
    record: UseRecord
    alone: bool = False
    pays_for: str | None = None


class Replacement(NamedTuple):
    """One balance of a transaction: as it was read, as it is to be written, and the use that it records (None: no
    use).
    """

    stored: StoredBalance
    balance: Balance
    record: UseRecord | None = None


class BalanceStore:
    """The balances of one table. `clock` gives epoch ms; ids are ordered by it, and nothing is decided by it."""

    def __init__(self, table: Table, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._table = table
        self._clock = clock

    def turns(self) -> Iterator[int]:
        """Counts the attempts of a read, a decision and a write, with a growing, jittered pause before each but the
        first, so that callers that met on one balance do not meet again.
        """
        return self._table.tries(TURNS)

    def read(
        self, customer: CustomerRef, balance_keys: Collection[BalanceKey], entity_id: str = ""
    ) -> dict[BalanceKey, StoredBalance]:
        """The balances that exist among these keys, read consistently in one request (a read unit for each 4 KB of each
        item).

        With an entity, raises NotFound where the customer or the entity does not exist.
        """
        if len(balance_keys) == 1 and not entity_id:
            (balance_key,) = balance_keys
            item = self._table.get(keys.balance(customer, balance_key))
            return {stored.balance.key: stored for stored in self._decoded((item,) if item else ())}
        wanted = [keys.balance(customer, balance_key) for balance_key in balance_keys]
        if entity_id:
            wanted.append(keys.entity(customer, entity_id))
        items = self._table.get_all(wanted)
        balances = [item for item in items if item["sk"]["S"].startswith(keys.BALANCE)]
        found = self._decoded(balances)
        if entity_id and len(balances) == len(items):
            if not self.has_customer(customer):
                raise NotFound("customer", customer.id)
            raise NotFound("entity", entity_id)
        return {stored.balance.key: stored for stored in found}

    def of_feature(self, customer: CustomerRef, feature_id: str) -> dict[BalanceKey, StoredBalance]:
        """The customer's own balance of a feature and those of all its entities, in one Query."""
        items = self._table.query(keys.customer_partition(customer), f"{keys.BALANCE}{feature_id}#")
        return {stored.balance.key: stored for stored in self._decoded(items)}

    def _decoded(self, items: Sequence[Item]) -> list[StoredBalance]:
        """The balances that these items hold, as they stand."""
        if any("change" in item for item in items):
            items = self._large_changes().standing(items)
        return [decode_balance(item) for item in items]

    def _large_changes(self) -> LargeChanges:
        from tollgate.store.large_changes import LargeChanges  # few calls have need of it

        return LargeChanges(self._table, self._clock)

    def writable(self, customer: CustomerRef, balances: Iterable[StoredBalance]) -> bool:
        """Whether no large change is staged on these balances. One that was decided or given up is brought to its end,
        so that the balances may be written once they are read again."""
        staged = [stored.balance.key for stored in balances if stored.change]
        if staged:
            self._large_changes().resolve([keys.balance(customer, key) for key in staged])
        return not staged

    def has_customer(self, customer: CustomerRef) -> bool:
        """Whether the customer exists: one read, needed only where it has no balance."""
        return self._table.get(keys.customer(customer)) is not None

    def frozen_time(self, customer: CustomerRef) -> int | None:
        """The time of the customer's test clock (epoch ms); None where it has none. Needed only where a balance says
        that it has one.
        """
        item = self._table.get(keys.customer(customer))
        return decode_frozen_time(item) if item else None

    def created_at(self, customer: CustomerRef) -> int | None:
        """When the customer was made (ms); None where there is none. Asked only of a reservation that holds nothing."""
        from tollgate.store.codecs.customers import decode_customer

        item = self._table.get(keys.customer(customer))
        return decode_customer(item)[0].created_at if item else None

    def spend(
        self, customer: CustomerRef, deduct: Deduct, idempotency: Sequence[TransactWriteItemTypeDef] = ()
    ) -> Applied | Declined:
        """The fast path: deducts the amount where the balance is fresh and holds as much. One write unit.

        With the writes of `idempotency` keys it is one transaction: raises DuplicateRequest where a key is in use, and
        a Declined then holds no balance. Raises Unavailable or OutcomeUnknown.
        """
        held = "ceiling" if deduct.alone else "headroom"
        guard = " AND NOT contains(#before, :own)" if deduct.pays_for else ""
        names = {"ExpressionAttributeNames": {"#before": "before"}} if deduct.pays_for else {}
        own: Item = {":own": {"S": deduct.pays_for}} if deduct.pays_for else {}

        def request(id: bytes, slot: str, event: str) -> dict[str, Any]:
            return {
                "UpdateExpression": "SET headroom = headroom - :v, ceiling = ceiling - :v, spent = spent + :v,"
                f" version = version + :one, event = :event, {slot} = :id",
                "ConditionExpression": f"{held} >= :v AND fresh_until > :now AND fence < :id{guard}",
                "ExpressionAttributeValues": {
                    ":v": {"N": str(deduct.amount)},
                    ":now": {"N": str(deduct.now)},
                    ":one": {"N": "1"},
                    ":event": {"S": event},
                    ":id": {"B": id},
                    **own,
                },
                **names,
            }

        if not idempotency:
            return self._deduct(customer, deduct.key, request, deduct.record)
        key = keys.balance(customer, deduct.key)
        id = self.new_id()
        write = request(id, f"s{slot_number(id)}", self._event(customer, deduct.key, deduct.record, id_text(id)))
        update: Any = {"Update": {"TableName": self._table.name, "Key": key, **write}}
        try:
            self._table.transact([update, *idempotency], id_text(id), blind=True)
        except Refused as refused:
            if any(number > 0 for number in refused.failed):
                raise DuplicateRequest() from refused
            return Declined(None)
        try:
            item = self._table.get(key)
        except Unavailable as error:
            raise OutcomeUnknown(WAS_COUNTED) from error
        if item is None:  # deleted meanwhile, with its customer
            raise OutcomeUnknown(WAS_COUNTED)
        return _applied(item, id_text(id))

    def replace(self, customer: CustomerRef, write: Replacement) -> Applied | Declined:
        """The slow path's write of one balance: stores the decided state where the balance was not written since it was
        read.

        Raises Unavailable or OutcomeUnknown.
        """
        assert write.record is not None
        stored, balance = write.stored, write.balance

        def request(id: bytes, slot: str, event: str) -> dict[str, Any]:
            update = state_update(balance)
            return {
                "UpdateExpression": f"SET {update.sets}, event = :event, {slot} = :id{update.removes}",
                "ConditionExpression": "version = :version AND fence < :id AND attribute_not_exists(#change)",
                "ExpressionAttributeNames": {**update.names, "#change": "change"},
                "ExpressionAttributeValues": {
                    **update.values,
                    ":version": {"N": str(stored.version)},
                    ":event": {"S": event},
                    ":id": {"B": id},
                },
            }

        return self._deduct(customer, balance.key, request, write.record, stored.version)

    def write_as_of(self, customer: CustomerRef, stored: StoredBalance, balance: Balance) -> bool:
        """Writes a balance as time has changed it, where nobody has written it since it was read; whether that was so.

        One write unit for each KB. A lost answer does no harm: sent again, it is refused. Raises Unavailable.
        """
        if not self.writable(customer, (stored,)):
            return False
        update = state_update(balance)
        try:
            self._table.repeated(
                self._table.client.update_item,
                TableName=self._table.name,
                Key=keys.balance(customer, balance.key),
                UpdateExpression=f"SET {update.sets}{update.removes}",
                ConditionExpression="version = :version AND attribute_not_exists(#change)",
                ExpressionAttributeNames={**update.names, "#change": "change"},
                ExpressionAttributeValues={**update.values, ":version": {"N": str(stored.version)}},
            )
        except Refused:
            return False
        return True

    def commit(
        self,
        customer: CustomerRef,
        writes: Sequence[Replacement],
        unchanged: Sequence[StoredBalance] = (),
        idempotency: Sequence[TransactWriteItemTypeDef] = (),
        extra_writes: Sequence[TransactWriteItemTypeDef] = (),
    ) -> str | None:
        """Writes the decided states of several balances in one transaction, where neither they nor the `unchanged`
        balances were written since they were read, and the conditions of `extra_writes` hold. Costs twice the units of
        single writes.

        More than one transaction takes is a large change, which costs about twice as much again.

        Returns the id of the uses; None where a condition did not hold. Raises DuplicateRequest where an idempotency
        key is in use, InvalidRequest where there are a hundred writes that are no balances, Unavailable or
        OutcomeUnknown.
        """
        if not self.writable(customer, [*(write.stored for write in writes), *unchanged]):
            return None
        id = id_text(self.new_id())
        updates = [{"Update": self._update_of(customer, write, id)} for write in writes]
        checks = [
            {
                "ConditionCheck": {
                    "TableName": self._table.name,
                    "Key": keys.balance(customer, stored.balance.key),
                    "ConditionExpression": "version = :version",
                    "ExpressionAttributeValues": {":version": {"N": str(stored.version)}},
                }
            }
            for stored in unchanged
        ]
        transaction: list[Any] = [*idempotency, *updates, *checks, *extra_writes]
        try:
            if len(transaction) > MOST_IN_ONE and self._too_large(transaction):
                self._commit_large(customer, id, (writes, unchanged), [*idempotency, *extra_writes])
            else:
                self._table.transact(transaction, id)
        except Refused as refused:
            if any(number < len(idempotency) for number in refused.failed):
                raise DuplicateRequest() from refused
            return None
        return id

    @staticmethod
    def _too_large(transaction: Sequence[TransactWriteItemTypeDef]) -> bool:
        from tollgate.store.large_changes import too_large

        return too_large(transaction)

    def _commit_large(
        self,
        customer: CustomerRef,
        id: str,
        balances: tuple[Sequence[Replacement], Sequence[StoredBalance]],
        others: Sequence[TransactWriteItemTypeDef],
    ) -> None:
        """Writes these balances (those that change, and those that must not) as a large change. Raises Refused."""
        from tollgate.store.large_changes import staged_balance

        changed, unchanged = balances
        staged = []
        for write in changed:
            after: Item = state_attributes(write.balance)
            if write.record:
                after["event"] = {"S": self._event(customer, write.balance.key, write.record, id)}
            staged.append(staged_balance(customer, write.stored, after))
        staged += [staged_balance(customer, stored, None, stays=True) for stored in unchanged]
        changes = self._large_changes()
        claim = changes.claim(customer)
        try:
            changes.write(claim, staged, others)
        finally:
            changes.give_up(claim)

    def ungranted_use(
        self, customer: CustomerRef, key: BalanceKey, record: UseRecord, now: int
    ) -> TransactWriteItemTypeDef:
        """A write, for a transaction, that records a use of a feature that nothing grants. `now` is epoch ms."""
        return ungranted_use_write(self._table, customer, key, record, now)

    def record_ungranted_use(
        self,
        customer: CustomerRef,
        key: BalanceKey,
        record: UseRecord,
        now: int,
        idempotency: Sequence[TransactWriteItemTypeDef] = (),
    ) -> None:
        """Records a use of a feature that nothing grants, in one transaction with its idempotency keys. Two write units
        for it.

        Raises DuplicateRequest, Unavailable or OutcomeUnknown.
        """
        named = record.with_id(id_text(self.new_id()))
        try:
            self._table.transact([*idempotency, self.ungranted_use(customer, key, named, now)], named.id)
        except Refused as refused:
            raise DuplicateRequest from refused

    def _update_of(self, customer: CustomerRef, write: Replacement, id: str) -> dict[str, Any]:
        update = state_update(write.balance)
        record = write.record and self._event(customer, write.balance.key, write.record, id)
        return {
            "TableName": self._table.name,
            "Key": keys.balance(customer, write.balance.key),
            "UpdateExpression": f"SET {update.sets}{', event = :event' if record else ''}{update.removes}",
            "ConditionExpression": "version = :version AND attribute_not_exists(#change)",
            "ExpressionAttributeNames": {**update.names, "#change": "change"},
            "ExpressionAttributeValues": {
                **update.values,
                ":version": {"N": str(write.stored.version)},
                **({":event": {"S": record}} if record else {}),
            },
        }

    def _event(self, customer: CustomerRef, key: BalanceKey, record: UseRecord, id: str) -> str:
        """What the balance records of a use under this id (`large_records.event_of`)."""
        return event_of(self._table, customer, key, record.with_id(id), self._clock())

    def with_records(self, records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Records of the table's stream with all that they tell of uses (`large_records.with_records`). Raises
        Unavailable."""
        return with_records(self._table, records)

    def new_id(self) -> bytes:
        """A new time-ordered id (16 bytes) for a use."""
        return time_ordered_id(self._clock(), os.urandom(10))

    def _deduct(
        self,
        customer: CustomerRef,
        balance_key: BalanceKey,
        request: Callable[[bytes, str, str], dict[str, Any]],
        record: UseRecord,
        version: int | None = None,
    ) -> Applied | Declined:
        """Sends a deduction until it is known to be applied or declined. `version`: the version that its condition
        compares, if any.

        Raises Unavailable or OutcomeUnknown.
        """
        key = keys.balance(customer, balance_key)
        id, recorded_as, event = self.new_id(), None, ""
        for _ in self._table.tries():
            use_id = id_text(id)
            slot = f"s{slot_number(id)}"
            if recorded_as != id:
                recorded_as, event = id, self._event(customer, balance_key, record, use_id)
            try:
                answer = self._table.send_once(
                    self._table.client.update_item,
                    TableName=self._table.name,
                    Key=key,
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **request(id, slot, event),
                )
                return _applied(answer["Attributes"], use_id)
            except Busy as error:
                last: Exception = error
            except Refused as refused:
                stored = self._standing(refused.item)
                if stored is None or stored.fence < id:
                    return Declined(stored)
                id, last = self._id_after(stored.fence), refused
            except Lost as lost:
                stored = self._fenced(key, id)
                if stored is None:  # there was none, or it was deleted after the use
                    raise OutcomeUnknown(
                        "The database's answer was lost, and there is no balance now: it was counted once at most"
                    ) from lost
                if stored.slot_of(id) == id:
                    return Applied(stored, use_id)
                untouched = stored.version == version
                if not untouched and id_time(stored.slot_of(id)) > id_time(id) - REQUEST_LIFETIME_MS:
                    raise OutcomeUnknown(
                        "The database's answer was lost, and the use may or may not have been counted: it was counted"
                        " once at most"
                    ) from lost
                id, last = self._id_after(stored.fence), lost
        raise Unavailable("The database is busy: nothing was counted, try again") from last

    def _fenced(self, key: Key, id: bytes) -> StoredBalance | None:
        """Writes a fence, and returns the balance after it: from then on no deduction with `id` can be applied. None
        where there is no balance. Raises OutcomeUnknown.
        """
        fence = self._id_after(id)
        try:
            answer = self._table.repeated(
                self._table.client.update_item,
                most=FENCE_TRIES,
                TableName=self._table.name,
                Key=key,
                UpdateExpression="SET fence = :fence",
                ConditionExpression="fence < :fence",
                ExpressionAttributeValues={":fence": {"B": fence}},
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
            item: Item | None = answer["Attributes"]
        except Refused as refused:
            item = refused.item
        except Unavailable as error:
            raise OutcomeUnknown(
                "The database's answer was lost and it cannot be asked now: the use was counted once at most"
            ) from error
        try:
            return self._standing(item)
        except Unavailable as error:
            raise OutcomeUnknown(f"The database's answer was lost, and its balance cannot be read: {error}") from error

    def _standing(self, item: Item | None) -> StoredBalance | None:
        """The balance that a refused write found, as it stands."""
        return next(iter(self._decoded((item,))), None) if item else None

    def _id_after(self, id: bytes) -> bytes:
        """A new id that is later than `id`, even where this clock is behind the one that made it."""
        return time_ordered_id(max(self._clock(), id_time(id) + 1), os.urandom(10))


def _applied(item: Item, use_id: str) -> Applied:
    """The answer of a write that took effect, with the item that it left.

    Raises OutcomeUnknown where a newer release wrote the item: the use was counted, but its balance cannot be read.
    """
    try:
        return Applied(decode_balance(item), use_id)
    except Unavailable as error:
        raise OutcomeUnknown(f"The use was counted, but its balance cannot be read: {error}") from error
