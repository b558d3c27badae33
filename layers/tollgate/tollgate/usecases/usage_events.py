"""Counting what has happened: events that name themselves and have properties, each exactly once by its id.

An event of a customer that nobody has heard of waits in the table, and is counted when the customer comes to hold
something that it is a use of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tollgate.domain.balances import ENTITIES, BalanceKey
from tollgate.domain.changes import instant_of
from tollgate.domain.decisions import Balances, all_as_of
from tollgate.domain.environments import Environment
from tollgate.domain.errors import DuplicateRequest, Unavailable
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.meters import PeriodsCounted, counting, unique_value
from tollgate.domain.usage_events import UsageEvent, record
from tollgate.domain.use_records import CountedUse
from tollgate.exact_json import dumps
from tollgate.store.balances import BalanceStore, BalanceWrite
from tollgate.store.idempotency import IdempotencyStore
from tollgate.store.usage_events import KEPT_MS, EventRead, UsageEventStore, Value, Waiting, position
from tollgate.usecases.features import FeatureCache
from tollgate.usecases.use_batch import UseBatch

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

SCOPE = "event"
T = TypeVar("T")
_PAGE = 25
_MOST_BYTES = 4096  # of properties, in a balance item


class QueuedEvent(NamedTuple):
    """An event that was reported, and by which key. `receipt`: somebody may ask whether it was received, even where no
    feature hears it. `expected`: that none does is a mistake. `marker`: what says that it was counted, where its id alone
    does not. `by_its_time`: it is decided on at its own time, else when it is counted."""

    env: Environment
    event: UsageEvent
    key_id: str
    receipt: bool = True
    expected: bool = False
    marker: IdempotencyKey | None = None
    by_its_time: bool = False

    @property
    def id(self) -> str:
        return self.event.id

    @property
    def customer_id(self) -> str:
        return self.event.customer_id

    @property
    def idempotency_keys(self) -> tuple[IdempotencyKey, ...]:
        return (self.marker or IdempotencyKey(SCOPE, self.event.id, KEPT_MS, self.event.customer_id),)

    def decided_at(self, now: int) -> int:
        return min(self.event.at, now) if self.by_its_time else now


class _DecidedEvents(NamedTuple):
    """What events did, one after another: the balances after them, what the items remember, and who has seen which value."""

    before: Balances
    after: Balances
    batch: UseBatch
    counted_in: dict[Value, PeriodsCounted]


class UsageEvents:
    """The use cases around reported events. `now` is epoch milliseconds."""

    def __init__(
        self, balances: BalanceStore, features: FeatureCache, idempotency_keys: IdempotencyStore, store: UsageEventStore
    ) -> None:
        self.balance_store = balances
        self.features = features
        self.idempotency_keys = idempotency_keys
        self.store = store

    def write(self, events: Sequence[QueuedEvent], catalog: Catalog, now: int) -> Sequence[QueuedEvent] | None:
        """Counts events of one customer in every feature that hears them, or keeps them for a customer to come. One read
        and one transaction, of what they moved and of each one's id. Those that are left, where a balance changes by itself
        before them; None where something had changed since it was read.

        What no feature hears leaves its receipt alone. Raises DuplicateRequest where any was received before,
        InvalidRequest where they do not fit one transaction, or Unavailable.
        """
        heard = {one.event.name: counting(catalog.features.values(), one.event.name) for one in events}
        env, customer_id = events[0].env, events[0].customer_id
        told = [one for one in events if heard[one.event.name]]
        if not told:
            self.balance_store.commit(env, customer_id, (), (), self._once(env, events, now))
            return ()
        found = self._read(env, customer_id, [one.event for one in told], heard, catalog)
        if not found.known:
            return () if all(self._kept(one, bool(heard[one.event.name]), now) for one in events) else None
        at = _time(found, now)
        first, left = before_a_change(told, lambda one: one.decided_at(at), _balances(found), at)
        timed = [(one.event, one.key_id, one.decided_at(at)) for one in first]
        decided = _decide_events(timed, heard, catalog, found)
        unheard = [one for one in events if not heard[one.event.name]]
        idempotency_keys = self._once(env, [*first, *unheard], now)
        return left if self._commit(env, customer_id, decided, found, idempotency_keys) else None

    def _once(self, env: Environment, events: Sequence[QueuedEvent], now: int) -> list[TransactWriteItemTypeDef]:
        return [self.idempotency_keys.write(env, key, now) for one in events for key in one.idempotency_keys]

    def _kept(self, one: QueuedEvent, heard: bool, now: int) -> bool:
        """Keeps an event for its customer to come, or its receipt; False where the customer was made meanwhile."""
        (key,) = one.idempotency_keys
        write = self.idempotency_keys.write(one.env, key, now)
        try:
            if heard:
                return self.store.wait(one.env, one.event, one.key_id, write, now)
            self.balance_store.commit(one.env, one.customer_id, (), (), [write])
        except DuplicateRequest:  # it was received before
            pass
        return True

    def count_waiting(self, env: Environment, customer_id: str, now: int) -> None:
        """Counts the events that waited for this customer and are a use of something it holds; the others wait on.

        Raises Unavailable; what was counted before stays counted.
        """
        after = ""
        while page := self.store.waiting(env, customer_id, after, _PAGE):
            catalog = self.features.catalog(env, fresh=True)
            for waiting in page:
                self._count_waiting(env, waiting, catalog, now)
            after = position(page)

    def _count_waiting(self, env: Environment, waiting: Waiting, catalog: Catalog, now: int) -> None:
        event = waiting.event
        heard = {event.name: counting(catalog.features.values(), event.name)}
        try:
            for _ in self.balance_store.turns():
                found = self._read(env, event.customer_id, [event], heard, catalog)
                decided = _decide_events([(event, waiting.key_id, _time(found, now))], heard, catalog, found)
                if not found.known or decided.batch.empty:
                    return
                if self._commit(env, event.customer_id, decided, found, [self.store.counted(waiting)]):
                    return
        except DuplicateRequest:  # somebody else has just counted it
            return
        raise Unavailable("The balances are being changed too often: the event waits on, try again")

    def missing(
        self, env: Environment, ids: Sequence[str], now: int, since: int, customer_id: str | None = None
    ) -> list[str]:
        """Of these ids, those of no event (of that customer) that was received at or after `since`."""
        used = self.idempotency_keys.used(env, [IdempotencyKey(SCOPE, id, KEPT_MS) for id in dict.fromkeys(ids)], now)
        received = {id for id, (at, about) in used.items() if at >= since and customer_id in (None, about)}
        return [id for id in dict.fromkeys(ids) if id not in received]

    def _read(
        self,
        env: Environment,
        customer_id: str,
        events: Sequence[UsageEvent],
        heard: Mapping[str, Sequence[Feature]],
        catalog: Catalog,
    ) -> EventRead:
        """One request; one more for each feature of which entities hold shares."""
        features = {feature.id: feature for event in events for feature in heard[event.name]}
        ids = {id for each in features for id in (each, *(pool.feature_id for pool in catalog.pools(each)))}
        values = {value: None for event in events for f in heard[event.name] if (value := _value(event, f))}
        found = self.store.read(env, customer_id, [BalanceKey(id) for id in sorted(ids)], list(values))
        for key, stored in list(found.stored.items()):
            if ENTITIES in stored.balance.paid_first:
                found.stored.update(self.balance_store.of_feature(env, customer_id, key.feature_id))
        return found

    def _commit(
        self,
        env: Environment,
        customer_id: str,
        decided: _DecidedEvents,
        found: EventRead,
        idempotency_keys: Sequence[TransactWriteItemTypeDef],
    ) -> bool:
        """Writes what events did in one transaction with what makes it happen once; False where something had changed
        since it was read. Raises DuplicateRequest or InvalidRequest."""
        before, after, batch, counted_in = decided
        batch.check_size()
        changes = [
            BalanceWrite(found.stored[key], after[key], batch.event_of(key))
            for key in after
            if key in batch or after[key] != before[key]
        ]
        saw = [self.store.saw(env, value, found, grants) for value, grants in counted_in.items()]
        return self.balance_store.commit(env, customer_id, changes, (), idempotency_keys, saw) is not None


def _decide_events(
    events: Sequence[tuple[UsageEvent, str, int]],
    heard: Mapping[str, Sequence[Feature]],
    catalog: Catalog,
    found: EventRead,
) -> _DecidedEvents:
    """What events (each with the key that reported it, and when it is decided) do, feature by feature, each on what the one
    before left."""
    balances = _balances(found)
    batch = UseBatch()
    counted_in: dict[Value, PeriodsCounted] = {}
    for event, key_id, at in events:
        for feature in heard[event.name]:
            value, pools = _value(event, feature), catalog.pools(feature.id)
            known: PeriodsCounted = {} if value is None else counted_in.get(value, found.counted_in(value))
            recorded = record(feature, pools, event, balances, at, known)
            if recorded is None or not recorded.decision.allowed:
                continue
            use = CountedUse(event.id, recorded.amount, event.at, properties=_kept(event))
            batch.count(use, key_id, feature, pools, "", recorded.decision)
            balances = recorded.decision.balances
            if value is not None:
                counted_in[value] = recorded.counted_in
    last = events[-1][2]
    return _DecidedEvents(all_as_of(_balances(found), last), all_as_of(balances, last), batch, counted_in)


def _balances(found: EventRead) -> Balances:
    return {key: stored.balance for key, stored in found.stored.items()}


def _time(found: EventRead, now: int) -> int:
    """What time it is for the customer."""
    return now if found.frozen_time is None else found.frozen_time


def before_a_change(
    ones: Sequence[T], decided_at: Callable[[T], int], balances: Balances, now: int
) -> tuple[list[T], list[T]]:
    """What is to be decided, in the order of its times, in two: up to the next instant at which something of the balances as the
    first finds it changes by itself, and the rest."""
    ordered = sorted(ones, key=decided_at)
    first = decided_at(ordered[0])
    until = max(first, min((instant_of(balance) for balance in all_as_of(balances, first).values()), default=now))
    number = next((n for n, one in enumerate(ordered) if decided_at(one) > until), len(ordered))
    return ordered[:number], ordered[number:]


def _value(event: UsageEvent, feature: Feature) -> Value | None:
    value = unique_value(feature, event.properties)
    return None if value is None else Value.of(event.customer_id, feature.id, value)


def _kept(event: UsageEvent) -> dict[str, object]:
    """The event's properties, as many of them, in their order, as a balance item can carry."""
    kept: dict[str, object] = {}
    size = 2
    for name, value in event.properties.items():
        size += len(dumps({name: value})) - 1
        if size > _MOST_BYTES:
            break
        kept[name] = value
    return kept
