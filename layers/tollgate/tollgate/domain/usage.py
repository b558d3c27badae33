"""Usage events: what the balance item remembers of its last change, and what goes to the bus for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tollgate.domain.balances import Balance
from tollgate.domain.errors import InvalidInput

MAX_PROPERTIES_BYTES = 4096


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One use. `value` was asked for, `drawn` is what moved (they differ where a cap clamped); times in ms."""

    id: str
    value: Decimal
    drawn: Decimal
    at: int
    key_id: str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedUse:
    """One deduction. `id` depends on the item and its version alone: the same record always gives the same id."""

    id: str
    environment: str
    customer_id: str
    entity_id: str | None
    event: UsageEvent
    balance: Balance


def checked_properties_size(size: int) -> None:
    """Raises InvalidInput where an event's properties are larger (bytes of JSON) than a balance item should carry."""
    if size > MAX_PROPERTIES_BYTES:
        raise InvalidInput("properties", f"must be at most {MAX_PROPERTIES_BYTES} bytes as JSON")
