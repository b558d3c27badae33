"""When a grant resets: periods counted from an anchor, in UTC.

Resets are at anchor + n periods, always counted from the anchor, so they never drift: a month anchored to January 31
ends on February 28, the next on March 31. Times are epoch milliseconds.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from enum import StrEnum

from tollgate.domain.errors import InvalidInput


class Interval(StrEnum):
    """The unit that a period is a multiple of; ONE_OFF never resets."""

    ONE_OFF = "one_off"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    SEMI_ANNUAL = "semi_annual"
    YEAR = "year"


_MINUTE = 60_000
_FIXED = {
    Interval.MINUTE: _MINUTE,
    Interval.HOUR: 60 * _MINUTE,
    Interval.DAY: 1_440 * _MINUTE,
    Interval.WEEK: 7 * 1_440 * _MINUTE,
}
_MONTHS = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.SEMI_ANNUAL: 6, Interval.YEAR: 12}
_LAST = 253_402_300_799_999  # the last millisecond of the year 9999, the calendar's last
_LONGEST = 100 * 360 * 1_440 * _MINUTE


@dataclass(frozen=True, slots=True)
class Reset:
    """A period of `count` intervals. Raises InvalidInput for a count below 1 or a period of more than 100 years."""

    interval: Interval
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or self.nominal_ms > _LONGEST:
            raise InvalidInput("interval_count", "must make a period of at least one interval and at most 100 years")

    @property
    def nominal_ms(self) -> int:
        """The period's length for comparing periods, in ms; a month counts 30 days, as in Autumn's deduction order. 0:
        never resets.
        """
        if self.interval is Interval.ONE_OFF:
            return 0
        return self.count * (_FIXED.get(self.interval) or _MONTHS[self.interval] * 30 * _FIXED[Interval.DAY])


def boundary(anchor: int, reset: Reset, number: int) -> int:
    """The boundary that is `number` periods after the anchor, of what resets. Raises InvalidInput past the calendar."""
    if length := _FIXED.get(reset.interval):
        return _in_calendar(anchor + number * length * reset.count)
    return _plus_months(anchor, _utc(anchor), number * _MONTHS[reset.interval] * reset.count)


def periods_passed(anchor: int, reset: Reset, at: int) -> int:
    """How many whole periods have passed at `at` since the anchor, of what resets; none before the anchor."""
    if at <= anchor:
        return 0
    if length := _FIXED.get(reset.interval):
        return (at - anchor) // (length * reset.count)
    number = months_between(anchor, at) // (_MONTHS[reset.interval] * reset.count)
    return number if boundary(anchor, reset, number) <= at else number - 1


def next_boundary(anchor: int, reset: Reset, after: int) -> int | None:
    """The first of anchor + 1, 2, ... periods that is later than `after` (epoch ms); None where nothing resets."""
    if reset.interval is Interval.ONE_OFF:
        return None
    return boundary(anchor, reset, periods_passed(anchor, reset, after) + 1)


def last_boundary(anchor: int, reset: Reset, at: int) -> int:
    """The latest of anchor + 0, 1, ... periods that is not later than `at` (epoch ms); the anchor where nothing
    resets.
    """
    if reset.interval is Interval.ONE_OFF:
        return anchor
    return boundary(anchor, reset, periods_passed(anchor, reset, at))


def months_between(one: int, other: int) -> int:
    """How many calendar months lie between the months of two instants."""
    start, stop = _utc(one), _utc(other)
    return (stop.year - start.year) * 12 + stop.month - start.month


def months_after(anchor: int, reset: Reset, boundary: int, months: int) -> int:
    """The instant (epoch ms) that is `months` after a boundary (autumn.md 3.9).

    Where periods are months it is counted from the anchor, so that it is a boundary too: with an anchor on the 31st,
    February 28 and a month is March 31.
    """
    if reset.interval in _FIXED:
        return after(boundary, Interval.MONTH, months)
    return after(anchor, Interval.MONTH, months_between(anchor, boundary) + months)


def after(at: int, interval: Interval, count: int) -> int:
    """The instant (epoch ms) that is `count` intervals after `at`. Where the month has no such day, its last day. Raises
    InvalidInput past the calendar.
    """
    if length := _FIXED.get(interval):
        return _in_calendar(at + length * count)
    return _plus_months(at, _utc(at), _MONTHS[interval] * count)


def sooner(one: int | None, other: int) -> int:
    """The sooner of two instants (epoch ms); None is later than any."""
    return other if one is None else min(one, other)


def utc_end(interval: Interval, at: int) -> int:
    """The end (epoch ms) of the UTC day, week (from Monday), month or year that contains `at`."""
    day = _utc(at).replace(hour=0, minute=0, second=0)
    if interval is Interval.DAY:
        start = day
    elif interval is Interval.WEEK:
        start = day - timedelta(days=day.weekday())
    else:
        start = day.replace(day=1, month=1 if interval is Interval.YEAR else day.month)
    return after(int(start.timestamp()) * 1000, interval, 1)


def _in_calendar(at: int) -> int:
    """The instant; raises InvalidInput where the calendar has ended before it (autumn.md 3.13)."""
    if at > _LAST:
        raise InvalidInput("", "A period would end after the year 9999")
    return at


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)


def _plus_months(anchor: int, start: datetime, months: int) -> int:
    """The instant that is `months` after the anchor: the same day and time, or the month's last day where it has no
    such day.
    """
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if year > MAXYEAR:
        _in_calendar(_LAST + 1)
    moved = start.replace(year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1]))
    return int(moved.timestamp()) * 1000 + anchor % 1000
