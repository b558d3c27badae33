"""Flexprice's names of reset and billing periods."""

from __future__ import annotations

from tollgate.domain.entitlements import canonical
from tollgate.domain.periods import Interval, Reset

NAMES = {
    "DAILY": Reset(Interval.DAY),
    "WEEKLY": Reset(Interval.WEEK),
    "MONTHLY": Reset(Interval.MONTH),
    "QUARTERLY": Reset(Interval.QUARTER),
    "HALF_YEARLY": Reset(Interval.SEMI_ANNUAL),
    "ANNUAL": Reset(Interval.YEAR),
}
_BY_PERIOD = {canonical(reset): name for name, reset in NAMES.items()}


def reset_of(name: str) -> Reset | None:
    """The period of that name; None for NEVER."""
    return NAMES.get(name)


def period_name(reset: Reset | None) -> str | None:
    """The name of a period, NEVER for none; None where Flexprice has no word for it (an hour, five days)."""
    period = canonical(reset)
    return "NEVER" if period is None else _BY_PERIOD.get(period)
