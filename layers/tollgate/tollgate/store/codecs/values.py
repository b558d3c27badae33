"""Values that several kinds of items hold, as JSON and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tollgate.domain.periods import Interval, Reset

Pairs = tuple[tuple[str, str], ...]


def optional_number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def optional_interval(value: Any) -> Interval | None:
    return None if value is None else Interval(value)


def reset_json(period: Reset | None) -> dict[str, Any] | None:
    return {"interval": period.interval.value, "count": period.count} if period else None


def reset_of(data: Mapping[str, Any] | None) -> Reset | None:
    return reset(data["interval"], data.get("count", 1)) if data else None


@lru_cache(256)
def reset(interval: str, count: int) -> Reset:
    """A customer's many grants and items share a few reset periods, and each is checked when it is made."""
    return Reset(Interval(interval), count)


def pairs_json(pairs: Pairs) -> list[list[str]]:
    """A filter: names of properties with the values that they must have."""
    return [list(pair) for pair in pairs]


def pairs_of(data: Iterable[Any]) -> Pairs:
    return tuple((name, value) for name, value in data)


def present(full: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that hold something: an item is paid for by its size."""
    return {name: value for name, value in full.items() if value is not None}
