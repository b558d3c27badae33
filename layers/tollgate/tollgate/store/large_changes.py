"""Changes of more balances than one transaction of DynamoDB takes (100 items, 4 MB): all of them happen, or none.

    open     the change's record, in the customer's partition: `open` until a time that its writer renews
    stage    each balance, in transactions of up to a hundred, where its version is the one decided on and no other
             change is staged on it: it gets the change's id and, beside what it is, what it is to be (`next`);
             version += 1; fresh_until = 0, so that the fast path declines
    decide   one transaction: the record becomes `done`, with all else that the change writes and its conditions
    finish   each balance that has the change's id becomes what `next` says

Whoever reads a staged balance looks at the record: until it is `done` the balance stands as it was, from then on as
`next` says, finished or not. Nobody writes a staged balance but to finish or undo the change. A writer that stops
half-way leaves an open record, which anybody may close as `undone` once its time is over; a record that is gone was
`undone`, or is finished everywhere.

| attribute of a staged balance | type | holds |
|---|---|---|
| `change` | S | the id of the change |
| `next` | M | the attributes of its state afterwards; absent where it is to stay as it is, or to go |
| `fresh_then` | N | `fresh_until`, as it was |
| `gone` | BOOL | it is to be deleted |
| `made` | BOOL | there is no such balance yet: the item holds nothing else |

(docs/decisions/0013.)
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.errors import InvalidRequest, OutcomeUnknown, Unavailable
from tollgate.store import keys
from tollgate.store.codecs.balances import BALANCE, STAGED, STATE, as_it_was, no_writes
from tollgate.store.codecs.large_changes import decode_large_change, encode_large_change
from tollgate.store.table import Refused, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from tollgate.domain.environments import CustomerRef
    from tollgate.store.codecs.balances import StoredBalance
    from tollgate.store.keys import Key
    from tollgate.store.table import Item

MOST_WRITES = 100  # in one transaction
MOST_OTHERS = 99  # with the record
MOST_BYTES = 3_500_000  # likewise; DynamoDB takes 4 MB
MOST_ITEM_BYTES = 390_000  # of a balance as it was and as it is to be; DynamoDB takes 400 KB
LEASE_MS = 5_000  # how long an open change is left alone after its writer was last heard of
THREADS = 8
KEPT_SECONDS = 86_400  # a closed record

OPEN, DONE, UNDONE = "open", "done", "undone"


class Staged(NamedTuple):
    """One balance of a change.

    - `version`: the one decided on; None: there is no such balance.
    - `after`: the attributes that hold its state afterwards, and the use that it records; None: it is to be deleted.
    - `fresh_until`: as it is. `stays`: nothing is to be changed, but nobody else may change it meanwhile.
    """

    key: Key
    version: int | None
    after: Item | None
    fresh_until: int = 0
    stays: bool = False


def staged_balance(customer: CustomerRef, stored: StoredBalance, after: Item | None, *, stays: bool = False) -> Staged:
    """A balance that exists, as a change is to leave it."""
    return Staged(keys.balance(customer, stored.balance.key), stored.version, after, stored.balance.fresh_until, stays)


Met = tuple["Item", str]
"""A balance's item, and the state of the change that is staged on it."""


class Claim:
    """A change on its way: its id, and which balances it has staged (by sort key; whether each is a new one)."""

    def __init__(self, partition: str) -> None:
        self.partition = partition
        self.begin()

    def begin(self) -> None:
        """Makes it a new change, that has staged nothing."""
        self.id = str(uuid.uuid4())
        self.staged: dict[str, bool] = {}
        self.opened = False
        self.closed = False
        self.renewed_at = 0

    @property
    def record(self) -> Key:
        """The key of its record."""
        return keys.large_change(self.partition, self.id)


def too_large(writes: Sequence[TransactWriteItemTypeDef]) -> bool:
    """Whether these writes are more than one transaction takes."""
    return len(writes) > MOST_WRITES or (len(writes) > 8 and sum(map(_size, writes)) > MOST_BYTES)


