"""Values that several kinds of items hold, as JSON and back."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tollgate.domain.periods import Interval, Reset
from tollgate.domain.use_records import UNKNOWN, Origin

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

PACKED_FROM = 400  # bytes of JSON: shorter ones are seldom what makes an item large

Pairs = tuple[tuple[str, str], ...]


def optional_number(value: Any) -> Decimal | None:
    """A stored number as a Decimal; None stays None."""
    return None if value is None else Decimal(value)


def optional_interval(value: Any) -> Interval | None:
    """A stored interval; None stays None."""
    return None if value is None else Interval(value)


def reset_json(period: Reset | None) -> dict[str, Any] | None:
    """A reset period as JSON; None stays None."""
    return {"interval": period.interval.value, "count": period.count} if period else None


def reset_of(data: Mapping[str, Any] | None) -> Reset | None:
    """The reset period that JSON holds; None where there is none."""
    return reset(data["interval"], data.get("count", 1)) if data else None


@lru_cache(256)
def reset(interval: str, count: int) -> Reset:
    """A reset period, cached: the many grants and items of a customer share a few, and each is validated when it is
    made.
    """
    return Reset(Interval(interval), count)


def pairs_json(pairs: Pairs) -> list[list[str]]:
    """A filter as JSON: pairs of a property's name and the value that it must have."""
    return [list(pair) for pair in pairs]


def pairs_of(data: Iterable[Any]) -> Pairs:
    """The filter that JSON holds."""
    return tuple((name, value) for name, value in data)


def present(full: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not None: writing an item costs by its size."""
    return {name: value for name, value in full.items() if value is not None}


def origin_json(origin: Origin) -> dict[str, str | None]:
    """The fields of where a use comes from; None where it was not said."""
    return {"name": origin.name or None, "source": origin.source or None}


def origin_of(data: Mapping[str, Any]) -> Origin:
    """Where a use comes from, of the data that `origin_json` is part of."""
    if "name" not in data and "source" not in data:
        return UNKNOWN
    return Origin(data.get("name", ""), data.get("source", ""))


def packed(text: str) -> AttributeValueTypeDef:
    """JSON as an attribute that is written with every use of its item, though it does not change: as text (S) where it is
    short, else compressed (B, zlib).
    """
    if len(text) < PACKED_FROM:
        return {"S": text}
    return {"B": zlib.compress(text.encode(), 9)}


def unpacked(attribute: Mapping[str, Any]) -> str:
    """The JSON of an attribute that may be compressed. A record of the stream has its bytes in base64.

    Raises KeyError or ValueError where it is no such attribute.
    """
    if "S" in attribute:
        return str(attribute["S"])
    data = attribute["B"]
    if isinstance(data, str):
        data = b64decode(data, validate=True)
    try:
        return zlib.decompress(bytes(data)).decode()
    except zlib.error as error:
        raise ValueError(f"not compressed JSON: {error}") from error
