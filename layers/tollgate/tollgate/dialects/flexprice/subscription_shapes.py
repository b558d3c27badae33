"""A subscription, and an add-on's association with one, as Flexprice shows them."""

from __future__ import annotations

from typing import Any

from tollgate.dialects.flexprice.features import texts
from tollgate.dialects.flexprice.fields import time_text
from tollgate.dialects.flexprice.periods import period_name
from tollgate.dialects.flexprice.plans import plan_json
from tollgate.dialects.flexprice.shapes import ASSOCIATION, SUBSCRIPTION, whole
from tollgate.domain.customers import Holdings, Subscription
from tollgate.domain.environments import Environment
from tollgate.domain.periods import Reset
from tollgate.domain.plans import Plan
from tollgate.usecases.customers import ListedSubscription


def status_of(s: Subscription | ListedSubscription, at: int) -> str:
    """Flexprice's word for a subscription's status at an instant (ms): draft, trialing, active or cancelled."""
    status = s.status(at)
    if status == "active":
        return "trialing" if s.trialing(at) else "active"
    return "cancelled" if status == "expired" else "draft"


def billing_period(s: Subscription) -> tuple[str, int]:
    """The name of the billing period, and how many make one cycle; ONETIME where there is no cycle or no name for
    it."""
    if s.cycle is None:
        return "ONETIME", 1
    name = period_name(Reset(s.cycle.interval))
    return (name, s.cycle.count) if name and name != "NEVER" else ("ONETIME", 1)


def subscription_json(
    holdings: Holdings, s: Subscription, plan: Plan | None, env: Environment, at: int
) -> dict[str, Any]:
    """A SubscriptionResponse at an instant (ms), without what is paid."""
    period = s.period(at) or (None, None)
    name, count = billing_period(s)
    ends = s.canceled_at is not None and s.expires_at is not None
    return whole(
        SUBSCRIPTION,
        {
            "id": s.id,
            "customer_id": holdings.customer.id,
            "plan_id": s.plan_id,
            "plan": plan and plan_json(plan, env),
            "subscription_status": status_of(s, at),
            "subscription_type": "standalone",
            "billing_cadence": "RECURRING",
            "billing_period": name,
            "billing_period_count": count,
            "billing_cycle": s.extra.get("billing_cycle"),
            "billing_anchor": time_text(s.anchor or None),
            "currency": s.extra.get("currency"),
            "lookup_key": s.extra.get("lookup_key"),
            "metadata": texts(dict(s.extra.get("metadata") or {})),
            "start_date": time_text(s.started_at),
            "end_date": time_text(s.expires_at),
            "current_period_start": time_text(period[0]),
            "current_period_end": time_text(period[1]),
            "cancelled_at": time_text(s.canceled_at),
            "cancel_at": time_text(s.expires_at) if ends else None,
            "cancel_at_period_end": bool(ends and s.expires_at is not None and s.expires_at > at),
            "trial_start": time_text(s.started_at) if s.trial_ends_at else None,
            "trial_end": time_text(s.trial_ends_at),
            "environment_id": env.value,
            "status": "published",
            "created_at": time_text(s.created_at or None),
            "updated_at": time_text(s.created_at or None),
        },
    )


def association_json(holdings: Holdings, s: Subscription, plan: Plan, env: Environment, at: int) -> dict[str, Any]:
    """An AddonAssociationResponse: an add-on as part of its subscription, at an instant (ms)."""
    status = {"active": "active", "scheduled": "pending", "expired": "cancelled"}[s.status(at)]
    parent = s.parent_id
    return whole(
        ASSOCIATION,
        {
            "id": s.id,
            "addon_id": s.plan_id,
            "addon": plan_json(plan, env),
            "addon_status": status,
            "entity_type": "subscription",
            "entity_id": parent,
            "subscription": parent and whole(SUBSCRIPTION, {"id": parent, "customer_id": holdings.customer.id}),
            "start_date": time_text(s.started_at),
            "end_date": time_text(s.expires_at),
            "cancelled_at": time_text(s.canceled_at),
            "metadata": s.extra.get("metadata"),
            "environment_id": env.value,
            "status": "published",
            "created_at": time_text(s.created_at or None),
            "updated_at": time_text(s.created_at or None),
        },
    )
