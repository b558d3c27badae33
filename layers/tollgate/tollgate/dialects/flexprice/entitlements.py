"""`GET /v1/customers/{id}/entitlements`, `…/external/{external_id}/entitlements` and
`GET /v1/subscriptions/{id}/entitlements` (flexprice.md 1.1, 2): what a customer is entitled to, and why."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any

from tollgate.dialects.flexprice.features import feature_json
from tollgate.dialects.flexprice.lists import ids_in_query
from tollgate.dialects.flexprice.periods import period_name
from tollgate.dialects.flexprice.shapes import AGGREGATED_ENTITLEMENT, whole
from tollgate.dialects.flexprice.subscription_shapes import subscription_json
from tollgate.dialects.flexprice.subscriptions import found
from tollgate.dialects.http import Answer, Request
from tollgate.domain.entitlements import Entitled, EntitlementSource, SourceKind, running
from tollgate.domain.environments import Environment
from tollgate.domain.errors import NotFound
from tollgate.domain.ids import checked_id
from tollgate.usecases.entitlements import CustomerEntitlements, Entitlements

if TYPE_CHECKING:
    from tollgate.usecases.customers import Customers

_TYPES = {SourceKind.PLAN: "plan", SourceKind.ADD_ON: "addon", SourceKind.SUBSCRIPTION: "subscription"}


def customer_entitlements(store: Entitlements, request: Request, customer_id: str) -> Answer:
    """`GET /v1/customers/{id}/entitlements`. An unknown customer is entitled to nothing (flexprice.md 0.1)."""
    try:
        return external_entitlements(store, request, customer_id)
    except NotFound:
        return Answer({"customer_id": customer_id, "features": [], "subscriptions": []})


def external_entitlements(store: Entitlements, request: Request, external_id: str) -> Answer:
    """`GET /v1/customers/external/{external_id}/entitlements`. Raises NotFound."""
    env = request.caller.environment
    feature_ids, subscription_ids = ids_in_query(request, "feature_ids"), ids_in_query(request, "subscription_ids")
    read = store.of(request.customer(checked_id(external_id, "id")), request.now, feature_ids, subscription_ids)
    shown = [
        subscription_json(read.holdings, s, read.plans.get((s.plan_id, s.plan_version)), env, read.now)
        for s, _ in running(read.holdings, read.now, subscription_ids)
    ]
    return Answer({"customer_id": external_id, "features": features_json(read, env), "subscriptions": shown})


def subscription_entitlements(store: Entitlements, customers: Customers, request: Request, id: str) -> Answer:
    """`GET /v1/subscriptions/{id}/entitlements`: of this subscription alone. Raises NotFound."""
    env = request.caller.environment
    holdings, subscription = found(customers, env, id)
    read = store.of(request.customer(holdings.customer.id), request.now, ids_in_query(request, "feature_ids"), {id})
    return Answer({"subscription_id": id, "plan_id": subscription.plan_id, "features": features_json(read, env)})


def features_json(read: CustomerEntitlements, env: Environment) -> list[dict[str, Any]]:
    """Every feature that the customer is entitled to."""
    return [aggregated_json(found, env) for found in read.features]


def aggregated_json(found: Entitled, env: Environment) -> dict[str, Any]:
    """An AggregatedFeature: what the customer may have or use of one feature, and which plans it comes from."""
    total, metered = found.entitlement, not found.feature.type.is_flag
    entitlement: dict[str, Any] = {"is_enabled": total.enabled, "is_soft_limit": total.soft}
    if metered:
        entitlement |= {
            "usage_limit": whole_limit(total.limit),
            "usage_reset_period": period_name(total.period),
            "aggregation_mode": "additive",
        }
    elif total.values:
        entitlement["static_values"] = list(total.values)
    return {
        "feature": feature_json(found.feature, env),
        "entitlement": whole(AGGREGATED_ENTITLEMENT, entitlement),
        "sources": [source_json(source, metered) for source in found.sources],
    }


def source_json(source: EntitlementSource, metered: bool) -> dict[str, Any]:
    """An EntitlementSource. Its `usage_reset_period` is a billing period: it is null in place of NEVER."""
    period = period_name(source.reset) if metered else None
    return {
        "subscription_id": source.subscription_id,
        "entity_id": source.entity_id,
        "entity_type": _TYPES[source.kind],
        "entity_name": source.entity_name,
        "quantity": 1,
        "entitlement_id": source.id,
        "is_enabled": source.enabled,
        "usage_limit": whole_limit(source.limit) if metered else None,
        "static_value": source.value,
        "usage_reset_period": None if period == "NEVER" else period,
    }


def whole_limit(limit: Decimal | None) -> int | None:
    """A limit as Flexprice has it, in whole units: rounded down. None is no limit."""
    return None if limit is None else int(limit.to_integral_value(ROUND_FLOOR))
