"""`metric_access` and `feature_access` (lotus.md 1.1, 1.2, 2): request in, answer out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus.errors import Invalid, does_not_exist
from tollgate.dialects.lotus.fields import Filtered, Text
from tollgate.dialects.lotus.ids import found_feature, unknown
from tollgate.dialects.lotus.shapes import customer_json, feature_json, held_json, metric_json, usage
from tollgate.domain.allowances import SubscriptionAllowance, allowances, answers, holders
from tollgate.domain.customers import Subscription
from tollgate.domain.environments import Environment
from tollgate.domain.errors import NotFound
from tollgate.domain.features import Feature
from tollgate.usecases.access import Access, Held

Policy = Literal["all", "any"]
"""Whether all of a customer's subscriptions must leave something of a metric, or any (the stack's
MetricAccessPolicy)."""

METRIC, FEATURE = "metric_", "feature_"
Denied = Callable[[Environment, str, str], None]
"""Is told of each access that is denied: the environment, the feature, and NO_ACCESS."""

NO_ACCESS = "no_access"


class MetricParams(Filtered):
    """The query of `metric_access`."""

    customer_id: Text
    metric_id: Text


class FeatureParams(Filtered):
    """The query of `feature_access`."""

    customer_id: Text
    feature_id: Text


def metric_access(access: Access, policy: Policy, denied: Denied, request: Request) -> Answer:
    """`GET /api/metric_access/`: whether something is left of a metric, and what each subscription leaves of it.

    Usage and limits are in units of the metric. Raises Invalid for an unknown customer or metric.
    """
    params = MetricParams.of(request)
    env = request.caller.environment
    with _customer_too(access, request, params.customer_id):
        feature = asked_feature(access, env, params.metric_id, "metric_id", METRIC)
    held = known(
        params.customer_id, lambda: access.granting(request.customer(params.customer_id), [feature.id], request.now)
    )
    found = held_lines(feature.id, held, params.filters)
    plans = access.plans(env, (subscription for subscription, _ in found))
    body = {
        "customer": customer_json(held.customer),
        "access": verdict(policy, (allowance.allows for _, allowance in found)),
        "metric": metric_json(env, feature),
        "access_per_subscription": [
            {
                "subscription": held_json(env, subscription, plans[subscription.id], held.now),
                "metric_usage": usage(allowance.used),
                "metric_free_limit": allowance.free,
                "metric_total_limit": allowance.total,
            }
            for subscription, allowance in found
        ],
    }
    if not body["access"]:
        denied(env, feature.id, NO_ACCESS)
    return Answer(body)


def feature_access(access: Access, denied: Denied, request: Request) -> Answer:
    """`GET /api/feature_access/`: whether any subscription has a feature. Raises Invalid for what is unknown."""
    params = FeatureParams.of(request)
    env = request.caller.environment
    with _customer_too(access, request, params.customer_id):
        feature = asked_feature(access, env, params.feature_id, "feature_id", FEATURE)
    held = known(
        params.customer_id,
        lambda: access.all_subscriptions(request.customer(params.customer_id), [feature.id], request.now),
    )
    granting = holders(feature.id, held.balances)
    answering = [subscription for subscription in held.subscriptions if answers(subscription.filters, params.filters)]
    plans = access.plans(env, answering)
    rows = [
        {
            "subscription": held_json(env, subscription, plans[subscription.id], held.now),
            "access": subscription.id in granting,
        }
        for subscription in answering
    ]
    body = {
        "customer": customer_json(held.customer),
        "access": any(row["access"] for row in rows),
        "feature": feature_json(env, feature),
        "access_per_subscription": rows,
    }
    if not body["access"]:
        denied(env, feature.id, NO_ACCESS)
    return Answer(body)


@contextmanager
def _customer_too(access: Access, request: Request, customer_id: str) -> Iterator[None]:
    """Where a metric or feature turns out to be unknown, the refusal names the customer too if that is unknown."""
    try:
        yield
    except Invalid as unknown:
        try:
            known(customer_id, lambda: access.granting(request.customer(customer_id), (), request.now))
        except Invalid as customer:
            raise Invalid(*customer.problems, *unknown.problems) from unknown
        raise


# ------------------------------------------------------------------ shared with the older checks


def verdict(policy: Policy, allowed: Iterable[bool]) -> bool:
    """Whether there is access, given what each subscription allows. Without subscriptions there is none (lotus.md
    0.2)."""
    found = list(allowed)
    return bool(found) and (all(found) if policy == "all" else any(found))


def held_lines(
    feature_id: str, held: Held, asked: tuple[tuple[str, str], ...] = ()
) -> list[tuple[Subscription, SubscriptionAllowance]]:
    """The subscriptions that have the metric and match the filters, oldest first, each with what it leaves to be
    used."""
    found = allowances(feature_id, held.balances)
    return [(s, found[s.id]) for s in held.subscriptions if s.id in found and answers(s.filters, asked)]


def asked_feature(access: Access, env: Environment, asked: str, field: str, prefix: str) -> Feature:
    """The feature that an id names; before it is denied, the catalog is read afresh. Raises Invalid."""
    for fresh in (False, True):
        features = access.features.catalog(env, fresh=fresh).features
        feature = found_feature(features.values(), env, asked, prefix)
        if feature is not None and not (prefix == METRIC and feature.type.is_flag):
            return feature
    raise unknown(field, prefix, asked)


def known(customer_id: str, read: Callable[[], Held]) -> Held:
    """Returns what `read` returns. Where the customer is unknown it raises Invalid, in Lotus's words."""
    try:
        return read()
    except NotFound as missing:
        if missing.kind != "customer":
            raise
        raise does_not_exist("customer_id", customer_id) from missing
