"""The history of usage in the table: its entries, and the sums by hour and day.

    write    what                                          why it may be repeated
    entry    the whole item, twice: in its customer's      its key and content follow from the stream record alone
             partition and in one of its month's
    sum      count += c, sum += s, through = version       only if `through` is before the first version added:
                                                           a sum counts writes of one item, whose versions only grow
             of records that come late: computed again     only if `through` is as it was when the entries were read
             from the entries

The entries of all customers are spread over SHARDS partitions for each month, and so are the sums of each day or month,
so that one environment can write several thousand in a second. TTL removes both after the retention.
"""

from __future__ import annotations

import hashlib
import heapq
import uuid
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import chain
from threading import Lock
from typing import Any, NamedTuple

from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import InvalidRequest, Unavailable
from tollgate.domain.history import (
    DAY_MS,
    HOUR_MS,
    QUARTER_MS,
    Addition,
    Amount,
    Entry,
    From,
    Quarters,
    Segment,
    Sum,
    SumKey,
    merged,
    quarter_of,
    quarters_of,
)
from tollgate.domain.ids import is_id
from tollgate.store import keys
from tollgate.store.batches import THREADS, put_and_delete
from tollgate.store.codecs.history import SumState, decode_entry, decode_sum, encode_entry, encode_sum
from tollgate.store.table import Item, Refused, Table

SHARDS = 8
_PAGE = 200  # entries in the first answer, which are often enough; later answers are as large as DynamoDB makes them
_WRITERS = 16  # requests of one batch of the stream at a time
_NAMESPACE = uuid.UUID("d7a1f3e0-3c56-5f0c-8a0f-0d0c3a7d9b51")
_DAY_SECONDS = 86_400


