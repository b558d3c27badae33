"""Which plans cannot run beside each other, and what becomes of the one that is held when another is attached.

The whole of it, for a plan that is attached beside its rival (management.md 6):

| held | attached | it starts | what becomes of the held plan |
|---|---|---|---|
| nothing | any | at once | |
| the same version, running or scheduled, nothing else asked | the same | refused: it is attached already | |
| the same version, but it is to end | the same | it goes on (a renewal) | its end is taken back |
| the same plan, changed | the same | at once | ends; what was used stays used |
| running | an upgrade, or as dear | at once | ends |
| running | a downgrade | with the next cycle | runs to the end of its cycle |
| scheduled | any | as above | never starts; what it was to replace is as before it was scheduled |

A time or a schedule that is asked for goes before the table's. What becomes of the grants of a plan that ends, by this
table or by time alone, is the same now and later: `domain.handovers`. A plan that comes back before its grants would
have reset goes on where it left off, and in its cycle (`left_off`).

Where a plan ends and none follows, or a later one only after a gap, the automatic
plan of its group comes back until then (`returning`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tollgate.domain.balances import as_of
from tollgate.domain.customers import Holdings, Subscription
from tollgate.domain.features import Feature
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import USAGE_BASED, BasePrice, ItemPrice, Plan, PlanItem
from tollgate.domain.quantities import ZERO

_MONTH_MS = 2_592_000_000


class Cost(NamedTuple):
    """What a plan costs, as far as two plans are compared by it.

    - `monthly`: the base price, and the price of one unit of each prepaid item and each seat (a tiered price's first
      tier): what recurs, per thirty days; what is paid once, as it is.
    - `interval_ms`: the longest interval that one of them recurs in.
    - `one_off`: it has prices, and none recurs. `by_use`: all of its prices are for consumable units as they are used.
    """

    monthly: Decimal = ZERO
    interval_ms: int = 0
    one_off: bool = False
    by_use: bool = False

    @property
    def free(self) -> bool:
        """Whether it costs nothing at all."""
        return not (self.monthly or self.one_off or self.by_use)


def cost_of(price: BasePrice | None, items: Iterable[PlanItem], features: Mapping[str, Feature]) -> Cost:
    """What a plan (or a subscription) with this base price and these items costs."""
    recurring: list[tuple[Decimal, int]] = []
    once: list[Decimal] = []
    by_use = False

    def add(amount: Decimal, reset: Reset | None) -> None:
        if amount > 0 and reset is not None and reset.nominal_ms:
            recurring.append((amount * _MONTH_MS / reset.nominal_ms, reset.nominal_ms))
        elif amount > 0:
            once.append(amount)

    if price:
        add(price.amount, _recurring(price.interval, price.interval_count))
    for item in items:
        if item.price is None:
            continue
        amount = _unit_price(item.price)
        feature = features.get(item.feature_id)
        if item.price.billing_method == USAGE_BASED and (feature is None or feature.consumable):
            by_use = by_use or _costs(item.price)
            continue
        add(amount, _billed_every(item, price))
    monthly = sum((amount for amount, _ in recurring), ZERO)
    longest = max((ms for _, ms in recurring), default=0)
    return Cost(monthly + sum(once, ZERO), longest, bool(once and not recurring), by_use and not recurring and not once)


def _recurring(interval: Interval, count: int) -> Reset | None:
    return None if interval is Interval.ONE_OFF else Reset(interval, count)


def _billed_every(item: PlanItem, base: BasePrice | None) -> Reset | None:
    """The interval of an item's price: its own, else the item's reset, else the base price's, else a month."""
    if item.price and item.price.interval:
        return _recurring(item.price.interval, item.price.interval_count)
    if item.reset:
        return item.reset
    return _recurring(base.interval, base.interval_count) if base else Reset(Interval.MONTH)


def _unit_price(price: ItemPrice) -> Decimal:
    if price.amount is None and price.tiers:
        return Decimal(price.tiers[0].get("amount") or 0)
    return price.amount or ZERO


