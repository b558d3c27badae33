"""Counting what has happened: events that name themselves and have properties, each exactly once by its id.

An event of a customer that nobody has heard of waits in the table, and is counted when the customer comes to hold
something that it is a use of.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tollgate.domain.balances import ENTITIES, Balance, Place
from tollgate.domain.decisions import World, folded, sources_of
from tollgate.domain.errors import DuplicateRequest, Unavailable
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.keys import Caller, Environment
from tollgate.domain.meters import counting, unique_value
from tollgate.domain.quantities import ZERO
from tollgate.domain.reports import Recorded, Report, moved, record
from tollgate.domain.usage import UsageEvent
from tollgate.exact_json import dumps
from tollgate.store.balances import Balances, Changed
from tollgate.store.once import Once, OnceKeys
from tollgate.store.reports import KEPT_MS, Found, Reports, Value, Waiting, position
from tollgate.usecases.features import FeatureCache

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

SCOPE = "event"
_PAGE = 25
_MOST_BYTES = 4096  # of properties, in a balance item


class _Counted(NamedTuple):
    """What an event did as a use of one feature, and what it drew from each item, in its units."""

    feature: Feature
    recorded: Recorded
    drawn: dict[Place, Decimal]


class Reporter:
    """The use cases around reported events. `now` is epoch milliseconds."""

    def __init__(self, balances: Balances, features: FeatureCache, once: OnceKeys, store: Reports) -> None:
        self.balances = balances
        self.features = features
        self.once = once
        self.store = store

    def report(self, caller: Caller, event: Report, now: int, catalog: Catalog | None = None) -> bool:
        """Counts an event in every feature that hears it, or keeps it for a customer to come. One read and one
        transaction. False where its id was received before.

        Raises Unavailable.
        """
        env = caller.environment
        catalog = catalog or self.features.catalog(env, fresh=True)
        heard = counting(catalog.features.values(), event.name)
        once = self.once.write(env, Once(SCOPE, event.id, KEPT_MS, event.customer_id), now)
        try:
            for _ in self.balances.turns():
                found = self._read(env, event, heard, catalog)
                if not found.known:
                    if self.store.wait(env, event, caller.key_id, once, now):
                        return True
                    continue
                counted = _counted(event, heard, catalog, found, now)
                if self._commit(env, event, caller.key_id, catalog, counted, found, once, now):
                    return True
        except DuplicateRequest:
            return False
        raise Unavailable("The balances are being changed too often: the event was not counted, try again")

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
        heard = counting(catalog.features.values(), event.name)
        try:
            for _ in self.balances.turns():
                found = self._read(env, event, heard, catalog)
                counted = _counted(event, heard, catalog, found, now)
                if not found.known or not counted:
                    return
                if self._commit(env, event, waiting.key_id, catalog, counted, found, self.store.counted(waiting), now):
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

    def _read(self, env: Environment, event: Report, heard: Sequence[Feature], catalog: Catalog) -> Found:
        """One request; one more for each feature of which entities hold shares."""
        ids = {id for feature in heard for id in (feature.id, *(pool.feature_id for pool in catalog.pools(feature.id)))}
        values = [value for feature in heard if (value := _value(event, feature))]
        found = self.store.read(env, event.customer_id, [Place(id) for id in sorted(ids)], values)
        for place, stored in list(found.stored.items()):
            if ENTITIES in stored.balance.before:
                found.stored.update(self.balances.of_feature(env, event.customer_id, place.feature_id))
        return found

    def _commit(
        self,
        env: Environment,
        event: Report,
        key_id: str,
        catalog: Catalog,
        counted: Sequence[_Counted],
        found: Found,
        once: TransactWriteItemTypeDef,
        now: int,
    ) -> bool:
        """Writes what an event did in one transaction with what makes it happen once; False where something had
        changed since it was read. Raises DuplicateRequest."""
        before = folded(_world(found), _time(found, now))
        after = counted[-1].recorded.decision.world if counted else before
        drawn: dict[Place, Decimal] = {}
        used: dict[Place, _Counted] = {}
        for use in counted:
            for place in use.drawn or (_carrier(use.feature, catalog, after),):
                used.setdefault(place, use)
                drawn[place] = drawn.get(place, ZERO) + use.drawn.get(place, ZERO)
        changes = []
        told: set[str] = set()
        for place in (*used, *(place for place in after if place not in used and after[place] != before[place])):
            event_of = None
            if place in used:
                id = used[place].feature.id
                event_of = partial(_event, event, key_id, used[place], place, drawn[place], id in told)
                told.add(id)
            changes.append(Changed(found.stored[place], after[place], event_of))
        seen = [
            self.store.saw(env, value, found, use.recorded.seen)
            for use in counted
            if (value := _value(event, use.feature))
        ]
        return self.balances.commit(env, event.customer_id, changes, (), [once], seen) is not None


def _counted(event: Report, heard: Sequence[Feature], catalog: Catalog, found: Found, now: int) -> list[_Counted]:
    """What the event does, feature by feature, each on what the one before left."""
    at = _time(found, now)
    world = folded(_world(found), at)
    counted = []
    for feature in heard:
        value = _value(event, feature)
        seen = found.rows_that_saw(value) if value else {}
        recorded = record(feature, catalog.pools(feature.id), event, world, at, seen)
        if recorded is not None and recorded.decision.allowed:
            counted.append(_Counted(feature, recorded, moved(recorded.decision, world)))
            world = dict(recorded.decision.world)
    return counted


def _value(event: Report, feature: Feature) -> Value | None:
    value = unique_value(feature, event.properties)
    return None if value is None else Value.of(event.customer_id, feature.id, value)


def _world(found: Found) -> dict[Place, Balance]:
    return {place: stored.balance for place, stored in found.stored.items()}


def _time(found: Found, now: int) -> int:
    return now if found.frozen_time is None else found.frozen_time


def _carrier(feature: Feature, catalog: Catalog, world: World) -> Place:
    """The item that remembers a use that moved nothing: the first that could have paid."""
    return sources_of(feature.id, catalog.pools(feature.id), "", world)[0].place


def _event(event: Report, key_id: str, use: _Counted, place: Place, drawn: Decimal, part: bool, id: str) -> UsageEvent:
    return UsageEvent(
        id,
        use.recorded.amount,
        drawn,
        event.at,
        key_id,
        _kept(event),
        use.feature.id if use.feature.id != place.feature_id else None,
        None,
        part,
    )


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