def _size(value: Any) -> int:
    """About how many bytes a write has, or a part of it."""
    if isinstance(value, dict):
        return sum(len(name) + _size(part) for name, part in value.items())
    return (
        len(value) if isinstance(value, (str, bytes)) else 8 if not isinstance(value, list) else sum(map(_size, value))
    )


class LargeChanges:
    """The large changes of one table. `clock` gives epoch ms: only how long an open change is left alone follows from
    it."""

    def __init__(self, table: Table, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._table = table
        self._clock = clock

    # -------------------------------------------------------------- making one

    def claim(self, customer: CustomerRef) -> Claim:
        """A change of this customer's balances to come: nothing is stored of it yet."""
        return Claim(keys.customer_partition(customer))

    def write(self, claim: Claim, balances: Sequence[Staged], others: Sequence[TransactWriteItemTypeDef] = ()) -> None:
        """Makes a change: these balances, and the `others` with their conditions (fewer than a hundred).

        Raises InvalidRequest where they are more, or a balance would not fit its item, before anything is written.
        Raises Refused where a balance was written since it was read (`failed` is then empty) or a condition of the
        others did not hold (`failed` has their numbers): nothing is changed, and what is staged stays so for another try
        with the same claim, until `give_up`. Raises Unavailable, or OutcomeUnknown.
        """
        if len(others) > MOST_OTHERS:
            raise InvalidRequest(f"This would change {len(others)} things besides balances: at most {MOST_OTHERS}")
        if any(2 * _size(one.after or {}) > MOST_ITEM_BYTES for one in balances):
            raise InvalidRequest("A balance holds too much to be changed together with so many others")
        if claim.closed:
            claim.begin()
        if not claim.opened:
            self._open(claim)
        wanted = {one.key["sk"]["S"]: one for one in balances}
        writes = [(one, self._stage(claim, one)) for one in balances]
        for sk, made in claim.staged.items():  # of an earlier try, and not in this one: as if it had not been staged
            if sk not in wanted:
                key: Key = {"pk": {"S": claim.partition}, "sk": {"S": sk}}
                one = Staged(key, None if made else 0, None, stays=not made)
                wanted[sk] = one
                writes.append((one, self._unstage(claim, one)))
        new = {one.key["sk"]["S"]: one.version is None for one, _ in writes}
        try:
            refused = self._in_parts(claim, [write for _, write in writes])
        except OutcomeUnknown as error:
            claim.staged |= new
            raise Unavailable("The database did not answer in time: nothing was changed, try again") from error
        except Exception:
            claim.staged |= new
            raise
        claim.staged |= {sk: made for number, (sk, made) in enumerate(new.items()) if number not in refused}
        if refused:
            raise Refused(None)
        self._decide(claim, others)
        self._finish(claim, list(wanted.values()))

    def give_up(self, claim: Claim) -> None:
        """Undoes what is staged of a change that was not decided. What cannot be undone now, whoever writes it next
        undoes."""
        if not claim.opened or claim.closed:
            return
        claim.closed = True
        try:
            if self._closed(claim.record) == UNDONE:
                staged: Iterator[Item] = (
                    {"pk": claim.record["pk"], "sk": {"S": sk}, **_made(made)} for sk, made in claim.staged.items()
                )
                self._in_parts(None, [self._undoing(claim.id, item) for item in staged])
        except (Unavailable, OutcomeUnknown):
            return

    def _open(self, claim: Claim) -> None:
        now = self._clock()
        item: Item = {**claim.record, **encode_large_change(OPEN, now + LEASE_MS)}
        self._table.repeated(self._table.client.put_item, TableName=self._table.name, Item=item)
        claim.opened, claim.renewed_at = True, now

    def _renew(self, claim: Claim) -> None:
        """Says that the writer is at work. Raises Refused where the change was undone."""
        now = self._clock()
        if now < claim.renewed_at + LEASE_MS // 4:
            return
        claim.renewed_at = now
        try:
            self._table.repeated(
                self._table.client.update_item,
                TableName=self._table.name,
                Key=claim.record,
                UpdateExpression="SET #until = :until",
                ConditionExpression="#state = :open",
                ExpressionAttributeNames={"#until": "until", "#state": "state"},
                ExpressionAttributeValues={":until": {"N": str(now + LEASE_MS)}, ":open": {"S": OPEN}},
            )
        except Refused:
            claim.closed = True
            raise

    def _stage(self, claim: Claim, one: Staged) -> Any:
        if one.version is None:
            assert one.after is not None
            item: Item = {
                **one.key,
                "change": {"S": claim.id},
                "made": {"BOOL": True},
                "next": {"M": one.after},
                "version": {"N": str(self._clock())},
                **BALANCE.mark,
            }
            return self._put(item, "attribute_not_exists(pk) OR #change = :change", claim.id)
        sets = ["#change = :change", "#then = :then", "#fresh = :never", "version = version + :one", "#v = :v"]
        names = {"#change": "change", "#then": "fresh_then", "#fresh": "fresh_until", "#v": "v"}
        values: Item = {
            ":change": {"S": claim.id},
            ":then": {"N": str(one.fresh_until)},
            ":never": {"N": "0"},
            ":one": {"N": "1"},
            ":v": {"N": str(BALANCE.version)},
            ":version": {"N": str(one.version)},
        }
        names |= {"#next": "next", "#gone": "gone"}
        if one.stays:
            removes = " REMOVE #next, #gone"
        elif one.after is None:
            sets, removes, values[":gone"] = [*sets, "#gone = :gone"], " REMOVE #next", {"BOOL": True}
        else:
            sets, removes, values[":next"] = [*sets, "#next = :next"], " REMOVE #gone", {"M": one.after}
        return {
            "Update": {
                "TableName": self._table.name,
                "Key": one.key,
                "UpdateExpression": f"SET {', '.join(sets)}{removes}",
                "ConditionExpression": "version = :version AND (attribute_not_exists(#change) OR #change = :change)",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": values,
            }
        }

    def _unstage(self, claim: Claim, one: Staged) -> Any:
        """Keeps what an earlier try staged from being changed after all."""
        if one.version is None:
            item: Item = {
                **one.key,
                "change": {"S": claim.id},
                "made": {"BOOL": True},
                "version": {"N": str(self._clock())},
                **BALANCE.mark,
            }
            return self._put(item, "#change = :change", claim.id)
        return self._owned(claim.id, one.key, "SET version = version + :one REMOVE #next, #gone", ("next", "gone"))

    def _put(self, item: Item, condition: str, id: str) -> Any:
        return {
            "Put": {
                "TableName": self._table.name,
                "Item": item,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {"#change": "change"},
                "ExpressionAttributeValues": {":change": {"S": id}},
            }
        }

    def _owned(self, id: str, key: Key, update: str, names: Iterable[str], values: Item | None = None) -> Any:
        """An update of a balance that this change has staged."""
        return {
            "Update": {
                "TableName": self._table.name,
                "Key": key,
                "UpdateExpression": update,
                "ConditionExpression": "#change = :change",
                "ExpressionAttributeNames": {"#change": "change", **{f"#{name}": name for name in names}},
                "ExpressionAttributeValues": {":change": {"S": id}, ":one": {"N": "1"}, **(values or {})},
            }
        }

    def _decide(self, claim: Claim, others: Sequence[TransactWriteItemTypeDef]) -> None:
        done: Any = {
            "Update": {
                "TableName": self._table.name,
                "Key": claim.record,
                "UpdateExpression": "SET #state = :done",
                "ConditionExpression": "#state = :open",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {":open": {"S": OPEN}, ":done": {"S": DONE}},
            }
        }
        try:
            self._table.transact([*others, done], str(uuid.uuid4()))
        except Refused as refused:
            claim.closed = len(others) in refused.failed
            raise Refused(None, tuple(number for number in refused.failed if number < len(others))) from refused
        except (Unavailable, OutcomeUnknown) as error:
            try:
                state = self._closed(claim.record)
            except Unavailable:
                raise OutcomeUnknown(
                    "The database's answer was lost: look whether it was done before trying again"
                ) from error
            if state != DONE:  # and it cannot become so any more
                raise Unavailable("The database did not answer in time: nothing was changed, try again") from error
        claim.closed = True

    def _finish(self, claim: Claim, balances: Sequence[Staged]) -> None:
        """Writes what was decided into the balances. What cannot be written now, whoever writes it next finishes."""
        writes = []
        for one in balances:
            item: Item = {**one.key, **_made(one.version is None)}
            if one.stays or (one.version is None and one.after is None):
                writes.append(self._undoing(claim.id, item))
            elif one.after is None:
                writes.append(self._finishing(claim.id, {**item, "gone": {"BOOL": True}}))
            else:
                writes.append(self._finishing(claim.id, {**item, "next": {"M": one.after}}))
        try:
            self._in_parts(None, writes)
            self._table.repeated(
                self._table.client.update_item,
                TableName=self._table.name,
                Key=claim.record,
                UpdateExpression="SET #ttl = :ttl",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={":ttl": {"N": str(self._clock() // 1000 + KEPT_SECONDS)}},
            )
        except (Refused, Unavailable, OutcomeUnknown):  # refused: it is gone with its customer
            return

    def _finishing(self, id: str, item: Item) -> Any:
        """The write that makes a staged balance what it is to be."""
        key: Key = {"pk": item["pk"], "sk": item["sk"]}
        if "next" in item:
            after = {**item["next"]["M"], **(no_writes() if "made" in item else {})}
            gone = [name for name in (*STATE, *STAGED) if name not in after]
            sets = ", ".join(["version = version + :one", *(f"#{name} = :{name}" for name in after)])
            update = f"SET {sets} REMOVE {', '.join(f'#{name}' for name in gone)}"
            return self._owned(id, key, update, {*after, *gone}, {f":{name}": after[name] for name in after})
        return self._deletion(id, key) if "gone" in item else self._undoing(id, item)

    def _undoing(self, id: str, item: Item) -> Any:
        """The write that makes a staged balance what it was."""
        key: Key = {"pk": item["pk"], "sk": item["sk"]}
        if "made" in item:
            return self._deletion(id, key)
        update = "SET #fresh_until = #fresh_then, version = version + :one REMOVE " + ", ".join(f"#{n}" for n in STAGED)
        return self._owned(id, key, update, ("fresh_until", *STAGED))

    def _deletion(self, id: str, key: Key) -> Any:
        return {
            "Delete": {
                "TableName": self._table.name,
                "Key": key,
                "ConditionExpression": "#change = :change",
                "ExpressionAttributeNames": {"#change": "change"},
                "ExpressionAttributeValues": {":change": {"S": id}},
            }
        }

    def _in_parts(self, claim: Claim | None, writes: Sequence[Any]) -> set[int]:
        """Applies the writes whose conditions hold, in as many transactions as they need; the numbers of the others."""
        from concurrent.futures import ThreadPoolExecutor

        def apply(part: list[int]) -> list[int]:
            refused: list[int] = []
            while part:
                if claim:
                    self._renew(claim)
                try:
                    self._table.transact([writes[number] for number in part], str(uuid.uuid4()))
                    break
                except Refused as error:
                    failed = {part[number] for number in error.failed}
                    refused += failed
                    part = [number for number in part if number not in failed]
            return refused

        parts = list(_parts(writes))
        with ThreadPoolExecutor(min(THREADS, len(parts) or 1)) as threads:
            return {number for refused in threads.map(apply, parts) for number in refused}

    # -------------------------------------------------------------- reading what one has staged

    def standing(self, items: Iterable[Item], claim: Claim | None = None) -> list[Item]:
        """The items as they stand: balances that a change has staged as they were, or as the change made them; without
        those that it has yet to make, or has deleted.

        One that somebody has yet to finish or to undo keeps `change`: it cannot be written. One that `claim` has staged
        itself stands as it was.
        """
        found = list(items)
        own = (claim.partition, claim.id) if claim else None
        others = [item for item in found if "change" in item and _change_on(item) != own]
        met: dict[tuple[str, str], Met | None] = {_at(item): None for item in others}
        met |= self._met(others)
        stands = (met.get(_at(item), (item, OPEN)) for item in found)
        return [one for each in stands if each is not None and (one := _as_of(*each)) is not None]

    def resolve(self, wanted: Iterable[Key]) -> None:
        """Finishes or undoes the changes that are staged on these balances, where they were decided or given up; one
        that is on its way is left alone."""
        items = [item for item in self._table.get_all(list(wanted)) if "change" in item]
        writes = []
        for item, state in self._met(items, give_up=True).values():
            if "change" in item and state != OPEN:
                writes.append((self._finishing if state == DONE else self._undoing)(item["change"]["S"], item))
        self._in_parts(None, writes)

    def _met(self, staged: Sequence[Item], *, give_up: bool = False) -> dict[tuple[str, str], Met]:
        """By key, those of these staged items that are there still, each with the state of its change.

        Where that is over, the item is as it was read afterwards: until then its writer may stage it otherwise.
        """
        if not staged:
            return {}
        states = self._states({_change_on(item) for item in staged}, give_up=give_up)
        met: dict[tuple[str, str], Met] = {}
        over: dict[tuple[str, str], str] = {}
        for item in staged:
            state = states.get(_change_on(item), UNDONE)
            if state == OPEN:
                met[_at(item)] = item, state
            else:
                over[_at(item)] = state
        before = {_at(item): item["change"] for item in staged}
        anew = []  # finished or undone meanwhile, and then staged by another change
        for item in self._table.get_all([{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in over]):
            if item.get("change", before[_at(item)]) == before[_at(item)]:
                met[_at(item)] = item, over[_at(item)]
            else:
                anew.append(item)
        return met | self._met(anew, give_up=give_up)

    def _states(self, changes: set[tuple[str, str]], *, give_up: bool = False) -> dict[tuple[str, str], str]:
        """The states of these changes (partition and id); those whose record is gone are left out. `give_up`: one that
        is open and was left alone is undone."""
        found = self._table.get_all([keys.large_change(*change) for change in sorted(changes)])
        states = {}
        for item in found:
            state, until = decode_large_change(item)
            if give_up and state == OPEN and until < self._clock():
                state = self._closed({"pk": item["pk"], "sk": item["sk"]}, until)
            states[item["pk"]["S"], keys.change_id(item)] = state
        return states

    def _closed(self, record: Key, until: int | None = None) -> str:
        """Undoes a change that is open (and, with `until`, was not renewed since); its state then."""
        renewed = "" if until is None else " AND #until = :until"
        names = {"#state": "state", "#ttl": "ttl", **({"#until": "until"} if renewed else {})}
        values: Item = {
            ":open": {"S": OPEN},
            ":undone": {"S": UNDONE},
            ":ttl": {"N": str(self._clock() // 1000 + KEPT_SECONDS)},
            **({":until": {"N": str(until)}} if renewed else {}),
        }
        try:
            self._table.repeated(
                self._table.client.update_item,
                TableName=self._table.name,
                Key=record,
                UpdateExpression="SET #state = :undone, #ttl = :ttl",
                ConditionExpression=f"#state = :open{renewed}",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except Refused as refused:
            return refused.item["state"]["S"] if refused.item else UNDONE
        return UNDONE


def _as_of(item: Item, state: str) -> Item | None:
    """A staged item as its change's state lets it stand; None where there is no such balance."""
    if "change" not in item:
        return item
    if state == DONE and "gone" in item:
        return None
    if state == DONE and "next" in item:
        kept = {name: value for name, value in item.items() if name not in (*STATE, *STAGED)}
        made = no_writes() if "made" in item else {}
        return {**kept, **made, **item["next"]["M"], "change": item["change"]}
    return None if "made" in item else {**as_it_was(item), "change": item["change"]}


def _at(item: Item) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _change_on(item: Item) -> tuple[str, str]:
    """The change that is staged on an item: its partition and id."""
    return item["pk"]["S"], item["change"]["S"]


def _made(made: bool) -> Item:
    return {"made": {"BOOL": True}} if made else {}


def _parts(writes: Sequence[Any]) -> Iterator[list[int]]:
    """The numbers of the writes, in parts that one transaction takes."""
    part: list[int] = []
    size = 0
    for number, write in enumerate(writes):
        more = _size(write)
        if part and (len(part) == MOST_WRITES or size + more > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(number)
        size += more
    if part:
        yield part
