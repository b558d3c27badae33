"""1.2, back from 2.0: flat answers, with one balance that may be negative (autumn.md 1.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tollgate.domain.quantities import unconverted

ZERO = Decimal(0)


def check(answer: dict[str, Any]) -> dict[str, Any]:
    """A check of a feature. Where nothing grants the feature, there is no balance in it."""
    balance = answer["balance"]
    flat: dict[str, Any] = {
        "allowed": answer["allowed"],
        "customer_id": answer["customer_id"],
        "feature_id": answer["_feature_id"],
        "required_balance": answer["required_balance"],
        "code": "feature_found",
    }
    if answer.get("entity_id"):
        flat["entity_id"] = answer["entity_id"]
    if balance is not None:
        flat |= _flat(balance, static=answer.get("_static", False))
        flat["feature_id"] = balance["feature_id"]
        if answer.get("_credit_schema"):
            flat["credit_schema"] = _credit_schema(answer["_credit_schema"])
    if "preview" in answer:
        flat["preview"] = answer["preview"]
    return flat


def track(answer: dict[str, Any]) -> dict[str, Any]:
    """A track: that the event was received, and nothing of the balances."""
    kept: dict[str, Any] = {name: answer[name] for name in ("customer_id", "entity_id", "event_name") if name in answer}
    if answer.get("_feature_id"):
        kept["feature_id"] = answer["_feature_id"]
    return {"id": "placeholder", "code": "event_received", **kept}


def customer(answer: dict[str, Any]) -> dict[str, Any]:
    """A customer or an entity: subscriptions are products, and balances are features."""
    held = (*answer.pop("subscriptions"), *answer.pop("scheduled_subscriptions"))
    products = sorted((_product(one) for one in held), key=lambda product: bool(product["is_add_on"]))
    features = {id: _feature(id, found) for id, found in answer.pop("balances").items()}
    kept = (
        *("id", "created_at", "name", "email", "fingerprint", "stripe_id", "env", "metadata", "entities"),
        *("invoices", "trials_used", "rewards", "referrals", "payment_method", "upcoming_invoice"),
    )
    billing = {}
    if "send_email_receipts" in answer:
        controls = {name: control for name, control in answer["billing_controls"].items() if control}
        billing = {"send_email_receipts": answer["send_email_receipts"], "billing_controls": controls}
    if "trials_used" in answer:
        answer["trials_used"] = [
            {"product_id": trial["plan_id"], "customer_id": trial["customer_id"], "fingerprint": trial["fingerprint"]}
            for trial in answer["trials_used"]
        ]
    return {
        **{name: answer[name] for name in kept if name in answer},
        **billing,
        "products": products,
        "features": features,
    }


def entity(answer: dict[str, Any]) -> dict[str, Any]:
    """An entity: a customer's shape, with the customer and the feature that it belongs to."""
    kept = {name: answer.get(name) for name in ("customer_id", "feature_id")}
    flat = customer(answer)
    return {**flat, **kept, "name": flat.get("name") or ""}


def _flat(balance: dict[str, Any], *, static: bool) -> dict[str, Any]:
    """A balance and its lines. One that is `static` (a flag) or unlimited has no amounts and no interval."""
    empty = static or balance["unlimited"]
    prepaid = sum((line["prepaid_quantity"] for line in balance["breakdown"]), ZERO)
    flat = {
        "unlimited": balance["unlimited"],
        **(_NOTHING if empty else {**_interval(balance["reset"]), **_numbers(balance, prepaid)}),
        "breakdown": [
            _NOTHING if empty else {**_interval(line["reset"]), **_numbers(line, line["prepaid_quantity"])}
            for line in balance["breakdown"]
        ],
    }
    if "rollovers" in balance:
        flat["rollovers"] = [
            {"balance": rollover["balance"], "expires_at": rollover["expires_at"]} for rollover in balance["rollovers"]
        ]
    return flat


_NOTHING = {
    **{"interval": None, "interval_count": None, "next_reset_at": None, "overage_allowed": False},
    **{"balance": ZERO, "usage": ZERO, "included_usage": ZERO},
}


def _numbers(old: dict[str, Any], prepaid: Decimal) -> dict[str, Any]:
    overage = old["purchased_balance"] - prepaid
    included = old["granted_balance"] + prepaid
    limit = old["max_purchase"]
    return {
        "balance": old["current_balance"] - overage,
        "usage": old["usage"],
        "included_usage": included,
        "overage_allowed": old["overage_allowed"] and limit is None,
        **({} if limit is None else {"usage_limit": limit + included}),
    }


def _interval(reset: dict[str, Any] | None) -> dict[str, Any]:
    if reset is None:
        return {"interval": None, "interval_count": 1, "next_reset_at": None}
    interval = reset["interval"]
    if interval == "multiple":
        return {"interval": interval, "interval_count": None, "next_reset_at": None}
    return {
        "interval": "lifetime" if interval == "one_off" else interval,
        "interval_count": reset.get("interval_count", 1),
        "next_reset_at": reset["resets_at"],
    }


def _feature(feature_id: str, balance: dict[str, Any]) -> dict[str, Any]:
    feature = balance.get("feature") or {"name": feature_id, "type": "metered", "consumable": True}
    kind = feature["type"]
    if kind in ("metered", "credit_system", "ai_credit_system"):
        kind = "single_use" if feature["consumable"] else "continuous_use"
    elif kind == "boolean":
        kind = "static"
    shown = {"id": feature_id, "name": feature["name"], "type": kind, **_flat(balance, static=kind == "static")}
    if feature.get("credit_schema"):
        shown["credit_schema"] = _credit_schema(feature["credit_schema"])
    return shown


def _credit_schema(schema: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Credits for one unit of each member: 1.2 knows no lots."""
    return [
        {
            "feature_id": member["metered_feature_id"],
            "credit_amount": unconverted(member["credit_cost"], member.get("billing_units", Decimal(1))),
        }
        for member in schema
    ]


def listed_subscription(held: dict[str, Any]) -> dict[str, Any]:
    """One of `subscriptions.list`: a product as in the customer, and whose it is."""
    return {**_product(held), **held["_listed"]}


def _product(held: dict[str, Any]) -> dict[str, Any]:
    status = held["status"]
    if status == "active" and held.get("_trialing"):
        status = "trialing"
    return {
        "id": held["plan_id"],
        **held.get("_product", {"name": None, "group": None}),
        "status": status,
        "canceled_at": held["canceled_at"],
        "started_at": held["started_at"],
        "is_default": held["default"],
        "is_add_on": held["add_on"],
        "current_period_start": held["current_period_start"],
        "current_period_end": held["current_period_end"],
        "quantity": held["quantity"],
        "subscription_ids": [held["_id"]],
    }
