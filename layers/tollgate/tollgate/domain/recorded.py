"""A use as it went down in the books: what the table's stream tells, and the bus is told."""

from __future__ import annotations

from dataclasses import dataclass

from tollgate.domain.balances import Balance
from tollgate.domain.usage import UsageEvent


@dataclass(frozen=True, slots=True)
class RecordedUse:
    """One deduction. `id` depends on the item and its version alone: the same record always gives the same id."""

    id: str
    environment: str
    customer_id: str
    entity_id: str | None
    event: UsageEvent
    balance: Balance
