"""Counting what comes through the queue: many uses at once, each exactly once by its id.

Uses of one balance are thought through one after another and written together: one transaction holds the markers of all
their ids and one write of each balance item that they moved. A marker that is there already says that its use was counted;
what cannot be written together because something moved is read and thought through again.

The time at which a use is decided is its own where it was reported (`by_its_time`): it falls into the period that was
running then as long as that period's row has not been reset, and into the one that runs now otherwise.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.balances import Balance, Place, fold
from tollgate.domain.decisions import Decision, Overage, World, sources_of, use
from tollgate.domain.errors import DuplicateRequest, InvalidRequest, TollgateError, Unavailable
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.ids import id_text
from tollgate.domain.keys import Environment
from tollgate.domain.quantities import ZERO
from tollgate.domain.usage import NO_PROPERTIES, Counted, UsageEvent
from tollgate.exact_json import dumps
from tollgate.store.balance_items import Stored
from tollgate.store.balances import Changed
from tollgate.store.once import Once, OnceKeys
from tollgate.store.unmoved import unmoved_use
from tollgate.usecases.usage import Meter, Seen, depended_on

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

MOST_KEYS = 80  # in one transaction, which holds a hundred writes
MOST_BYTES = 48_000  # of one group's uses, in the items that remember them
SECONDS = 12.0  # the function has twenty
THREADS = 4


class Arrived(NamedTuple):
    """A use that has come through the queue. `once`: the keys that say whether it was counted, its own first."""

    env: Environment
    id: str
    customer_id: str
    feature_id: str | None
    event_name: str | None
    value: Decimal
    at: int
    key_id: str
    once: tuple[Once, ...]
    entity_id: str = ""
    overage: Overage = Overage.CAP
    properties: Mapping[str, Any] = NO_PROPERTIES
    by_its_time: bool = False


class _Group(NamedTuple):
    """Uses of the same features by the same customer (or entity), in the order of their times."""

    env: Environment
    customer_id: str
    entity_id: str
    features: tuple[Feature, ...]
    uses: list[tuple[int, Arrived]]


class Intake:
    """The use cases around the queue. `now` is epoch milliseconds."""

    def __init__(
        self,
        meter: Meter,
        once: OnceKeys,
        defect: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meter = meter
        self._once = once
        self._defect = defect
        self._monotonic = monotonic

    def count(self, arrived: Sequence[Arrived], now: int) -> list[Exception | None]:
        """What became of each use: None where it is settled (counted now or before, or rightly refused), else the error.

        An Unavailable may be tried again; any other error would come again.
        """
        outcome: list[Exception | None] = [None] * len(arrived)
        first: dict[tuple[Environment, Once], int] = {}
        twins: dict[int, int] = {}
        fresh: list[int] = []
        for number, use_ in enumerate(arrived):
            known = next((first[use_.env, key] for key in use_.once if (use_.env, key) in first), None)
            if known is None:
                fresh.append(number)
                first |= {(use_.env, key): number for key in use_.once}
            else:
                twins[number] = known
        deadline = self._monotonic() + SECONDS
        groups: dict[Any, list[tuple[int, Arrived]]] = defaultdict(list)
        features: dict[Any, tuple[Feature, ...]] = {}
        for number in fresh:
            use_ = arrived[number]
            try:
                heard = self._features(use_)
            except TollgateError as error:
                outcome[number] = error
                continue
            key = use_.env, use_.customer_id, use_.entity_id, tuple(feature.id for feature in heard)
            groups[key].append((number, use_))
            features[key] = heard

        def settle(key: Any) -> dict[int, Exception]:
            """One thread for each balance: it would only meet itself."""
            env, customer_id, entity_id, _ = key
            failed: dict[int, Exception] = {}
            in_order = sorted(groups[key], key=lambda one: min(one[1].at, now) if one[1].by_its_time else now)
            for part in _parts(in_order):
                if self._monotonic() > deadline:
                    late = Unavailable("There was no time left to count it")
                    failed |= dict.fromkeys((number for number, _ in part), late)
                else:
                    failed |= self._settled(_Group(env, customer_id, entity_id, features[key], part), now)
            return failed

        with ThreadPoolExecutor(THREADS) as threads:
            for failed in threads.map(settle, groups):
                for number, reason in failed.items():
                    outcome[number] = reason
        for number, twin in twins.items():
            outcome[number] = outcome[twin]
        return outcome

    def _features(self, arrived: Arrived) -> tuple[Feature, ...]:
        """What it is a use of; raises NotFound."""
        cache = self._meter.features
        if arrived.event_name is not None:
            return cache.listening(arrived.env, arrived.event_name)
        feature_id = str(arrived.feature_id)
        return (cache.catalog(arrived.env, feature_id).feature(feature_id),)

    def _settled(self, group: _Group, now: int) -> dict[int, Exception]:
        """Counts a group; the errors of those of its uses that could not be."""
        try:
            self._count(group, now)
            return {}
        except InvalidRequest as error:  # more items than a transaction holds: fewer uses may touch fewer
            if len(group.uses) == 1:
                return {group.uses[0][0]: error}
            halves = group.uses[: len(group.uses) // 2], group.uses[len(group.uses) // 2 :]
            return {n: e for half in halves for n, e in self._settled(group._replace(uses=half), now).items()}
        except TollgateError as error:
            return dict.fromkeys((number for number, _ in group.uses), error)
        except Exception as error:  # noqa: BLE001 - one group's defect must not hold up the others: told, and given back
            self._defect("a group of uses could not be counted")
            return dict.fromkeys((number for number, _ in group.uses), error)

    def _count(self, group: _Group, now: int) -> None:
        """Raises Unavailable, OutcomeUnknown, NotFound, or InvalidRequest where it does not fit one transaction."""
        uses = [use_ for _, use_ in group.uses]
        keys = [key for use_ in uses for key in use_.once]
        checked = False
        for _ in self._meter.balances.turns():
            if not checked:
                taken = self._once.in_use(group.env, keys, now)
                uses = [use_ for use_ in uses if not taken.intersection(use_.once)]
                checked = True
            if not uses:
                return
            seen = self._seen(group, now)
            try:
                if self._written(group, uses, seen, now):
                    return
            except DuplicateRequest:
                checked = False
        raise Unavailable("The balances are being changed too often: nothing was counted, try again")

    def _seen(self, group: _Group, now: int) -> Seen:
        catalog = self._meter.features.catalog(group.env)
        stored: dict[Place, Stored] = {}
        at = now
        for feature in group.features:
            pools = catalog.pools(feature.id)
            seen = self._meter.look(group.env, group.customer_id, feature, pools, group.entity_id, now)
            stored |= seen.stored
            at = seen.now
        return Seen(stored, at)

    def _written(self, group: _Group, uses: Sequence[Arrived], seen: Seen, now: int) -> bool:
        """Decides on the uses and writes what they did; False where something had changed since it was read."""
        env, customer_id = group.env, group.customer_id
        catalog = self._meter.features.catalog(env)
        told = _Told()
        world: World = seen.world
        last = seen.now
        timed = sorted(((min(u.at, seen.now) if u.by_its_time else seen.now, u) for u in uses), key=lambda one: one[0])
        for last, use_ in timed:
            for feature in group.features:
                world = told.use(catalog, feature, use_, world, last, group.entity_id)
        balances = self._meter.balances
        writes: list[TransactWriteItemTypeDef] = [self._once.write(env, key, now) for use_ in uses for key in use_.once]
        for place, event in told.unmoved(lambda: id_text(balances.new_id())):
            writes.append(unmoved_use(balances.table_name, env, customer_id, place, event, now))
        changed = [
            p for p, balance in world.items() if p in told.places or fold(seen.stored[p].balance, last) != balance
        ]
        changes = [Changed(seen.stored[p], world[p], told.event_of(p)) for p in changed]
        unchanged = depended_on(seen, world, changed)
        return balances.commit(env, customer_id, changes, unchanged, writes) is not None


class _Told:
    """What each item is to remember of the uses, in their order."""

    def __init__(self) -> None:
        self.places: dict[Place, list[Counted]] = {}
        self._key: dict[Place, str] = {}
        self._unmoved: dict[Place, list[tuple[Counted, str]]] = {}

    def use(
        self, catalog: Catalog, feature: Feature, arrived: Arrived, world: World, now: int, entity_id: str
    ) -> World:
        """The world after one use. What is a flag has nothing to count; what nothing grants moves nothing."""
        if feature.type.is_flag:
            return world
        pools = catalog.pools(feature.id)
        decision = use(feature, pools, entity_id, arrived.value, arrived.overage, arrived.properties, world, now)
        at = now if arrived.at > now and not arrived.by_its_time else arrived.at
        counted = partial(Counted, arrived.id, arrived.value, at, properties=arrived.properties)
        if not decision.allowed:
            if not _granted(feature, pools, entity_id, decision.world):
                place = Place(feature.id, entity_id)
                self._unmoved.setdefault(place, []).append((counted(key_id=arrived.key_id), arrived.key_id))
            return decision.world
        moved = _by_place(decision)
        own = [p for p in (Place(feature.id, entity_id), Place(feature.id)) if p in decision.world]
        if not moved:
            moved[(own or list(decision.world))[0]] = []
        for number, (place, rows) in enumerate(moved.items()):
            one = counted(
                moved=tuple(rows),
                feature_id=feature.id if feature.id != place.feature_id else None,
                entity_id=entity_id if entity_id != place.entity_id else None,
                part=number > 0,
                key_id=None if self._key.setdefault(place, arrived.key_id) == arrived.key_id else arrived.key_id,
            )
            self.places.setdefault(place, []).append(one)
        return decision.world

    def event_of(self, place: Place) -> Callable[[str], UsageEvent] | None:
        uses = self.places.get(place)
        return partial(_event, tuple(uses), self._key[place]) if uses else None

    def unmoved(self, new_id: Callable[[], str]) -> Iterator[tuple[Place, UsageEvent]]:
        for place, found in self._unmoved.items():
            yield place, _event(tuple(counted for counted, _ in found), found[0][1], new_id())


def _event(uses: tuple[Counted, ...], key_id: str, id: str) -> UsageEvent:
    value, drawn = sum((u.value for u in uses), ZERO), sum((u.drawn for u in uses), ZERO)
    return UsageEvent(id, value, drawn, uses[-1].at, key_id, uses=uses)


def _by_place(decision: Decision) -> dict[Place, list[tuple[str, Decimal]]]:
    """What each item's rows gave, in deduction order."""
    owners = {(row.id, place.feature_id): place for place, balance in decision.world.items() for row in balance.rows}
    moved: dict[Place, list[tuple[str, Decimal]]] = {}
    for deduction in decision.deductions:
        place = owners[deduction.row.id, deduction.feature_id]
        moved.setdefault(place, []).append((deduction.row.id, deduction.value))
    return moved


def _granted(feature: Feature, pools: Any, entity_id: str, world: Mapping[Place, Balance]) -> bool:
    sources = sources_of(feature.id, pools, entity_id, world)
    return any(source.may(row) for source in sources for row in world[source.place].rows)


def _parts(uses: Sequence[tuple[int, Arrived]]) -> Iterator[list[tuple[int, Arrived]]]:
    """As many at a time as one transaction and its items hold."""
    part: list[tuple[int, Arrived]] = []
    keys = size = 0
    for number, use_ in uses:
        length = len(use_.id) + 100 + (len(dumps(use_.properties)) if use_.properties else 0)
        if part and (keys + len(use_.once) > MOST_KEYS or size + length > MOST_BYTES):
            yield part
            part, keys, size = [], 0, 0
        part.append((number, use_))
        keys += len(use_.once)
        size += length
    if part:
        yield part
