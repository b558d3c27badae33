"""Counting the uses and events of the usage queue: many at once, each exactly once by its id.

Uses of one balance, and events of one customer, are decided one after another and written together: one transaction
contains the idempotency keys of all of them and one write of each balance that they changed. A key that is in use
already says that its use was counted. Where a balance was written since it was read, everything is read and decided
again.

A reported use (`by_its_time`) is decided at its own time: it counts in the period of that time as long as that period's
grant has not been reset, else in the current period. All uses of one write lie before the next instant at which a
balance changes by itself: what happens to it then (a reset, an expiry) is computed from the balance before and after a
write, so a write must come in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.balances import BalanceKey, Balances, all_as_of
from tollgate.domain.decisions import Overage, UseRequest, has_payer, use
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import DuplicateRequest, NotFound, TollgateError, Unavailable
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.meters import counting
from tollgate.domain.use_records import MAX_PROPERTIES_BYTES, NO_PROPERTIES, UNKNOWN, CountedUse, Origin
from tollgate.exact_json import dumps
from tollgate.packing import packed
from tollgate.store.codecs.balances import StoredBalance
from tollgate.store.idempotency import IdempotencyStore
from tollgate.usecases.committing import BatchDecision, Extra
from tollgate.usecases.ledger import Ledger
from tollgate.usecases.reading import ReadState
from tollgate.usecases.retry import until_written
from tollgate.usecases.usage_events import QueuedEvent, UsageEvents, before_a_change
from tollgate.usecases.use_batch import UseBatch

MOST_WRITES = 80  # of idempotency keys and unique values in one transaction, which may contain a hundred writes
MOST_BYTES = 48_000  # of one group's uses, in the item that records most of them
SECONDS = 12.0  # for counting; the function may run for twenty
THREADS = 4
CHANGING = "The balances are being changed too often: nothing was counted, try again"


class QueuedUse(NamedTuple):
    """A use from the usage queue: `value` units of a feature, or of all features that list an event's name, used at
    `at` (epoch ms).

    - `key_id`: the API key that sent it.
    - `idempotency_keys`: the keys that say whether it was counted, its own first.
    - `by_its_time`: it is decided at its own time; else at the time at which it is counted.
    """

    env: Environment
    id: str
    customer_id: str
    feature_id: str | None
    event_name: str | None
    value: Decimal
    at: int
    key_id: str
    idempotency_keys: tuple[IdempotencyKey, ...]
    entity_id: str = ""
    overage: Overage = Overage.CAP
    properties: Mapping[str, object] = NO_PROPERTIES
    by_its_time: bool = False

    @property
    def customer(self) -> CustomerRef:
        """The customer that the use is of."""
        return CustomerRef(self.env, self.customer_id)

    def decided_at(self, now: int) -> int:
        """The time (epoch ms) at which it is decided, where the customer's time is `now`."""
        return min(self.at, now) if self.by_its_time else now

    def request_of(self, feature: Feature, catalog: Catalog) -> UseRequest:
        """The use as a request of this feature."""
        pools = catalog.pools(feature.id)
        return UseRequest(feature, pools, self.entity_id, self.value, self.overage, self.properties)


class _Numbered(NamedTuple):
    """A use or an event with its number in the queue's batch and the time at which it is decided (epoch ms). `writes`
    and `size` (bytes) are what it takes of a transaction.
    """

    number: int
    at: int
    one: QueuedUse | QueuedEvent
    writes: int
    size: int


class _Uses(NamedTuple):
    """Uses of the same features by the same customer or entity."""

    customer: CustomerRef
    entity_id: str
    features: tuple[Feature, ...]
    uses: Sequence[QueuedUse]


Write = Callable[[Sequence[QueuedUse | QueuedEvent]], "Sequence[QueuedUse | QueuedEvent] | None"]
"""Decides the uses or events, and writes as many of them, from the first on, as one write can take. Returns those that
remain; None where something had changed since it was read, and nothing was written."""


class _Group(NamedTuple):
    """Uses or events that are decided and written together."""

    env: Environment
    ones: list[_Numbered]
    write: Write


