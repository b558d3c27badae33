"""Periods with the specification's dates (autumn.md 3.9)."""

from __future__ import annotations

import pytest

from tests.unit.scenario import ms
from tollgate.domain.errors import InvalidInput
from tollgate.domain.periods import Interval, Reset, after, last_boundary, next_boundary, utc_end


@pytest.mark.parametrize(
    ("anchor", "reset", "after", "boundary"),
    [
        ("2026-01-31", Reset(Interval.MONTH), "2026-01-31", "2026-02-28"),
        ("2026-01-31", Reset(Interval.MONTH), "2026-02-28", "2026-03-31"),  # the anchor's day comes back
        ("2026-01-31", Reset(Interval.MONTH), "2026-07-04", "2026-07-31"),  # however many were missed
        ("2024-02-29", Reset(Interval.YEAR), "2024-03-01", "2025-02-28"),
        ("2024-02-29", Reset(Interval.YEAR), "2027-12-01", "2028-02-29"),
        ("2026-11-30", Reset(Interval.QUARTER), "2026-12-01", "2027-02-28"),
        ("2026-01-15", Reset(Interval.SEMI_ANNUAL), "2026-07-15", "2027-01-15"),
        ("2026-01-01", Reset(Interval.WEEK, 2), "2026-01-20", "2026-01-29"),
        ("2026-01-01T10:00", Reset(Interval.HOUR), "2026-01-01T12:30", "2026-01-01T13:00"),
        ("2026-01-01T10:00", Reset(Interval.MINUTE, 5), "2026-01-01T10:05", "2026-01-01T10:10"),
        ("2026-01-31", Reset(Interval.MONTH, 2), "2026-02-01", "2026-03-31"),
    ],
)
def test_boundaries_are_counted_from_the_anchor(anchor: str, reset: Reset, after: str, boundary: str) -> None:
    assert next_boundary(ms(anchor), reset, ms(after)) == ms(boundary)


@pytest.mark.parametrize(
    ("anchor", "reset", "at", "boundary"),
    [
        ("2026-01-31", Reset(Interval.MONTH), "2026-02-28", "2026-02-28"),
        ("2026-01-31", Reset(Interval.MONTH), "2026-03-30", "2026-02-28"),
        ("2026-01-31", Reset(Interval.MONTH), "2026-01-31", "2026-01-31"),
        ("2026-01-31", Reset(Interval.MONTH), "2025-06-01", "2026-01-31"),
        ("2024-02-29", Reset(Interval.YEAR), "2028-02-28", "2027-02-28"),
        ("2026-01-01", Reset(Interval.WEEK, 2), "2026-01-29", "2026-01-29"),
        ("2026-01-01", Reset(Interval.ONE_OFF), "2026-05-01", "2026-01-01"),
    ],
)
def test_the_last_boundary_is_not_later(anchor: str, reset: Reset, at: str, boundary: str) -> None:
    assert last_boundary(ms(anchor), reset, ms(at)) == ms(boundary)


@pytest.mark.parametrize(
    ("at", "interval", "count", "then"),
    [
        ("2026-01-31", Interval.MONTH, 1, "2026-02-28"),
        ("2026-01-31T10:30", Interval.QUARTER, 1, "2026-04-30T10:30"),
        ("2026-01-31", Interval.DAY, 7, "2026-02-07"),
        ("2026-12-15", Interval.MONTH, 2, "2027-02-15"),
    ],
)
def test_after_counts_intervals_by_the_calendar(at: str, interval: Interval, count: int, then: str) -> None:
    assert after(ms(at), interval, count) == ms(then)


@pytest.mark.parametrize(
    ("interval", "at", "end"),
    [
        (Interval.DAY, "2026-02-28T23:59", "2026-03-01"),
        (Interval.DAY, "2026-03-01", "2026-03-02"),
        (Interval.WEEK, "2026-01-18T23:59", "2026-01-19"),  # a Sunday
        (Interval.WEEK, "2026-01-19", "2026-01-26"),
        (Interval.MONTH, "2026-01-31", "2026-02-01"),
        (Interval.YEAR, "2026-12-31T12:00", "2027-01-01"),
    ],
)
def test_calendar_windows_end_in_utc(interval: Interval, at: str, end: str) -> None:
    assert utc_end(interval, ms(at)) == ms(end)


def test_one_off_never_resets() -> None:
    assert next_boundary(0, Reset(Interval.ONE_OFF), 10**13) is None


@pytest.mark.parametrize(("interval", "count"), [(Interval.DAY, 0), (Interval.MONTH, -1), (Interval.YEAR, 101)])
def test_a_period_is_between_one_interval_and_a_century(interval: Interval, count: int) -> None:
    with pytest.raises(InvalidInput):
        Reset(interval, count)