def _costs(price: ItemPrice) -> bool:
    """Whether any unit costs something: of a tiered price, one of any tier, or a tier itself."""
    return _unit_price(price) > 0 or any(tier.get("amount") or tier.get("flat_amount") for tier in price.tiers)


def is_downgrade(held: Cost, new: Cost) -> bool:
    """Whether a plan of the cost `new` waits for the end of the held one's cycle. An equal price does not.

    From what costs something to what costs nothing is a downgrade, the other way an upgrade. A price paid once, and a
    longer interval, are no downgrades, whatever they amount to; nor is one of two plans that are paid by use alone.
    """
    if held.free or new.free:
        return not held.free
    if held.one_off or new.one_off or new.interval_ms > held.interval_ms:
        return False
    return new.monthly < held.monthly


# ------------------------------------------------------------------ rivals


class Rivalry(NamedTuple):
    """What tells whether two subscriptions can run beside each other.

    Main plans of one group cannot, nor can the same main plan twice, on one customer or one entity and with the same
    filters. No group is one group too, but for a plan that `stacks`: one that was attached to stand beside others. An
    add-on, and a plan that is paid once, can run beside any: they are `independent`.
    """

    plan_id: str
    group: str | None
    entity_id: str | None
    independent: bool
    stacks: bool
    filters: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, held: Subscription, features: Mapping[str, Feature]) -> Rivalry:
        """That of a subscription."""
        independent = held.add_on or cost_of(held.price, held.items, features).one_off
        return cls(held.plan_id, held.group, held.entity_id, independent, held.stacks, frozenset(held.filters))

    def excludes(self, other: Rivalry) -> bool:
        """Whether the two cannot both run."""
        if self.independent or other.independent or self.entity_id != other.entity_id or self.filters != other.filters:
            return False
        if self.plan_id == other.plan_id:
            return True
        return self.group == other.group and (self.group is not None or not (self.stacks or other.stacks))


def rivals(holdings: Holdings, one: Rivalry, features: Mapping[str, Feature], now: int) -> list[Subscription]:
    """The subscriptions, running or scheduled, that cannot run beside one like this; the running ones first."""
    found = [held for held in holdings.subscriptions.values() if held.status(now) != "expired"]
    found = [held for held in found if one.excludes(Rivalry.of(held, features))]
    return sorted(found, key=lambda held: (held.started_at, held.created_at, held.id))


def running(held: Sequence[Subscription], now: int) -> Subscription | None:
    """The first of these subscriptions that runs."""
    return next((one for one in held if one.status(now) == "active"), None)


def overlaps(held: Subscription, starts_at: int, ends_at: int | None) -> bool:
    """Whether a subscription runs at any time from `starts_at` to `ends_at` (epoch ms; None: for ever)."""
    return (held.expires_at is None or held.expires_at > starts_at) and (ends_at is None or held.started_at < ends_at)


def left_off(holdings: Holdings, new: Subscription, now: int) -> Subscription | None:
    """The customer's subscription to the same plan with which a new one goes on: something was used of it in a period
    that still runs when the new one starts. The last such; None: there is none."""
    ended = {
        grant.subscription_id
        for balance in holdings.balances.values()
        for grant in as_of(balance, now).left_off
        if (grant.plan_id, grant.filters) == (new.plan_id, new.filters)
        and grant.next_reset_at is not None
        and grant.next_reset_at > new.started_at
    }
    found = [s for s in holdings.subscriptions.values() if s.id in ended and s.entity_id == new.entity_id]
    return max(found, key=lambda held: (held.expires_at or 0, held.created_at, held.id), default=None)


def trials_used(holdings: Holdings) -> list[str]:
    """The ids of the plans of which the customer or one of its entities has had a trial, the first had first. One that
    was taken back before it began does not count.
    """
    trials = [
        held
        for held in holdings.subscriptions.values()
        if held.trial_ends_at is not None and (held.expires_at is None or held.expires_at >= held.started_at)
    ]
    return list(dict.fromkeys(held.plan_id for held in sorted(trials, key=lambda held: (held.started_at, held.id))))


def had_trial(holdings: Holdings, plan_id: str) -> bool:
    """Whether a trial of this plan has been given: there is one for each plan."""
    return plan_id in trials_used(holdings)


