"""How many calls of one caller (a key, or a customer) are answered in a window of ten seconds (management.md 19).

Each container counts its own calls exactly, and knows of the others' what the last answer of the table told. It tells the
table of its calls whenever it has counted another share of the limit, so one that sees little of a caller tells nothing.

Two things hold, whatever the order of calls and answers: what is counted is never more than what was called, so nobody
is refused too early; and where an answer comes before the next call, at most a share for each container is too much.
"""

from __future__ import annotations

from typing import NamedTuple

WINDOW_MS = 10_000
SHARES = 20
"""A container tells the others of its calls each time that it has counted one part in so many of the limit."""


class Calls(NamedTuple):
    """A caller's calls in the window that starts at `window` (epoch ms), as one container knows them.

    `mine`: those that this container let through; `told`: those of them that it has told of; `others`: those that other
    containers have told of, as far as it has heard.
    """

    window: int
    mine: int = 0
    told: int = 0
    others: int = 0

    @property
    def known(self) -> int:
        """How many there are for certain."""
        return self.mine + self.others


def window_of(now: int) -> int:
    """The start of the window that an instant is in, both in epoch ms."""
    return now - now % WINDOW_MS


def as_of(calls: Calls | None, now: int) -> Calls:
    """The calls in the window of `now` (epoch ms): none yet, where a new one has begun."""
    window = window_of(now)
    return calls if calls is not None and calls.window == window else Calls(window)


def has_room(calls: Calls, limit: int) -> bool:
    """Whether one more call may be answered in this window."""
    return calls.known < limit


def retry_after_s(now: int) -> int:
    """The whole seconds after which the window of `now` (epoch ms) is over: 1 to 10."""
    return -(-(window_of(now) + WINDOW_MS - now) // 1000)


def counted(calls: Calls, limit: int) -> tuple[Calls, int]:
    """The calls with one more, and how many the others are to be told of now: 0 until a share of the limit is untold.

    Those count as told of from here on, whatever becomes of the telling: it is not done again.
    """
    calls = calls._replace(mine=calls.mine + 1)
    owed = calls.mine - calls.told
    return (calls._replace(told=calls.mine), owed) if owed >= max(1, limit // SHARES) else (calls, 0)


def corrected(calls: Calls, window: int, total: int, told: int) -> Calls:
    """The calls after an answer: all containers have told of `total` in that window, and this one of `told` of them.

    Answers may come in any order: what the others have told only grows, so the largest holds.
    """
    return calls._replace(others=max(calls.others, total - told)) if calls.window == window else calls
