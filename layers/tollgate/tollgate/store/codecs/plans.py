"""Versions of plans, and the plan items that subscriptions hold too.

| attribute | type | holds |
|---|---|---|
| `data` | S | JSON, below |
| `v` | N | the layout's version |

| field of `data` | type | holds |
|---|---|---|
| `id`, `name`, `description`, `group`, `lookup_key` | string, all but the first two may be null | |
| `version` | number | the plan's version, from 1 (not the layout's) |
| `add_on`, `auto_enable`, `archived`, `in_use` | bool | |
| `items` | array | plan items, below |
| `metadata` | object | as it was sent |
| `created_at` | number | ms |
| `price` | object or null | `{amount, interval, interval_count}`; `amount` in the currency |
| `free_trial` | object or null | `{length, interval, card_required}`; `length` in intervals |
| `controls` | object | `codecs.controls` |
| `extra` | object | what only dialects show |

| field of a plan item | type | holds |
|---|---|---|
| `feature_id`, `entity_feature_id` | string, the second may be null | |
| `included` | number | units a period |
| `unlimited`, `soft_limit`, `enabled`, `scoped` | bool | |
| `reset` | object or null | `{interval, count}` |
| `price` | object or null | below |
| `rollover` | array or null | `[max, max_percentage, months]`: units, percent, months |
| `static_value` | string or null | |

A `price` is `{billing_method, max_purchase, amount, tiers, tier_behavior, billing_units, interval, interval_count}`:
`max_purchase` and `billing_units` are in units, `amount` is in the currency, and `tiers` are as they were sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tollgate.domain.grants import RolloverRule
from tollgate.domain.periods import Interval
from tollgate.domain.plans import BasePrice, FreeTrial, ItemPrice, Plan, PlanItem
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.controls import controls_json, controls_of
from tollgate.store.codecs.layout import Layout
from tollgate.store.codecs.values import optional_interval, optional_number, reset_json, reset_of
from tollgate.store.table import Item

PLAN = Layout("plan", 1)


def encode_plan(plan: Plan) -> Item:
    """The attributes of one version of a plan."""
    trial = plan.free_trial
    data = {
        "id": plan.id,
        "name": plan.name,
        "version": plan.version,
        "description": plan.description,
        "group": plan.group,
        "add_on": plan.add_on,
        "auto_enable": plan.auto_enable,
        "items": [plan_item_json(item) for item in plan.items],
        "metadata": dict(plan.metadata),
        "archived": plan.archived,
        "created_at": plan.created_at,
        "price": base_price_json(plan.price),
        "free_trial": {"length": trial.length, "interval": trial.interval.value, "card_required": trial.card_required}
        if trial
        else None,
        "controls": controls_json(plan.controls),
        "lookup_key": plan.lookup_key,
        "in_use": plan.in_use,
        "extra": dict(plan.extra),
    }
    return {"data": {"S": dumps(data)}, **PLAN.mark}


def decode_plan(item: Item) -> Plan:
    """The version of a plan that an item holds."""
    PLAN.version_of(item)
    data = loads(item["data"]["S"])
    get = data.get
    trial = get("free_trial")
    return Plan(
        data["id"],
        data["name"],
        get("version", 1),
        get("description"),
        get("group"),
        get("add_on", False),
        get("auto_enable", False),
        tuple(plan_item_of(plan_item) for plan_item in get("items", ())),
        get("metadata", {}),
        get("archived", False),
        get("created_at", 0),
        base_price_of(get("price")),
        FreeTrial(trial["length"], Interval(trial["interval"]), trial.get("card_required", False)) if trial else None,
        controls_of(get("controls")),
        get("lookup_key"),
        get("in_use", False),
        get("extra", {}),
    )


def plan_item_json(item: PlanItem) -> dict[str, Any]:
    """A plan item as JSON."""
    return {
        "feature_id": item.feature_id,
        "included": item.included,
        "unlimited": item.unlimited,
        "reset": reset_json(item.reset),
        "price": _item_price_json(item.price),
        "rollover": list(item.rollover) if item.rollover else None,
        "entity_feature_id": item.entity_feature_id,
        "static_value": item.static_value,
        "soft_limit": item.soft_limit,
        "enabled": item.enabled,
        "scoped": item.scoped,
    }


def plan_item_of(data: Mapping[str, Any]) -> PlanItem:
    """The plan item that JSON holds."""
    get = data.get
    rule = get("rollover")
    return PlanItem(
        data["feature_id"],
        Decimal(get("included", 0)),
        get("unlimited", False),
        reset_of(get("reset")),
        _item_price_of(get("price")),
        RolloverRule(optional_number(rule[0]), optional_number(rule[1]), rule[2]) if rule else None,
        get("entity_feature_id"),
        get("static_value"),
        get("soft_limit", False),
        get("enabled", True),
        get("scoped", False),
    )


def _item_price_json(price: ItemPrice | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {
        "billing_method": price.billing_method,
        "max_purchase": price.max_purchase,
        "amount": price.amount,
        "tiers": [dict(tier) for tier in price.tiers],
        "tier_behavior": price.tier_behavior,
        "billing_units": price.billing_units,
        "interval": price.interval.value if price.interval else None,
        "interval_count": price.interval_count,
    }


def _item_price_of(data: Mapping[str, Any] | None) -> ItemPrice | None:
    if data is None:
        return None
    get = data.get
    return ItemPrice(
        data["billing_method"],
        optional_number(get("max_purchase")),
        optional_number(get("amount")),
        tuple(get("tiers", ())),
        get("tier_behavior"),
        Decimal(get("billing_units", 1)),
        optional_interval(get("interval")),
        get("interval_count", 1),
    )


def base_price_json(price: BasePrice | None) -> dict[str, Any] | None:
    """A plan's base price as JSON; None stays None."""
    if price is None:
        return None
    return {"amount": price.amount, "interval": price.interval.value, "interval_count": price.interval_count}


def base_price_of(data: Mapping[str, Any] | None) -> BasePrice | None:
    """The base price that JSON holds; None where there is none."""
    if data is None:
        return None
    return BasePrice(Decimal(data["amount"]), Interval(data["interval"]), data.get("interval_count", 1))
