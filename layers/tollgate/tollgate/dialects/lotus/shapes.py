"""What several of Lotus's answers show: a customer, a subscription, a plan's version, a metric."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tollgate.dialects.lotus.fields import time_text
from tollgate.dialects.lotus.ids import feature_id_of, metric_id, plan_id, version_id
from tollgate.domain.customers import Customer, Subscription
from tollgate.domain.environments import Environment
from tollgate.domain.features import Feature
from tollgate.domain.meters import meter_of
from tollgate.domain.plans import Plan
from tollgate.domain.quantities import ZERO

NO_END = 253_402_300_799_000  # the last second of the year 9999: Lotus's clients want an end


def customer_json(customer: Customer) -> dict[str, Any]:
    """A customer as other answers name it: id, name and e-mail."""
    return {"customer_name": customer.name, "email": customer.email, "customer_id": customer.id}


def filters_json(subscription: Subscription) -> list[dict[str, str]]:
    """The filters of a subscription, in order."""
    return [{"property_name": name, "value": value} for name, value in subscription.filters]


def term(subscription: Subscription, now: int) -> tuple[int, int]:
    """The start and end (ms) of a subscription as Lotus knows them: those of the billing cycle that runs.

    In Lotus every cycle is a subscription of its own. A subscription that is still to come has the dates of its first
    cycle, and one that has ended those of its last.
    """
    last = NO_END if subscription.expires_at is None else subscription.expires_at
    start, end = subscription.period(max(subscription.started_at, min(now, last - 1))) or (0, NO_END)
    return max(start, subscription.started_at), min(end, last)


def dates_json(subscription: Subscription, now: int) -> dict[str, str]:
    """The start and end of a subscription's current term, as `term` has them."""
    start, end = term(subscription, now)
    return {"start_date": time_text(start), "end_date": time_text(end)}


def version_json(env: Environment, plan: Plan) -> dict[str, Any]:
    """A version of a plan as other answers name it."""
    return {
        "plan_name": plan.name,
        "plan_id": plan_id(env, plan.id),
        "version_id": version_id(env, plan.id, plan.version),
        "version": plan.version or "custom_version",
    }


def held_json(env: Environment, subscription: Subscription, plan: Plan, now: int) -> dict[str, Any]:
    """A subscription as an access check shows it."""
    return {
        **dates_json(subscription, now),
        "subscription_filters": filters_json(subscription),
        "plan": version_json(env, plan),
    }


def event_name(feature: Feature) -> str:
    """The event that a metric counts; empty where it counts none."""
    meter = meter_of(feature)
    return meter.event_name if meter else next(iter(feature.event_names), "")


def metric_json(env: Environment, feature: Feature) -> dict[str, Any]:
    """A metric as other answers name it: its ids and the event that it counts."""
    return {
        "metric_id": metric_id(env, feature.id),
        "event_name": event_name(feature),
        "metric_name": feature.name,
    }


def feature_json(env: Environment, feature: Feature) -> dict[str, Any]:
    """A feature as other answers name it."""
    return {
        "feature_id": feature_id_of(env, feature.id),
        "feature_name": feature.name,
        "feature_description": feature.extra.get("description"),
    }


def usage(amount: Decimal) -> Decimal:
    """Lotus's usage is never below zero."""
    return max(ZERO, amount)
