"""Counting events that have happened, each exactly once by its id.

An event whose customer does not exist waits in the table. It is counted when the customer gets a balance of a feature
that the event is a use of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tollgate.domain.balances import ENTITIES, BalanceKey, Balances, all_as_of
from tollgate.domain.changes import instant_of
from tollgate.domain.decisions import UseRequest
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import DuplicateRequest
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.meters import PeriodsCounted, counting, unique_value
from tollgate.domain.usage_events import UsageEvent, record
from tollgate.domain.use_records import CountedUse
from tollgate.exact_json import dumps
from tollgate.store.idempotency import IdempotencyStore
from tollgate.store.usage_events import KEPT_MS, EventRead, UsageEventStore, Value, Waiting, position
from tollgate.usecases.committing import BatchDecision, Extra
from tollgate.usecases.ledger import Ledger
from tollgate.usecases.retry import until_written
from tollgate.usecases.use_batch import UseBatch

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

SCOPE = "event"
WAITS_ON = "The balances are being changed too often: the event waits on, try again"
T = TypeVar("T")
_PAGE = 25
_MOST_BYTES = 4096  # of an event's properties, in a balance item


class QueuedEvent(NamedTuple):
    """A reported event, and the API key that sent it.

    - `receipt`: its id is stored even where no feature counts it, because a caller may ask whether it was received.
    - `expected`: it is an error where no feature counts it.
    - `marker`: the idempotency key that says that it was counted, where that is not its own id's.
    - `by_its_time`: it is decided at its own time; else at the time at which it is counted.
    - `recorded`: it goes into the history even where nothing grants the feature.
    - `in_its_period`: only grants whose period had begun at its time pay (flexprice.md 2.6).
    """

    env: Environment
    event: UsageEvent
    key_id: str
    receipt: bool = True
    expected: bool = False
    marker: IdempotencyKey | None = None
    by_its_time: bool = False
    recorded: bool = False
    in_its_period: bool = False

    @property
    def id(self) -> str:
        """The event's id."""
        return self.event.id

    @property
    def customer(self) -> CustomerRef:
        """The customer that the event is of."""
        return CustomerRef(self.env, self.event.customer_id)

    @property
    def idempotency_keys(self) -> tuple[IdempotencyKey, ...]:
        """The key that says whether the event was counted."""
        return (self.marker or IdempotencyKey(SCOPE, self.event.id, KEPT_MS, self.event.customer_id),)

    def decided_at(self, now: int) -> int:
        """The time (epoch ms) at which it is decided, where the customer's time is `now`."""
        return min(self.event.at, now) if self.by_its_time else now

    def timed(self, now: int) -> _Timed:
        """The event to decide, where the customer's time is `now`."""
        dated = self.event.at if self.in_its_period else None
        return _Timed(self.event, self.key_id, self.decided_at(now), self.recorded, dated)


class _Timed(NamedTuple):
    """An event, the API key that sent it, and the time at which it is decided (epoch ms); whether it is recorded where
    nothing grants the feature, and the time by which the period of a grant that pays must have begun.
    """

    event: UsageEvent
    key_id: str
    at: int
    recorded: bool = False
    dated: int | None = None


class _Hearing(NamedTuple):
    """The features that count events of each name, and the catalog that they are in."""

    by_name: Mapping[str, Sequence[Feature]]
    catalog: Catalog

    @classmethod
    def of(cls, events: Iterable[UsageEvent], catalog: Catalog) -> _Hearing:
        return cls({event.name: counting(catalog.features.values(), event.name) for event in events}, catalog)

    def features(self, event: UsageEvent) -> Sequence[Feature]:
        return self.by_name[event.name]

    def payers(self, event: UsageEvent) -> set[str]:
        """The features of which a balance may pay for the event: those that it is a use of, and their credit pools."""
        return {
            id for f in self.features(event) for id in (f.id, *(pool.feature_id for pool in self.catalog.pools(f.id)))
        }


class _DecidedEvents(NamedTuple):
    """The decision on several events, and, of COUNT_UNIQUE, the periods that have counted each of their values now."""

    decision: BatchDecision
    counted_in: dict[Value, PeriodsCounted]


