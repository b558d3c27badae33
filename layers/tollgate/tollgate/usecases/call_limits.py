"""Limits of calls for each key and each customer, counted in the container (management.md 19).

No call waits for the count, and none sends a request of its own for it: what the containers tell each other is written
beside the calls, by a thread. Where Lambda stops a container between its calls, its thread goes on with the next one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tollgate.domain.call_limits import Calls, as_of, corrected, counted, has_room, retry_after_s, window_of
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TooManyCalls

Tell = Callable[[Environment, str, int, int], int | None]
"""Takes the environment, the caller, the window's start and how many calls; see `store.call_counts`."""


class Caller(NamedTuple):
    """Whose calls are counted: `kind` is `key` or `customer`, and `id` theirs."""

    environment: Environment
    kind: str
    id: str


class _Told(NamedTuple):
    """What the others are to be told of: `calls` of a caller in a window. `so_far`: those of this container in it that
    will have been told of then."""

    caller: Caller
    window: int
    calls: int
    so_far: int


class CallLimits:
    """The limits of one container. `per_key` and `per_customer` are calls in ten seconds; 0: no limit.

    `tell` adds to what all containers have told of, and returns that; `aside` has a thread make a call; `defect` logs an
    exception.
    """

    def __init__(
        self,
        per_key: int,
        per_customer: int,
        tell: Tell,
        aside: Callable[[Callable[[], None]], None],
        defect: Callable[[str], None],
    ) -> None:
        self._limits = {"key": per_key, "customer": per_customer}
        self._tell, self._aside, self._defect = tell, aside, defect
        self._window = -1
        self._calls: dict[Caller, Calls] = {}
        self._waiting: deque[_Told] = deque()
        self._running = False
        self._lock = threading.Lock()

    def count(self, callers: Iterable[Caller], now: int) -> None:
        """Counts a call of these callers at `now` (epoch ms). Raises TooManyCalls, and counts it for none of them, where
        one has no room left."""
        with self._lock:
            self._forget_before(window_of(now))
            limited = [(caller, self._limits[caller.kind]) for caller in callers if self._limits[caller.kind]]
            for caller, limit in limited:
                if not has_room(as_of(self._calls.get(caller), now), limit):
                    raise TooManyCalls(caller.kind, retry_after_s(now))
            for caller, limit in limited:
                calls, owed = counted(as_of(self._calls.get(caller), now), limit)
                self._calls[caller] = calls
                if owed:
                    self._waiting.append(_Told(caller, calls.window, owed, calls.told))
            starts = bool(self._waiting) and not self._running
            self._running = self._running or starts
        if starts:
            self._aside(self._run)

    def _forget_before(self, window: int) -> None:
        """What was before this window limits nothing any more, and nobody need be told of it."""
        if window != self._window:
            self._window = window
            self._calls.clear()
            self._waiting.clear()

    def _run(self) -> None:
        """Tells what waits, one after another, until nothing does."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                told = self._waiting.popleft()
            try:
                total = self._tell(
                    told.caller.environment, f"{told.caller.kind}#{told.caller.id}", told.window, told.calls
                )
            except Exception:  # noqa: BLE001 - a thread's outermost edge: each container's own count still holds
                self._defect("other containers could not be told of calls")
            else:
                if total is not None:
                    self._hear(told, total)

    def _hear(self, told: _Told, total: int) -> None:
        with self._lock:
            if told.caller in self._calls:
                self._calls[told.caller] = corrected(self._calls[told.caller], told.window, total, told.so_far)
