"""A batch of the table's stream, on its way to the history and the bus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tollgate.domain.alerts import (
    LimitWarning,
    State,
    StateWarning,
    ThresholdWarning,
    Warned,
    crossed,
    feature_alerts,
    is_closed,
    reached,
    rows_at,
    standing,
    stood,
    windows_reached,
)
from tollgate.domain.balances import ENTITIES, Balance, Place, fold, settle
from tollgate.domain.decisions import World
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.history import additions, entries_of
from tollgate.domain.keys import Environment
from tollgate.domain.limits import Alert
from tollgate.domain.recorded import Change, Used, base_of, instant_of, was_reset
from tollgate.store.history import History
from tollgate.store.watches import Standing, Watched, Watches, digest
from tollgate.usecases.usage import Meter

_Held = tuple[str, str, str]
_PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Teller:
    history: History
    meter: Meter
    watches: Watches


class Batch:
    """Writes in the order of the stream.

    An item that counts alone says itself, before and after the write, what was crossed. Where several count together, no
    record tells what the others held then: all are read as they are now, and what was warned of last (`store/watches`) says
    whether it is crossed anew. A state that came and went between two looks is not told, and none is told twice.
    """

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._told: list[Change] = []
        self._read: dict[_Held, dict[Place, Balance]] = {}
        self._stands: dict[Watched, dict[str, Standing]] = {}

    # -------------------------------------------------------------- warnings

    def warnings(self, change: Change, used: Sequence[Used]) -> list[Warned]:
        """What the write is to warn of: limits that a use has reached, thresholds that it crossed, and a feature's own
        state. Raises Unavailable; asked again of the same write it says the same."""
        if change.after is None or change.after.flag:
            return []
        found: list[Warned] = list(self._of_item(change, used))
        catalog = self._teller.meter.features.catalog(Environment(change.environment), change.place.feature_id)
        found += self._of_limits(change, used, catalog)
        found += self._of_thresholds(change, used)
        feature = catalog.features.get(change.place.feature_id)
        return found + (self._of_state(change, feature) if feature else [])

    def _of_item(self, change: Change, used: Sequence[Used]) -> Iterator[Warned]:
        """What the item says alone: its usage limits, and what its entity watches."""
        assert change.after is not None
        if not used:
            return
        place, before, after = change.place, base_of(change), stood(change.after)
        for window in windows_reached(before, after):
            yield LimitWarning(place.feature_id, used[-1].entity_id, window)
        if place.entity_id:
            for passed in crossed(place, {place: before}, {place: after}):
                yield ThresholdWarning(place.feature_id, place.entity_id, passed)

    def _of_limits(self, change: Change, used: Sequence[Used], catalog: Catalog) -> Iterator[Warned]:
        """What may be used no more, of the feature used and of the one that paid; and, where a grant or a reset changed
        what there is, of all that it pays for."""
        assert change.after is not None
        place = change.place
        again = not used or _reset(change)
        ids = {place.feature_id: None, **({used[-1].feature_id: None} if used else {})}
        if again and place.feature_id in catalog.features:
            ids |= {member: None for member, _ in catalog.features[place.feature_id].credit_schema}
        looker = (used[-1].entity_id if used else None) or place.entity_id
        for id in ids:
            feature = catalog.features.get(id)
            if feature is None:
                continue
            pools = catalog.pools(id)
            watched = Watched(Environment(change.environment), change.customer_id, id, looker)
            alone = _alone(change, looker) and not pools and id == place.feature_id
            names = (id, *(pool.feature_id for pool in pools))
            world: World = {place: stood(change.after)} if alone else self._world(change, names)
            if any(is_closed(world.get(at)) for at in (Place(id, looker), Place(id))):
                continue  # which was told, and nothing may be used whatever there is
            found = reached(feature, pools, looker, world)
            was = reached(feature, pools, looker, {**world, place: base_of(change)})
            if found is not None:
                anew = was is None and (alone or again)
                if used and (anew or not alone) and self._enters(change, watched, "limit", _PASSED, anew=anew):
                    yield LimitWarning(id, looker or None, found)
            elif not alone and again:
                for other in self._teller.watches.lookers(watched):
                    self._leaves(watched._replace(looker=other), "limit")
            elif not alone or was is not None:
                self._leaves(watched, "limit", known=alone)

    def _of_thresholds(self, change: Change, used: Sequence[Used]) -> Iterator[Warned]:
        """What the customer watches: all that it and its entities hold of the feature."""
        assert change.after is not None
        place, customer, alone = change.place, Place(change.place.feature_id), _alone(change, "")
        watched = Watched(Environment(change.environment), change.customer_id, *customer)
        world: World = {place: stood(change.after)} if alone else self._world(change, (customer.feature_id,))
        before = dict(standing(customer, {**world, place: base_of(change)}))
        for alert, passed in standing(customer, world):
            key, below = _key_of(alert), alert in before and before[alert] is None
            if passed is None:
                if not alone or before.get(alert) is not None:
                    self._leaves(watched, key, known=alone)
            elif used and (below or not alone):
                if self._enters(change, watched, key, _PASSED, anew=alone or (below and _reset(change))):
                    yield ThresholdWarning(customer.feature_id, None, passed)
            elif not used and alert not in before:  # it is watched from now on
                self._enters(change, watched, key, _PASSED, anew=True)

    def _of_state(self, change: Change, feature: Feature) -> list[Warned]:
        """The state of a feature's own thresholds, at every change of what the customer holds of it."""
        assert change.after is not None
        own = feature_alerts(feature.extra)
        if own is None:
            return []
        customer, alone = Place(feature.id), _alone(change, "")
        world: World = {change.place: stood(change.after)} if alone else self._world(change, (feature.id,))
        rows = rows_at(customer, world)
        if not rows:  # nothing is held: there is no such number
            return []
        state, value = own.state(rows)
        watched = Watched(Environment(change.environment), change.customer_id, *customer)
        before = rows_at(customer, {change.place: stood(change.before)}) if alone and change.before else []
        if before:
            if own.state(before)[0] is state:
                return []
        else:
            known = self._standing(watched).get(digest("state"))
            if (known is None and state is State.OK) or (known is not None and _is_later(known, change)):
                return []
        if not self._enters(change, watched, "state", state, anew=bool(before)):
            return []
        level = next(((threshold, above) for one, threshold, above in own.levels if one is state), None)
        return [StateWarning(feature.id, state, value, level)]

    # -------------------------------------------------------------- what stands

    def _enters(self, change: Change, watched: Watched, key: str, state: str, *, anew: bool) -> bool:
        """Whether this write is the one to tell that a key stands so; it is, whenever it is asked again."""
        now = Standing(state, _cause(change))
        if not anew:
            known = self._standing(watched).get(digest(key))
            if known is not None and known.state == state:
                return known == now
        told = self._teller.watches.enter(watched, key, now, change.at, anew=anew)
        if told and watched in self._stands:
            self._stands[watched][digest(key)] = now
        return told

    def _leaves(self, watched: Watched, key: str, *, known: bool = False) -> None:
        """Notes that a key does not stand; it is looked up whether it did, unless that is `known`."""
        if not known and digest(key) not in self._standing(watched):
            return
        self._teller.watches.leave(watched, key)
        self._stands.get(watched, {}).pop(digest(key), None)

    def _standing(self, watched: Watched) -> dict[str, Standing]:
        if watched not in self._stands:
            self._stands[watched] = self._teller.watches.read(watched)
        return self._stands[watched]

    # -------------------------------------------------------------- the world around a write

    def _world(self, change: Change, features: Iterable[str]) -> World:
        """All balances that the customer and its entities hold of these features now, with what is due done; no later than
        the written item itself is as it was written."""
        assert change.after is not None
        found: dict[Place, Balance] = {}
        now = min(change.at, instant_of(change.after))
        for id in dict.fromkeys((*features, change.place.feature_id)):
            held = change.environment, change.customer_id, id
            if held not in self._read:
                stored = self._teller.meter.balances.of_feature(Environment(held[0]), held[1], id)
                self._read[held] = {place: item.balance for place, item in stored.items() if not item.balance.flag}
            for place, balance in self._read[held].items():
                found[place] = stood(balance) if balance.clocked else stood(fold(balance, now))
        return found

    # -------------------------------------------------------------- the history

    def told(self, change: Change) -> None:
        """Notes that the write could be read: it goes into the history."""
        self._told.append(change)

    def keep(self, *, overtaken: bool = False) -> None:
        """Writes the history of what was told. `overtaken`: later writes may have been told before, as these were given up
        on. Raises Unavailable; it may all be repeated."""
        by_env: dict[Environment, list[Change]] = defaultdict(list)
        for change in self._told:
            by_env[Environment(change.environment)].append(change)
        history = self._teller.history
        history.write(
            (env, entry, change.at)
            for env, changes in by_env.items()
            for change in changes
            for entry in entries_of(change)
        )
        for env, changes in by_env.items():
            history.add(env, additions(changes), changes[-1].at, overtaken=overtaken)


def _alone(change: Change, looker: str) -> bool:
    """Whether the item is all that is looked at: no entity shares in the feature."""
    entities = change.after is not None and ENTITIES in change.after.before
    return not change.place.entity_id and not looker and not entities


def _reset(change: Change) -> bool:
    if change.before is None or change.after is None:
        return False
    old = {row.id: row for row in settle(change.before)}
    return any(row.id in old and was_reset(old[row.id], row) for row in settle(change.after))


def _cause(change: Change) -> str:
    """The write, by its item and version."""
    return f"{change.version}#{change.place.feature_id}#{change.place.entity_id}"


def _is_later(known: Standing, change: Change) -> bool:
    """Whether what is known was told of a later write of the same item: this one has come again."""
    version, _, item = known.cause.partition("#")
    return item == _cause(change).partition("#")[2] and int(version) > change.version


def _key_of(alert: Alert) -> str:
    return f"{alert.type}#{alert.threshold}#{alert.basis}#{alert.name or ''}"
