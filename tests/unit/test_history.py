"""Bins, ranges put together from days, hours and entries, and the parts of one use.

Rules: autumn.md 7.2.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scenario import ms
from tollgate.domain.errors import InvalidInput
from tollgate.domain.history import (
    DAY_MS,
    HOUR_MS,
    LAST,
    OTHER,
    QUARTER_MS,
    Bin,
    Entry,
    From,
    Segment,
    Series,
    SeriesOptions,
    Sum,
    Taken,
    bin_start,
    bins,
    merged,
    segments,
    series,
)

UTC_ZONE = ZoneInfo("UTC")
NEW_YORK = ZoneInfo("America/New_York")
KOLKATA = ZoneInfo("Asia/Kolkata")
JAN = ms("2026-01-01")


@pytest.mark.parametrize(
    ("at", "size", "zone", "start"),
    [
        ("2026-01-07T13:59:59", Bin.HOUR, UTC_ZONE, "2026-01-07T13:00:00"),
        ("2026-01-07T13:59:59", Bin.DAY, UTC_ZONE, "2026-01-07"),
        ("2026-01-07T13:59:59", Bin.WEEK, UTC_ZONE, "2026-01-05"),  # a Monday
        ("2026-01-07T13:59:59", Bin.MONTH, UTC_ZONE, "2026-01-01"),
        ("2026-01-07T03:00:00", Bin.DAY, NEW_YORK, "2026-01-06T05:00:00"),
        ("2026-01-07T03:00:00", Bin.HOUR, NEW_YORK, "2026-01-07T03:00:00"),
        ("2026-01-06T18:31:00", Bin.DAY, KOLKATA, "2026-01-06T18:30:00"),
        ("2026-02-01T02:00:00", Bin.MONTH, NEW_YORK, "2026-01-01T05:00:00"),
    ],
)
def test_a_bin_starts_where_its_zone_says(at: str, size: Bin, zone: ZoneInfo, start: str) -> None:
    assert bin_start(ms(at), size, zone) == ms(start)


def test_days_are_as_long_as_the_zone_makes_them() -> None:
    """New York's clocks go forward on March 8, 2026 and back on November 1."""
    spring = bins(ms("2026-03-07T05:00:00"), ms("2026-03-10T05:00:00"), Bin.DAY, NEW_YORK)
    assert [late - early for early, late in itertools.pairwise(spring)] == [
        24 * HOUR_MS,
        23 * HOUR_MS,
        24 * HOUR_MS,
    ]
    autumn = bins(ms("2026-11-01T04:00:00"), ms("2026-11-02T06:00:00"), Bin.DAY, NEW_YORK)
    assert autumn[1] - autumn[0] == 25 * HOUR_MS


def test_a_range_of_too_many_bins_is_refused() -> None:
    with pytest.raises(InvalidInput):
        bins(JAN, JAN + 10_001 * HOUR_MS, Bin.HOUR, UTC_ZONE)


def test_a_range_is_read_from_days_hours_and_entries() -> None:
    start, end = JAN + HOUR_MS + 5, JAN + 3 * DAY_MS + 2 * HOUR_MS + 7
    assert segments(start, end, Bin.DAY, UTC_ZONE) == [
        Segment(From.ENTRIES, start, JAN + 2 * HOUR_MS),
        Segment(From.HOURS, JAN + 2 * HOUR_MS, JAN + DAY_MS),
        Segment(From.DAYS, JAN + DAY_MS, JAN + 3 * DAY_MS),
        Segment(From.HOURS, JAN + 3 * DAY_MS, JAN + 3 * DAY_MS + 2 * HOUR_MS),
        Segment(From.ENTRIES, JAN + 3 * DAY_MS + 2 * HOUR_MS, end),
    ]


def test_what_sums_do_not_tell_is_read_from_entries() -> None:
    end = JAN + 3 * DAY_MS
    assert segments(JAN, end, Bin.DAY, UTC_ZONE, entries_only=True) == [Segment(From.ENTRIES, JAN, end)]
    long_ago = ZoneInfo("Africa/Monrovia")  # 44 minutes and 30 seconds behind UTC until 1972
    assert segments(0, 3 * DAY_MS, Bin.DAY, long_ago) == [Segment(From.ENTRIES, 0, 3 * DAY_MS)]
    assert segments(JAN, end, Bin.DAY, KOLKATA) == [Segment(From.QUARTERS, JAN, end)]  # its days start at 18:30
    assert {segment.source for segment in segments(JAN, end, Bin.DAY, NEW_YORK)} == {From.HOURS}
    assert segments(JAN, JAN, Bin.DAY, UTC_ZONE) == []


def test_months_of_a_zone_are_read_from_days_and_the_hours_around_their_first() -> None:
    start, end = ms("2026-01-01T05:00:00"), ms("2026-04-01T04:00:00")  # January to March in New York
    assert segments(start, end, Bin.MONTH, NEW_YORK) == [
        Segment(From.HOURS, start, ms("2026-01-02")),
        Segment(From.DAYS, ms("2026-01-02"), ms("2026-02-01")),
        Segment(From.HOURS, ms("2026-02-01"), ms("2026-02-02")),
        Segment(From.DAYS, ms("2026-02-02"), ms("2026-03-01")),
        Segment(From.HOURS, ms("2026-03-01"), ms("2026-03-02")),
        Segment(From.DAYS, ms("2026-03-02"), ms("2026-04-01")),
        Segment(From.HOURS, ms("2026-04-01"), end),
    ]
    start, end = ms("2026-01-01"), ms("2026-02-02")
    assert segments(start, end, Bin.MONTH, KOLKATA) == [
        Segment(From.DAYS, start, ms("2026-01-31")),
        Segment(From.QUARTERS, ms("2026-01-31"), ms("2026-02-01")),
        Segment(From.DAYS, ms("2026-02-01"), end),
    ]


