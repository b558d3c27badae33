"""What a balance remembers of its last use. The table's stream tells it on: each write says what it counted."""

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


class Origin(NamedTuple):
    """Where a use comes from, as its caller said: the `name` of the event, and its `source`. Empty: not said."""

    name: str = ""
    source: str = ""


UNKNOWN = Origin()


class CountedUse(NamedTuple):
    """One of several uses that one write counted.

    - `value` was asked for, at `at` (ms); `moved` is what each grant of this balance gave, by the grant's id.
    - `feature_id`, `entity_id`, `key_id`: None where they are those of the balance and of the record.
    - `part`: another balance tells of the same use, and is its first.
    """

    id: str
    value: Decimal
    at: int
    moved: tuple[tuple[str, Decimal], ...] = ()
    properties: Mapping[str, Any] = NO_PROPERTIES
    feature_id: str | None = None
    entity_id: str | None = None
    part: bool = False
    key_id: str | None = None
    origin: Origin = UNKNOWN

    @property
    def drawn(self) -> Decimal:
        """Units that the balance gave of it, its own units where it is a pool; negative: that it got back."""
        return sum((value for _, value in self.moved), Decimal(0))


class UseRecord(NamedTuple):
    """One use, as a balance that it moved remembers it.

    - `id`: the use's id; empty until the write that counts it is made (`with_id`).
    - `value` was asked for, at `at` (ms), of `feature_id` and `entity_id` (None: the balance's own).
    - `drawn`: what moved on this balance, in its units.
    - `part`: a use that moves several balances is recorded in each, under one id: all but one are a part of it.
    - `uses`: where one write counts several uses (they came through the queue together), each of them; `value` and
      `drawn` are their sums then.
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
    origin: Origin = UNKNOWN

    def with_id(self, id: str) -> UseRecord:
        """The record under the id of its write, which uses without an id of their own have too."""
        uses = tuple(use if use.id else use._replace(id=id) for use in self.uses) if self.uses else ()
        return self._replace(id=id, uses=uses)


def checked_properties_size(size: int) -> None:
    """Raises InvalidInput where an event's properties are larger (bytes of JSON) than a balance item should carry."""
    if size > MAX_PROPERTIES_BYTES:
        raise InvalidInput("properties", f"must be at most {MAX_PROPERTIES_BYTES} bytes as JSON")
