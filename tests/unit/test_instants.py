"""Which instants and which numbers a request may name (autumn.md 3.13, management.md 2)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from tests.unit.scenario import ms
from tollgate.dialects.autumn import fields as autumn
from tollgate.dialects.field_rules import LAST_START, MAX_TIME, number_or_text_rule, range_rule, start_rule, time_rule
from tollgate.dialects.flexprice import fields as flexprice
from tollgate.dialects.lotus import fields as lotus
from tollgate.domain.errors import InvalidInput
from tollgate.domain.grants import Grant, RolloverRule, renewed
from tollgate.domain.periods import Interval, Reset, after, next_boundary, utc_end
from tollgate.domain.quantities import number_of
from tollgate.exact_json import loads

LATE = {
    autumn.Start: MAX_TIME,
    flexprice.Start: "9999-12-31T00:00:00Z",
    lotus.Start: "9999-12-31T00:00:00Z",
}


class TestInstants:
    def test_what_was_meant_in_seconds_is_refused(self) -> None:
        """autumn.md 3.13: in milliseconds it would lie in January 1970."""
        assert time_rule(1_000_000_000_000) == 1_000_000_000_000
        for moment in (1_767_225_600, 999_999_999_999, 0, -1):
            with pytest.raises(PydanticCustomError, match="epoch milliseconds"):
                time_rule(moment)

    def test_a_range_may_begin_with_the_beginning(self) -> None:
        """autumn.md 3.13."""
        assert [range_rule(moment) for moment in (0, 1, 1_767_225_600_000)] == [0, 1, 1_767_225_600_000]
        with pytest.raises(PydanticCustomError):
            range_rule(1_767_225_600)

    @pytest.mark.parametrize(("kind", "moment"), LATE.items(), ids=["autumn", "flexprice", "lotus"])
    def test_periods_are_counted_from_before_the_year_8000(self, kind: Any, moment: Any) -> None:
        """autumn.md 3.13: of any dialect."""
        with pytest.raises(ValidationError, match="must be before the year 8000"):
            TypeAdapter(kind).validate_python(moment)

    @pytest.mark.parametrize("interval", [each for each in Interval if each is not Interval.ONE_OFF])
    def test_what_may_be_counted_from_stays_in_the_calendar(self, interval: Interval) -> None:
        """autumn.md 3.13: with a trial of 1,000 years, and the longest period and rollover after it."""
        start = start_rule(LAST_START)
        trial = after(start, Interval.YEAR, 1000)
        reset = Reset(interval)
        boundary = next_boundary(trial, reset, trial)
        grant = Grant("g", None, None, reset=reset, anchor=trial, next_reset_at=boundary, granted=Decimal(1))
        assert boundary is not None
        assert renewed(grant._replace(rollover=RolloverRule(months=1200)), boundary) is not None

    @pytest.mark.parametrize("interval", [each for each in Interval if each is not Interval.ONE_OFF])
    def test_a_period_beyond_the_calendar_is_refused_in_words(self, interval: Interval) -> None:
        """autumn.md 3.13."""
        with pytest.raises(InvalidInput, match="after the year 9999"):
            next_boundary(MAX_TIME, Reset(interval), MAX_TIME)
        with pytest.raises(InvalidInput, match="after the year 9999"):
            after(MAX_TIME, interval, 1)
        with pytest.raises(InvalidInput, match="after the year 9999"):
            utc_end(Interval.DAY, ms("9999-12-31"))


class TestNumbers:
    @pytest.mark.parametrize(
        "text",
        ["1_000", "٣", "१२", "+1", "01", ".5", "5.", "1e", "0x10", "1,5", "Infinity", "NaN", "", " ", "\u00a01", "--1"],
    )
    def test_what_only_python_reads_is_no_number(self, text: str) -> None:
        """management.md 2: JSON's grammar, for text too."""
        assert number_of(text) is None
        with pytest.raises(PydanticCustomError):
            number_or_text_rule(text)
        for kind in (lotus.Number, lotus.Whole):
            with pytest.raises(ValidationError):
                TypeAdapter(kind).validate_python(text)

    @given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14, places=10))
    def test_a_text_is_the_number_that_json_reads_in_it(self, number: Decimal) -> None:
        """management.md 2."""
        assert number_of(str(number)) == number == loads(str(number))
        assert number_of(f" {number}\n") == number

    def test_lotus_takes_texts_for_numbers(self) -> None:
        """management.md 2."""
        assert TypeAdapter(lotus.Number).validate_python("2.5") == Decimal("2.5")
        assert TypeAdapter(lotus.Whole).validate_python("30") == 30