# ------------------------------------------------------------------ the automatic plan


def returning(
    before: Holdings, after: Holdings, automatic: Iterable[Plan], features: Mapping[str, Feature], now: int
) -> list[tuple[Plan, int]]:
    """The automatic plans that come back after a change, each with the time (epoch ms) at which it does: where the
    customer's plan of its group ends, and no other starts at that time.

    A plan that costs something never comes by itself; nor does an automatic plan follow itself. Where none has run
    until this change, and none is to, nothing comes back.
    """
    found = []
    for plan in automatic:
        if not cost_of(plan.price, plan.items, {}).free:  # any price tells, whatever its feature
            continue
        own = Rivalry(plan.id, plan.group, None, plan.add_on, False, frozenset())
        held = [s for s in after.subscriptions.values() if own.excludes(Rivalry.of(s, features))]
        found += [(plan, at) for at in _uncovered(before, held, plan.id, now)]
    return found


def _uncovered(before: Holdings, held: Sequence[Subscription], automatic_id: str, now: int) -> list[int]:
    """When (epoch ms) one of the subscriptions `held` ends that another does not follow, and it is not one to the
    automatic plan: one that runs or is to start, or one that this change has ended."""
    live = sorted((s for s in held if s.status(now) != "expired"), key=lambda s: s.started_at)
    ended = any(
        s.id in before.subscriptions
        and before.subscriptions[s.id].status(now) == "active"
        and s.status(now) == "expired"
        and s.plan_id != automatic_id
        for s in held
    )
    starts = {s.started_at for s in live}
    ends = [s.expires_at for s in live if s.plan_id != automatic_id and s.expires_at is not None]
    nothing_runs = all(start > now for start in starts)
    return [*([now] if ended and nothing_runs else []), *(end for end in ends if end not in starts)]


# ------------------------------------------------------------------ what attaching a plan would be


class Attaching(StrEnum):
    """What attaching a plan would be, for a customer."""

    ACTIVATE = "activate"  # it starts
    PURCHASE = "purchase"  # the same, of a plan that is paid once
    UPGRADE = "upgrade"  # it replaces the one that runs, now
    DOWNGRADE = "downgrade"  # it replaces it at the end of the cycle
    NONE = "none"  # it is attached, or scheduled, already: one that is to end too


class Offer(NamedTuple):
    """A plan as a customer (or an entity) finds it.

    - `held`: the subscription to the plan, running or scheduled.
    - `trial_available`: attaching it would begin a trial; None: the plan has none.
    - `cost`: what it costs. `replaced`: what the plan that runs in its place costs; None: none does.
    """

    attaching: Attaching
    held: Subscription | None
    trial_available: bool | None
    cost: Cost
    replaced: Cost | None = None


def offer_of(
    holdings: Holdings, plan: Plan, features: Mapping[str, Feature], now: int, entity_id: str | None = None
) -> Offer:
    """What attaching this plan to the customer itself, or to one of its entities, would be at its time `now`."""
    cost = cost_of(plan.price, plan.items, features)
    own = Rivalry(plan.id, plan.group, entity_id, plan.add_on or cost.one_off, False, frozenset())
    mine = [s for s in holdings.subscriptions.values() if s.plan_id == plan.id and s.entity_id == entity_id]
    mine = sorted((s for s in mine if s.status(now) != "expired"), key=lambda s: s.started_at)
    held = running(mine, now) or next(iter(mine), None)
    trial = None if plan.free_trial is None else not had_trial(holdings, plan.id)
    current = None if own.independent else running(rivals(holdings, own, features, now), now)
    replaced = None if current is None else cost_of(current.price, current.items, features)
    if cost.one_off:
        attaching = Attaching.PURCHASE
    elif held is not None:
        attaching = Attaching.NONE
    elif replaced is None:
        attaching = Attaching.ACTIVATE
    else:
        attaching = Attaching.DOWNGRADE if is_downgrade(replaced, cost) else Attaching.UPGRADE
    return Offer(attaching, held, trial, cost, replaced)
