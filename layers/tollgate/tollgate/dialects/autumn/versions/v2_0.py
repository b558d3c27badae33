"""2.0, back from 2.1: grants, purchases and what is left are told apart, and flags are empty balances (autumn.md
1.3)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)


def check(answer: dict[str, Any]) -> dict[str, Any]:
    """A check: a flag takes the place of a balance."""
    flag = answer.pop("flag", None)
    answer["balance"] = _flag(flag) if flag else _maybe(answer["balance"])
    return _balances(answer)


def track(answer: dict[str, Any]) -> dict[str, Any]:
    """A track, with balances in the older shape."""
    answer["balance"] = _maybe(answer["balance"])
    answer.pop("deductions", None)
    return _balances(answer)


def aggregate(answer: dict[str, Any]) -> dict[str, Any]:
    """Bins are flat: a number for each feature, or one for each of its groups (autumn.md 7.2)."""
    flat = [{"period": bin["period"], **bin.get("grouped_values", bin["values"])} for bin in answer["list"]]
    return {**answer, "list": flat}


def customer(answer: dict[str, Any]) -> dict[str, Any]:
    """A customer or an entity: flags are shown as empty balances."""
    flags = {id: _flag(flag) for id, flag in answer.pop("flags").items()}
    answer["balances"] = {id: balance(found) for id, found in answer["balances"].items()} | flags
    return answer


entity = customer


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
        "reset": None if new["unlimited"] else shared_reset(grant["reset"] for grant in grants),
        "plan_id": _only({grant["plan_id"] for grant in grants}),
        "breakdown": grants,
    }
    for name in ("rollovers", "feature"):
        if name in new:
            old[name] = new[name]
    return old


def shared_reset(resets: Iterable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """One reset for several grants: the one they share, at the earliest of their times (ms), else `multiple` at none."""
    found = list(resets)
    kinds = {(reset["interval"], reset.get("interval_count", 1)) if reset else None for reset in found}
    if kinds == {None}:
        return None
    times = [reset["resets_at"] for reset in found if reset and reset["resets_at"] is not None]
    kind = _only(kinds)
    if kind is None:
        return {"interval": "multiple", "interval_count": None, "resets_at": None}
    return {"interval": kind[0], "interval_count": kind[1], "resets_at": min(times, default=None)}


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


def _balances(answer: dict[str, Any]) -> dict[str, Any]:
    if "balances" in answer:
        answer["balances"] = {id: _maybe(found) for id, found in answer["balances"].items()}
    return answer


def _maybe(found: dict[str, Any] | None) -> dict[str, Any] | None:
    return found and balance(found)


def _only(values: set[Any]) -> Any:
    """The one value there is; None where there are several."""
    return next(iter(values)) if len(values) == 1 else None
