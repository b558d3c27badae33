"""A balance and a flag as Autumn shows them (autumn.md 1.2)."""

from __future__ import annotations

from typing import Any

from tollgate.domain.balances import Balance, Row, totals
from tollgate.domain.quantities import ZERO


def flag_json(balance: Balance | None) -> dict[str, Any] | None:
    """A boolean feature that the customer has; None otherwise."""
    if balance is None or not balance.flag or not balance.rows:
        return None
    row = balance.rows[0]
    return {"id": row.id, "plan_id": row.plan_id, "expires_at": row.expires_at, "feature_id": balance.feature_id}


def balance_json(balance: Balance | None) -> dict[str, Any] | None:
    """A folded balance of a metered feature; None where nothing grants it. An unlimited one reports its usage, and zeros
    for what has no number."""
    if balance is None or balance.flag or not balance.rows:
        return None
    total = totals(balance.rows)
    resets = [row.next_reset_at for row in balance.rows if row.next_reset_at is not None]
    return {
        "object": "balance",
        "feature_id": balance.feature_id,
        **total._asdict(),
        "overage_allowed": False,
        "max_purchase": None,
        "next_reset_at": min(resets, default=None),
        "breakdown": [_row_json(row) for row in balance.rows],
    }


def _row_json(row: Row) -> dict[str, Any]:
    reset = row.reset and {
        "interval": row.reset.interval.value,
        "interval_count": row.reset.count,
        "resets_at": row.next_reset_at,
    }
    return {
        "object": "balance_breakdown",
        "id": row.id,
        "plan_id": row.plan_id,
        "included_grant": ZERO if row.unlimited else row.granted,
        "prepaid_grant": ZERO,
        "remaining": max(row.remaining, ZERO),
        "usage": row.used,
        "unlimited": row.unlimited,
        "reset": reset,
        "price": None,
        "expires_at": row.expires_at,
        "source": "customer",
    }