class ReadBudget:
    """How many entries and sums one question may still read. Threads share it."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._lock = Lock()

    def take(self, number: int = 1) -> None:
        """Takes `number` reads from the budget. Raises InvalidRequest where it is used up."""
        with self._lock:
            self._left -= number
            if self._left < 0:
                raise InvalidRequest(f"This would read more than {self._most} events or sums: ask for a shorter range")


_AS_FOUND = "through = :known"
_NOT_YET = "attribute_not_exists(through) OR through < :known"


class _Change(NamedTuple):
    """A write of a sum.

    - `state`: the new state; where `added`, the uses and units to add, and the version that is then the last one
      contained.
    - `at`: when it is recorded (epoch ms). `condition`: compares the stored version with `known`.
    """

    state: SumState
    at: int
    known: int
    condition: str
    added: bool


class _Page(NamedTuple):
    entries: list[tuple[str, Entry]]
    more: bool


class HistoryStore:
    """The history of one table. Entries and sums are kept for `retention_days` after they were recorded."""

    def __init__(self, table: Table, retention_days: int) -> None:
        self._table = table
        self.retention_days = retention_days

    # -------------------------------------------------------------- writing

    def write(self, entries: Iterable[tuple[Environment, Entry, int]]) -> None:
        """Writes entries, each with the time at which it was recorded (epoch ms). May be repeated. Raises
        Unavailable.
        """
        puts: dict[tuple[str, str], Item | None] = {}
        for env, entry, at in entries:
            sk, stored = _sort_key(entry), encode_entry(entry, self._ttl(at))
            for pk in (keys.history(CustomerRef(env, entry.customer_id)), _all(env, entry.at, sk)):
                puts[pk, sk] = stored
        put_and_delete(self._table, puts, at_once=_WRITERS)

    def add(
        self, env: Environment, lines: Mapping[SumKey, Sequence[Addition]], at: int, *, overtaken: bool = False
    ) -> None:
        """Adds to the sums what they do not contain yet; `at` is the time of recording (epoch ms). May be repeated.

        `overtaken`: these additions could not be written in their turn, so later versions may have been added before
        them. The sum is then computed again from its entries, which must have been written. Raises Unavailable.
        """

        def add(line: SumKey) -> None:
            if overtaken:
                self._recount(env, line, lines[line], at)
            else:
                self._add(env, line, lines[line], at)

        with ThreadPoolExecutor(_WRITERS) as threads:
            list(threads.map(add, lines))

    def _recount(self, env: Environment, line: SumKey, additions: Sequence[Addition], at: int) -> None:
        """Computes a sum from its entries, up to the last version that it contains. Raises Unavailable."""
        for _ in self._table.tries():
            stored = self._table.get(_line_key(env, line))
            through = decode_sum(stored).through if stored else 0
            if through < additions[0].version:
                return self._add(env, line, additions, at)
            last = max(through, additions[-1].version)
            low, high = f"{line.at:014d}", f"{line.end:014d}"
            parts = (
                e for _, e in self._down(keys.history(CustomerRef(env, line.customer_id)), low, high, consistent=True)
            )
            counted = [entry for entry in parts if line.counts(entry) and entry.version <= last]
            quarters = () if line.daily else ((quarter_of(one.at), Amount(1, one.value)) for one in counted)
            units = sum((one.value for one in counted), Decimal(0))
            total = SumState(len(counted), units, last, quarters_of(quarters))
            try:
                return self._write_sum(env, line, _Change(total, at, through, _AS_FOUND, added=False))
            except Refused:
                continue
        raise Unavailable("The sum is being added to too often: try again")

    def _add(self, env: Environment, line: SumKey, additions: Sequence[Addition], at: int) -> None:
        new = list(additions)
        while new:
            units = sum((addition.sum for addition in new), Decimal(0))
            quarters = quarters_of(part for addition in new for part in addition.quarters.items())
            more = SumState(sum(addition.uses for addition in new), units, new[-1].version, quarters)
            try:
                return self._write_sum(env, line, _Change(more, at, new[0].version, _NOT_YET, added=True))
            except Refused as refused:
                through = decode_sum(refused.item).through if refused.item else 0
                new = [addition for addition in new if addition.version > through]
        return None

    def _write_sum(self, env: Environment, line: SumKey, change: _Change) -> None:
        """Writes a sum. Raises Refused where the condition does not hold."""
        stored = encode_sum(change.state, self._ttl(change.at))
        numbers = [name for name in stored if name not in ("through", "ttl", "v")]
        grow = " ADD " + ", ".join(f"#{name} :{name}" for name in numbers)
        if not change.added:
            grow = "".join(f", #{name} = :{name}" for name in numbers)
        self._table.repeated(
            self._table.client.update_item,
            TableName=self._table.name,
            Key=_line_key(env, line),
            UpdateExpression=f"SET #through = :through, #ttl = :ttl, #v = if_not_exists(#v, :v){grow}",
            ConditionExpression=change.condition,
            ExpressionAttributeNames={f"#{name}": name for name in stored},
            ExpressionAttributeValues={
                ":known": {"N": str(change.known)},
                **{f":{name}": value for name, value in stored.items()},
            },
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    def _ttl(self, at: int) -> int:
        return at // 1000 + self.retention_days * _DAY_SECONDS

    # -------------------------------------------------------------- reading

    def entries(
        self, env: Environment, customer_id: str | None, start: int, end: int, before: str = ""
    ) -> Iterator[tuple[str, Entry]]:
        """The entries of the range [start, end) (epoch ms), of one customer or of all, each with its position, the
        newest first.

        `before`: only the entries that follow this position.
        """
        found = self._parts(env, customer_id, start, end, before)
        key = last = ""
        parts: list[Entry] = []
        for sk, entry in found:
            if sk == last:  # told again after a release that chose its partition otherwise
                continue
            last = sk
            identity = sk.rpartition("#")[0]
            if identity != key and parts:
                yield key, next(merged(parts))
                parts = []
            key = identity
            parts.append(entry)
        if parts:
            yield key, next(merged(parts))

    def _parts(
        self, env: Environment, customer_id: str | None, start: int, end: int, before: str
    ) -> Iterator[tuple[str, Entry]]:
        low, high = f"{start:014d}", f"{end:014d}"
        if before:
            high = min(high, before)
        if high <= low:
            return
        if customer_id is not None:
            yield from self._down(keys.history(CustomerRef(env, customer_id)), low, high)
            return
        # Month by month, because the caller stops as soon as its page is full.
        for month in _months_down(start, min(end, int(high[:14]) + 1)):
            partitions = [keys.all_history(env, month, shard) for shard in range(SHARDS)]
            with ThreadPoolExecutor(THREADS) as threads:
                firsts = list(threads.map(partial(self._page, low=low, high=high, limit=_PAGE), partitions))
            streams = [self._down(pk, low, high, first=first) for pk, first in zip(partitions, firsts, strict=True)]
            yield from heapq.merge(*streams, key=lambda found: found[0], reverse=True)

    def _down(
        self, partition: str, low: str, high: str, *, consistent: bool = False, first: _Page | None = None
    ) -> Iterator[tuple[str, Entry]]:
        """The entries of a partition between two sort keys (the upper one excluded), the last first. `first`: its first
        page, if it has been read already.
        """
        page = first or self._page(partition, low, high, limit=_PAGE, consistent=consistent)
        while True:
            yield from page.entries
            if not page.more:
                return
            if page.entries:
                high = page.entries[-1][0]
            page = self._page(partition, low, high, consistent=consistent)

    def _page(
        self, partition: str, low: str, high: str, *, limit: int | None = None, consistent: bool = False
    ) -> _Page:
        most: dict[str, Any] = {"Limit": limit} if limit else {}
        answer = self._table.repeated(
            self._table.client.query,
            TableName=self._table.name,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
            ExpressionAttributeValues={":pk": {"S": partition}, ":low": {"S": low}, ":high": {"S": high}},
            ScanIndexForward=False,
            ConsistentRead=consistent,
            **most,
        )
        items = [item for item in answer["Items"] if item["sk"]["S"] < high]
        return _Page([(item["sk"]["S"], decode_entry(item)) for item in items], "LastEvaluatedKey" in answer)

    def span(self, env: Environment, customer_id: str, start: int, end: int) -> tuple[int, int] | None:
        """The times (epoch ms) of a customer's first and last entry in the range [start, end); None where it has none
        there.
        """
        times = []
        for forward in (True, False):
            answer = self._table.repeated(
                self._table.client.query,
                TableName=self._table.name,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
                ExpressionAttributeValues={
                    ":pk": {"S": keys.history(CustomerRef(env, customer_id))},
                    ":low": {"S": f"{start:014d}"},
                    ":high": {"S": f"{end:014d}"},
                },
                ScanIndexForward=forward,
                ConsistentRead=True,  # sums are read consistently too
                Limit=1,
            )
            times += [int(item["sk"]["S"][:14]) for item in answer["Items"]]
        return (times[0], times[-1]) if times else None

    def sums(
        self,
        env: Environment,
        customer_id: str | None,
        features: Sequence[str],
        parts: Iterable[Segment],
        allowance: ReadBudget,
    ) -> Iterator[Sum]:
        """The sums of the parts of a range that are whole hours or days. Each partition is read once, several at a
        time.

        Raises InvalidRequest where `allowance` is used up, or Unavailable.
        """
        by_partition = _partitions(parts)
        shards = range(SHARDS) if customer_id is None else [_shard(customer_id)]
        one_feature = f"{features[0]}#" if len(features) == 1 else ""
        prefix = "" if customer_id is None else f"{customer_id}#{one_feature}"

        def read(source: From, name: str, shard: int) -> list[Sum]:
            partition = (keys.days if source is From.DAYS else keys.hours)(env, name, shard)
            ranges = by_partition[source, name]
            found: list[Sum] = []
            for page in self._table.pages(partition, prefix):
                allowance.take(len(page))
                for item in page:
                    if item["sk"]["S"].split("#")[1] in features:
                        found += self._summed(env, item, ranges)
            return found

        reads = [(source, name, shard) for source, name in by_partition for shard in shards]
        with ThreadPoolExecutor(THREADS) as threads:
            return chain.from_iterable(list(threads.map(lambda one: read(*one), reads)))

    def _summed(self, env: Environment, item: Item, parts: Iterable[Segment]) -> Iterator[Sum]:
        """What a sum tells of these parts: its whole, or the quarters of its hour that lie within a part of quarters. Where
        the sum does not know its quarters, its entries tell them.
        """
        customer, feature, entity, start, *_ = item["sk"]["S"].split("#")
        at, state = int(start), decode_sum(item)
        touched = [part for part in parts if part.start < at + HOUR_MS and at < part.end]
        whole = [part for part in touched if part.source is not From.QUARTERS]
        if any(part.start <= at < part.end for part in whole):
            yield Sum(at, customer, feature, entity or None, state.uses, state.sum)
        elif len(touched) > len(whole):
            quarters = state.quarters if state.has_quarters else self._quarters(env, item)
            for quarter, amount in quarters.items():
                began = at + quarter * QUARTER_MS
                if any(part.start <= began < part.end for part in touched):
                    yield Sum(began, customer, feature, entity or None, *amount)

    def _quarters(self, env: Environment, item: Item) -> Quarters:
        """The quarters of an hour's sum, from its entries."""
        customer, feature, entity, at, digest = item["sk"]["S"].split("#")
        low, high = at, f"{int(at) + HOUR_MS:014d}"
        entries = (one for _, one in self._down(keys.history(CustomerRef(env, customer)), low, high, consistent=True))
        return quarters_of(
            (quarter_of(one.at), Amount(1, one.value))
            for one in entries
            if not one.part and (one.feature_id, one.entity_id or "", _digest(one.item)) == (feature, entity, digest)
        )


