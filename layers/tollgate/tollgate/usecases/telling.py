"""A batch of the table's stream, on its way to the history and the bus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tollgate.domain.alerts import stood
from tollgate.domain.balances import Balance, Place
from tollgate.domain.decisions import World
from tollgate.domain.history import additions, entries_of
from tollgate.domain.keys import Environment
from tollgate.domain.recorded import Change
from tollgate.store.history import History
from tollgate.usecases.usage import Meter

_Held = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Teller:
    history: History
    meter: Meter


class Batch:
    """Writes in the order of the stream. What another item held at a write is what the batch last told of it, or tells
    next, or else what the table holds."""

    def __init__(self, teller: Teller, changes: Iterable[Change]) -> None:
        self._teller = teller
        self._told: list[Change] = []
        self._first: dict[_Held, dict[Place, Balance | None]] = defaultdict(dict)
        self._read: dict[_Held, dict[Place, Balance | None]] = {}
        for change in changes:
            self._first[_held(change)].setdefault(change.place, change.before)

    def others(self, change: Change) -> World:
        held = _held(change)
        if held not in self._read:
            environment, customer_id, feature_id = held
            stored = self._teller.meter.balances.of_feature(Environment(environment), customer_id, feature_id)
            read: dict[Place, Balance | None] = {place: item.balance for place, item in stored.items()}
            self._read[held] = read | self._first[held]
        known = self._read[held]
        return {
            place: stood(balance)
            for place, balance in known.items()
            if balance is not None and place != change.place and not balance.flag
        }

    def told(self, change: Change) -> None:
        """Notes that the write could be read: it goes into the history."""
        self._told.append(change)
        known = self._read.get(_held(change), self._first[_held(change)])
        known[change.place] = change.after

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


def _held(change: Change) -> _Held:
    return change.environment, change.customer_id, change.place.feature_id