ZONES = (
    "UTC",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Gaza",
)
UNITS = {From.ENTRIES: 1, From.QUARTERS: QUARTER_MS, From.HOURS: HOUR_MS, From.DAYS: DAY_MS}


@given(
    st.integers(ms("2005-01-01"), ms("2030-01-01")),
    st.integers(1, 400 * DAY_MS) | st.integers(1, 50).map(lambda days: days * DAY_MS),
    st.sampled_from([1, HOUR_MS, DAY_MS]),
    st.sampled_from(list(Bin)),
    st.sampled_from(ZONES),
)
def test_what_is_read_is_the_range_and_no_sum_lies_in_two_bins(
    start: int, length: int, unit: int, size: Bin, name: str
) -> None:
    zone = ZoneInfo(name)
    start -= start % unit
    end = start + length
    found = segments(start, end, size, zone)
    edges = [start, *(segment.end for segment in found)]
    assert [segment.start for segment in found] == edges[:-1]  # no gap, nothing twice
    assert edges[-1] == end
    assert all(segment.start < segment.end for segment in found)
    assert all(early.source is not late.source for early, late in itertools.pairwise(found))
    for source, low, high in found:
        assert low % UNITS[source] == high % UNITS[source] == 0
        crossed = [at for at in bins(low, high, size, zone) if low < at < high and at % UNITS[source]]
        assert not crossed


def test_a_range_to_the_end_of_all_calendars_is_refused() -> None:
    for size, zone in itertools.product(Bin, (UTC_ZONE, NEW_YORK, KOLKATA)):
        with pytest.raises(InvalidInput):
            bins(LAST, LAST + 364 * DAY_MS, size, zone)
        assert bins(LAST - 2 * HOUR_MS, LAST, size, zone)


instants = st.integers(JAN, JAN + 90 * DAY_MS)


@given(
    st.lists(st.tuples(instants, st.integers(-5, 50), st.sampled_from(["c1", "c2"])), max_size=40),
    instants,
    instants,
    st.sampled_from(list(Bin)),
    st.sampled_from([UTC_ZONE, NEW_YORK, KOLKATA]),
    st.booleans(),
)
def test_sums_say_what_the_entries_say(
    uses: list[tuple[int, int, str]], one: int, other: int, size: Bin, zone: ZoneInfo, counting: bool
) -> None:
    start, end = min(one, other), max(one, other) + 1
    entries = [Entry(str(n), at, who, "messages", None, Decimal(value)) for n, (at, value, who) in enumerate(uses)]

    def read(segment: Segment) -> list[Entry | Sum]:
        inside = [entry for entry in entries if segment.start <= entry.at < segment.end]
        if segment.source is From.ENTRIES:
            return list(inside)
        unit = UNITS[segment.source]
        assert segment.start % unit == segment.end % unit == 0
        return [Sum(e.at - e.at % unit, e.customer_id, e.feature_id, None, 1, e.value) for e in inside]

    starts = bins(start, end, size, zone)

    def summed(found: list[Entry | Sum]) -> Series:
        options = SeriesOptions(size, zone, counting, group_of=lambda one: one.customer_id)
        return series(["messages"], starts, found, options)

    mixed = summed([one for segment in segments(start, end, size, zone) for one in read(segment)])
    plain = summed([entry for entry in entries if start <= entry.at < end])
    assert mixed == plain
    assert plain.totals["messages"][0] == sum(start <= at < end for at, _, _ in uses)


def _model(one: Entry | Sum) -> str:
    assert isinstance(one, Entry)
    return str(one.properties["model"])


def test_the_largest_groups_stand_for_themselves_and_the_rest_is_other() -> None:
    entries = [Entry(str(n), JAN, "c1", "messages", None, Decimal(n), {"model": f"m{n}"}) for n in range(1, 6)]
    found = series(["messages"], [JAN], entries, SeriesOptions(Bin.DAY, UTC_ZONE, group_of=_model, max_groups=2))
    assert found.groups[JAN]["messages"] == {"m5": 5, "m4": 4, OTHER: 6}
    assert found.values[JAN] == {"messages": 15}


def test_a_group_that_is_called_other_is_not_lost() -> None:
    values = {OTHER: 100, "a": 5, "b": 4, "c": 1}
    entries = [Entry(id, JAN, "c1", "messages", None, Decimal(value), {"model": id}) for id, value in values.items()]
    found = series(["messages"], [JAN], entries, SeriesOptions(Bin.DAY, UTC_ZONE, group_of=_model, max_groups=2))
    assert found.groups[JAN]["messages"] == {OTHER: 105, "a": 5}


def test_the_parts_of_a_use_are_one_entry() -> None:
    first = Entry(
        "u1", JAN, "c1", "action1", None, Decimal(10), deductions=(Taken("r1", "action1", "pro", Decimal(4)),)
    )
    part = first._replace(deductions=(Taken("r2", "credits", "pro", Decimal("1.2")),), part=True)
    other = first._replace(use_id="u2")
    for order in ([first, part, other], [part, first, other]):
        one, two = merged(order)
        assert [taken.balance_id for taken in one.deductions] == ["r1", "r2"]
        assert (one.value, one.part, two) == (10, False, other)
