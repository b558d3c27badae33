"""`customer_access` of November 2022, and the deprecated `customer_metric_access` and `customer_feature_access`
(lotus.md 1.4, 1.5): request in, answer out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tollgate.dialects.http import Answer, Request
from tollgate.dialects.lotus.access import METRIC, asked_feature, held_lines, known
from tollgate.dialects.lotus.errors import Invalid, Problem, plain
from tollgate.dialects.lotus.fields import Filtered, Params, Text
from tollgate.dialects.lotus.ids import metric_id, plan_id
from tollgate.dialects.lotus.shapes import event_name, filters_json, usage
from tollgate.domain.allowances import SubscriptionAllowance, answers, holders
from tollgate.domain.environments import Environment
from tollgate.domain.errors import NotFound
from tollgate.domain.features import Feature
from tollgate.domain.meters import counting
from tollgate.usecases.access import Access


class CustomerAccessParams(Params):
    """The query of `customer_access`: a feature, or an event and which of its limits."""

    customer_id: Text
    feature_name: Text | None = None
    event_name: Text | None = None
    event_limit_type: Literal["free", "total"] | None = None

    def checked(self) -> CustomerAccessParams:
        """Raises Invalid for what no single field shows."""
        if self.feature_name is None and self.event_name is None:
            raise Invalid(Problem("invalid", "Must provide either event_name or feature_name"))
        if self.feature_name is not None and self.event_name is not None:
            raise Invalid(Problem("invalid", "Cannot provide both event_name and feature_name"))
        if self.event_name is not None and self.event_limit_type is None:
            raise Invalid(Problem("invalid", "Must provide event_limit_type when providing event_name"))
        return self


class MetricParams(Filtered):
    """The query of `customer_metric_access`: a metric, or an event."""

    customer_id: Text
    event_name: Text | None = None
    metric_id: Text | None = None


class FeatureParams(Filtered):
    """The query of `customer_feature_access`."""

    customer_id: Text
    feature_name: Text


def customer_access(access: Access, request: Request) -> Answer:
    """`GET /api/customer_access/` (lotus.md 1.4): whether a customer may use a feature, or send an event.

    A feature: whether any subscription has it. An event: whether every metric that counts it is below its limit; access
    is given where no metric does. What is wrong with the request is an answer too, in the shape of 2022.
    """
    try:
        params = CustomerAccessParams.of(request).checked()
    except Invalid as error:
        return plain(error.problems)
    env = request.caller.environment
    name = params.feature_name
    features = _named(access, env, name) if name is not None else _counting(access, env, str(params.event_name))
    try:
        held = access.granting(request.customer(params.customer_id), [feature.id for feature in features], request.now)
    except NotFound:
        return Answer({"status": "error", "detail": "Customer not found"}, 400)
    if name is not None:
        running = {subscription.id for subscription in held.subscriptions}
        return Answer({"access": any(holders(feature.id, held.balances) & running for feature in features)})
    free = params.event_limit_type == "free"
    usages = [
        {
            "metric_usage": usage(allowance.used),
            "metric_limit": allowance.free if free else allowance.total,
            "access": allowance.allows_free if free else allowance.allows,
            "metric_name": feature.name,
        }
        for feature in features
        for _, allowance in held_lines(feature.id, held)
    ]
    return Answer({"access": all(found["access"] for found in usages), "usages": usages})


def customer_metric_access(access: Access, request: Request) -> Answer:
    """What each subscription leaves of a metric, or of all metrics that an event counts in (lotus.md 1.5).

    Raises Invalid where not exactly one is named, and for an unknown customer or metric.
    """
    params = MetricParams.of(request)
    env = request.caller.environment
    if params.event_name is not None and params.metric_id is not None:
        raise Invalid(Problem("invalid", "event_name and metric_id are mutually exclusive. Please only provide one."))
    if params.metric_id is not None:
        features: Sequence[Feature] = [asked_feature(access, env, params.metric_id, "metric_id", METRIC)]
    elif params.event_name is not None:
        features = _counting(access, env, params.event_name)
    else:
        raise Invalid(Problem("invalid", "You must provide either an event_name or a metric_id."))
    ids = [feature.id for feature in features]
    held = known(
        params.customer_id, lambda: access.all_subscriptions(request.customer(params.customer_id), ids, request.now)
    )
    by_feature = [(feature, {s.id: allowance for s, allowance in held_lines(feature.id, held)}) for feature in features]
    shown = [
        {
            "plan_id": plan_id(env, subscription.plan_id),
            "subscription_filters": filters_json(subscription),
            "usage_per_component": [
                _component(env, feature, found[subscription.id])
                for feature, found in by_feature
                if subscription.id in found
            ],
        }
        for subscription in held.subscriptions
        if answers(subscription.filters, params.filters)
    ]
    return Answer(shown)


def customer_feature_access(access: Access, request: Request) -> Answer:
    """Whether each subscription has the feature of that name (lotus.md 1.5). Raises Invalid for an unknown customer."""
    params = FeatureParams.of(request)
    env = request.caller.environment
    features = _named(access, env, params.feature_name)
    ids = [feature.id for feature in features]
    held = known(
        params.customer_id, lambda: access.all_subscriptions(request.customer(params.customer_id), ids, request.now)
    )
    granting = {id for feature in features for id in holders(feature.id, held.balances)}
    shown = [
        {
            "feature_name": params.feature_name,
            "plan_id": plan_id(env, subscription.plan_id),
            "subscription_filters": filters_json(subscription),
            "access": subscription.id in granting,
        }
        for subscription in held.subscriptions
        if answers(subscription.filters, params.filters)
    ]
    return Answer(shown)


def _component(env: Environment, feature: Feature, allowance: SubscriptionAllowance) -> dict[str, Any]:
    return {
        "event_name": event_name(feature),
        "metric_name": feature.name,
        "metric_usage": usage(allowance.used),
        "metric_free_limit": allowance.free,
        "metric_total_limit": allowance.total,
        "metric_id": metric_id(env, feature.id),
    }


def _named(access: Access, env: Environment, name: str) -> list[Feature]:
    """The features of that name, or id: before they are denied, the catalog is read afresh."""
    for fresh in (False, True):
        features = access.features.catalog(env, fresh=fresh).features.values()
        if found := [feature for feature in features if name in (feature.name, feature.id)]:
            return found
    return []


def _counting(access: Access, env: Environment, event: str) -> list[Feature]:
    """The features that an event counts in: before none is returned, the catalog is read afresh."""
    for fresh in (False, True):
        if found := counting(access.features.catalog(env, fresh=fresh).features.values(), event):
            return found
    return []
