"""Controls (spend and usage limits, overage, alerts) within the JSON of plans, customers, entities and subscriptions.

They have no version of their own: a change of their layout changes the layout of each item that holds them.

| field | type | holds |
|---|---|---|
| `spend` | array | `{feature_id, enabled, percentage, limit}`; `limit` in units, or percent where `percentage` |
| `usage` | array | `{feature_id, limit, interval, enabled, utc, filter}`; `limit` in units, `filter` of pairs |
| `overage` | array | `{feature_id, enabled}` |
| `alerts` | array | `{data}`: an alert as it was sent |
| `topups` | array | `{feature_id, enabled, top_up}`, as a balance keeps it; absent where there are none |
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tollgate.domain.controls import (
    NO_CONTROLS,
    AlertControl,
    Controls,
    OverageControl,
    SpendControl,
    TopUpControl,
    UsageControl,
)
from tollgate.domain.periods import Interval
from tollgate.store.codecs.top_ups import top_up_json, top_up_of
from tollgate.store.codecs.values import optional_number, pairs_json, pairs_of


def controls_json(controls: Controls) -> dict[str, Any]:
    """Controls as JSON."""
    return {
        "spend": [
            {"feature_id": c.feature_id, "enabled": c.enabled, "percentage": c.percentage, "limit": c.limit}
            for c in controls.spend
        ],
        "usage": [
            {
                "feature_id": c.feature_id,
                "limit": c.limit,
                "interval": c.interval.value,
                "enabled": c.enabled,
                "utc": c.utc,
                "filter": pairs_json(c.filter),
            }
            for c in controls.usage
        ],
        "overage": [{"feature_id": c.feature_id, "enabled": c.enabled} for c in controls.overage],
        "alerts": [{"data": dict(c.data)} for c in controls.alerts],
        **({"topups": [_top_up_json(c) for c in controls.top_ups]} if controls.top_ups else {}),
    }


def controls_of(data: Mapping[str, Any] | None) -> Controls:
    """The controls that JSON holds; none where there is no JSON."""
    if not data or not any(data.values()):
        return NO_CONTROLS
    return Controls(
        tuple(
            SpendControl(
                c.get("feature_id"), c.get("enabled", True), c.get("percentage", False), optional_number(c.get("limit"))
            )
            for c in data.get("spend", ())
        ),
        tuple(
            UsageControl(
                c["feature_id"],
                Decimal(c["limit"]),
                Interval(c["interval"]),
                c.get("enabled", True),
                c.get("utc", False),
                pairs_of(c.get("filter", ())),
            )
            for c in data.get("usage", ())
        ),
        tuple(OverageControl(c["feature_id"], c.get("enabled", True)) for c in data.get("overage", ())),
        tuple(AlertControl(c["data"]) for c in data.get("alerts", ())),
        tuple(TopUpControl(c["feature_id"], top_up_of(c["top_up"]), c["enabled"]) for c in data.get("topups", ())),
    )


def _top_up_json(control: TopUpControl) -> dict[str, Any]:
    return {"feature_id": control.feature_id, "enabled": control.enabled, "top_up": top_up_json(control.top_up)}
