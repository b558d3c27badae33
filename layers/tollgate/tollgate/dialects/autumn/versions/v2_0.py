"""2.0, back from 2.1: grants, purchases and what is left are told apart, and flags are empty balances (autumn.md
1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)


def check(answer: dict[str, Any]) -> dict[str, Any]:
    """A check: a flag takes the place of a balance, and there are no other balances."""
    flag = answer.pop("flag", None)
    answer["balance"] = _flag(flag) if flag else _maybe(answer["balance"])
    answer["_static"] = bool(flag)
    answer.pop("balances", None)
    return answer


def track(answer: dict[str, Any]) -> dict[str, Any]:
    """A track, with balances in the older shape, and without what moved on each."""
    answer["balance"] = _maybe(answer["balance"])
    answer.pop("deductions", None)
    if "balances" in answer:
        answer["balances"] = {id: _maybe(found) for id, found in answer["balances"].items()}
    return answer


def aggregate(answer: dict[str, Any]) -> dict[str, Any]:
    """Bins are flat: a number for each feature, or one for each of its groups (autumn.md 7.2)."""
    flat = [{"period": bin["period"], **bin.get("grouped_values", bin["values"])} for bin in answer["list"]]
    return {**answer, "list": flat}


def customer(answer: dict[str, Any]) -> dict[str, Any]:
    """A customer or an entity: flags are shown as empty balances, what was paid once is a subscription, and what is to
    start stands apart."""
    flags = {id: _flag(flag) for id, flag in answer.pop("flags").items()}
    answer["balances"] = {id: balance(found) for id, found in answer["balances"].items()} | flags
    held = [*answer.pop("subscriptions"), *(purchase["_subscription"] for purchase in answer.pop("purchases"))]
    answer["subscriptions"] = [_subscription(one) for one in held if one["status"] != "scheduled"]
    answer["scheduled_subscriptions"] = [_subscription(one) for one in held if one["status"] == "scheduled"]
    for name in ("licenses", "config"):
        answer.pop(name, None)
    return answer


entity = customer


def listed_subscription(new: dict[str, Any]) -> dict[str, Any]:
    """One of `subscriptions.list`: as in the customer, and whose it is."""
    return {"id": new["id"], **_subscription(new), **new["_listed"], "_listed": new["_listed"]}


def _subscription(new: dict[str, Any]) -> dict[str, Any]:
    kept = (
        "plan plan_id add_on status past_due canceled_at expires_at trial_ends_at started_at current_period_start "
        "current_period_end quantity _product _trialing"
    )
    return {
        **{name: new[name] for name in kept.split() if name in new},
        "plan_version": new["plan_version"],
        "default": new["auto_enable"],
        "_id": new["id"],
    }


def plan(new: dict[str, Any]) -> dict[str, Any]:
    """A plan: its items are features, and an automatic one is a default."""
    kept = [
        "id",
        "name",
        "description",
        "group",
        "version",
        "add_on",
        "created_at",
        "env",
        "archived",
        "base_variant_id",
        "free_trial",
    ]
    offer = new.get("customer_eligibility")
    return {
        **{name: new[name] for name in kept if name in new},
        "default": new["auto_enable"],
        "price": new["price"],
        "features": [_plan_feature(item) for item in new["items"]],
        **({"customer_eligibility": _eligibility(offer, new["_scenario"])} if offer else {}),
    }


def _eligibility(offer: dict[str, Any], scenario: str) -> dict[str, Any]:
    trial = {"trial_available": offer["trial_available"]} if "trial_available" in offer else {}
    return {**trial, "scenario": scenario}


def _plan_feature(item: dict[str, Any]) -> dict[str, Any]:
    reset, price = item["reset"], item["price"]
    if price:
        method = "prepaid" if price["billing_method"] == "prepaid" else "pay_per_use"
        price = {**{name: value for name, value in price.items() if name != "billing_method"}, "usage_model": method}
    return {
        **{name: value for name, value in item.items() if name not in ("included", "price", "reset")},
        "granted_balance": item["included"],
        "reset": reset and {**reset, "reset_when_enabled": False},
        "price": price,
    }


def balance(new: dict[str, Any]) -> dict[str, Any]:
    """A balance: overage is told as units that were purchased."""
    grants = [_grant(grant) for grant in new["breakdown"]]
    prepaid = sum((grant["prepaid_grant"] for grant in new["breakdown"]), ZERO)
    old = {
        "feature_id": new["feature_id"],
        "unlimited": new["unlimited"],
        "granted_balance": ZERO if new["unlimited"] else new["granted"] - prepaid,
        "purchased_balance": ZERO if new["unlimited"] else prepaid + new["overage"],
        "current_balance": new["remaining"],
        "usage": new["usage"],
        "overage_allowed": new["overage_allowed"],
        "max_purchase": new["max_purchase"],
        "reset": None if new["unlimited"] else shared_reset([line["reset"] for line in grants], new["next_reset_at"]),
        "plan_id": _only({grant["plan_id"] for grant in grants}),
        "breakdown": grants,
    }
    for name in ("rollovers", "feature"):
        if name in new:
            old[name] = new[name]
    return old


def shared_reset(resets: Sequence[dict[str, Any] | None], resets_at: int | None) -> dict[str, Any] | None:
    """One reset for several lines: the one they share, with the soonest time (ms); else `multiple`, without a time."""
    if len({reset and reset["interval"] for reset in resets}) > 1:
        return {"interval": "multiple", "resets_at": None}
    first = next(iter(resets), None)
    return first and {**first, "resets_at": None if first["interval"] == "one_off" else resets_at}


def _grant(new: dict[str, Any]) -> dict[str, Any]:
    price = new["price"] or {}
    return {
        "id": new["id"],
        "plan_id": new["plan_id"],
        "granted_balance": new["included_grant"],
        "purchased_balance": new["prepaid_grant"] + new["overage"],
        "current_balance": new["remaining"],
        "usage": new["usage"],
        "overage_allowed": price.get("billing_method") == "usage_based",
        "max_purchase": price.get("max_purchase"),
        "reset": None if new["unlimited"] else new["reset"],
        "prepaid_quantity": new["prepaid_grant"],
        "expires_at": new["expires_at"],
    }


def _flag(flag: dict[str, Any]) -> dict[str, Any]:
    """A flag as an empty balance of one empty grant."""
    numbers = {
        "granted_balance": ZERO,
        "purchased_balance": ZERO,
        "current_balance": ZERO,
        "usage": ZERO,
        "overage_allowed": False,
        "max_purchase": None,
        "reset": None,
    }
    grant = {"id": flag["id"], "plan_id": flag["plan_id"], **numbers, "prepaid_quantity": ZERO}
    grant["expires_at"] = flag["expires_at"]
    return {
        "feature_id": flag["feature_id"],
        "unlimited": False,
        **numbers,
        "plan_id": flag["plan_id"],
        "breakdown": [grant],
        **({"feature": flag["feature"]} if "feature" in flag else {}),
    }


def _maybe(found: dict[str, Any] | None) -> dict[str, Any] | None:
    return found and balance(found)


def _only(values: set[Any]) -> Any:
    """The one value there is; None where there are several."""
    return next(iter(values)) if len(values) == 1 else None
