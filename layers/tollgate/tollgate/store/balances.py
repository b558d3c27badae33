"""Reading and deducting from balance items: the hot path's one conditional write, and what makes it exact.

Every deduction carries a time-ordered id of its own, made just before it is sent, and leaves it in one of the item's
slots. An id that may have been applied is never sent again.

    write       condition                                                       update
    spend       headroom >= v, fresh_until > now, fence < id                    headroom -= v, spent += v, version += 1,
                                                                                event, slot = id
    replace     version = the one decided on, fence < id                        the folded state, version += 1,
                                                                                event, slot = id
    fence       fence < f                                                       fence = f

A lost answer is resolved by a fence, a write that no deduction with an older id can follow:

    us      -- spend id=7 --x (answer lost)      -- fence f=9 -->  image: slot of 7 holds 7      applied, once
                                                                    slot holds an id made long before 7: not applied,
                                                                    and it never will be; try again as id=10
                                                                    (so does a version that has not moved since a
                                                                    replace read it)
                                                                    slot holds another recent id: nobody can tell
    late    ------------------------ spend id=7 (delayed in the network) --> refused: fence 9 >= 7

(docs/decisions/0001: why a fence and not a read.)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.balances import Balance
from tollgate.domain.errors import OutcomeUnknown, Unavailable
from tollgate.domain.ids import id_text, id_time, time_ordered_id
from tollgate.domain.keys import Environment
from tollgate.domain.usage import UsageEvent
from tollgate.store import keys
from tollgate.store.balance_items import Stored, decode, encode_event, slot_number, state_update
from tollgate.store.table import Busy, Lost, Refused, Table

if TYPE_CHECKING:
    from tollgate.store.keys import Key

REQUEST_LIFETIME_MS = 60_000  # no request is alive longer: the functions' 20 s, and the clocks' skew, with room
FENCE_TRIES = 2
TURNS = 16

EventOf = Callable[[str], UsageEvent]


class Applied(NamedTuple):
    """The deduction took effect, exactly once. `stored` is the item after it (or later, after a lost answer)."""

    stored: Stored
    event_id: str


class Declined(NamedTuple):
    """The deduction had no effect. `stored` is the item that declined it; None where there is none."""

    stored: Stored | None


class Balances:
    """The balances of one table. `clock` gives epoch milliseconds: it orders ids, and decides nothing."""

    def __init__(self, table: Table, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._table = table
        self._clock = clock

    def turns(self) -> Iterator[int]:
        """Counts the turns of a read, a decision and its write, with a growing, jittered pause before each but the
        first: so that those who meet on one item do not meet again."""
        return self._table.tries(TURNS)

    def get(self, env: Environment, customer_id: str, feature_id: str) -> Stored | None:
        """One balance, read consistently: one request, one read unit."""
        item = self._table.get(keys.balance(env, customer_id, feature_id))
        return decode(item) if item else None

    def has_customer(self, env: Environment, customer_id: str) -> bool:
        """Whether there is such a customer: asked only where there is no balance."""
        return self._table.get(keys.customer(env, customer_id)) is not None

    def spend(
        self, env: Environment, customer_id: str, feature_id: str, amount: Decimal, now: int, event_of: EventOf
    ) -> Applied | Declined:
        """The hot path: deducts `amount` if the balance is fresh at `now` and has the headroom. One write unit."""

        def request(id: bytes, slot: str, event: str) -> dict[str, Any]:
            return {
                "UpdateExpression": f"SET headroom = headroom - :v, spent = spent + :v, version = version + :one,"
                f" event = :event, {slot} = :id",
                "ConditionExpression": "headroom >= :v AND fresh_until > :now AND fence < :id",
                "ExpressionAttributeValues": {
                    ":v": {"N": str(amount)},
                    ":now": {"N": str(now)},
                    ":one": {"N": "1"},
                    ":event": {"S": event},
                    ":id": {"B": id},
                },
            }

        return self._deduct(keys.balance(env, customer_id, feature_id), request, event_of)

    def replace(
        self, env: Environment, customer_id: str, stored: Stored, balance: Balance, event_of: EventOf
    ) -> Applied | Declined:
        """The slow path's write: the state that was decided, if nothing was written since `stored` was read."""

        def request(id: bytes, slot: str, event: str) -> dict[str, Any]:
            clauses, names, values = state_update(balance)
            return {
                "UpdateExpression": f"SET {clauses}, event = :event, {slot} = :id",
                "ConditionExpression": "version = :version AND fence < :id",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": {
                    **values,
                    ":version": {"N": str(stored.version)},
                    ":event": {"S": event},
                    ":id": {"B": id},
                },
            }

        return self._deduct(keys.balance(env, customer_id, balance.feature_id), request, event_of, stored.version)

    def _deduct(
        self,
        key: Key,
        request: Callable[[bytes, str, str], dict[str, Any]],
        event_of: EventOf,
        version: int | None = None,
    ) -> Applied | Declined:
        """Sends a deduction (of an item at `version`, if it says so) until it is known to be applied or declined.

        Raises Unavailable or OutcomeUnknown.
        """
        id = time_ordered_id(self._clock(), os.urandom(10))
        for _ in self._table.tries():
            event_id = id_text(id)
            slot = f"s{slot_number(id)}"
            try:
                answer = self._table.once(
                    self._table.client.update_item,
                    TableName=self._table.name,
                    Key=key,
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **request(id, slot, encode_event(event_of(event_id))),
                )
                return Applied(decode(answer["Attributes"]), event_id)
            except Busy as error:
                last: Exception = error
            except Refused as refused:
                stored = decode(refused.item) if refused.item else None
                if stored is None or stored.fence < id:
                    return Declined(stored)
                id, last = self._id_after(stored.fence), refused
            except Lost as lost:
                stored = self._fenced(key, id)
                if stored is None:
                    return Declined(None)
                if stored.slot_of(id) == id:
                    return Applied(stored, event_id)
                untouched = stored.version == version
                if not untouched and id_time(stored.slot_of(id)) > id_time(id) - REQUEST_LIFETIME_MS:
                    raise OutcomeUnknown(
                        "The database's answer was lost, and the use may or may not have been counted: it was counted"
                        " once at most"
                    ) from lost
                id, last = self._id_after(stored.fence), lost
        raise Unavailable("The database is busy: nothing was counted, try again") from last

    def _fenced(self, key: Key, id: bytes) -> Stored | None:
        """The item, from an instant after which no deduction with `id` can be applied; None where there is none."""
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
            return decode(answer["Attributes"])
        except Refused as refused:
            return decode(refused.item) if refused.item else None
        except Unavailable as error:
            raise OutcomeUnknown(
                "The database's answer was lost and it cannot be asked now: the use was counted once at most"
            ) from error

    def _id_after(self, id: bytes) -> bytes:
        """A new id, later than `id` whatever the clocks say."""
        return time_ordered_id(max(self._clock(), id_time(id) + 1), os.urandom(10))