def queries(customer_id: str | None, parts: Sequence[Segment]) -> int:
    """The least number of queries that reading these parts takes."""
    sums = len(_partitions(part for part in parts if part.source is not From.ENTRIES))
    entries = [part for part in parts if part.source is From.ENTRIES]
    if customer_id is not None:
        return sums + len(entries)
    return SHARDS * (sums + sum(len(list(_months_down(part.start, part.end))) for part in entries))


def _partitions(parts: Iterable[Segment]) -> dict[tuple[From, str], list[Segment]]:
    """The parts of a range by the partition of hours or days that they are read from."""
    found: dict[tuple[From, str], list[Segment]] = defaultdict(list)
    for part in parts:
        source = From.HOURS if part.source is From.QUARTERS else part.source
        names = _dates if source is From.HOURS else _months_down
        for name in names(part.start, part.end):
            found[source, name].append(part)
    return found


def _shard(text: str) -> int:
    return zlib.crc32(text.encode()) % SHARDS


def _all(env: Environment, at: int, sort_key: str) -> str:
    """The partition of an entry in the history of all: spread by use, so that no customer is tied to one partition."""
    return keys.all_history(env, _month(at), _shard(sort_key))


def _month(at: int) -> str:
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m")


def _months_down(start: int, end: int) -> Iterator[str]:
    """The months (`YYYY-MM`, UTC) that a range touches, the last first."""
    year, month = map(int, _month(end - 1).split("-"))
    first = _month(start)
    while (name := f"{year:04d}-{month:02d}") >= first:
        yield name
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def _dates(start: int, end: int) -> Iterator[str]:
    for at in range(start - start % DAY_MS, end, DAY_MS):
        yield datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%d")


def _line_key(env: Environment, line: SumKey) -> keys.Key:
    item = _digest(line.item)
    name = datetime.fromtimestamp(line.at // 1000, UTC).strftime("%Y-%m-%d")
    shard = _shard(line.customer_id)
    pk = keys.days(env, name[:7], shard) if line.daily else keys.hours(env, name, shard)
    sk = f"{line.customer_id}#{line.feature_id}#{line.entity_id or ''}#{line.at:014d}#{item}"
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _digest(text: str) -> str:
    """A digest of 16 hex digits: a sort key holds at most 1,024 bytes, and an id may take 256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sort_key(entry: Entry) -> str:
    """The sort key of an entry: the parts of one use follow each other, its first one before the others. A use id that
    cannot be part of a key is replaced by its UUIDv5.
    """
    use_id = entry.use_id if is_id(entry.use_id) else str(uuid.uuid5(_NAMESPACE, entry.use_id))
    part = _digest("\n".join(f"{t.feature_id}#{t.entity_id or ''}" for t in entry.deductions[:1])) if entry.part else ""
    return f"{entry.at:014d}#{use_id}#{entry.feature_id}#{entry.customer_id}#{part}"
