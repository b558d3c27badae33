"""Events of the bus as webhooks tell them: in Tollgate's own words, in Autumn's, or in Flexprice's (management.md 15.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tollgate.dialects import webhook_payloads_flexprice
from tollgate.dialects.events_models import MODELS
from tollgate.domain.webhooks import PayloadDialect
from tollgate.exact_json import dumps
from tollgate.usecases.webhooks import Told

TEST = "webhook.test"
_AUTUMN = (
    "balances.limit_reached",
    "balances.usage_alert_triggered",
    "billing.auto_topup_failed",
    "billing.auto_topup_requested",
    "billing.updated",
    "customer.products.updated",
)
_OWN = tuple(sorted(name for name in MODELS if name.partition(".")[0] in ("balance", "subscription", "reservation")))
TYPES: dict[PayloadDialect, tuple[str, ...]] = {
    PayloadDialect.AUTUMN: _AUTUMN,
    PayloadDialect.FLEXPRICE: webhook_payloads_flexprice.TYPES,
    PayloadDialect.TOLLGATE: _OWN,
}
"""What a webhook may be told of. Uses are not among it: they are on the bus."""

_TOP_UP = "billing.auto_topup_"  # of these Autumn's messages say their id and time

_SHOWN = ("started_at", "canceled_at", "expires_at", "trial_ends_at", "current_period_start", "current_period_end")
_ACTIONS = {
    "started": "activated",
    "scheduled": "scheduled",
    "updated": "updated",
    "canceled": "updated",
    "uncanceled": "updated",
    "trial_ended": "updated",
    "ended": "expired",
}
_SCENARIOS = {
    "started": "new",
    "scheduled": "scheduled",
    "canceled": "cancel",
    "uncanceled": "renew",
    "ended": "expired",
}

Detail = Mapping[str, Any]
"""An event's detail, as docs/events says."""


def told(detail_type: str, detail: Detail, dialect: PayloadDialect) -> Iterator[Told]:
    """The messages that tell of an event in a dialect's words; none where it has no words for it."""
    if dialect is PayloadDialect.TOLLGATE:
        if detail_type in _OWN:
            yield Told(detail_type, _own(detail_type, detail["timestamp"], detail))
        return
    if dialect is PayloadDialect.FLEXPRICE:
        for type, body in webhook_payloads_flexprice.told(detail_type, detail):
            yield Told(type, dumps({"event_type": type, **body}))
        return
    for type, data in _in_autumns(detail_type, detail):
        own = {"id": detail["id"], "occurred_at": detail["timestamp"]} if type.startswith(_TOP_UP) else {}
        yield Told(type, dumps({"type": type, **own, "data": data}))


def test_message(dialect: PayloadDialect, webhook_id: str, now: int) -> Told:
    """A message that tells of nothing."""
    data = {"webhook_id": webhook_id}
    if dialect is PayloadDialect.TOLLGATE:
        return Told(TEST, _own(TEST, now, data))
    body = {"event_type": TEST, **data} if dialect is PayloadDialect.FLEXPRICE else {"type": TEST, "data": data}
    return Told(TEST, dumps(body))


def _own(type: str, at: int, data: Detail) -> str:
    """The body that Standard Webhooks recommends."""
    moment = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    return dumps({"type": type, "timestamp": moment.replace("+00:00", "Z"), "data": dict(data)})


def _in_autumns(detail_type: str, detail: Detail) -> Iterator[tuple[str, dict[str, Any]]]:
    noun, _, what = detail_type.partition(".")
    if detail_type == "balance.limit_reached":
        yield "balances.limit_reached", {**_whose(detail), "limit_type": detail["limit_type"]}
    elif detail_type == "balance.alert_triggered" and detail["alert"]["state"] is None:
        yield "balances.usage_alert_triggered", {**_whose(detail), **_alert(detail)}
    elif detail_type == "balance.top_up_requested":
        yield "billing.auto_topup_requested", _top_up(detail)
    elif detail_type == "balance.top_up_blocked":
        reason = {"reason": "purchase_limit_reached", "retryable": True}
        yield "billing.auto_topup_failed", {**_top_up(detail), **reason, "invoice": None}
    elif noun == "subscription":
        yield "billing.updated", _billing(what, detail)
        if what in _SCENARIOS:
            yield "customer.products.updated", _products(what, detail)


def _whose(detail: Detail) -> dict[str, Any]:
    entity = {} if detail["entity_id"] is None else {"entity_id": detail["entity_id"]}
    return {"customer_id": detail["customer_id"], "feature_id": detail["feature_id"], **entity}


def _alert(detail: Detail) -> dict[str, Any]:
    alert, balance = detail["alert"], detail["balance"]
    name = {} if alert["name"] is None else {"name": alert["name"]}
    return {
        "usage_alert": {**name, "threshold": alert["threshold"], "threshold_type": alert["threshold_type"]},
        "balance": {part: balance[part] for part in ("usage", "granted", "remaining")},
    }


def _top_up(detail: Detail) -> dict[str, Any]:
    known = {name: detail[name] for name in ("customer_id", "feature_id", "quantity", "threshold", "invoice_mode")}
    return {**known, "balance": detail["remaining"]}


def _billing(what: str, detail: Detail) -> dict[str, Any]:
    now, before = detail["subscription"], detail["previous"]
    present = _subscription(now, "expired" if what == "ended" else _status(now, detail["timestamp"]))
    previous = _subscription(before, _status(before, detail["timestamp"])) if before else {}
    changed = {name: value for name, value in previous.items() if value != present[name]}
    change: dict[str, Any] = {
        "action": _ACTIONS[what],
        "subscription": present,
        "previous_attributes": changed or None,
        "item_changes": [],
    }
    entity = {} if detail["entity_id"] is None else {"entity_id": detail["entity_id"]}
    whose = {"object": "billing.updated", "customer_id": detail["customer_id"], **entity}
    return {**whose, "plan_changes": [change], "tags": ["trial_ended"] if what == "trial_ended" else []}


def _subscription(state: Mapping[str, Any], status: str) -> dict[str, Any]:
    return {
        "plan_id": state["plan_id"],
        "status": status,
        "past_due": False,
        **{name: state[name] for name in _SHOWN},
    }


def _status(state: Mapping[str, Any], at: int) -> str:
    return "scheduled" if state["started_at"] > at else "active"


def _products(what: str, detail: Detail) -> dict[str, Any]:
    return {
        "scenario": _SCENARIOS[what],
        "customer": {"id": detail["customer_id"], "env": detail["environment"]},
        "updated_product": {"id": detail["subscription"]["plan_id"]},
    }
