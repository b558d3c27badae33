"""One customer of the specification's examples, in pure holdings: the catalogue of autumn.md 5, its words for items, a clock.

Numbers may be written as they are printed there (37.82): they become decimals by their text.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain import entities, manual_balances, subscriptions, views
from tollgate.domain.balances import Balance, BalanceKey, all_as_of, as_of
from tollgate.domain.controls import NO_CONTROLS, Controls, OverageControl, SpendControl, UsageControl
from tollgate.domain.customers import Customer, Entity, Holdings, Subscription, linked
from tollgate.domain.decisions import Check, Decision, Overage, UseRequest, check, use
from tollgate.domain.drawing import totals
from tollgate.domain.features import Catalog, Feature, FeatureType
from tollgate.domain.grants import Grant, Rollover, RolloverRule
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import PREPAID, USAGE_BASED, BasePrice, ItemPrice, Plan, PlanItem

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MONTH = Reset(Interval.MONTH)
CAP, REJECT, OVERFLOW = Overage.CAP, Overage.REJECT, Overage.OVERFLOW

Number = int | float | Decimal


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def d(number: Number) -> Decimal:
    return Decimal(str(number))


def n(*numbers: Number) -> tuple[Decimal, ...]:
    return tuple(map(d, numbers))


NOW = ms("2026-01-01")


def _metered(id: str, *events: str, consumable: bool = True) -> Feature:
    return Feature(id, id.title(), FeatureType.METERED, consumable, events)


def _pool(id: str, **costs: float) -> Feature:
    schema = tuple((member, d(cost)) for member, cost in costs.items())
    return Feature(id, id.title(), FeatureType.CREDIT_SYSTEM, credit_schema=schema)


CATALOG = Catalog(
    {
        feature.id: feature
        for feature in (
            Feature("dashboard", "Dashboard", FeatureType.BOOLEAN),
            *(_metered(id) for id in ("messages", "words", "storage", "action2")),
            *(_metered(id, "action-event") for id in ("action1", "action3")),
            *(_metered(id, consumable=False) for id in ("users", "workflows", "admin")),
            _pool("credits", action1=0.2, action2=0.6),
            _pool("credits2", action3=1.4),
            _pool("credits3", action1=2),
        )
    }
)


# ------------------------------------------------------------------ items


class Bought(NamedTuple):
    """A prepaid item and the quantity bought of it, the included units among them."""

    item: PlanItem
    quantity: Decimal


def flag(feature: str = "dashboard") -> PlanItem:
    return PlanItem(feature)


def every(
    reset: Interval, included: Number, feature: str = "messages", rollover: RolloverRule | None = None
) -> PlanItem:
    return PlanItem(feature, d(included), reset=Reset(reset), rollover=rollover)


def monthly(included: Number, feature: str = "messages", rollover: RolloverRule | None = None) -> PlanItem:
    return every(Interval.MONTH, included, feature, rollover)


def lifetime(included: Number, feature: str = "messages") -> PlanItem:
    return every(Interval.ONE_OFF, included, feature)


def unlimited(feature: str = "messages") -> PlanItem:
    return PlanItem(feature, unlimited=True)


def consumable(
    included: Number, feature: str = "messages", most: Number | None = None, reset: Reset = MONTH
) -> PlanItem:
    """Pay-per-use over what is included, `most` units of it."""
    price = ItemPrice(USAGE_BASED, None if most is None else d(most), d(0.5))
    return PlanItem(feature, d(included), reset=reset, price=price)


def prepaid(included: Number, more: Number, feature: str = "messages", reset: Reset = MONTH) -> Bought:
    item = PlanItem(feature, d(included), reset=reset, price=ItemPrice(PREPAID, amount=d(1)))
    return Bought(item, d(included) + d(more))


def seats(included: Number, feature: str = "users", *, paid: bool = False) -> PlanItem:
    return PlanItem(feature, d(included), price=ItemPrice(USAGE_BASED, amount=d(50)) if paid else None)


def per_entity(item: PlanItem) -> PlanItem:
    return replace(item, entity_feature_id="users")


def rolling(most: Number | None = None, months: int | None = 1, *, percent: Number | None = None) -> RolloverRule:
    return RolloverRule(None if most is None else d(most), None if percent is None else d(percent), months)


def price(amount: Number) -> BasePrice:
    return BasePrice(d(amount), Interval.MONTH)


# ------------------------------------------------------------------ controls

Control = SpendControl | UsageControl | OverageControl


def spend(limit: Number, feature: str | None = "messages", *, percentage: bool = False, on: bool = True) -> Control:
    return SpendControl(feature, on, percentage, d(limit))


def limit(
    most: Number, feature: str = "messages", interval: Interval = Interval.MONTH, *, utc: bool = False, **only: str
) -> Control:
    return UsageControl(feature, d(most), interval, utc=utc, filter=tuple(only.items()))


def overage(on: bool, feature: str = "messages") -> Control:
    return OverageControl(feature, on)


def controls(*all: Control) -> Controls:
    return Controls(
        tuple(control for control in all if isinstance(control, SpendControl)),
        tuple(control for control in all if isinstance(control, UsageControl)),
        tuple(control for control in all if isinstance(control, OverageControl)),
    )


# ------------------------------------------------------------------ the customer


class View(NamedTuple):
    """A balance as a customer or an entity sees it. `granted` counts what was bought, `overage` is beside the rest."""

    granted: Decimal
    remaining: Decimal
    usage: Decimal
    prepaid: Decimal
    overage: Decimal

    @property
    def purchased(self) -> Decimal:
        """As V2.0 shows it: bought in advance, or overdrawn."""
        return self.prepaid + self.overage


class Scenario:
    """A customer whose plan holds `items`; the entities e1, e2 ... are there from the start. `now` only grows."""

    def __init__(
        self, *items: PlanItem | Bought, entities: int = 0, now: int = NOW, keeps_overage: bool = False, **customer: Any
    ) -> None:
        self.now = now
        self.holdings = Holdings(Customer("c1", created_at=now, **customer))
        self.keeps_overage = keeps_overage
        if items:
            self.attach(*items)
        for number in range(entities):
            self.entity(f"e{number + 1}")

    # -------------------------------------------------------------- what happens

    def attach(
        self,
        *items: PlanItem | Bought,
        plan: str | None = None,
        add_on: bool = False,
        group: str | None = None,
        price: BasePrice | None = None,
        controls: Controls = NO_CONTROLS,
        entity: str | None = None,
        **terms: Any,
    ) -> str:
        """Attaches a plan of these items (a new one, unless it is named); the subscription's id."""
        id = f"sub_{len(self.holdings.subscriptions) + 1}"
        bare = tuple(item.item if isinstance(item, Bought) else item for item in items)
        quantities = {item.item.feature_id: item.quantity for item in items if isinstance(item, Bought)}
        offered = Plan(
            plan or f"plan_of_{id}", "", group=group, add_on=add_on, items=bare, price=price, controls=controls
        )
        agreed = subscriptions.Terms(entity, quantities, keeps_overage=self.keeps_overage, **terms)
        self.holdings = subscriptions.attach(self.holdings, offered, CATALOG, id, self.now, agreed)
        return id

    def cancel(self, subscription: str, *, at_end: bool) -> None:
        self.holdings = subscriptions.cancel(self.holdings, CATALOG, subscription, self.now, at_end=at_end)

    def uncancel(self, subscription: str) -> None:
        self.holdings = subscriptions.uncancel(self.holdings, CATALOG, subscription, self.now)

    def quantity(self, subscription: str, quantity: Number, feature: str = "messages") -> None:
        bought = {feature: d(quantity)}
        self.holdings = subscriptions.update_quantities(self.holdings, CATALOG, subscription, bought, self.now)

    def entity(self, id: str, feature: str = "users") -> None:
        self.holdings = entities.add_entity(
            self.holdings, CATALOG, Entity(id, feature), self.now, keeps_overage=self.keeps_overage
        )

    def remove_entity(self, id: str) -> None:
        self.holdings = entities.remove_entity(self.holdings, CATALOG, id, self.now)

    def control(self, *all: Control, entity: str | None = None) -> None:
        """Sets the customer's (or an entity's) billing controls."""
        held, new = self.holdings, controls(*all)
        if entity is None:
            held = replace(held, customer=replace(held.customer, controls=new))
        else:
            changed = replace(held.entities[entity], controls=new)
            held = replace(held, entities={**held.entities, entity: changed})
        self.holdings = linked(held, CATALOG, self.now)

    def track(
        self,
        value: Number = 1,
        feature: str = "messages",
        entity: str = "",
        overage: Overage = CAP,
        **properties: object,
    ) -> Decision:
        balances = self.holdings.balances
        asked = CATALOG.feature(feature)
        decision = use(
            UseRequest(asked, CATALOG.pools(feature), entity, d(value), overage, properties), balances, self.now
        )
        self.holdings = replace(self.holdings, balances={**balances, **decision.balances})
        return decision

    def event(self, name: str, value: Number) -> list[Decision]:
        return [self.track(value, feature.id) for feature in CATALOG.listening(name)]

    def create(
        self, id: str, included: Number | None, feature: str = "messages", entity: str = "", **more: Any
    ) -> None:
        grant = manual_balances.NewBalance(id, feature, entity, None if included is None else d(included), **more)
        self.holdings = manual_balances.create(self.holdings, CATALOG, grant, self.now)

    def update(
        self,
        feature: str = "messages",
        entity: str = "",
        id: str | None = None,
        interval: Interval | None = None,
        *,
        next_reset_at: int | None = None,
        expires_at: int | None = None,
        **amounts: Number,
    ) -> None:
        """Sets `remaining`, `usage`, `add` or `included`."""
        exact: dict[str, Any] = {name: d(amount) for name, amount in amounts.items()}
        change = manual_balances.BalanceUpdate(next_reset_at=next_reset_at, expires_at=expires_at, **exact)
        which = manual_balances.BalanceFilter(feature, entity, id, interval)
        self.holdings = manual_balances.update(self.holdings, CATALOG, which, change, self.now)

    def delete(
        self, id: str | None = None, feature: str | None = "messages", entity: str = "", *, recalculate: bool = False
    ) -> None:
        which = manual_balances.BalanceFilter(feature, entity, id)
        self.holdings = manual_balances.delete(self.holdings, CATALOG, which, self.now, recalculate=recalculate)

    def later(self, ms: int) -> None:
        self.now += ms

    def reset(self, feature: str = "messages", *entities: str) -> None:
        """Forces the next reset of the customer's grant (or of each entity's) to a day from now, and goes there."""
        for entity in entities or ("",):
            self.update(feature, entity, next_reset_at=self.now + DAY)
        self.later(DAY)

    # -------------------------------------------------------------- what is seen

    def check(self, required: Number = 1, feature: str = "messages", entity: str = "", **properties: object) -> Check:
        asked, balances = CATALOG.feature(feature), all_as_of(self.holdings.balances, self.now)
        return check(UseRequest(asked, CATALOG.pools(feature), entity, d(required), properties=properties), balances)

    def may(self, required: Number = 1, feature: str = "messages", entity: str = "", **properties: object) -> bool:
        return self.check(required, feature, entity, **properties).allowed

    def balance(self, feature: str = "messages", entity: str = "") -> Balance:
        return as_of(self.holdings.balances[BalanceKey(feature, entity)], self.now)

    def grants(self, feature: str = "messages", entity: str = "") -> list[Grant]:
        """What the customer sees: its grants and every entity's; or what an entity sees: its own grants, then the customer's."""
        seen = views.balances_seen(feature, entity, all_as_of(self.holdings.balances, self.now))
        return [grant for balance in seen for grant in balance.live_grants]

    def shown(self, feature: str = "messages", entity: str = "") -> views.View | None:
        return views.view(feature, entity, all_as_of(self.holdings.balances, self.now))

    def grant(self, plan_or_id: str, feature: str = "messages", entity: str = "") -> Grant:
        """The one grant of a subscription (by its id), or the grant of that id."""
        (found,) = [
            grant
            for grant in self.grants(feature, entity)
            if plan_or_id in (grant.id, grant.subscription_id, grant.plan_id)
        ]
        return found

    def left(self, feature: str = "messages", entity: str = "") -> list[Decimal]:
        """What each grant still holds."""
        return [grant.remaining for grant in self.grants(feature, entity)]

    def rollovers(self, feature: str = "messages", entity: str = "") -> list[Decimal]:
        """What each rollover still holds."""
        found: list[Rollover] = [r for grant in self.grants(feature, entity) for r in grant.rollovers]
        return [rollover.remaining for rollover in found]

    def view(self, feature: str = "messages", entity: str = "") -> View:
        grants = self.grants(feature, entity)
        sums = totals(grants)
        prepaid = sum((grant.prepaid for grant in grants), d(0))
        return View(sums.granted, sums.remaining, sums.usage, prepaid, sum((grant.overdrawn for grant in grants), d(0)))

    def gru(self, feature: str = "messages", entity: str = "") -> tuple[Decimal, Decimal, Decimal]:
        """Granted, remaining, usage."""
        return self.view(feature, entity)[:3]

    def ru(self, feature: str = "messages", entity: str = "") -> tuple[Decimal, Decimal]:
        """Remaining, usage."""
        return self.view(feature, entity)[1:3]

    def remaining(self, feature: str = "messages", entity: str = "") -> Decimal:
        return self.view(feature, entity).remaining

    def counter(self, feature: str = "messages", entity: str = "") -> Decimal:
        """What its one usage limit has counted."""
        (window,) = self.balance(feature, entity).limits.windows
        return window.used

    def subscription(self, id: str) -> Subscription:
        return self.holdings.subscriptions[id]

    def status(self, id: str) -> str:
        return self.subscription(id).status(self.now)
