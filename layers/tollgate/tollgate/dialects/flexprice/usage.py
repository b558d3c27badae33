"""`GET /v1/customers/usage` and `/v1/customers/{id}/usage` (flexprice.md 2.4): limits, usage and, beyond Flexprice,
whether one more use is allowed."""

from __future__ import annotations

from typing import Any

from tollgate.dialects.flexprice.entitlements import source_json, whole_limit
from tollgate.dialects.flexprice.features import feature_json, feature_type, lookup_key
from tollgate.dialects.flexprice.fields import number_text, time_text
from tollgate.dialects.flexprice.lists import among, ids_in_query
from tollgate.dialects.http import Answer, Request
from tollgate.domain.entitlement_usage import EntitledUsage
from tollgate.domain.entitlements import Entitled
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput
from tollgate.domain.ids import checked_id
from tollgate.usecases.entitlements import Entitlements

_ORDER = ("metered", "static", "boolean")


def usage_summary(store: Entitlements, request: Request) -> Answer:
    """`GET /v1/customers/usage`, of the customer in the query. Raises InvalidInput where it names none, or two."""
    named = {value for name in ("customer_id", "customer_lookup_key") for value in request.query.get(name, ()) if value}
    if not named:
        raise InvalidInput("", "Provide customer_id or customer_lookup_key")
    if len(named) > 1:
        raise InvalidInput("", "customer_id and customer_lookup_key name different customers")
    return customer_usage(store, request, named.pop())


def customer_usage(store: Entitlements, request: Request, customer_id: str) -> Answer:
    """`GET /v1/customers/{id}/usage`: metered features first, then static and boolean ones, each by name.

    Raises NotFound or InvalidInput.
    """
    env = request.caller.environment
    keys = ids_in_query(request, "feature_lookup_keys")
    read = store.of(
        request.customer(checked_id(customer_id, "customer_id")),
        request.now,
        ids_in_query(request, "feature_ids"),
        ids_in_query(request, "subscription_ids"),
    )
    shown = [(found, usage) for found, usage in read.usage() if among(lookup_key(found.feature), keys)]
    shown.sort(key=lambda entry: (_ORDER.index(feature_type(entry[0].feature)), entry[0].feature.name))
    features = [_feature_usage_json(found, usage, env) for found, usage in shown]
    return Answer({"customer_id": customer_id, "features": features, "period": None, "pagination": None})


def _feature_usage_json(found: Entitled, usage: EntitledUsage, env: Environment) -> dict[str, Any]:
    """A FeatureUsageSummary. `usage_percent` is a ratio, as it is upstream: 0.5 is half."""
    total, metered = found.entitlement, not found.feature.type.is_flag
    return {
        "feature": feature_json(found.feature, env),
        "total_limit": whole_limit(total.limit) if metered else None,
        "is_unlimited": metered and total.limit is None,
        "current_usage": number_text(usage.used),
        "usage_percent": number_text(usage.ratio),
        "is_enabled": total.enabled,
        "is_soft_limit": total.soft,
        "next_usage_reset_at": time_text(usage.next_reset_at),
        "sources": [source_json(source, metered) for source in found.sources],
        "access": {
            "allowed": usage.check.allowed,
            "feature_id": usage.check.feature_id,
            "required": number_text(usage.check.required),
        },
    }
