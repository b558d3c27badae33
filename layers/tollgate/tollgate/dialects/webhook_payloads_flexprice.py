"""Events of the bus as Flexprice's webhooks tell them (management.md 15.2): `{event_type, …}`, as its `webhookDto` types
have it. Times are RFC 3339, amounts are text, and what is absent is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tollgate.domain.environments import Environment
from tollgate.domain.recorded_writes import boundary_id

TYPES = (
    "feature.wallet_balance.alert",
    "subscription.activated",
    "subscription.cancelled",
    "subscription.created",
    "subscription.updated",
)
_EVENTS = {
    "scheduled": "subscription.created",
    "started": "subscription.created",
    "updated": "subscription.updated",
    "uncanceled": "subscription.updated",
    "trial_ended": "subscription.updated",
    "canceled": "subscription.cancelled",  # also of one that ends with its period
    "ended": "subscription.cancelled",
}
_PERIODS = {
    ("day", 1): "DAILY",
    ("week", 1): "WEEKLY",
    ("month", 1): "MONTHLY",
    ("quarter", 1): "QUARTERLY",
    ("month", 3): "QUARTERLY",
    ("semi_annual", 1): "HALF_YEARLY",
    ("month", 6): "HALF_YEARLY",
    ("year", 1): "ANNUAL",
}

Detail = Mapping[str, Any]


def told(detail_type: str, detail: Detail) -> Iterator[tuple[str, dict[str, Any]]]:
    """The type and what stands beside `event_type` of each message about an event; none where Flexprice has no words."""
    noun, _, what = detail_type.partition(".")
    if noun == "subscription":
        type = "subscription.activated" if what == "started" and _waited(detail) else _EVENTS[what]
        yield type, {"subscription": _subscription(what, detail)}
    elif detail_type == "balance.alert_triggered" and detail["alert"]["state"] is not None:
        left = _text(detail["value"])
        yield (
            "feature.wallet_balance.alert",
            {
                "alert_type": "feature_wallet_balance",
                "alert_status": detail["alert"]["state"],
                "feature_id": detail["feature_id"],
                "customer_id": detail["customer_id"],
                "current_balance": left,
                "credit_balance": left,
            },
        )


def _waited(detail: Detail) -> bool:
    """Whether a subscription that starts was made before, and it is the clock that starts it."""
    held = detail["subscription"]
    environment, start = Environment(detail["environment"]), held["started_at"]
    return bool(detail["id"] == boundary_id(environment, detail["customer_id"], held["id"], "started", start))


def _subscription(what: str, detail: Detail) -> dict[str, Any]:
    held, at = detail["subscription"], detail["timestamp"]
    trial = held["trial_ends_at"]
    ends = held["canceled_at"] is not None and held["expires_at"] is not None
    period, count = _period(held["cycle"])
    times = {
        "start_date": held["started_at"],
        "end_date": held["expires_at"],
        "current_period_start": held["current_period_start"] or held["started_at"],
        "current_period_end": held["current_period_end"] or held["expires_at"],
        "cancelled_at": held["canceled_at"],
        "cancel_at": held["expires_at"] if ends else None,
        "trial_start": held["started_at"] if trial is not None else None,
        "trial_end": trial,
    }
    shown = {
        "id": held["id"],
        "customer_id": detail["customer_id"],
        "plan_id": held["plan_id"],
        "lookup_key": held["lookup_key"],
        "subscription_status": _status(what, held, at),
        "currency": held["currency"] or "",
        **{name: None if moment is None else _time(moment) for name, moment in times.items()},
        "cancel_at_period_end": bool(ends and held["expires_at"] > at),
        "billing_cadence": "RECURRING",
        "billing_period": period,
        "billing_period_count": count,
        "pause_status": "none",
        "subscription_type": "standalone",
    }
    return {name: value for name, value in shown.items() if value is not None}


def _status(what: str, held: Mapping[str, Any], at: int) -> str:
    if what == "ended":
        return "cancelled"
    if held["started_at"] > at:
        return "draft"
    return "trialing" if held["trial_ends_at"] is not None and held["trial_ends_at"] > at else "active"


def _period(cycle: Mapping[str, Any] | None) -> tuple[str, int]:
    """The name of the billing period, and how many make a cycle; ONETIME where there is none, or no name for it."""
    if cycle is None:
        return "ONETIME", 1
    interval, count = cycle["interval"], cycle["interval_count"]
    if (interval, count) in _PERIODS:
        return _PERIODS[interval, count], 1
    name = _PERIODS.get((interval, 1))
    return (name, count) if name else ("ONETIME", 1)


def _time(ms: int) -> str:
    moment = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000, tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _text(value: Any) -> str:
    text = f"{value:f}" if not isinstance(value, int) else str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text
