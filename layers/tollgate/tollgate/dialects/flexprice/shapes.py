"""The keys of Flexprice's answers.

Its TypeScript SDK wants each key that it reads to be there (flexprice.md 1.5): one that has no value is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OWNED = ("tenant_id", "created_by", "updated_by")  # there are no tenants and no users

CUSTOMER = (
    *_OWNED,
    "address_line1",
    "address_line2",
    "address_city",
    "address_state",
    "address_postal_code",
    "address_country",
    "parent_customer_id",
    "parent_customer",
)
FEATURE = _OWNED
METER = ("tenant_id",)
AGGREGATION = ("field", "multiplier", "bucket_size", "group_by")
ALERT_SETTINGS = ("critical", "warning", "info")
PLAN = (*_OWNED, "display_order", "prices", "entitlements", "credit_grants")
ADDON = (*_OWNED, "type", "prices", "entitlements")
ENTITLEMENT = (
    *_OWNED,
    "plan",
    "addon",
    "usage_limit",
    "usage_reset_period",
    "is_soft_limit",
    "display_order",
    "parent_entitlement_id",
    "start_date",
    "end_date",
)
AGGREGATED_ENTITLEMENT = ("usage_limit", "usage_reset_period", "static_values")
SUBSCRIPTION = (
    *_OWNED,
    "id",
    "customer_id",
    "customer",
    "customer_timezone",
    "invoicing_customer_id",
    "parent_subscription_id",
    "plan_id",
    "plan",
    "subscription_status",
    "status",
    "version",
    "lookup_key",
    "metadata",
    "currency",
    "billing_anchor",
    "billing_cadence",
    "billing_cycle",
    "billing_period",
    "billing_period_count",
    "start_date",
    "end_date",
    "current_period_start",
    "current_period_end",
    "trial_start",
    "trial_end",
    "cancel_at",
    "cancel_at_period_end",
    "cancelled_at",
    "active_pause_id",
    "pause_status",
    "pauses",
    "phases",
    "line_items",
    "latest_invoice",
    "collection_method",
    "commitment_amount",
    "commitment_duration",
    "overage_factor",
    "enable_true_up",
    "coupon_associations",
    "credit_grants",
    "gateway_payment_method_id",
    "payment_behavior",
    "payment_terms",
    "proration_behavior",
    "environment_id",
    "created_at",
    "updated_at",
)
ASSOCIATION = (*_OWNED, "cancellation_reason")
CANCELLATION = ("proration_invoice", "proration_details", "total_credit_amount")
ANALYTIC_ITEM = (
    "source",
    "sources",
    "properties",
    "feature",
    "meter",
    "plan_id",
    "plan",
    "add_on_id",
    "addon",
    "subscription_id",
    "sub_line_item_id",
    "subscription_line_item",
    "price_id",
    "price",
    "commitment_info",
    "currency",
)
ANALYTIC_POINT = ("computed_commitment_utilized_amount", "computed_overage_amount", "computed_true_up_amount")


def whole(keys: tuple[str, ...], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, and null for each of these keys that is not among them."""
    return {**fields, **{key: None for key in keys if key not in fields}}
