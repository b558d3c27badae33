"""Periods with the specification's dates (design.md 3, autumn.md 3.9)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tollgate.domain.errors import InvalidInput
from tollgate.domain.periods import Interval, Reset, next_boundary


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("anchor", "reset", "after", "boundary"),
    [
        ("2026-01-31", Reset(Interval.MONTH), "2026-01-31", "2026-02-28"),
        ("2026-01-31", Reset(Interval.MONTH), "2026-02-28", "2026-03-31"),  # the anchor's day comes back
        ("2026-01-31", Reset(Interval.MONTH), "2026-07-04", "2026-07-31"),  # missed periods are skipped
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


def test_one_off_never_resets() -> None:
    assert next_boundary(0, Reset(Interval.ONE_OFF), 10**13) is None


@pytest.mark.parametrize(("interval", "count"), [(Interval.DAY, 0), (Interval.MONTH, -1), (Interval.YEAR, 101)])
def test_a_period_is_between_one_interval_and_a_century(interval: Interval, count: int) -> None:
    with pytest.raises(InvalidInput):
        Reset(interval, count)