class UsageQueue:
    """The use cases around the usage queue. `now` is epoch ms."""

    def __init__(
        self,
        ledger: Ledger,
        usage_events: UsageEvents,
        idempotency: IdempotencyStore,
        defect: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._features, self._reader, self._committer = ledger
        self._usage_events = usage_events
        self._idempotency = idempotency
        self._defect = defect
        self._monotonic = monotonic

    def count(self, queued: Sequence[QueuedUse | QueuedEvent], now: int) -> list[Exception | None]:
        """Counts uses and events. Returns for each: None where it is done (counted now or before, or correctly
        refused), else the error.

        An Unavailable may be tried again; any other error would occur again.
        """
        outcome: list[Exception | None] = [None] * len(queued)
        first: dict[tuple[Environment, IdempotencyKey], int] = {}
        twins: dict[int, int] = {}
        fresh: list[int] = []
        for number, one in enumerate(queued):
            known = next((first[one.env, key] for key in one.idempotency_keys if (one.env, key) in first), None)
            if known is None:
                fresh.append(number)
                first |= {(one.env, key): number for key in one.idempotency_keys}
            else:
                twins[number] = known
        deadline = self._monotonic() + SECONDS
        groups: dict[Hashable, _Group] = {}
        catalogs: dict[Environment, Catalog] = {}
        for number in fresh:
            one = queued[number]
            try:
                if isinstance(one, QueuedEvent):
                    self._group_event(groups, catalogs, number, one, now)
                else:
                    self._group_use(groups, number, one, now)
            except TollgateError as error:
                outcome[number] = error

        def count_group(group: _Group) -> dict[int, Exception]:
            """Counts a group, in parts. Each group has one thread: a second one would only meet it on its balance."""
            failed: dict[int, Exception] = {}
            in_order = sorted(group.ones, key=lambda one: one.at)
            for part in packed(in_order, MOST_WRITES, lambda one: one.size, MOST_BYTES, lambda one: one.writes):
                failed |= self._count_in_halves(group._replace(ones=part), deadline, now)
            return failed

        with ThreadPoolExecutor(THREADS) as threads:
            for failed in threads.map(count_group, groups.values()):
                for number, reason in failed.items():
                    outcome[number] = reason
        for number, twin in twins.items():
            outcome[number] = outcome[twin]
        return outcome

    # -------------------------------------------------------------- what is written together

    def _group_use(self, groups: dict[Hashable, _Group], number: int, queued: QueuedUse, now: int) -> None:
        """Adds a use to its group. Raises NotFound where there is no such feature."""
        heard = self._features_of(queued)
        key = "use", queued.customer, queued.entity_id, tuple(feature.id for feature in heard)

        def write(ones: Sequence[QueuedUse | QueuedEvent]) -> Sequence[QueuedUse | QueuedEvent] | None:
            uses = [one for one in ones if isinstance(one, QueuedUse)]
            return self._written(_Uses(queued.customer, queued.entity_id, heard, uses), now)

        group = groups.setdefault(key, _Group(queued.env, [], write))
        size = _size(queued.id, queued.properties, len(heard), len(queued.event_name or ""))
        group.ones.append(_Numbered(number, queued.decided_at(now), queued, len(queued.idempotency_keys), size))

    def _group_event(
        self,
        groups: dict[Hashable, _Group],
        catalogs: dict[Environment, Catalog],
        number: int,
        queued: QueuedEvent,
        now: int,
    ) -> None:
        """Adds an event to its group. The catalog is read from the table once for each batch.

        Raises NotFound where no feature counts the event and that is a mistake (`expected`).
        """
        if queued.env not in catalogs:
            catalogs[queued.env] = self._features.catalog(queued.env, fresh=True)
        catalog, event = catalogs[queued.env], queued.event
        heard = len(counting(catalog.features.values(), event.name))
        if not heard and queued.expected:
            raise NotFound("event", event.name)
        if not heard and not queued.receipt:
            return

        def write(ones: Sequence[QueuedUse | QueuedEvent]) -> Sequence[QueuedUse | QueuedEvent] | None:
            return self._usage_events.write([one for one in ones if isinstance(one, QueuedEvent)], catalog, now)

        group = groups.setdefault(("event", queued.env, event.customer_id), _Group(queued.env, [], write))
        size = _size(event.id, event.properties, heard, len(dumps(event.name)) + len(dumps(event.source)))
        group.ones.append(_Numbered(number, queued.decided_at(now), queued, 1 + heard, size))

    def _features_of(self, queued: QueuedUse) -> tuple[Feature, ...]:
        """The features that it is a use of. Raises NotFound."""
        cache = self._features
        if queued.event_name is not None:
            return cache.listening(queued.env, queued.event_name)
        feature_id = str(queued.feature_id)
        return (cache.catalog(queued.env, feature_id).feature(feature_id),)

    def _count_in_halves(self, group: _Group, deadline: float, now: int) -> dict[int, Exception]:
        """Counts a group; returns the errors of those that could not be counted, by number. After an error that would
        occur again, each half is tried alone: it may be due to a single use, or to their number.
        """
        try:
            self._count(group, deadline, now)
            return {}
        except (Unavailable, NotFound) as error:
            return {one.number: error for one in group.ones}
        except Exception as error:  # noqa: BLE001 - a defect in one must not stop the others: logged, and returned
            if len(group.ones) == 1:
                if not isinstance(error, TollgateError):
                    self._defect("a use could not be counted")
                return {group.ones[0].number: error}
        middle = len(group.ones) // 2
        halves = group.ones[:middle], group.ones[middle:]
        return {
            n: e for half in halves for n, e in self._count_in_halves(group._replace(ones=half), deadline, now).items()
        }

    def _count(self, group: _Group, deadline: float, now: int) -> None:
        """Counts a group. Raises Unavailable, OutcomeUnknown, NotFound, or InvalidRequest where it is too large for one
        write. What was written before the error stays counted, as its idempotency keys say.
        """
        left: Sequence[QueuedUse | QueuedEvent] = [one.one for one in group.ones]
        look = len(left) > 1  # whether to read their keys first; a single one's transaction finds out by itself
        while left:
            if self._monotonic() > deadline:
                raise Unavailable("There was no time left to count it")
            left = self._counted(group, left, look, now)
            look = False

    def _counted(
        self, group: _Group, ones: Sequence[QueuedUse | QueuedEvent], look: bool, now: int
    ) -> Sequence[QueuedUse | QueuedEvent]:
        """Counts as many of these as one write takes, and returns the rest. `look`: some may have been counted
        before.
        """
        left, looks = ones, look

        def attempt(_: int) -> Sequence[QueuedUse | QueuedEvent] | None:
            nonlocal left, looks
            if looks:
                taken = self._idempotency.in_use(group.env, [key for one in left for key in one.idempotency_keys], now)
                left = [one for one in left if not taken.intersection(one.idempotency_keys)]
                looks = False
            if not left:
                return left
            try:
                return group.write(left)
            except DuplicateRequest:
                looks = True
                return None

        return until_written(self._store.turns(), attempt, CHANGING)

    # -------------------------------------------------------------- uses

    def _written(self, group: _Uses, now: int) -> Sequence[QueuedUse] | None:
        """Writes the uses up to the next instant at which one of the balances changes by itself. Returns the rest; None
        where something had changed since it was read. Raises InvalidRequest where they are too many or too large for
        one write.
        """
        catalog = self._features.catalog(group.customer.environment)
        read = self._read(group, catalog, now)
        batch = UseBatch()
        balances: Balances = read.balances
        uses, left = before_a_change(group.uses, lambda one: one.decided_at(read.now), balances, read.now)
        last = read.now
        for one in uses:
            last = one.decided_at(read.now)
            for feature in group.features:
                balances = _used(batch, one.request_of(feature, catalog), one, balances, last)
        keys = [key for one in uses for key in one.idempotency_keys]
        extra = Extra(self._committer.writes_of(group.customer.environment, keys, now))
        decided = BatchDecision(all_as_of(read.balances, last), balances, batch)
        return left if self._committer.commit_batch(group.customer, read.stored, decided, now, extra) else None

    def _read(self, group: _Uses, catalog: Catalog, now: int) -> ReadState:
        stored: dict[BalanceKey, StoredBalance] = {}
        at = now
        for feature in group.features:
            request = UseRequest(feature, catalog.pools(feature.id), group.entity_id)
            read = self._reader.read(group.customer, request, now)
            stored |= read.stored
            at = read.now
        return ReadState(stored, at)


def _used(batch: UseBatch, request: UseRequest, queued: QueuedUse, balances: Balances, now: int) -> Balances:
    """The balances after one use. A flag has nothing to count; an ungranted use changes no balance."""
    if request.feature.type.is_flag:
        return balances
    decision = use(request, balances, now)
    at = now if queued.at > now and not queued.by_its_time else queued.at
    origin = Origin(queued.event_name) if queued.event_name else UNKNOWN
    one = CountedUse(queued.id, queued.value, at, properties=queued.properties, origin=origin)
    if decision.allowed:
        batch.add(one, queued.key_id, request, decision)
    elif not has_payer(request, decision.balances):
        batch.add_ungranted(one, queued.key_id, request.key)
    return decision.balances


def _size(id: str, properties: Mapping[str, object], features: int, said: int) -> int:
    """The most bytes that one item records of a use, as far as is known before balances are read: a credit pool may pay
    for all of its features, and then records it once for each. `said`: the bytes of its name and source.
    """
    own = len(dumps(id)) + said + 250 + (min(len(dumps(properties)), MAX_PROPERTIES_BYTES) if properties else 0)
    return own * max(1, features)