class UsageEvents:
    """The use cases around usage events. `now` is epoch ms."""

    def __init__(self, ledger: Ledger, idempotency: IdempotencyStore, store: UsageEventStore) -> None:
        self._ledger = ledger
        self._idempotency = idempotency
        self._store = store

    def write(self, events: Sequence[QueuedEvent], catalog: Catalog, now: int) -> Sequence[QueuedEvent] | None:
        """Counts events of one customer in every feature whose meter counts them, or keeps them until the customer
        exists.

        One read, and one transaction of the balances that changed and the events' idempotency keys. Of an event that no
        feature counts, only the key is stored. Returns the events that remain, because a balance changes by itself
        before them; None where something had changed since it was read.

        Raises DuplicateRequest where an event was received before, InvalidRequest where they do not fit one
        transaction, or Unavailable.
        """
        hearing = _Hearing.of([one.event for one in events], catalog)
        customer = events[0].customer
        heard = [one for one in events if hearing.features(one.event)]
        if not heard:
            self._ledger.store.commit(customer, (), (), self._key_writes(events, now))
            return ()
        found = self._read(customer, [one.event for one in heard], hearing)
        if not found.known:
            return () if all(self._kept(one, bool(hearing.features(one.event)), now) for one in events) else None
        at = _time(found, now)
        first, left = before_a_change(heard, lambda one: one.decided_at(at), _balances(found), at)
        decided = _decide([one.timed(at) for one in first], hearing, found)
        unheard = [one for one in events if not hearing.features(one.event)]
        keys = self._key_writes([*first, *unheard], now)
        return left if self._commit(customer, decided, found, keys, now) else None

    def _key_writes(self, events: Sequence[QueuedEvent], now: int) -> list[TransactWriteItemTypeDef]:
        return [self._idempotency.write(one.env, key, now) for one in events for key in one.idempotency_keys]

    def _kept(self, one: QueuedEvent, heard: bool, now: int) -> bool:
        """Keeps an event until its customer exists (only its id, where it is not `heard`); False where the customer was
        created meanwhile.
        """
        (key,) = one.idempotency_keys
        write = self._idempotency.write(one.env, key, now)
        try:
            if heard:
                return self._store.wait(one.customer, one.event, one.key_id, write, now)
            self._ledger.store.commit(one.customer, (), (), [write])
        except DuplicateRequest:  # the event was received before
            pass
        return True

    def count_waiting(
        self,
        customer: CustomerRef,
        now: int,
        new: Set[str] | None = None,
        in_time: Callable[[], None] = lambda: None,
    ) -> None:
        """Counts the events that wait for this customer and are a use of a feature that it holds; the others keep
        waiting. With `new`, only those that a balance of one of these features may pay for are looked at. `in_time` is
        called before each, and may raise.

        Raises Unavailable; what was counted before stays counted.
        """
        after = ""
        while page := self._store.waiting(customer, after, _PAGE):
            catalog = self._ledger.features.catalog(customer.environment, fresh=True)
            for waiting in page:
                hearing = _Hearing.of([waiting.event], catalog)
                if new is None or new & hearing.payers(waiting.event):
                    in_time()
                    self._count_waiting(customer, waiting, hearing, now)
            after = position(page)

    def _count_waiting(self, customer: CustomerRef, waiting: Waiting, hearing: _Hearing, now: int) -> None:
        def attempt(_: int) -> bool | None:
            found = self._read(customer, [waiting.event], hearing)
            decided = _decide([_Timed(waiting.event, waiting.key_id, _time(found, now))], hearing, found)
            if not found.known or decided.decision.batch.empty:
                return False
            return self._commit(customer, decided, found, [self._store.counted(waiting)], now) or None

        with suppress(DuplicateRequest):  # another call has just counted it
            until_written(self._ledger.store.turns(), attempt, WAITS_ON)

    def missing(
        self, env: Environment, ids: Sequence[str], now: int, since: int, customer_id: str | None = None
    ) -> list[str]:
        """Those of these ids under which no event (of this customer, if one is named) was received at or after `since`
        (epoch ms).
        """
        used = self._idempotency.used(env, [IdempotencyKey(SCOPE, id, KEPT_MS) for id in dict.fromkeys(ids)], now)
        received = {id for id, (at, about) in used.items() if at >= since and customer_id in (None, about)}
        return [id for id in dict.fromkeys(ids) if id not in received]

    def _read(self, customer: CustomerRef, events: Sequence[UsageEvent], hearing: _Hearing) -> EventRead:
        """Reads what the events may change: one request, and one more for each feature of which entities hold
        shares.
        """
        features = {feature.id for event in events for feature in hearing.features(event)}
        ids = {id for each in features for id in (each, *(pool.feature_id for pool in hearing.catalog.pools(each)))}
        values = {value: None for event in events for f in hearing.features(event) if (value := _value(event, f))}
        found = self._store.read(customer, [BalanceKey(id) for id in sorted(ids)], list(values))
        for key, stored in list(found.stored.items()):
            if ENTITIES in stored.balance.paid_first:
                found.stored.update(self._ledger.store.of_feature(customer, key.feature_id))
        return found

    def _commit(
        self,
        customer: CustomerRef,
        decided: _DecidedEvents,
        found: EventRead,
        keys: Sequence[TransactWriteItemTypeDef],
        now: int,
    ) -> bool:
        """Writes what events did and their idempotency keys in one transaction; False where something had changed since
        it was read. Raises DuplicateRequest or InvalidRequest.
        """
        env = customer.environment
        values = [self._store.count_value(env, value, found, counted) for value, counted in decided.counted_in.items()]
        return self._ledger.committer.commit_batch(
            customer, found.stored, decided.decision, now, Extra(keys, values), bounded=False
        )


