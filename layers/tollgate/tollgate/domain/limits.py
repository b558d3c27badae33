"""Bounds on a balance other than its grants: spend limits, usage limits over a window of time, and whether overage is
allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.periods import Interval, Reset, next_boundary, utc_end
from tollgate.domain.quantities import ZERO

if TYPE_CHECKING:
    from tollgate.domain.top_ups import TopUp


class SpendLimit(NamedTuple):
    """At most `limit` units of overage; with `percentage`, so many percent of what the main plans grant (autumn.md
    3.5).
    """

    limit: Decimal
    percentage: bool = False


class Window(NamedTuple):
    """A usage limit: at most `limit` units in each window of one `interval`, counting uses whose properties match
    `filter`.

    - `ends_at`: the end of the current window (epoch ms). `used`: units used in it.
    - `anchor`: the instant (epoch ms) that windows are counted from; None: windows are UTC days, weeks, months or
      years.
    """

    limit: Decimal
    interval: Interval
    ends_at: int
    anchor: int | None = None
    filter: tuple[tuple[str, str], ...] = ()
    used: Decimal = ZERO

    @property
    def room(self) -> Decimal:
        """The units that may still be used in this window."""
        return max(ZERO, self.limit - self.used)

    def matches(self, properties: Mapping[str, Any]) -> bool:
        """Whether this limit counts a use with these properties."""
        return passes(self.filter, properties)

    def at(self, now: int) -> Window:
        """The window that contains `now` (epoch ms): this one, or a later one with nothing used."""
        if now < self.ends_at:
            return self
        return self._replace(used=ZERO, ends_at=window_end(self.interval, self.anchor, now))


def window_end(interval: Interval, anchor: int | None, now: int) -> int:
    """The end of the window that contains `now`, all in epoch ms. `anchor` None: windows are UTC days, weeks, months or
    years.
    """
    if anchor is None:
        return utc_end(interval, now)
    if now < anchor:
        return anchor
    end = next_boundary(anchor, Reset(interval), now)
    assert end is not None
    return end


class Threshold(StrEnum):
    """The number that an alert's threshold is compared with (autumn.md 1.2.6)."""

    USAGE = "usage"
    USAGE_PERCENTAGE = "usage_percentage"
    REMAINING = "remaining"
    REMAINING_PERCENTAGE = "remaining_percentage"


class Basis(StrEnum):
    """The amount that usage, the remaining units and percentages refer to: the whole balance, its included units, its
    resetting grants alone, or the usage limit.
    """

    BALANCE = "balance"
    INCLUDED = "included"
    RECURRING = "recurring"
    USAGE_LIMIT = "usage_limit"


class Alert(NamedTuple):
    """A threshold that raises an alert when it is crossed. `of_plan`: a plan states it; else the customer or entity
    does.
    """

    type: Threshold
    threshold: Decimal
    basis: Basis = Basis.BALANCE
    name: str | None = None
    of_plan: bool = False


class Limits(NamedTuple):
    """The limits of one balance and the thresholds that are checked on it. `overage_allowed` None: each grant says so
    itself.

    `paused`: what usage limits that are switched off had counted. They neither bound nor count, and go on where they
    are switched on again before their window ends. `top_up`: of a customer's balance, what is asked for when it is low.
    """

    overage_allowed: bool | None = None
    spend: SpendLimit | None = None
    windows: tuple[Window, ...] = ()
    alerts: tuple[Alert, ...] = ()
    paused: tuple[Window, ...] = ()
    top_up: TopUp | None = None


NO_LIMITS = Limits()


def passes(filter: tuple[tuple[str, str], ...], properties: Mapping[str, Any]) -> bool:
    """Whether a use's properties have every value that the filter (pairs of name and value) asks for."""
    return all(name in properties and text_of(properties[name]) == value for name, value in filter)


def text_of(value: Any) -> str:
    """A property's value as the text that filters compare with."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
