"""`plans` (lotus.md 1.8), read only: plan, versions, components and their tiers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus.customers import CURRENCY
from tollgate.dialects.lotus.fields import time_text
from tollgate.dialects.lotus.ids import is_plan, plan_id
from tollgate.dialects.lotus.shapes import event_name, feature_json, metric_json, version_json
from tollgate.domain.environments import Environment
from tollgate.domain.errors import NotFound
from tollgate.domain.features import Feature
from tollgate.domain.meters import Aggregation, meter_of
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import PREPAID, USAGE_BASED, ItemPrice, Plan, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.usecases.access import Access
from tollgate.usecases.catalog import Catalogs

_MOST = Decimal(9_999_999_999)
_DURATIONS = {
    Reset(Interval.MONTH): "monthly",
    Reset(Interval.MONTH, 3): "quarterly",
    Reset(Interval.QUARTER): "quarterly",
    Reset(Interval.YEAR): "yearly",
}
_AGGREGATIONS = {
    Aggregation.COUNT: "count",
    Aggregation.COUNT_UNIQUE: "unique",
    Aggregation.AVG: "average",
    Aggregation.MAX: "max",
    Aggregation.LATEST: "max",
}
_RESETS = {
    Interval.DAY: ("day", 1),
    Interval.WEEK: ("week", 1),
    Interval.MONTH: ("month", 1),
    Interval.QUARTER: ("month", 3),
    Interval.SEMI_ANNUAL: ("month", 6),
    Interval.YEAR: ("year", 1),
}


def list_plans(catalogs: Catalogs, access: Access, request: Request) -> Answer:
    """`GET /api/plans/`: every plan that is not archived, with its versions. `duration` in the query narrows it."""
    env = request.caller.environment
    features = access.features.catalog(env, fresh=True).features
    versions: dict[str, list[Plan]] = {}
    for plan in catalogs.plan_versions(env):
        if not plan.archived:
            versions.setdefault(plan.id, []).append(plan)
    shown = [_plan_json(env, found, features) for found in versions.values()]
    duration = request.query.get("duration")
    return Answer([plan for plan in shown if not duration or plan["plan_duration"] in duration])


def get(catalogs: Catalogs, access: Access, request: Request, asked: str) -> Answer:
    """`GET /api/plans/{id}/`. Raises NotFound."""
    env = request.caller.environment
    found = [plan for plan in catalogs.plan_versions(env) if is_plan(env, plan, asked)]
    if not found:
        raise NotFound("plan", asked)
    return Answer(_plan_json(env, found, access.features.catalog(env, fresh=True).features))


def _plan_json(env: Environment, versions: list[Plan], features: Mapping[str, Feature]) -> dict[str, Any]:
    newest = max(versions, key=lambda plan: plan.version)
    shown = [_version_json(env, plan, features, newest) for plan in versions]
    return {
        "plan_id": plan_id(env, newest.id),
        "plan_name": newest.name,
        "plan_duration": _DURATIONS.get(newest.cycle) if newest.cycle else None,
        "plan_description": newest.description,
        "external_links": [],
        "num_versions": len(versions),
        "active_version": newest.version,
        "active_subscriptions": 0,
        "tags": [],
        "versions": shown,
        "parent_plan": None,
        "target_customer": None,
        "display_version": shown[versions.index(newest)],
        "status": "inactive" if newest.archived else "active",
    }


def _version_json(env: Environment, plan: Plan, features: Mapping[str, Feature], newest: Plan) -> dict[str, Any]:
    items = [(item, features[item.feature_id]) for item in plan.items if item.feature_id in features]
    return {
        **version_json(env, plan),
        "recurring_charges": [],
        "components": [_component_json(env, item, feature) for item, feature in items if not feature.type.is_flag],
        "features": [feature_json(env, feature) for _, feature in items if feature.type.is_flag],
        "price_adjustment": None,
        "status": "active" if plan == newest and not plan.archived else "inactive",
        "currency": CURRENCY,
        "active_from": time_text(plan.created_at),
        "active_to": None,
        "localized_name": None,
        "target_customers": [],
        "created_on": time_text(plan.created_at),
        "usage_billing_frequency": None,
        "flat_fee_billing_type": "in_advance",
        "flat_rate": _held(plan.price.amount) if plan.price else 0,
        "description": plan.description,
    }


def _component_json(env: Environment, item: PlanItem, feature: Feature) -> dict[str, Any]:
    unit, each = _RESETS.get(item.resets.interval, (None, 1)) if item.resets else (None, 1)
    return {
        "billable_metric": _metric_json(env, feature),
        "tiers": _tiers(item),
        "pricing_unit": CURRENCY,
        "invoicing_interval_unit": None,
        "invoicing_interval_count": None,
        "reset_interval_unit": unit,
        "reset_interval_count": each * item.resets.count if unit and item.resets else None,
        "prepaid_charge": None,
    }


def _metric_json(env: Environment, feature: Feature) -> dict[str, Any]:
    meter = meter_of(feature)
    gauge = meter is not None and meter.aggregation is Aggregation.LATEST
    return {
        **metric_json(env, feature),
        "event_name": event_name(feature),
        "property_name": meter.field if meter and meter.aggregation is not Aggregation.COUNT else None,
        "aggregation_type": _AGGREGATIONS.get(meter.aggregation, "sum") if meter else "sum",
        "granularity": None,
        "event_type": "total" if gauge else None,
        "metric_type": "gauge" if gauge else "counter",
        "numeric_filters": [],
        "categorical_filters": [
            {"property_name": key, "operator": "isin", "comparison_value": list(values)}
            for key, values in (meter.filters if meter else ())
        ],
        "is_cost_metric": False,
        "custom_sql": None,
        "proration": None,
    }


def _held(number: Decimal | None) -> Decimal | None:
    """A number of a plan as Lotus can hold it: below ten thousand million, or its SDK takes no plan of the list."""
    return None if number is None else min(number, _MOST)


def _tiers(item: PlanItem) -> list[dict[str, Any]]:
    """Its limits as tiers (management.md 10): what is free, then what is paid for."""
    if item.unlimited:
        return [_tier("free", ZERO, None)]
    tiers = [_tier("free", ZERO, item.included)] if item.included or not item.price else []
    price = item.price
    if item.soft_limit or (price and price.billing_method in (USAGE_BASED, PREPAID)):
        most = None if item.soft_limit or price is None else price.max_purchase
        end = None if most is None else item.included + most
        tiers.append(_tier("per_unit", item.included, end, price))
    return tiers


def _tier(kind: str, start: Decimal, end: Decimal | None, price: ItemPrice | None = None) -> dict[str, Any]:
    return {
        "type": kind,
        "range_start": _held(start),
        "range_end": _held(end),
        "cost_per_batch": _held(price.amount) if price else None,
        "metric_units_per_batch": _held(price.billing_units) if price else None,
        "batch_rounding_type": "no_rounding" if price else None,
    }