def _decide(events: Sequence[_Timed], hearing: _Hearing, found: EventRead) -> _DecidedEvents:
    """Decides the events one after another, and of each event feature by feature, each on the balances that the one
    before left.
    """
    balances = _balances(found)
    batch = UseBatch()
    counted_in: dict[Value, PeriodsCounted] = {}
    for event, key_id, at, kept, dated in events:
        for feature in hearing.features(event):
            value, pools = _value(event, feature), hearing.catalog.pools(feature.id)
            known: PeriodsCounted = {} if value is None else counted_in.get(value, found.counted_in(value))
            asked = UseRequest(feature, pools, dated=dated)
            recorded = record(asked, event, balances, at, known)
            if recorded is None:
                continue
            use = CountedUse(event.id, recorded.amount, event.at, properties=_carried(event), origin=event.origin)
            if not recorded.decision.allowed:
                if kept:
                    batch.add_ungranted(use, key_id, asked.key)
                continue
            batch.add(use, key_id, asked, recorded.decision)
            balances = recorded.decision.balances
            if value is not None:
                counted_in[value] = recorded.counted_in
    last = events[-1].at
    decision = BatchDecision(all_as_of(_balances(found), last), all_as_of(balances, last), batch)
    return _DecidedEvents(decision, counted_in)


def _balances(found: EventRead) -> Balances:
    return {key: stored.balance for key, stored in found.stored.items()}


def _time(found: EventRead, now: int) -> int:
    """The customer's time (epoch ms)."""
    return now if found.frozen_time is None else found.frozen_time


def before_a_change(
    ones: Sequence[T], decided_at: Callable[[T], int], balances: Balances, now: int
) -> tuple[list[T], list[T]]:
    """Splits uses or events, ordered by the time at which they are decided, in two: those up to the next instant at
    which one of the balances changes by itself, counted from the first one's time, and the rest.
    """
    ordered = sorted(ones, key=decided_at)
    first = decided_at(ordered[0])
    until = max(first, min((instant_of(balance) for balance in all_as_of(balances, first).values()), default=now))
    number = next((n for n, one in enumerate(ordered) if decided_at(one) > until), len(ordered))
    return ordered[:number], ordered[number:]


def _value(event: UsageEvent, feature: Feature) -> Value | None:
    value = unique_value(feature, event.properties)
    return None if value is None else Value.of(event.customer_id, feature.id, value)


def _carried(event: UsageEvent) -> dict[str, object]:
    """The event's properties in their order, as many as a balance item may carry."""
    kept: dict[str, object] = {}
    size = 2
    for name, value in event.properties.items():
        size += len(dumps({name: value})) - 1
        if size > _MOST_BYTES:
            break
        kept[name] = value
    return kept
