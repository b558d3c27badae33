"""Usage events: what a balance item remembers of its last use."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from tollgate.domain.errors import InvalidInput

MAX_PROPERTIES_BYTES = 4096
NO_PROPERTIES: Mapping[str, Any] = MappingProxyType({})


class UsageEvent(NamedTuple):
    """One use. `value` was asked for, `drawn` is what moved (they differ where a cap clamped); times in ms."""

    id: str
    value: Decimal
    drawn: Decimal
    at: int
    key_id: str
    properties: Mapping[str, Any] = NO_PROPERTIES


def checked_properties_size(size: int) -> None:
    """Raises InvalidInput where an event's properties are larger (bytes of JSON) than a balance item should carry."""
    if size > MAX_PROPERTIES_BYTES:
        raise InvalidInput("properties", f"must be at most {MAX_PROPERTIES_BYTES} bytes as JSON")
