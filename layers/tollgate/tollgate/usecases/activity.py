"""What happens in an environment: uses and denials by minute, logs, alerts, and who is near a limit.

The consumer of the table's stream leaves these beside the history (`StreamActivity`); whoever looks reads them
(`Activity`). Nothing that decides reads any of it.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from operator import itemgetter
from typing import Any, NamedTuple

from tollgate.domain.balances import Balance, as_of
from tollgate.domain.changes import Change, as_written
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.history import Entry
from tollgate.domain.near_limits import LEVELS, NearLimit, changes_at, level_of, tightest
from tollgate.store.activity import MINUTE_MS, ActivityStore, minute_of
from tollgate.store.codecs.activity import Lag, Minute, denial_attribute, use_attribute
from tollgate.store.codecs.log import CALLED, LogEntry
from tollgate.store.history import HistoryStore
from tollgate.store.log import Logged, LogStore, Moved
from tollgate.usecases.denials import Counts

__all__ = ["Activity", "Lag", "LogEntry", "Minute", "NearBalance", "QueueCounts", "StreamActivity", "write_denials"]

_PAGE = 100  # of one look into the list of balances near their limit
_LOOKS = 5  # for one page of it
_ALWAYS = 10**14 - 1  # epoch ms: a customer with a test clock may be used in the future


class QueueCounts(NamedTuple):
    """About how many messages wait: reported uses, dead letters, and dead letters of webhooks."""

    usage: int
    dead_letters: int
    webhook_dead_letters: int


class NearBalance(NamedTuple):
    """A balance that is near its limit now, and when it next changes by itself (epoch ms; None: never)."""

    customer_id: str
    balance: Balance
    near: NearLimit
    changes_at: int | None


class Activity:
    """The use cases of whoever looks. All times are epoch ms."""

    def __init__(
        self, minutes: ActivityStore, log: LogStore, history: HistoryStore, queues: Callable[[], QueueCounts]
    ) -> None:
        self._minutes, self._log, self._history = minutes, log, history
        self.queues = queues

    def minutes(self, env: Environment, many: int, now: int) -> list[Minute]:
        """Each of the last `many` minutes, the one that `now` is in the last. Raises Unavailable."""
        end = minute_of(now) + MINUTE_MS
        start = end - many * MINUTE_MS
        found = {minute.at: minute for minute in self._minutes.since(env, start, end)}
        empty = (Minute(at, Counter(), Counter(), None) for at in range(start, end, MINUTE_MS))
        return [found.get(minute.at, minute) for minute in empty]

    def log(self, customer: CustomerRef, before: str, limit: int) -> list[tuple[str, LogEntry | Entry]]:
        """What happened to a customer, uses among it: up to `limit`, the newest first, each with its position; before a
        position (empty: from the newest). Raises Unavailable."""
        uses = self._history.entries(customer.environment, customer.id, 0, _ALWAYS, before)
        found: Iterable[tuple[str, LogEntry | Entry]] = chain(
            self._log.entries(customer, before, limit), islice(uses, limit)
        )
        return heapq.nlargest(limit, found, key=itemgetter(0))

    def audit(self, env: Environment, before: str, limit: int) -> list[tuple[str, LogEntry]]:
        """The environment's audit log: the same of changes that are of no customer. Raises Unavailable."""
        return self._log.audit(env, before, limit)

    def alerts(self, env: Environment, before: str, limit: int) -> list[tuple[str, LogEntry]]:
        """The alerts of the last 30 days, the newest first. Raises Unavailable."""
        return self._log.alerts(env, before, limit)

    def near_limits(
        self, env: Environment, position: tuple[int, str], limit: int, now: int
    ) -> tuple[list[NearBalance], tuple[int, str] | None]:
        """Up to `limit` balances that are near their limit, those listed as used up first, and where the list goes on.

        Which may be, the stream's consumer has noted; how much of each is used is read now. One that time alone has
        reset is left out; one of a customer with a test clock is told as it was last written. A page may hold fewer
        than `limit` and have a next one. Raises Unavailable.
        """
        level, after = position
        found: list[NearBalance] = []
        for _ in range(_LOOKS):
            page, more = self._log.near(env, level, after, min(_PAGE, limit - len(found)), now)
            for _, (customer_id, stored) in page:
                balance = as_written(stored) if stored.has_test_clock else as_of(stored, now)
                near = tightest(balance)
                if near is not None and near.percent >= LEVELS[-1]:
                    found.append(NearBalance(customer_id, balance, near, changes_at(balance)))
            lower = LEVELS[LEVELS.index(level) + 1 :]
            if more is not None:
                after = more
            elif not lower:
                return found, None
            else:
                level, after = lower[0], ""
            if len(found) >= limit:
                break
        return found, (level, after)


def write_denials(store: ActivityStore, counts: Counts) -> Counts:
    """Writes what was counted; returns what certainly was not written."""
    parts: defaultdict[tuple[Environment, int], Counts] = defaultdict(Counter)
    for denied, count in counts.items():
        parts[denied.environment, denied.minute][denied] = count
    left: Counts = Counter()
    for (environment, minute), part in parts.items():
        by_attribute = {denial_attribute(one.feature_id, one.reason): one for one in part}
        unwritten = store.add(environment, minute, {name: part[one] for name, one in by_attribute.items()})
        left.update({by_attribute[name]: count for name, count in unwritten.items()})
    return left


class StreamActivity:
    """What the stream's consumer leaves beside the history."""

    def __init__(self, minutes: ActivityStore, log: LogStore) -> None:
        self._minutes, self._log = minutes, log

    def write_log(self, entries: Iterable[Mapping[str, Any]], changes: Iterable[Change]) -> None:
        """Writes what the bus is told of (`entries`, as PutEvents takes them) into the logs, uses left out; and which
        balances came near their limit or are no longer. May be repeated. Raises Unavailable."""
        self._log.write(_logged(entries), _moves(changes))

    def count(self, changes: Iterable[Change], lag: Lag) -> None:
        """Counts the uses by minute, and notes how far behind the consumer was.

        Comes last in a batch, so that one that fails before is counted once. Where the table does not answer, or the
        stream delivers a batch again that was done, the numbers are too small or too large by that batch.
        """
        counts: defaultdict[tuple[Environment, int], Counter[str]] = defaultdict(Counter)
        for change in changes:
            minute = minute_of(change.write.at or lag.read_at)
            for use in change.uses:
                if not use.part:
                    counts[change.write.environment, minute][use_attribute(use.feature_id)] += 1
        for (environment, minute), uses in counts.items():
            self._minutes.add(environment, minute, uses, lag)


def _logged(entries: Iterable[Mapping[str, Any]]) -> Iterator[Logged]:
    for entry in entries:
        type, text = entry["DetailType"], entry["Detail"]
        if type in ("usage.recorded", CALLED):  # the history has it; it comes from a log
            continue
        detail = json.loads(text)
        customer = CustomerRef(Environment(detail["environment"]), detail["customer_id"])
        alert = type in ("balance.limit_reached", "balance.alert_triggered")
        yield Logged(customer, detail["timestamp"], detail["id"], LogEntry(type, text), alert)


def _moves(changes: Iterable[Change]) -> Iterator[Moved]:
    for change in changes:
        write, before, after = change.write, level_of(change.previous), level_of(change.after)
        if before is None and after is None:
            continue
        until = changes_at(change.after) if change.after else None
        if before == after and change.previous is not None and changes_at(change.previous) == until:
            continue
        yield Moved(CustomerRef(write.environment, write.customer_id), write.key, before, after, until)
