"""Denials are counted in the container, and written at most once in so many seconds, beside the calls.

A call that is denied adds one to a number in memory. A thread writes what has come together, so no answer waits for it.
Lambda stops a container between its calls, its threads too: what has not been written then is written while the next
call runs, and what a container holds when it ends without another call (at most its last `seconds`) is never written.
Where a write's answer is lost, its counts are not sent again. So the numbers may be a little too small, and are never
too large. After a write that failed the pause is the same: a broken table is not asked more often than a sound one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tollgate.domain.environments import Environment

_MINUTE_MS = 60_000
MOST_KEPT = 10_000  # different counts that wait to be written; more are forgotten


class Denied(NamedTuple):
    """What is counted: denials of a feature for a reason, in the minute that starts at `minute` (epoch ms)."""

    environment: Environment
    minute: int
    feature_id: str
    reason: str


Counts = Counter[Denied]


def _in_background(run: Callable[[], None]) -> None:
    threading.Thread(target=run, daemon=True, name="denials").start()


class Denials:
    """The denials of one container. `seconds` lie between two writes; 0 counts nothing.

    `write` gets what has come together and returns what it certainly did not write. `clock` is epoch ms.
    """

    def __init__(
        self,
        write: Callable[[Counts], Counts],
        clock: Callable[[], int],
        seconds: int,
        *,
        start: Callable[[Callable[[], None]], None] = _in_background,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._write, self._clock, self._seconds = write, clock, seconds
        self._start, self._sleep = start, sleep
        self._counts: Counts = Counter()
        self._lock = threading.Lock()
        self._running = False

    def count(self, environment: Environment, feature_id: str, reason: str) -> None:
        """Counts one denial. Sends nothing, and waits for nothing."""
        if not self._seconds:
            return
        now = self._clock()
        denied = Denied(environment, now - now % _MINUTE_MS, feature_id, reason)
        with self._lock:
            if denied in self._counts or len(self._counts) < MOST_KEPT:
                self._counts[denied] += 1
            if self._running:
                return
            self._running = True
        self._start(self._run)

    def _run(self) -> None:
        """Writes what there is, waits, and goes on until nothing came meanwhile."""
        while True:
            with self._lock:
                counts, self._counts = self._counts, Counter()
                if not counts:
                    self._running = False
                    return
            try:
                unwritten = self._write(counts)
            except BaseException:
                self._sleep(self._seconds)  # what is broken is not asked again at once
                with self._lock:
                    self._running = False
                raise
            with self._lock:
                self._counts.update(unwritten)
            self._sleep(self._seconds)
