"""What is to be done later: its message is sent to the usage queue when its time comes.

The queue delays a message for a quarter of an hour at most. What is due later waits in the table, until a run of
`hand_over` finds it within that time. A message may come more than once, and never before its time by this clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import NamedTuple

from tollgate.domain.environments import Environment
from tollgate.store.due_times import SHARDS, DueTimeStore

LONGEST_DELAY_MS = 900_000  # that the queue delays a message for
SECONDS = 240.0  # for handing over; the function may run for five minutes


class Delayed(NamedTuple):
    """A message for the usage queue, and the seconds after which it is to be delivered."""

    body: str
    seconds: int


Send = Callable[[Sequence[Delayed]], None]
"""Puts messages on the usage queue. Raises Unavailable, and may have taken some of them then."""


class DueTimes:
    """The use cases around due times. `now` is epoch ms."""

    def __init__(self, store: DueTimeStore, send: Send, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._send = send
        self._monotonic = monotonic

    def keep(self, env: Environment, at: int, message: str, now: int) -> None:
        """Has a message sent at `at` (epoch ms), or at once where that is over. Raises Unavailable."""
        if at - now > LONGEST_DELAY_MS:
            self._store.put(env, at, message)
        else:
            self._send([_delayed(message, at, now)])

    def hand_over(self, now: int) -> None:
        """Sends what is due within the longest delay. What there is no time for is left to the next run.

        Raises Unavailable, where one shard's could not be sent; those of the others are.
        """
        started = self._monotonic()
        shards = list(product(Environment, range(SHARDS)))

        def hand_over(shard: tuple[Environment, int]) -> None:
            for due in self._store.until(*shard, now + LONGEST_DELAY_MS):
                passed = self._monotonic() - started
                self._send([_delayed(one.message, one.at, now + int(passed * 1000)) for one in due])
                self._store.delete(due)
                if passed > SECONDS:
                    return

        with ThreadPoolExecutor(len(shards)) as threads:
            list(threads.map(hand_over, shards))


def _delayed(message: str, at: int, now: int) -> Delayed:
    """The message with its delay in whole seconds, of which the last begins before `at`."""
    return Delayed(message, max(0, -(-(at - now) // 1000)))
