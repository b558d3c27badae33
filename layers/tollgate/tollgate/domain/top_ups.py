"""Automatic top-ups: when one is asked for, and how often (autumn.md 7.3).

A customer (or one of its plans) states for a feature: when what remains falls to `threshold`, ask for `quantity` more. No
money moves here: asking is an event, and whoever hears it buys and grants. One request stands until it is answered, which is
when something is granted, or when the balance is above its threshold again. A purchase limit bounds how many are asked for in
a window of time, which begins with the first that is asked for in it.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tollgate.domain.periods import Interval, after

REMEMBERED = 300  # requests of one feature whose writes are known: more than one batch of the stream can repeat


class PurchaseLimit(NamedTuple):
    """At most `limit` top-ups in each window of `interval_count` intervals.

    `said`: how many a caller has said were made in the window that runs, and when it was said (epoch ms).
    """

    limit: int
    interval: Interval
    interval_count: int = 1
    said: tuple[int, int] | None = None


class TopUp(NamedTuple):
    """What is asked for, and when: `threshold` and `quantity` are units. `of_plan`: a plan states it, else the customer.

    `invoice_mode`: whoever tops up is to send an invoice and not to charge a card; it changes nothing here.
    """

    threshold: Decimal
    quantity: Decimal
    purchase_limit: PurchaseLimit | None = None
    invoice_mode: bool = False
    of_plan: bool = False

    def says_as(self, other: TopUp | None) -> bool:
        """Whether the other says the same; how many were made is not part of it."""
        return other is not None and self._uncounted() == other._uncounted()

    def _uncounted(self) -> TopUp:
        limit = self.purchase_limit
        return self._replace(purchase_limit=limit and limit._replace(said=None))


class TopUpState(NamedTuple):
    """What has been asked for of one feature of one customer.

    - `stands`: a request has been made that nothing has answered yet.
    - `asked`: the writes that asked, the newest last, REMEMBERED at most. `refused`: those that met the limit.
    - `window_end` (epoch ms): the end of the last window; `made`: how many were asked for in it.
    - `said_at`: when a caller last said how many were made (epoch ms).
    """

    stands: bool = False
    asked: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    window_end: int = 0
    made: int = 0
    said_at: int = 0
    told_until: int = 0  # the end of the window whose limit was told of

    def in_window(self, limit: PurchaseLimit | None, now: int) -> TopUpState:
        """The state as of `now`: with what a caller has said of the count, and in a new window where the last has ended."""
        state = self
        if limit is not None and limit.said is not None and limit.said[1] > self.said_at:
            made, at = limit.said
            end = self.window_end if at < self.window_end else _end(limit, at)
            state = state._replace(made=made, said_at=at, window_end=end, told_until=0)
        return state if now < state.window_end else state._replace(window_end=0, made=0)


def counted(state: TopUpState, limit: PurchaseLimit, now: int) -> tuple[int, int]:
    """How many were asked for in the window that runs at `now`, and when it ends (epoch ms). Where none runs: 0, and the
    end of one that would begin now.
    """
    state = state.in_window(limit, now)
    return state.made, state.window_end or _end(limit, now)


class Verdict(StrEnum):
    """What a write means for a top-up."""

    NOTHING = "nothing"
    REQUESTED = "requested"
    BLOCKED = "blocked"  # by the purchase limit, which is told of once in a window


class Met(NamedTuple):
    """What one write says of a balance that is topped up.

    - `cause`: names the write. `at`: when it was (epoch ms).
    - `below`: what remains is at the threshold or under it.
    - `fell`: it certainly was not, right before this write.
    - `granted`: the write gave units.
    - `acts`: it counted a use, or the top-up is stated anew by it; nothing else asks.
    """

    cause: str
    at: int
    below: bool
    fell: bool
    granted: bool
    acts: bool


def top_up_after(state: TopUpState, top_up: TopUp, met: Met) -> tuple[TopUpState, Verdict]:
    """The state after a write, and what it means. Repeated for a write, the verdict is the same (autumn.md 7.3)."""
    if met.cause in state.asked:
        return state._replace(stands=True), Verdict.REQUESTED
    if met.cause in state.refused:
        return state, Verdict.BLOCKED
    if met.granted or not met.below:
        state = state._replace(stands=False)
    if not met.below or not met.acts or (state.stands and not met.fell):
        return state, Verdict.NOTHING
    limit = top_up.purchase_limit
    now = state.in_window(limit, met.at)
    if limit is not None:
        if now.window_end == 0:
            now = now._replace(window_end=_end(limit, met.at))
        if now.made >= limit.limit:
            if now.told_until == now.window_end:
                return now._replace(stands=False), Verdict.NOTHING
            refused = (*now.refused, met.cause)[-REMEMBERED:]
            return now._replace(stands=False, refused=refused, told_until=now.window_end), Verdict.BLOCKED
    asked = (*now.asked, met.cause)[-REMEMBERED:]
    return now._replace(stands=True, asked=asked, made=now.made + 1), Verdict.REQUESTED


def _end(limit: PurchaseLimit, start: int) -> int:
    return after(start, limit.interval, limit.interval_count)
