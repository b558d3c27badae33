"""The windows of Flexprice's usage, and how uses add up in one.

Rules: flexprice.md 2.7.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate.dialects.flexprice.windows import Counted, Span, Windows, aggregated, in_windows
from tollgate.domain.meters import Aggregation

SIZES = ("MINUTE", "15MIN", "30MIN", "HOUR", "3HOUR", "6HOUR", "12HOUR", "DAY", "WEEK", "MONTH")
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1000


def utc(at: int) -> str:
    return datetime.fromtimestamp(at // 1000, UTC).isoformat()[:16]


@pytest.mark.parametrize(
    ("size", "zone", "at", "start"),
    [
        ("MINUTE", "UTC", "2026-03-04T05:06:59+00:00", "2026-03-04T05:06"),
        ("15MIN", "UTC", "2026-03-04T05:29:59+00:00", "2026-03-04T05:15"),
        ("30MIN", "UTC", "2026-03-04T05:30:00+00:00", "2026-03-04T05:30"),
        ("3HOUR", "UTC", "2026-03-04T05:30:00+00:00", "2026-03-04T03:00"),
        ("12HOUR", "UTC", "2026-03-04T23:59:59+00:00", "2026-03-04T12:00"),
        ("WEEK", "UTC", "2026-03-01T00:00:00+00:00", "2026-03-01T00:00"),  # a Sunday
        ("WEEK", "UTC", "2026-02-28T23:59:59+00:00", "2026-02-22T00:00"),
        ("DAY", "America/New_York", "2026-03-08T12:00:00+00:00", "2026-03-08T05:00"),  # 23 hours long
        ("DAY", "America/New_York", "2026-03-09T03:59:00+00:00", "2026-03-08T05:00"),
        ("DAY", "America/New_York", "2026-03-09T04:00:00+00:00", "2026-03-09T04:00"),
        ("HOUR", "Asia/Kathmandu", "2026-03-04T05:20:00+00:00", "2026-03-04T05:15"),
        ("MONTH", "Asia/Kathmandu", "2026-02-28T18:15:00+00:00", "2026-02-28T18:15"),
    ],
)
def test_a_window_begins_where_its_zone_says(size: Any, zone: str, at: str, start: str) -> None:
    """flexprice.md 2.7."""
    assert utc(Windows(size, ZoneInfo(zone)).start(ms(at))) == start


@pytest.mark.parametrize(
    ("day", "at", "start"),
    [
        (5, "2026-03-04T23:59:59+00:00", "2026-02-05T00:00"),
        (5, "2026-03-05T00:00:00+00:00", "2026-03-05T00:00"),
        (31, "2026-03-01T00:00:00+00:00", "2026-02-28T00:00"),
        (31, "2026-03-30T00:00:00+00:00", "2026-02-28T00:00"),
        (31, "2026-03-31T00:00:00+00:00", "2026-03-31T00:00"),
        (31, "2026-04-30T00:00:00+00:00", "2026-04-30T00:00"),
        (15, "2026-01-02T00:00:00+00:00", "2025-12-15T00:00"),
    ],
)
def test_a_month_begins_on_its_anchors_day_or_the_months_last(day: int, at: str, start: str) -> None:
    """flexprice.md 2.7."""
    assert utc(Windows("MONTH", ZoneInfo("UTC"), day).start(ms(at))) == start


@given(
    st.sampled_from(SIZES),
    st.sampled_from(ZONES),
    st.integers(1, 31),
    st.lists(st.integers(ms("2024-01-01T00:00:00+00:00"), ms("2027-12-31T00:00:00+00:00")), max_size=30),
)
def test_every_use_is_in_one_window_which_begins_before_it(size: Any, zone: str, day: int, times: list[int]) -> None:
    """flexprice.md 2.7: and in the one before its end: a window's start is in that window."""
    windows = Windows(size, ZoneInfo(zone), day)
    uses = [Counted(at, Decimal(1)) for at in sorted(times, reverse=True)]
    found = in_windows(windows, uses)
    assert list(found) == sorted(found)
    assert sorted(use for part in found.values() for use in part) == sorted(uses)
    for start, part in found.items():
        assert windows.start(start) == start
        assert all(start <= use.at for use in part)


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [
        ("COUNT", "12"),
        ("SUM", "12"),
        ("SUM_WITH_MULTIPLIER", "12"),
        ("MAX", "8"),
        ("LATEST", "1"),
        ("AVG", "4"),
        ("COUNT_UNIQUE", "2"),
        ("WEIGHTED_SUM", "7.1"),  # 1 for a tenth, 8 for half, 3 for all
    ],
)
def test_uses_add_up_as_the_aggregation_says(aggregation: str, value: str) -> None:
    """flexprice.md 2.7: newest first; nothing is 0."""
    uses = [Counted(90, Decimal(1), "a"), Counted(50, Decimal(8), "b"), Counted(0, Decimal(3), "a")]
    assert aggregated(Aggregation(aggregation), uses, Span(0, 100)) == Decimal(value)
    assert aggregated(Aggregation(aggregation), [], Span(0, 0)) == 0
