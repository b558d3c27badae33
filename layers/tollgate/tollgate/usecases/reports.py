"""Counting what has happened: events that name themselves and have properties, each exactly once by its id.

An event of a customer that nobody has heard of waits in the table, and is counted when the customer comes to hold
something that it is a use of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tollgate.domain.balances import ENTITIES, Place
from tollgate.domain.decisions import World, folded
from tollgate.domain.errors import DuplicateRequest, Unavailable
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.keys import Environment
from tollgate.domain.meters import Seen, counting, unique_value
from tollgate.domain.recorded import instant_of
from tollgate.domain.reports import Report, record
from tollgate.domain.usage import Counted
from tollgate.exact_json import dumps
from tollgate.store.balances import Balances, Changed
from tollgate.store.once import Once, OnceKeys
from tollgate.store.reports import KEPT_MS, Found, Reports, Value, Waiting, position
from tollgate.usecases.features import FeatureCache
from tollgate.usecases.tally import Tally

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

SCOPE = "event"
T = TypeVar("T")
_PAGE = 25
_MOST_BYTES = 4096  # of properties, in a balance item


class Reported(NamedTuple):
    """An event that was reported, and by which key. `receipt`: somebody may ask whether it was received, even where no
    feature hears it. `expected`: that none does is a mistake. `marker`: what says that it was counted, where its id alone
    does not. `by_its_time`: it is decided on at its own time, else when it is counted."""

    env: Environment
    event: Report
    key_id: str
    receipt: bool = True
    expected: bool = False
    marker: Once | None = None
    by_its_time: bool = False

    @property
    def id(self) -> str:
        return self.event.id

    @property
    def customer_id(self) -> str:
        return self.event.customer_id

    @property
    def once(self) -> tuple[Once, ...]:
        return (self.marker or Once(SCOPE, self.event.id, KEPT_MS, self.event.customer_id),)

    def decided_at(self, now: int) -> int:
        return min(self.event.at, now) if self.by_its_time else now


class _Thought(NamedTuple):
    """What events did, one after another: the world after them, what the items remember, and who has seen which value."""

    before: World
    after: World
    tally: Tally
    seen: dict[Value, Seen]


class Reporter:
    """The use cases around reported events. `now` is epoch milliseconds."""

    def __init__(self, balances: Balances, features: FeatureCache, once: OnceKeys, store: Reports) -> None:
        self.balances = balances
        self.features = features
        self.once = once
        self.store = store

    def write(self, events: Sequence[Reported], catalog: Catalog, now: int) -> Sequence[Reported] | None:
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
            self.balances.commit(env, customer_id, (), (), self._once(env, events, now))
            return ()
        found = self._read(env, customer_id, [one.event for one in told], heard, catalog)
        if not found.known:
            return () if all(self._kept(one, bool(heard[one.event.name]), now) for one in events) else None
        at = _time(found, now)
        first, left = before_a_change(told, lambda one: one.decided_at(at), _world(found), at)
        timed = [(one.event, one.key_id, one.decided_at(at)) for one in first]
        thought = _thought(timed, heard, catalog, found)
        unheard = [one for one in events if not heard[one.event.name]]
        once = self._once(env, [*first, *unheard], now)
        return left if self._commit(env, customer_id, thought, found, once) else None

    def _once(self, env: Environment, events: Sequence[Reported], now: int) -> list[TransactWriteItemTypeDef]:
        return [self.once.write(env, key, now) for one in events for key in one.once]

    def _kept(self, one: Reported, heard: bool, now: int) -> bool:
        """Keeps an event for its customer to come, or its receipt; False where the customer was made meanwhile."""
        (key,) = one.once
        write = self.once.write(one.env, key, now)
        try:
            if heard:
                return self.store.wait(one.env, one.event, one.key_id, write, now)
            self.balances.commit(one.env, one.customer_id, (), (), [write])
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
            for _ in self.balances.turns():
                found = self._read(env, event.customer_id, [event], heard, catalog)
                thought = _thought([(event, waiting.key_id, _time(found, now))], heard, catalog, found)
                if not found.known or thought.tally.empty:
                    return
                if self._commit(env, event.customer_id, thought, found, [self.store.counted(waiting)]):
                    return
        except DuplicateRequest:  # somebody else has just counted it
            return
        raise Unavailable("The balances are being changed too often: the event waits on, try again")

    def missing(
        self, env: Environment, ids: Sequence[str], now: int, since: int, customer_id: str | None = None
    ) -> list[str]:
        """Of these ids, those of no event (of that customer) that was received at or after `since`."""
        used = self.once.used(env, [Once(SCOPE, id, KEPT_MS) for id in dict.fromkeys(ids)], now)
        received = {id for id, (at, about) in used.items() if at >= since and customer_id in (None, about)}
        return [id for id in dict.fromkeys(ids) if id not in received]

    def _read(
        self,
        env: Environment,
        customer_id: str,
        events: Sequence[Report],
        heard: Mapping[str, Sequence[Feature]],
        catalog: Catalog,
    ) -> Found:
        """One request; one more for each feature of which entities hold shares."""
        features = {feature.id: feature for event in events for feature in heard[event.name]}
        ids = {id for each in features for id in (each, *(pool.feature_id for pool in catalog.pools(each)))}
        values = {value: None for event in events for f in heard[event.name] if (value := _value(event, f))}
        found = self.store.read(env, customer_id, [Place(id) for id in sorted(ids)], list(values))
        for place, stored in list(found.stored.items()):
            if ENTITIES in stored.balance.before:
                found.stored.update(self.balances.of_feature(env, customer_id, place.feature_id))
        return found

    def _commit(
        self,
        env: Environment,
        customer_id: str,
        thought: _Thought,
        found: Found,
        once: Sequence[TransactWriteItemTypeDef],
    ) -> bool:
        """Writes what events did in one transaction with what makes it happen once; False where something had changed
        since it was read. Raises DuplicateRequest or InvalidRequest."""
        before, after, tally, seen = thought
        tally.check_size()
        changes = [
            Changed(found.stored[place], after[place], tally.event_of(place))
            for place in after
            if place in tally or after[place] != before[place]
        ]
        saw = [self.store.saw(env, value, found, rows) for value, rows in seen.items()]
        return self.balances.commit(env, customer_id, changes, (), once, saw) is not None


def _thought(
    events: Sequence[tuple[Report, str, int]],
    heard: Mapping[str, Sequence[Feature]],
    catalog: Catalog,
    found: Found,
) -> _Thought:
    """What events (each with the key that reported it, and when it is decided) do, feature by feature, each on what the one
    before left."""
    world = _world(found)
    tally = Tally()
    seen: dict[Value, Seen] = {}
    for event, key_id, at in events:
        for feature in heard[event.name]:
            value, pools = _value(event, feature), catalog.pools(feature.id)
            known: Seen = {} if value is None else seen.get(value, found.rows_that_saw(value))
            recorded = record(feature, pools, event, world, at, known)
            if recorded is None or not recorded.decision.allowed:
                continue
            use = Counted(event.id, recorded.amount, event.at, properties=_kept(event))
            tally.count(use, key_id, feature, pools, "", recorded.decision)
            world = recorded.decision.world
            if value is not None:
                seen[value] = recorded.seen
    last = events[-1][2]
    return _Thought(folded(_world(found), last), folded(world, last), tally, seen)


def _world(found: Found) -> World:
    return {place: stored.balance for place, stored in found.stored.items()}


def _time(found: Found, now: int) -> int:
    """What time it is for the customer."""
    return now if found.frozen_time is None else found.frozen_time


def before_a_change(
    ones: Sequence[T], decided_at: Callable[[T], int], world: World, now: int
) -> tuple[list[T], list[T]]:
    """What is to be decided, in the order of its times, in two: up to the next instant at which something of the world as the
    first finds it changes by itself, and the rest."""
    ordered = sorted(ones, key=decided_at)
    first = decided_at(ordered[0])
    until = max(first, min((instant_of(balance) for balance in folded(world, first).values()), default=now))
    number = next((n for n, one in enumerate(ordered) if decided_at(one) > until), len(ordered))
    return ordered[:number], ordered[number:]


def _value(event: Report, feature: Feature) -> Value | None:
    value = unique_value(feature, event.properties)
    return None if value is None else Value.of(event.customer_id, feature.id, value)


def _kept(event: Report) -> dict[str, object]:
    """The event's properties, as many of them, in their order, as a balance item can carry."""
    kept: dict[str, object] = {}
    size = 2
    for name, value in event.properties.items():
        size += len(dumps({name: value})) - 1
        if size > _MOST_BYTES:
            break
        kept[name] = value
    return kept
