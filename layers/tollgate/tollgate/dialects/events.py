"""Tollgate's own events on the bus: source `tollgate`, detail-type `usage.recorded`."""

from __future__ import annotations

from typing import Any

from tollgate.domain.balances import settle, totals
from tollgate.domain.recorded import RecordedUse
from tollgate.exact_json import dumps

SOURCE = "tollgate"


def bus_entry(use: RecordedUse, bus: str) -> dict[str, Any]:
    """A PutEvents entry. `value` was asked for, `deducted` is what moved; times are epoch milliseconds."""
    detail = {
        "version": 1,
        "id": use.id,
        "environment": use.environment,
        "customer_id": use.customer_id,
        "entity_id": use.entity_id,
        "feature_id": use.balance.feature_id,
        "value": use.event.value,
        "deducted": use.event.drawn,
        "properties": use.event.properties,
        "timestamp": use.event.at,
        "cause": {"id": use.event.id, "key_id": use.event.key_id},
        "balance": totals(settle(use.balance))._asdict(),
    }
    return {"Source": SOURCE, "DetailType": "usage.recorded", "EventBusName": bus, "Detail": dumps(detail)}
