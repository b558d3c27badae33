"""The history of usage: its entries, the sums over them, and the bins in which they are shown.

Sums are kept by hour and by day (UTC). A range is put together from whole days, whole hours and, at its edges, single
entries, so its totals are exact to the millisecond. Times are epoch milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from itertools import groupby, pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from tollgate.domain.changes import Change
from tollgate.domain.decisions import Deduction
from tollgate.domain.errors import InvalidInput
from tollgate.domain.quantities import ZERO
from tollgate.domain.use_records import NO_PROPERTIES, UNKNOWN, Origin

HOUR_MS = 3_600_000
QUARTER_MS = HOUR_MS // 4  # zones are whole quarters of an hour away from UTC
DAY_MS = 24 * HOUR_MS
MAX_BINS = 10_000
_ITEM = re.compile(r".+:\d+\Z").match  # the id of what a plan's item granted
LAST = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) * 1000  # later bins would end after the last date


class Taken(NamedTuple):
    """What a use deducted from one grant.

    - `balance_id`: the grant's id. `value`: units of `feature_id` deducted (below zero: given back).
    - `reset`: its interval, the number of intervals in a period, and the next reset (epoch ms); None: it never resets.
    - `entity_id`: the entity whose balance holds the grant; None: the customer's.
    """

    balance_id: str
    feature_id: str
    plan_id: str | None
    value: Decimal
    reset: tuple[str, int, int | None] | None = None
    entity_id: str | None = None

    @property
    def shown_id(self) -> str:
        """The id under which the grant is shown: the shares of one plan item have the same for all entities."""
        item = self.balance_id.removesuffix(f":{self.entity_id}") if self.entity_id else self.balance_id
        return item if _ITEM(item) else self.balance_id

    @property
    def line(self) -> tuple[object, ...]:
        """What it has in common with what is shown as one deduction with it: the feature, the plan and its item, the
        interval, and whose it is, whatever subscription gave it (autumn.md 1.5.2)."""
        item = self.shown_id
        if self.plan_id is None or not _ITEM(item):
            return (self.feature_id, item)
        owner = self.entity_id if item == self.balance_id else None
        return (self.feature_id, self.plan_id, item.rpartition(":")[2], self.reset and self.reset[:2], owner)


class Entry(NamedTuple):
    """One use of one feature, and what it deducted.

    A use that changed several balances has one entry for each of them; all but one of these are a `part`. `item` and
    `version` name the write that recorded the entry: the item, by balance key and kind, and its version after the
    write. `value` is in units of the feature, `at` in epoch ms. `key_id`: the API key of the call that used it.
    """

    use_id: str
    at: int
    customer_id: str
    feature_id: str
    entity_id: str | None
    value: Decimal
    properties: Mapping[str, Any] = NO_PROPERTIES
    deductions: tuple[Taken, ...] = ()
    part: bool = False
    item: str = ""
    version: int = 0
    key_id: str = ""
    origin: Origin = UNKNOWN

    @property
    def identity(self) -> tuple[int, str, str, str]:
        """What the entries of one use of one feature have in common."""
        return self.at, self.use_id, self.feature_id, self.customer_id

    @property
    def plan_id(self) -> str | None:
        """The plan of the first grant that paid; None where no plan's grant did."""
        return next((taken.plan_id for taken in self.deductions), None)


def merged(parts: Iterable[Entry]) -> Iterator[Entry]:
    """One entry for each use, its parts joined. The parts of a use must follow each other."""
    for _, group in groupby(parts, key=lambda entry: entry.identity):
        entries = list(group)
        first = next((entry for entry in entries if not entry.part), entries[0])
        rest = tuple(taken for entry in entries if entry is not first for taken in entry.deductions)
        yield first._replace(deductions=(*first.deductions, *rest), part=False)


def entries_of(change: Change) -> list[Entry]:
    """The history's entries for one write of a balance: one for each use, with what it deducted from this balance."""
    write = change.write
    entity_id = write.key.entity_id or None
    item = "#".join((*write.key, write.source))
    return [
        Entry(
            used.use_id,
            used.at,
            write.customer_id,
            used.feature_id,
            used.entity_id,
            used.value,
            used.properties,
            tuple(_taken(moved, entity_id) for moved in used.deductions),
            used.part,
            item,
            write.version,
            used.key_id,
            used.origin,
        )
        for used in change.uses
    ]


def _taken(moved: Deduction, entity_id: str | None) -> Taken:
    grant, reset = moved.grant, moved.grant.reset
    period = (reset.interval.value, reset.count, grant.next_reset_at) if reset else None
    return Taken(grant.id, moved.feature_id, grant.plan_id, moved.value, period, entity_id)


