"""What bounds a balance beside its grants: spend limits, windowed usage limits, and whether it may be overdrawn at all."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from tollgate.domain.periods import Interval, Reset, next_boundary, utc_end
from tollgate.domain.quantities import ZERO


class SpendLimit(NamedTuple):
    """At most so many units of overage; as a `percentage`, of the main plans' grants (autumn.md 3.5)."""

    limit: Decimal
    percentage: bool = False


class Window(NamedTuple):
    """At most `limit` units within a window of one interval, of the uses whose properties match `filter`.

    `anchor` is the instant that windows are counted from; None counts UTC days, weeks, months or years.
    """

    limit: Decimal
    interval: Interval
    ends_at: int
    anchor: int | None = None
    filter: tuple[tuple[str, str], ...] = ()
    used: Decimal = ZERO

    @property
    def room(self) -> Decimal:
        return max(ZERO, self.limit - self.used)

    def matches(self, properties: Mapping[str, Any]) -> bool:
        return passes(self.filter, properties)

    def at(self, now: int) -> Window:
        """The window that holds `now`: the same, or a later one with nothing used."""
        if now < self.ends_at:
            return self
        return self._replace(used=ZERO, ends_at=window_end(self.interval, self.anchor, now))


def window_end(interval: Interval, anchor: int | None, now: int) -> int:
    """The end of the window that holds `now`."""
    if anchor is None:
        return utc_end(interval, now)
    if now < anchor:
        return anchor
    end = next_boundary(anchor, Reset(interval), now)
    assert end is not None
    return end


class Threshold(StrEnum):
    """What an alert's threshold is compared with (autumn.md 1.2.6)."""

    USAGE = "usage"
    USAGE_PERCENTAGE = "usage_percentage"
    REMAINING = "remaining"
    REMAINING_PERCENTAGE = "remaining_percentage"


class Basis(StrEnum):
    """What usage, what remains and percentages are taken of: all that is held, what is included, what resets, or the
    usage limit."""

    BALANCE = "balance"
    INCLUDED = "included"
    RECURRING = "recurring"
    USAGE_LIMIT = "usage_limit"


class Alert(NamedTuple):
    """A threshold to tell of when it is crossed. `of_plan`: a plan states it, else the customer or the entity."""

    type: Threshold
    threshold: Decimal
    basis: Basis = Basis.BALANCE
    name: str | None = None
    of_plan: bool = False


class Limits(NamedTuple):
    """What bounds one balance item, and which thresholds it watches. `overage_allowed` None leaves it to each grant.

    `paused`: what usage limits that are switched off had counted. They neither bound nor count, and go on where they are
    switched on again before their window ends.
    """

    overage_allowed: bool | None = None
    spend: SpendLimit | None = None
    windows: tuple[Window, ...] = ()
    alerts: tuple[Alert, ...] = ()
    paused: tuple[Window, ...] = ()


NO_LIMITS = Limits()


def passes(filter: tuple[tuple[str, str], ...], properties: Mapping[str, Any]) -> bool:
    """Whether a use's properties have every value that a filter names."""
    return all(name in properties and text_of(properties[name]) == value for name, value in filter)


def text_of(value: Any) -> str:
    """A property as the text that a filter compares with."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
