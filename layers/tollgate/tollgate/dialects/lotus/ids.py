"""Lotus's ids for what Tollgate knows by ids of its own (management.md 2): a prefix and 32 hex digits, derived and
lasting.

Where Lotus takes an id, the same digits as a bare UUID, with or without hyphens, and Tollgate's own id are taken as
well.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Iterable
from functools import lru_cache

from tollgate.dialects.lotus.errors import Invalid, Problem, does_not_exist
from tollgate.domain.customers import Subscription
from tollgate.domain.environments import Environment
from tollgate.domain.features import Feature
from tollgate.domain.ids import lotus_ids
from tollgate.domain.plans import Plan

_PLANS = uuid.UUID("b2d1b7a6-54f0-5c3f-9a57-7f2b1f0c9e35")
_PLAN = re.compile(r"plan_[0-9a-f]{32}").fullmatch
_HEX = re.compile(r"[0-9a-f]{32}").fullmatch
_of_feature = lru_cache(4096)(lotus_ids)


def metric_id(env: Environment, feature_id: str) -> str:
    """The id of a feature as a metric."""
    return _of_feature(env.value, feature_id)[0]


def feature_id_of(env: Environment, feature_id: str) -> str:
    """The id of a feature as a feature of Lotus's."""
    return _of_feature(env.value, feature_id)[1]


def plan_id(env: Environment, plan: str) -> str:
    """The id of a plan; of one that was brought in from Lotus, the one that it had there."""
    return plan if _PLAN(plan) else _derived_id("plan", env, plan)


def version_id(env: Environment, plan: str, version: int) -> str:
    """The id of one version of a plan."""
    return _derived_id("plan_version", env, f"{plan}\n{version}")


def organization_id(env: Environment) -> str:
    """The id of an environment: Lotus knows organizations."""
    return _derived_id("org", env, "")


@lru_cache(4096)
def _derived_id(kind: str, env: Environment, name: str) -> str:
    return f"{kind}_{uuid.uuid5(_PLANS, f'{kind} {env.value} {name}').hex}"


def subscription_id(customer_id: str, subscription: Subscription) -> str:
    """The id of a subscription. It contains the customer's id: Lotus cancels a subscription by its id alone."""
    owner = base64.urlsafe_b64encode(customer_id.encode()).decode().rstrip("=")
    return f"{subscription.id}~{owner}"


def subscription_of(id: str) -> tuple[str, str] | None:
    """The customer's and the subscription's own id in a Lotus subscription id; None where it is none of ours."""
    own, _, owner = id.rpartition("~")
    if not own:
        return None
    try:
        return base64.urlsafe_b64decode(owner + "=" * (-len(owner) % 4)).decode(), own
    except ValueError:
        return None


def found_feature(features: Iterable[Feature], env: Environment, asked: str, prefix: str) -> Feature | None:
    """The feature that an id in any of its forms names. `prefix` is `metric_` or `feature_`."""
    features = tuple(features)
    own = next((feature for feature in features if feature.id == asked), None)
    digits = _digits(asked, prefix)
    if own or not digits:
        return own
    return next((feature for feature in features if metric_id(env, feature.id).endswith(digits)), None)


def unknown(field: str, prefix: str, asked: str) -> Invalid:
    """The refusal of an id that names nothing: it has no valid form, or nothing has it."""
    if _digits(asked, prefix):
        return does_not_exist(field, asked)
    return Invalid(
        Problem(
            "invalid",
            f"Input must be a string beginning with the prefix {prefix} and followed by the compact hex representation"
            " of the UUID, not including hyphens.",
            field,
        )
    )


def is_plan(env: Environment, plan: Plan, asked: str) -> bool:
    """Whether an id, in any of its forms, names the plan."""
    return asked == plan.id or _digits(asked, "plan_") == plan_id(env, plan.id).removeprefix("plan_")


def is_version(env: Environment, plan: Plan, asked: str) -> bool:
    """Whether an id, in any of its forms, names this version of the plan."""
    own = version_id(env, plan.id, plan.version).removeprefix("plan_version_")
    return _digits(asked, "plan_version_") == own


def _digits(text: str, prefix: str) -> str | None:
    digits = text.removeprefix(prefix).replace("-", "").lower()
    return digits if _HEX(digits) else None