class SumKey(NamedTuple):
    """Which sum: the uses of one feature by one customer (or entity) in the hour or day (UTC) that starts at `at`
    (epoch ms), as recorded by one item.

    Each item has sums of its own, because its version then says which of its writes a sum contains, however often and
    in whatever batches the stream delivers them.
    """

    at: int
    daily: bool
    customer_id: str
    feature_id: str
    entity_id: str | None
    item: str

    @property
    def end(self) -> int:
        """The end of the hour or day (epoch ms)."""
        return self.at + (DAY_MS if self.daily else HOUR_MS)

    def counts(self, entry: Entry) -> bool:
        """Whether this sum contains the entry, which must be of its customer and time."""
        own = (entry.feature_id, entry.entity_id, entry.item)
        return not entry.part and own == (self.feature_id, self.entity_id, self.item)


class Amount(NamedTuple):
    """A number of uses, and their units."""

    uses: int
    sum: Decimal

    def plus(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.uses + other.uses, self.sum + other.sum)


NOTHING = Amount(0, ZERO)
Quarters = Mapping[int, Amount]
"""What an hour's sum is made of, by quarter of the hour (0 to 3); a quarter without uses may be missing."""


class Addition(NamedTuple):
    """What one write of an item (its `version`) adds to a sum: the number of uses, and their units; to an hour's sum, by
    its quarters too.
    """

    version: int
    uses: int
    sum: Decimal
    quarters: Quarters = MappingProxyType({})


def quarters_of(parts: Iterable[tuple[int, Amount]]) -> dict[int, Amount]:
    """Amounts added up by quarter of the hour; each with its quarter."""
    found: dict[int, Amount] = {}
    for quarter, amount in parts:
        found[quarter] = found.get(quarter, NOTHING).plus(amount)
    return found


def quarter_of(at: int) -> int:
    """The quarter of the hour, 0 to 3, of a time in epoch ms."""
    return at % HOUR_MS // QUARTER_MS


def additions(entries: Iterable[Entry]) -> dict[SumKey, list[Addition]]:
    """What these entries add to the sums: for each sum one addition per write, ordered by version. Parts add
    nothing.
    """
    found: dict[SumKey, dict[int, Addition]] = {}
    for entry in entries:
        if entry.part:
            continue
        for unit, daily in ((HOUR_MS, False), (DAY_MS, True)):
            key = SumKey(
                entry.at - entry.at % unit, daily, entry.customer_id, entry.feature_id, entry.entity_id, entry.item
            )
            by_version = found.setdefault(key, {})
            known = by_version.get(entry.version, Addition(entry.version, 0, ZERO))
            own = (quarter_of(entry.at), Amount(1, entry.value))
            quarters = known.quarters if daily else quarters_of((*known.quarters.items(), own))
            by_version[entry.version] = Addition(entry.version, known.uses + 1, known.sum + entry.value, quarters)
    return {key: [by_version[version] for version in sorted(by_version)] for key, by_version in found.items()}


class Sum(NamedTuple):
    """The uses of one feature by one customer (or entity) in the hour or day that starts at `at` (epoch ms): their
    number and their units.
    """

    at: int
    customer_id: str
    feature_id: str
    entity_id: str | None
    uses: int
    sum: Decimal


