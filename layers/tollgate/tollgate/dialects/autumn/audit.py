"""How the audit log shows what was changed (management.md 17.5): as the management API and events show it.

Of customers it tells no name, e-mail or metadata: a log outlives its customer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tollgate.dialects.autumn.catalog import managed_feature_json, plan_json
from tollgate.dialects.autumn.controls import controls_json
from tollgate.dialects.autumn.keys import key_json
from tollgate.dialects.autumn.webhooks import webhook_json
from tollgate.dialects.events import balance_state, grant_state, subscription_state
from tollgate.domain.balances import Balance
from tollgate.domain.customers import Customer, Entity
from tollgate.domain.environments import Environment


def describe(env: Environment, type: str, thing: Any) -> Any:
    """A thing as the audit log shows it. `type`: see `usecases.audit.Changed`."""
    return _SHOWN[type](env, thing)


def _customer(_: Environment, customer: Customer) -> dict[str, Any]:
    return {
        "id": customer.id,
        "created_at": customer.created_at,
        "frozen_time": customer.frozen_time,
        "billing_controls": controls_json(customer.controls),
    }


def _entity(_: Environment, entity: Entity) -> dict[str, Any]:
    return {
        "id": entity.id,
        "feature_id": entity.feature_id,
        "created_at": entity.created_at,
        "billing_controls": controls_json(entity.controls),
    }


def _balance(_: Environment, balance: Balance) -> dict[str, Any]:
    shown: dict[str, Any] = {"feature_id": balance.feature_id, "entity_id": balance.key.entity_id or None}
    return {
        **shown,
        **(balance_state(balance) or {"flag": True}),
        "grants": [grant_state(grant) for grant in balance.live_grants],
    }


_SHOWN: Mapping[str, Callable[[Environment, Any], Any]] = {
    "feature": lambda env, feature: managed_feature_json(feature, env),
    "plan": lambda env, plan: plan_json(plan, env, {}),
    "api_key": lambda _, key: key_json(key),
    "webhook": lambda _, webhook: webhook_json(webhook),
    "customer": _customer,
    "entity": _entity,
    "subscription": lambda _, subscription: subscription_state(subscription, None),
    "balance": _balance,
}
