"""Writing the history of usage: what the consumer of the table's stream does with the changes that it reads."""

from __future__ import annotations

from collections.abc import Iterable

from tollgate.domain.changes import Change
from tollgate.domain.environments import Environment
from tollgate.domain.history import Entry, additions, entries_of
from tollgate.store.history import HistoryStore


def write_history(history: HistoryStore, changes: Iterable[Change], *, overtaken: bool = False) -> None:
    """Writes an entry for each use of these changes, then adds the uses to the sums by hour and day.

    `overtaken`: these changes could not be written in their turn, so later ones of the same balances may have been
    written before them. Raises Unavailable. May be repeated, in whole or in other batches: nothing is counted twice.
    """
    entries: list[tuple[Environment, Entry, int]] = []
    last: dict[Environment, int] = {}
    for change in changes:
        environment, at = change.write.environment, change.write.at
        entries += ((environment, entry, at) for entry in entries_of(change))
        last[environment] = at
    history.write(entries)
    for environment, at in last.items():
        own = [entry for env, entry, _ in entries if env is environment]
        history.add(environment, additions(own), at, overtaken=overtaken)
