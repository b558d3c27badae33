"""`customers.*` and `billing.attach` (management.md): requests in, answers out."""

from __future__ import annotations

from typing import Any

from tollgate.dialects.autumn.balances import balance_json, flag_json
from tollgate.dialects.autumn.fields import Id, Params, Properties, Text, Whole
from tollgate.dialects.http import Answer, Request
from tollgate.domain.balances import fold
from tollgate.domain.customers import Customer, Holdings, Subscription
from tollgate.domain.keys import Environment
from tollgate.usecases.management import Management


class CustomerParams(Params):
    customer_id: Id


class GetOrCreateCustomerParams(Params):
    later = ("billing_controls", "config")

    customer_id: Id
    name: Text | None = None
    email: Text | None = None
    fingerprint: Text | None = None
    metadata: Properties | None = None
    auto_enable_plan_id: Id | None = None


class AttachParams(Params):
    later = (
        "entity_id",
        "feature_quantities",
        "customize",
        "free_trial",
        "billing_cycle_anchor",
        "starts_at",
        "ends_at",
        "subscription_filters",
        "plan_schedule",
    )

    customer_id: Id
    plan_id: Id
    version: Whole | None = None


def get_or_create(management: Management, request: Request) -> Answer:
    params = GetOrCreateCustomerParams.of(request.body)
    customer = Customer(
        params.customer_id, params.name, params.email, params.fingerprint, params.metadata or {}, request.now
    )
    env = request.caller.environment
    holdings = management.get_or_create_customer(env, customer, params.auto_enable_plan_id, request.now)
    return Answer(customer_json(holdings, env, request.now))


def get(management: Management, request: Request) -> Answer:
    params = CustomerParams.of(request.body)
    env = request.caller.environment
    return Answer(customer_json(management.customer(env, params.customer_id), env, request.now))


def attach(management: Management, request: Request) -> Answer:
    params = AttachParams.of(request.body)
    management.attach(request.caller.environment, params.customer_id, params.plan_id, params.version, request.now)
    return Answer({"customer_id": params.customer_id, "payment_url": None})


def customer_json(holdings: Holdings, env: Environment, now: int) -> dict[str, Any]:
    customer = holdings.customer
    folded = {id: fold(balance, now) for id, balance in holdings.balances.items()}
    return {
        "id": customer.id,
        "name": customer.name,
        "email": customer.email,
        "created_at": customer.created_at,
        "fingerprint": customer.fingerprint,
        "stripe_id": None,
        "env": env.value,
        "metadata": customer.metadata,
        "send_email_receipts": False,
        "billing_controls": {},
        "subscriptions": [_subscription_json(held) for held in holdings.subscriptions.values()],
        "purchases": [],
        "licenses": [],
        "balances": {id: shown for id, balance in folded.items() if (shown := balance_json(balance))},
        "flags": {id: shown for id, balance in folded.items() if (shown := flag_json(balance))},
    }


def _subscription_json(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": subscription.id,
        "plan_id": subscription.plan_id,
        "auto_enable": subscription.auto_enable,
        "add_on": subscription.add_on,
        "status": "active",
        "past_due": False,
        "canceled_at": None,
        "expires_at": None,
        "trial_ends_at": None,
        "started_at": subscription.started_at,
        "current_period_start": None,
        "current_period_end": None,
        "quantity": 1,
    }
