"""Usage events: what a balance item remembers of its last use."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from tollgate.domain.errors import InvalidInput

MAX_PROPERTIES_BYTES = 4096
LATE_MS = 365 * 86_400_000  # a reported use may be so late
EARLY_MS = 3_600_000  # and so early
NO_PROPERTIES: Mapping[str, Any] = MappingProxyType({})


class CountedUse(NamedTuple):
    """One of several uses that one write counted: its own id, what was asked for, of what, and what each grant gave."""

    id: str
    value: Decimal
    at: int
    moved: tuple[tuple[str, Decimal], ...] = ()
    properties: Mapping[str, Any] = NO_PROPERTIES
    feature_id: str | None = None
    entity_id: str | None = None
    part: bool = False
    key_id: str | None = None

    @property
    def drawn(self) -> Decimal:
        return sum((value for _, value in self.moved), Decimal(0))


class UseRecord(NamedTuple):
    """One use, as the item it moved remembers it; times in ms.

    `value` was asked for, of `feature_id` and `entity_id` (None: the item's own). `drawn` is what moved on this item, in
    its units. A use that moves several items is one event in each, under one id: all but one are a `part` of it. Where one
    write counts several uses (they came through the queue together), `uses` tells them apart, and `value` and `drawn` are
    their sums.
    """

    id: str
    value: Decimal
    drawn: Decimal
    at: int
    key_id: str
    properties: Mapping[str, Any] = NO_PROPERTIES
    feature_id: str | None = None
    entity_id: str | None = None
    part: bool = False
    uses: tuple[CountedUse, ...] = ()


def checked_properties_size(size: int) -> None:
    """Raises InvalidInput where an event's properties are larger (bytes of JSON) than a balance item should carry."""
    if size > MAX_PROPERTIES_BYTES:
        raise InvalidInput("properties", f"must be at most {MAX_PROPERTIES_BYTES} bytes as JSON")
