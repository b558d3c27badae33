"""The windows in which Flexprice shows usage, and how uses add up in one (flexprice.md 2.7)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Literal, NamedTuple

from tollgate.domain.meters import ADDED, Aggregation
from tollgate.domain.quantities import ZERO, quantity

WindowSize = Literal["MINUTE", "15MIN", "30MIN", "HOUR", "3HOUR", "6HOUR", "12HOUR", "DAY", "WEEK", "MONTH"]

_MINUTES = {"MINUTE": 1, "15MIN": 15, "30MIN": 30, "HOUR": 60, "3HOUR": 180, "6HOUR": 360, "12HOUR": 720}


class Windows(NamedTuple):
    """Windows of one size, in a time zone. Weeks begin on Sunday; months on `month_day`, or on their last day where they
    have no such day.
    """

    size: WindowSize
    zone: tzinfo
    month_day: int = 1

    def start(self, at: int) -> int:
        """The start (epoch ms) of the window that contains `at`."""
        local = datetime.fromtimestamp(at // 1000, self.zone)
        if minutes := _MINUTES.get(self.size):
            passed = local.hour * 60 + local.minute
            begun = passed - passed % minutes
            return _ms(local.replace(hour=begun // 60, minute=begun % 60, second=0))
        day = datetime.combine(local.date(), time.min, self.zone)
        if self.size == "WEEK":
            day -= timedelta(days=day.isoweekday() % 7)
        elif self.size == "MONTH":
            if day.day < self._first(day):
                day = day.replace(day=1) - timedelta(days=1)
            day = day.replace(day=self._first(day))
        return _ms(day)

    def _first(self, day: datetime) -> int:
        return min(self.month_day, monthrange(day.year, day.month)[1])


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


class Counted(NamedTuple):
    """One use as an aggregation sees it: its time (epoch ms), its amount and, of COUNT_UNIQUE, what it counts."""

    at: int
    amount: Decimal
    unique: str = ""


class Span(NamedTuple):
    """A range [start, end) of time in epoch ms."""

    start: int
    end: int


def aggregated(aggregation: Aggregation, uses: Sequence[Counted], span: Span) -> Decimal:
    """What uses of this range, the newest first, add up to; 0 where there are none."""
    if not uses:
        return ZERO
    total = sum((use.amount for use in uses), ZERO)
    if aggregation in ADDED:
        return total
    if aggregation is Aggregation.MAX:
        return max(use.amount for use in uses)
    if aggregation is Aggregation.LATEST:
        return max(reversed(uses), key=lambda use: use.at).amount
    if aggregation is Aggregation.AVG:
        return quantity(total / len(uses), "")
    if aggregation is Aggregation.COUNT_UNIQUE:
        return Decimal(len({use.unique for use in uses}))
    weighted = sum((use.amount * (span.end - use.at) for use in uses), ZERO)
    return quantity(weighted / (span.end - span.start), "")


def in_windows(windows: Windows, uses: Iterable[Counted]) -> dict[int, list[Counted]]:
    """The uses by the start of their window, in order; windows without any are left out."""
    found: dict[int, list[Counted]] = {}
    for use in uses:
        found.setdefault(windows.start(use.at), []).append(use)
    return dict(sorted(found.items()))
