"""What was used, when and by whom: the history of usage, listed and added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from itertools import islice
from typing import NamedTuple

from tollgate.domain.customers import Holdings
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import InvalidRequest
from tollgate.domain.features import Catalog
from tollgate.domain.history import (
    DAY_MS,
    Bin,
    Entry,
    From,
    Series,
    SeriesOptions,
    Sum,
    bins,
    matches,
    segments,
    series,
)
from tollgate.domain.periods import last_boundary
from tollgate.domain.use_records import EARLY_MS, LATE_MS
from tollgate.store.history import HistoryStore, ReadBudget, queries
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers

MOST_ENTRIES = 100_000  # entries and sums that are read for one question
MOST_LOOKED = 20_000  # entries that are read for one page of a list
MOST_QUERIES = 1000  # queries for the sums of one question: four at a time, they take far less than the function may


class Query(NamedTuple):
    """Which uses are asked for: those of [start, end) (epoch ms) that match all other fields. A field that is None or
    empty matches any.
    """

    start: int
    end: int
    now: int
    customer_id: str | None = None
    entity_id: str | None = None
    features: Sequence[str] = ()
    filters: Mapping[str, str] = {}

    def matches(self, one: Entry | Sum) -> bool:
        """Whether an entry or a sum is of the entity, the features and the properties asked for."""
        return (
            (not self.features or one.feature_id in self.features)
            and self.entity_id in (None, one.entity_id)
            and (isinstance(one, Sum) or not self.filters or matches(one, self.filters))
        )


class HistoryPage(NamedTuple):
    """Entries, and the position after which the next page starts; None: there is no more."""

    entries: list[Entry]
    position: str | None


class Usage:
    """The use cases around the history of usage. `now` and all times are epoch ms."""

    def __init__(self, history: HistoryStore, catalogs: Catalogs, customers: Customers) -> None:
        self._history = history
        self._catalogs = catalogs
        self._customers = customers

    @property
    def retention_ms(self) -> int:
        """How long an entry is kept after it was recorded, in ms."""
        return self._history.retention_days * DAY_MS

    def catalog(self, env: Environment) -> Catalog:
        """The features of an environment."""
        return self._catalogs.catalog(env)

    def page(self, env: Environment, query: Query, position: str, limit: int) -> HistoryPage:
        """Up to `limit` uses that follow a position (empty: from the newest), the newest first.

        Where few entries match, a page holds fewer than `limit` and still has a next page.
        """
        found: list[Entry] = []
        for looked, (key, entry) in enumerate(self._entries(env, query, position)):
            if len(found) == limit or looked == MOST_LOOKED:
                return HistoryPage(found, position)
            if query.matches(entry):
                found.append(entry)
            position = key
        return HistoryPage(found, None)

    def all(self, env: Environment, query: Query) -> list[Entry]:
        """All uses that match, the newest first. Raises InvalidRequest where they are too many."""
        return list(self._read(env, query, ReadBudget(MOST_ENTRIES)))

    def _read(self, env: Environment, query: Query, allowance: ReadBudget) -> Iterator[Entry]:
        for _, entry in self._entries(env, query):
            allowance.take()
            if query.matches(entry):
                yield entry

    def _entries(self, env: Environment, query: Query, position: str = "") -> Iterator[tuple[str, Entry]]:
        """All entries of the query's range and customer, with their positions; the other fields are not compared."""
        if query.customer_id is None:  # one customer's entries are in one partition, however long the range
            query = self._kept(query)
        return self._history.entries(env, query.customer_id, query.start, query.end, position)

    def _kept(self, query: Query) -> Query:
        """The query's range, cut to the times of which entries can be stored: for the retention, and as late or early
        as a use may be reported.
        """
        oldest = query.now - self.retention_ms - LATE_MS
        return query._replace(start=max(query.start, oldest), end=min(query.end, query.now + EARLY_MS + 1))

    def _used(self, env: Environment, query: Query) -> Query:
        """The query's range, cut to the times at which there can be uses.

        One customer's uses may be of any time (a test clock, backdated uses), so its first and last entry are looked
        up.
        """
        kept = self._kept(query)
        if query.customer_id is None or kept == query:
            return kept
        span = self._history.span(env, query.customer_id, query.start, query.end)
        if span is None:
            return query._replace(end=query.start)
        first, last = (at - at % DAY_MS for at in span)
        return query._replace(start=max(query.start, first), end=min(query.end, last + DAY_MS))

    def series(self, env: Environment, query: Query, options: SeriesOptions) -> Series:
        """The uses summed up in bins.

        The bins cover the whole range that was asked for; only the part of it that can hold uses is read. Raises
        InvalidInput for too many bins, and InvalidRequest where it would read too much.
        """
        starts = bins(query.start, query.end, options.size, options.zone)
        by_entry = options.by_entry or bool(query.filters)
        found = self._of_range(env, query, options.size, options.zone, by_entry=by_entry)
        return series(query.features, starts, found, options)

    def _of_range(
        self, env: Environment, query: Query, size: Bin, zone: tzinfo, *, by_entry: bool
    ) -> Iterator[Entry | Sum]:
        used = self._used(env, query)
        parts = segments(used.start, used.end, size, zone, entries_only=by_entry)
        if queries(query.customer_id, parts) > MOST_QUERIES:
            raise InvalidRequest(f"This would take more than {MOST_QUERIES} reads: ask for a shorter range")
        allowance = ReadBudget(MOST_ENTRIES)
        summed = [part for part in parts if part.source is not From.ENTRIES]
        sums = self._history.sums(env, query.customer_id, query.features, summed, allowance)
        yield from (one for one in sums if query.matches(one))
        for part in parts:
            if part.source is From.ENTRIES:
                part_of = query._replace(start=part.start, end=part.end)
                yield from self._read(env, part_of, allowance)

    def range_of(self, env: Environment, name: str, customer_id: str | None, now: int) -> tuple[int, int]:
        """The range [start, end) (epoch ms) with this name: hours or days back from now, or billing cycles of the
        customer.

        `1bc` is the current cycle, `3bc` the current one and the two before it, `last_cycle` the one before. Where no
        subscription of the customer recurs, or no customer is named, a cycle is 30 days. Raises NotFound for an unknown
        customer.
        """
        holdings = self._customers.get(CustomerRef(env, customer_id)) if customer_id is not None else None
        at = holdings.time(now) if holdings else now
        plain = {"24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS, "90d": 90 * DAY_MS}.get(name)
        if plain is not None:
            return at - plain, at + 1
        starts = list(islice(_cycles_down(holdings, at), 3))
        return {"1bc": (starts[0], at + 1), "3bc": (starts[2], at + 1)}.get(name, (starts[1], starts[0]))


def _cycles_down(holdings: Holdings | None, at: int) -> Iterator[int]:
    """The starts of billing cycles (epoch ms), from the cycle that contains `at` backwards, without end."""
    held = holdings.active(at) if holdings else []
    cycles = [(s.cycle_anchor, s.cycle) for s in held if not s.add_on and s.cycle and s.cycle_anchor <= at]
    while True:
        if cycles and at >= cycles[0][0]:
            at = last_boundary(*cycles[0], at)
        else:
            at -= 30 * DAY_MS
        yield at
        at -= 1