class Bin(StrEnum):
    """The length of a bin."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def bin_start(at: int, size: Bin, zone: tzinfo) -> int:
    """The start (epoch ms) of the bin that contains `at`. Hours are UTC hours; days, weeks (from Monday) and months
    follow the zone.
    """
    if size is Bin.HOUR:
        return at - at % HOUR_MS
    day = datetime.fromtimestamp(at // 1000, zone).date()
    if size is Bin.WEEK:
        day -= timedelta(days=day.weekday())
    elif size is Bin.MONTH:
        day = day.replace(day=1)
    return _midnight(day, zone)


def bins(start: int, end: int, size: Bin, zone: tzinfo) -> list[int]:
    """The starts (epoch ms) of the bins that the range [start, end) touches. Raises InvalidInput for more than
    MAX_BINS.
    """
    if end > LAST:
        raise InvalidInput("custom_range", "must end before the year 9999")
    found: list[int] = []
    at = bin_start(start, size, zone)
    while at < end:
        found.append(at)
        if len(found) > MAX_BINS:
            raise InvalidInput("custom_range", f"must be at most {MAX_BINS} bins long")
        at = _next(at, size, zone)
    return found


def _next(at: int, size: Bin, zone: tzinfo) -> int:
    if size is Bin.HOUR:
        return at + HOUR_MS
    day = datetime.fromtimestamp(at // 1000, zone).date()
    if size is Bin.MONTH:
        day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    else:
        day += timedelta(days=7 if size is Bin.WEEK else 1)
    return _midnight(day, zone)


def _midnight(day: date, zone: tzinfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000


class From(StrEnum):
    """What a part of a range is read from."""

    ENTRIES = "entries"
    QUARTERS = "quarters"  # of hours: they are in the hours' sums
    HOURS = "hours"
    DAYS = "days"


class Segment(NamedTuple):
    """A part [start, end) of a range (epoch ms), and what it is read from."""

    source: From
    start: int
    end: int


def segments(start: int, end: int, size: Bin, zone: tzinfo, *, entries_only: bool = False) -> list[Segment]:
    """What to read for the range [start, end), in order.

    For each bin: sums of the UTC days that lie within it, sums of the hours around those (of quarters of hours, where
    the zone's days do not begin with a UTC hour), and entries for the rest. `entries_only`: entries for the whole range,
    for a question that sums cannot answer.
    """
    if start >= end:
        return []
    boundaries = [at for at in bins(start, end, size, zone) if start < at < end]
    if entries_only or any(at % QUARTER_MS for at in boundaries):  # a zone of long ago, by its sun
        return [Segment(From.ENTRIES, start, end)]
    whole = From.QUARTERS if any(at % HOUR_MS for at in boundaries) else From.HOURS
    found: list[Segment] = []
    for low, high in pairwise((start, *boundaries, end)):
        for piece in _pieces(low, high, whole, days=size is not Bin.HOUR):
            if found and found[-1].source is piece.source:
                piece = piece._replace(start=found.pop().start)
            found.append(piece)
    return found


def _pieces(start: int, end: int, whole: From, *, days: bool) -> Iterator[Segment]:
    for segment in _split(start, end, HOUR_MS if whole is From.HOURS else QUARTER_MS, whole, From.ENTRIES):
        if days and segment.source is whole:
            yield from _split(segment.start, segment.end, DAY_MS, From.DAYS, whole)
        else:
            yield segment


def _split(start: int, end: int, unit: int, whole: From, rest: From) -> list[Segment]:
    """A range as one part of whole units, and what remains before and after it."""
    first, last = -(-start // unit) * unit, end // unit * unit
    if first >= last:
        return [Segment(rest, start, end)]
    found = [Segment(rest, start, first), Segment(whole, first, last), Segment(rest, last, end)]
    return [segment for segment in found if segment.start < segment.end]


GroupOf = Callable[[Entry | Sum], str]
OTHER = "Other"


class Series(NamedTuple):
    """A range in bins: `values` by bin and feature (units, or numbers of uses), `groups` the same by group, and
    `totals` by feature (number of uses, units).
    """

    bins: list[int]
    values: dict[int, dict[str, Decimal]]
    groups: dict[int, dict[str, dict[str, Decimal]]]
    totals: dict[str, tuple[int, Decimal]]


class SeriesOptions(NamedTuple):
    """How uses are summed up over a range."""

    size: Bin
    zone: tzinfo  # where the bins' days, weeks and months begin
    counting: bool = False  # bins hold the number of uses; else the sum of their values, in units of the feature
    group_of: GroupOf | None = None  # the group of an entry or a sum; None: no groups
    by_entry: bool = False  # groups need what only single entries tell: properties, plans
    max_groups: int = 9  # in each bin; the smaller ones are added up as OTHER


def series(
    features: Sequence[str], starts: Sequence[int], found: Iterable[Entry | Sum], options: SeriesOptions
) -> Series:
    """Sums up the entries and sums of these features in the bins that begin at `starts` (ms).

    In each bin the largest groups keep their names, and the rest is added up as OTHER. The first bin also takes what
    lies between its start and the range's.
    """
    size, zone, group_of = options.size, options.zone, options.group_of
    values = {at: dict.fromkeys(features, ZERO) for at in starts}
    groups: dict[int, dict[str, dict[str, Decimal]]] = {at: {id: {} for id in features} for at in starts}
    totals = dict.fromkeys(features, (0, ZERO))
    for one in found:
        if one.feature_id not in totals:
            continue
        count, total = (one.uses, one.sum) if isinstance(one, Sum) else (1, one.value)
        at = bin_start(one.at, size, zone)
        measured = Decimal(count) if options.counting else total
        values[at][one.feature_id] += measured
        known_count, known_sum = totals[one.feature_id]
        totals[one.feature_id] = known_count + count, known_sum + total
        if group_of is not None:
            of_feature, group = groups[at][one.feature_id], group_of(one)
            of_feature[group] = of_feature.get(group, ZERO) + measured
    for by_feature in groups.values():
        for id, of_feature in by_feature.items():
            by_feature[id] = _largest(of_feature, options.max_groups)
    return Series(list(starts), values, groups if group_of else {}, totals)


def _largest(groups: dict[str, Decimal], most: int) -> dict[str, Decimal]:
    if len(groups) <= most:
        return groups
    ranked = sorted(groups.items(), key=lambda group: (-group[1], group[0]))
    largest = dict(ranked[:most])
    rest = sum((value for _, value in ranked[most:]), ZERO)
    return largest | {OTHER: largest.get(OTHER, ZERO) + rest}  # a group may have this name itself


def matches(entry: Entry, filters: Mapping[str, str]) -> bool:
    """Whether an entry's properties have all these values, compared as text."""
    return all(name in entry.properties and text(entry.properties[name]) == value for name, value in filters.items())


def text(value: Any) -> str:
    """A property's value as the text that groups and filters use."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
