"""Plans as 1.x products: their shape, the check of a product, and the preview of what would grant access."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.dialects.autumn.display import item_display, price_display
from tollgate.dialects.autumn.features import feature_v1_json, kind_v1
from tollgate.dialects.http import Answer, Request
from tollgate.domain.customers import Holdings, Subscription
from tollgate.domain.environments import Environment
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.periods import Interval
from tollgate.domain.plan_changes import Attaching, Offer, cost_of, offer_of
from tollgate.domain.plans import PREPAID, BasePrice, Plan, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.domain.views import view
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.commands import Outcome
from tollgate.usecases.customers import Customers


class Offered(NamedTuple):
    """What attaching a product to a customer would be: its `scenario`, such as an upgrade, and whether it would begin a
    trial (None: it has none)."""

    scenario: str
    trial_available: bool | None = None

    @classmethod
    def of(cls, offer: Offer, now: int) -> Offered:
        """The same of an offer, at a time (ms)."""
        return cls(scenario_of(offer, now), offer.trial_available)


def product_json(
    plan: Plan,
    env: Environment,
    catalog: Catalog,
    offered: Offered | None = None,
    bought: Mapping[str, Decimal] | None = None,
) -> dict[str, Any]:
    """A plan as 1.x knows it: a product, with its price as one of its items; `offered` to a customer, or held by one.

    `bought`: of one that is held, the units bought in all, by feature; None: it is not held.
    """
    trial, left = plan.free_trial, dict(bought or {})
    items = [_item_json(item, catalog.features.get(item.feature_id)) for item in plan.items]
    for shown, item in zip(items, plan.items, strict=True):
        if item.price and item.price.billing_method == PREPAID and item.feature_id in left:
            shown["quantity"] = max(ZERO, left.pop(item.feature_id) - item.included)
    return {
        "id": plan.id,
        "name": plan.name,
        "group": plan.group,
        "env": env.value,
        "is_add_on": plan.add_on,
        "is_default": plan.auto_enable,
        "archived": plan.archived,
        "version": plan.version,
        "created_at": plan.created_at,
        "items": [*([_price_item(plan.price)] if plan.price and plan.price.amount else []), *items],
        "free_trial": trial
        and {
            "duration": trial.interval.value,
            "length": trial.length,
            "unique_fingerprint": False,
            "card_required": trial.card_required,
            "trial_available": offered.trial_available if offered else None,
        },
        "base_variant_id": None,
        **({"scenario": offered.scenario} if offered else {}),
        "properties": _properties(plan, catalog.features),
    }


def _properties(plan: Plan, features: Mapping[str, Feature]) -> dict[str, Any]:
    """What a page of prices asks of a product: whether it costs anything, and recurs; the interval of its base price;
    whether it has a trial; and whether units of it are bought (`updateable`)."""
    base = plan.price if plan.price and plan.price.amount else None
    priced = [item.price for item in plan.items if item.price is not None]
    one_off = cost_of(plan.price, plan.items, features).one_off
    prepaid = any(price.billing_method == PREPAID for price in priced)
    return {
        "is_free": base is None and not priced,
        "is_one_off": one_off,
        "interval_group": base.interval.value if base and base.interval is not Interval.ONE_OFF else None,
        "has_trial": plan.free_trial is not None,
        "updateable": prepaid and not one_off,
    }


def _price_item(price: BasePrice) -> dict[str, Any]:
    interval = None if price.interval == "one_off" else price.interval.value
    return {
        "type": "price",
        "feature_id": None,
        "interval": interval,
        "interval_count": price.interval_count,
        "price": price.amount,
        "display": price_display(price),
    }


def _item_json(item: PlanItem, feature: Feature | None) -> dict[str, Any]:
    resets = item.resets
    kind = kind_v1(feature) if feature is not None else "single_use"
    shown: dict[str, Any] = {
        "type": "priced_feature" if item.price else "feature",
        "feature_id": item.feature_id,
        "feature_type": kind,
        "included_usage": "inf" if item.unlimited else item.included,
        "interval": resets.interval.value if resets and resets.nominal_ms else None,
        "interval_count": resets.count if resets else None,
        "entity_feature_id": item.entity_feature_id,
        "feature": feature and feature_v1_json(feature),
        "display": item_display(item, feature),
    }
    if feature is not None and not feature.type.is_flag:
        shown["reset_usage_when_enabled"] = feature.consumable
    if item.price:
        price = item.price
        one = price.tiers[0].get("amount") if len(price.tiers) == 1 and not price.tiers[0].get("flat_amount") else None
        amount = price.amount or ZERO if not price.tiers else one
        shown |= {
            "usage_model": "prepaid" if price.billing_method == PREPAID else "pay_per_use",
            "billing_units": price.billing_units,
            **({"tiers": [dict(tier) for tier in price.tiers]} if amount is None else {"price": amount}),
        }
        if price.max_purchase is not None:
            shown["usage_limit"] = price.max_purchase + item.included
    if item.rollover:
        months = item.rollover.months
        shown["config"] = {
            "rollover": {
                "max": item.rollover.max,
                "max_percentage": item.rollover.max_percentage,
                "duration": "forever" if months is None else "month",
                "length": months or 0,
            }
        }
    return shown


class ProductCheck(NamedTuple):
    """A check of a plan (1.x: a product) instead of a feature."""

    plan_id: str
    customer_id: str
    entity_id: str | None  # None: the customer's own subscriptions only


def check_product(catalogs: Catalogs, customers: Customers, request: Request, asked: ProductCheck) -> Answer:
    """Whether a subscription of the plan is active (autumn.md 2.5).

    Raises NotFound for an unknown plan, customer or entity.
    """
    plan_id, customer_id, entity_id = asked
    env = request.caller.environment
    catalogs.plan(env, plan_id)
    holdings = customers.get(request.customer(customer_id))
    if entity_id is not None:
        holdings.entity(entity_id)
    at = holdings.time(request.now)
    owners = (entity_id, None)
    held = [s for s in holdings.subscriptions.values() if s.plan_id == plan_id and s.entity_id in owners]
    running = [s for s in held if s.status(at) == "active"]
    waiting = [s for s in held if s.status(at) == "scheduled"]
    answer: dict[str, Any] = {
        "allowed": bool(running),
        "customer_id": customer_id,
        "product_id": plan_id,
        "code": "product_found",
        **({"entity_id": entity_id} if entity_id else {}),
    }
    found = next(iter(running or waiting), None)
    if found is not None:
        answer["status"] = _status(found, at)
    return Answer(answer)


def _status(subscription: Subscription, now: int) -> str:
    if subscription.canceled_at is not None:
        return "canceled"
    return "trialing" if subscription.trialing(now) else subscription.status(now)


def preview(
    catalogs: Catalogs, customers: Customers, request: Request, customer_id: str, outcome: Outcome
) -> dict[str, Any]:
    """Why a check was denied, and which plans would grant access, the cheapest first (autumn.md 2.7). Raises
    NotFound."""
    env = request.caller.environment
    holdings, catalog = customers.get(request.customer(customer_id)), catalogs.catalog(env)
    feature = outcome.feature
    granting = {feature.id, *(pool.feature_id for pool in catalog.pools(feature.id))}
    offers = offered(catalogs.plans(env), holdings, granting, catalog.features, request.now)
    held = any(view(id, outcome.entity_id, outcome.balances) for id in granting)
    scenario = "usage_limit" if held else "feature_flag"
    reason = (
        f"You have reached the limit of {feature.name}." if held else f"{feature.name} is not part of the current plan."
    )
    title, advice = "Feature Unavailable", "Contact support to get access."
    if offers:
        best, _ = offers[0]
        if best.free_trial:
            title, advice = f"Start trial for {best.name}", f"Start a trial of {best.name} to get more."
        elif best.add_on:
            title, advice = f"Purchase {best.name}", f"Purchase {best.name} to get more."
        else:
            title, advice = f"Upgrade to {best.name}", f"Upgrade to {best.name} to get more."
    return {
        "scenario": scenario,
        "title": title,
        "message": f"{reason} {advice}",
        "feature_id": feature.id,
        "feature_name": feature.name,
        "products": [product_json(plan, env, catalog, Offered(kind)) for plan, kind in offers],
    }


def scenario_of(offer: Offer, now: int) -> str:
    """The same in 1.x's words: `new`, `upgrade`, `downgrade`, `cancel` (a downgrade to what costs nothing), or of a plan
    that is held `active`, `scheduled`, or `renew` where it is to end. An add-on that costs nothing is new each time."""
    held, replaced = offer.held, offer.replaced
    if offer.attaching is Attaching.NONE and held is not None and not (held.add_on and offer.cost.free):
        running = held.status(now) == "active"
        return "renew" if running and held.canceled_at is not None else held.status(now)
    if replaced is None or offer.attaching is Attaching.PURCHASE or (replaced.free and offer.cost.free):
        return "new"
    if offer.attaching is Attaching.DOWNGRADE and offer.cost.free:
        return "cancel"
    return offer.attaching.value


def offered(
    plans: Iterable[Plan], holdings: Holdings, granting: set[str], features: Mapping[str, Feature], now: int
) -> Sequence[tuple[Plan, str]]:
    """The plans that grant one of these features and could be attached, each with its scenario (`new` or `upgrade`).

    Main plans come first and add-ons last, each in order of price.
    """
    at = holdings.time(now)
    found: list[tuple[Plan, str]] = []
    for plan in plans:
        if plan.archived or not any(item.feature_id in granting for item in plan.items):
            continue
        scenario = scenario_of(offer_of(holdings, plan, features, at), at)
        if scenario in ("new", "upgrade"):
            found.append((plan, scenario))
    return sorted(found, key=lambda offer: (offer[0].add_on, _monthly(offer[0].price), offer[0].id))


def _monthly(price: BasePrice | None) -> Any:
    return price.monthly if price else ZERO
