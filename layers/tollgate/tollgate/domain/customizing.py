"""What of a plan differs for one subscription, and what becomes of one whose plan is put together anew while it runs
(management.md 18).

The subscription stays: its id, its cycle, its end, what was bought. Each feature whose items differ is handed over from
the items as they were to those that are, as if the plan had ended and come back at once (`domain.handovers`): what was
used is deducted, the period and rollovers go on. A feature whose items are the same is not touched.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from tollgate.domain.controls import Controls
from tollgate.domain.customers import Holdings, Subscription, grants_of
from tollgate.domain.errors import InvalidRequest
from tollgate.domain.features import Catalog
from tollgate.domain.grants import Takes
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plan_changes import cost_of
from tollgate.domain.plan_grants import granted_by
from tollgate.domain.plans import PREPAID, BasePrice, PlanItem
from tollgate.domain.subscriptions import held_subscription, with_subscriptions

_GOES_ON = Takes(resumes=True, resumes_period=True)


class Customizing(NamedTuple):
    """What is to differ, in place of what is there; None: as it is. A `price` of (None,) is none."""

    items: tuple[PlanItem, ...] | None = None
    price: tuple[BasePrice | None] | None = None
    controls: Controls | None = None

    def of_subscription(self, held: Subscription) -> Subscription:
        """The subscription after it. Quantities stay of what is still prepaid."""
        items = held.items if self.items is None else tuple(_scoped(item, held) for item in self.items)
        prepaid = {item.feature_id for item in items if item.price and item.price.billing_method == PREPAID}
        return replace(
            held,
            items=items,
            quantities={id: quantity for id, quantity in held.quantities.items() if id in prepaid},
            price=held.price if self.price is None else self.price[0],
            controls=held.controls if self.controls is None else self.controls,
        )


def _scoped(item: PlanItem, held: Subscription) -> PlanItem:
    """An item that the subscription has is as it is there; another is the subscription's own."""
    own = (mine for mine in held.items if replace(mine, scoped=item.scoped) == item)
    return next(own, replace(item, scoped=True))


def customize(
    holdings: Holdings,
    catalog: Catalog,
    subscription_id: str,
    changed: Subscription,
    now: int,
    *,
    keeps_overage: bool = False,
) -> Holdings:
    """The holdings with a running subscription `changed`, as `Customizing.of_subscription` makes it.

    Raises NotFound where it is not held, and InvalidRequest where it has not started, or would get another billing cycle,
    or where one of the two is paid once and the other recurs.
    """
    held = held_subscription(holdings, subscription_id, now)
    if held.status(now) == "scheduled":
        raise InvalidRequest(f"Subscription {subscription_id} has not started: attach the plan anew instead")
    _check_cycle(held, changed, catalog)
    changed = replace(changed, items=_in_held_order(held.items, changed.items))
    entities = tuple(holdings.entities.values())
    before = granted_by(held, entities, catalog, now, keeps_overage)
    after = granted_by(changed, entities, catalog, now, keeps_overage)
    changes = grants_of(holdings, now)
    for key in {**before, **after}:
        if before.get(key) == after.get(key):
            continue
        ending = tuple(
            grant._replace(expires_at=now) if grant.subscription_id == subscription_id else grant
            for grant in changes.get(key, ())
        )
        coming = tuple(grant._replace(starts_at=now, takes=_GOES_ON) for grant in after.get(key, ()))
        changes[key] = (*ending, *coming)
    return with_subscriptions(holdings, catalog, {**holdings.subscriptions, subscription_id: changed}, changes, now)


def _in_held_order(held: tuple[PlanItem, ...], items: tuple[PlanItem, ...]) -> tuple[PlanItem, ...]:
    """The items, of which those that are held already come first and as they stood: a grant's id tells the place of its
    item, so another order alone changes nothing."""
    new, kept = list(items), []
    for item in held:
        if item in new:
            new.remove(item)
            kept.append(item)
    return (*kept, *new)


def _check_cycle(held: Subscription, changed: Subscription, catalog: Catalog) -> None:
    before, after = (cost_of(each.price, each.items, catalog.features) for each in (held, changed))
    if before.one_off != after.one_off:
        raise InvalidRequest(
            "A plan that is paid once cannot be made to recur, nor the other way round: attach the plan anew"
        )
    price = changed.price
    if price == held.price or price is None or price.interval is Interval.ONE_OFF:
        return
    if held.cycle != Reset(price.interval, price.interval_count):
        raise InvalidRequest("A price of another interval would begin another billing cycle: attach the plan anew")
