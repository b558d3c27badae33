"""How a check is decided, and what a use does to the balances.

Read from the top: `sources_of` says which items answer for a feature and in which order, `allows` is the answer of a
read-only check, `use` is a use thought through grant by grant (the slow path), and `fast_path` is the same decision as the store
makes it in one conditional write. Where `fast_path` decides, it decides exactly as `use` does.

balances holds what the decision may touch: balance items of one customer, by place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from tollgate.domain.balances import (
    ENTITIES,
    Balance,
    BalanceKey,
    Eligible,
    apply_spent,
    as_of,
    draw,
    draw_overage,
    lift,
    overage_cap,
    recomputed,
    refill,
    spend_room,
    totals,
    with_usage_counted,
)
from tollgate.domain.features import Feature, Pool
from tollgate.domain.grants import Grant
from tollgate.domain.limits import NO_LIMITS, Limits, Window
from tollgate.domain.quantities import ZERO, converted, unconverted

Balances = Mapping[BalanceKey, Balance]
ONE = Decimal(1)


class Overage(StrEnum):
    """What becomes of the part of a use that the balances do not cover (autumn.md 3.4)."""

    CAP = "cap"  # it is dropped
    REJECT = "reject"  # the whole use is refused
    OVERFLOW = "overflow"  # it goes through, past any floor but a spend limit's
    REPORTED = "reported"  # it has happened: it goes through, past any limit (lotus.md 0.7)

    @property
    def passes(self) -> bool:
        return self in (Overage.OVERFLOW, Overage.REPORTED)


class Source(NamedTuple):
    """One item that pays for a feature. `cost`: its units for one unit of what is asked. `shares_only`: of an entity's
    item, only the shares that the customer's own plans gave it. `properties`: only the grants whose filters a use with these
    passes; None for all."""

    key: BalanceKey
    cost: Decimal = ONE
    shares_only: bool = False
    properties: Mapping[str, Any] | None = None

    def may(self, grant: Grant) -> bool:
        return (
            grant.starts_at is None
            and (grant.entity_share or not self.shares_only)
            and (self.properties is None or grant.matches(self.properties))
        )


class Deduction(NamedTuple):
    """What moved on one grant, in units of its feature: above zero consumed, below zero given back."""

    feature_id: str
    grant: Grant
    value: Decimal


class Decision(NamedTuple):
    """`balances` is folded: after an allowed use, or as it stood at the time of a refused one.

    `drawn` is what moved in units of what was asked: above zero consumed, below zero given back. `usage_limited`: a
    refusal for a usage limit and not for the balance. `counted`: the balance keys whose usage limits counted it.
    """

    allowed: bool
    drawn: Decimal
    balances: Balances
    deductions: tuple[Deduction, ...] = ()
    usage_limited: bool = False
    counted: tuple[BalanceKey, ...] = ()

    def changed(self, before: Balances) -> dict[BalanceKey, Balance]:
        """The balances that differ."""
        return {key: balance for key, balance in self.balances.items() if before.get(key) != balance}


def sources_of(
    feature_id: str,
    pools: Sequence[Pool],
    entity_id: str,
    balances: Balances,
    properties: Mapping[str, Any] | None = None,
) -> tuple[Source, ...]:
    """The items that pay for a feature, in deduction order (autumn.md 3.1 (steps 1 to 3)).

    With an entity its own items come first, then the customer's; without, the customer's, then each entity's shares by
    entity id. In each, the feature itself comes before the credit pools, in the catalog's order.
    """
    ranked = ((feature_id, ONE), *((pool.feature_id, pool.cost) for pool in pools))
    levels = [entity_id, ""] if entity_id else ["", *sorted({key.entity_id for key in balances} - {""})]
    found = []
    for level in levels:
        for id, cost in ranked:
            balance = balances.get(BalanceKey(id, level))
            if balance is None or balance.flag or (entity_id and not level and balance.unpooled):
                continue
            found.append(Source(balance.key, cost, not entity_id and level != "", properties))
    return tuple(found)


# ------------------------------------------------------------------ what bounds a request


def limits_of(feature_id: str, entity_id: str, balances: Balances) -> Limits:
    """What bounds a feature in a request: an entity's controls over the customer's (autumn.md 3.5)."""
    customer = _limits_at(BalanceKey(feature_id), balances)
    entity = _limits_at(BalanceKey(feature_id, entity_id), balances) if entity_id else NO_LIMITS
    return Limits(
        customer.overage_allowed if entity.overage_allowed is None else entity.overage_allowed,
        entity.spend or customer.spend,
        entity.windows or customer.windows,
    )


def _limits_at(key: BalanceKey, balances: Balances) -> Limits:
    return balances[key].limits if key in balances else NO_LIMITS


def _windows_key(feature_id: str, entity_id: str, balances: Balances) -> BalanceKey:
    """The item that counts a feature's usage limits for a request."""
    own = BalanceKey(feature_id, entity_id)
    return own if entity_id and _limits_at(own, balances).windows else BalanceKey(feature_id)


def _spend_scope(feature_id: str, entity_id: str, balances: Balances) -> list[Grant]:
    """The grants whose overage counts against the spend limit: an entity's limit sees what the entity sees, a customer's
    sees all."""
    own = BalanceKey(feature_id, entity_id)
    if entity_id and _limits_at(own, balances).spend:
        keys: Iterable[BalanceKey] = (own, BalanceKey(feature_id))
    else:
        keys = (key for key in balances if key.feature_id == feature_id)
    return [grant for key in keys if key in balances for grant in balances[key].live_grants]


# ------------------------------------------------------------------ check


def is_granted(feature_id: str, entity_id: str, balances: Balances) -> bool:
    """Whether anything grants the feature there."""
    return any(
        grant for source in sources_of(feature_id, (), entity_id, balances) for grant in _grants(source, balances)
    ) or has_flag(feature_id, entity_id, balances)


def has_flag(feature_id: str, entity_id: str, balances: Balances) -> bool:
    """Whether a boolean or static feature is held: by the customer, or by the entity."""
    held = [balances[key] for key in {BalanceKey(feature_id), BalanceKey(feature_id, entity_id)} if key in balances]
    shared = [flag for flag in held if flag.key.entity_id == entity_id or not flag.unpooled]
    return any(balance.flag and balance.live_grants for balance in shared)


def allows(
    feature_id: str, entity_id: str, required: Decimal, properties: Mapping[str, Any], balances: Balances
) -> bool:
    """Whether a balances as of one instant allows a use of `required` units of this one feature (autumn.md 2.1)."""
    if has_flag(feature_id, entity_id, balances):
        return True
    sources = sources_of(feature_id, (), entity_id, balances, properties)
    grants = [grant for source in sources for grant in _grants(source, balances)]
    if not grants:
        return False
    if any(grant.unlimited for grant in grants) or required < 0:
        return True
    limits = limits_of(feature_id, entity_id, balances)
    if any(window.matches(properties) and window.limit - window.used < required for window in limits.windows):
        return False
    left = required - totals(grants).remaining
    if left <= 0:
        return True
    cap_of = overage_cap(limits)
    caps = [(grant, cap_of(grant)) for grant in grants]
    if all(cap == 0 for _, cap in caps):
        return False
    room = spend_room(limits, _spend_scope(feature_id, entity_id, balances))
    if room is not None:
        return left <= room
    if any(cap is None for _, cap in caps):
        return True
    return left <= sum((max(ZERO, cap - grant.overdrawn) for grant, cap in caps if cap is not None), ZERO)


class Check(NamedTuple):
    """The answer of a check: the feature that answers (itself or a credit pool), what it asks of it, and whether it may."""

    allowed: bool
    feature_id: str
    required: Decimal


def check(
    feature: Feature,
    pools: Sequence[Pool],
    entity_id: str,
    required: Decimal,
    properties: Mapping[str, Any],
    balances: Balances,
) -> Check:
    """Whether `required` units may be used now, in a balances as of one instant, and which feature answers (autumn.md 2.1, 2.2).

    The feature itself if it alone would allow; else the first credit pool that would (asked for the plain number), else
    the first one held; else itself if held, else the first pool in the catalog.
    """
    held = is_granted(feature.id, entity_id, balances)
    if held and allows(feature.id, entity_id, required, properties, balances):
        return Check(True, feature.id, required)
    owned = [pool for pool in pools if is_granted(pool.feature_id, entity_id, balances)]
    willing = [pool for pool in owned if allows(pool.feature_id, entity_id, required, properties, balances)]
    pool = next(iter(willing or owned or (() if held else pools)), None)
    if pool is None:
        return Check(False, feature.id, required)
    asked = converted(required, pool.cost)
    allowed = allows(pool.feature_id, entity_id, asked, properties, balances)
    if allowed and required >= 0:
        windows = limits_of(feature.id, entity_id, balances).windows
        allowed = not any(w.matches(properties) and w.limit - w.used < required for w in windows)
    return Check(allowed, pool.feature_id, asked)


# ------------------------------------------------------------------ use


def all_as_of(balances: Balances, now: int) -> dict[BalanceKey, Balance]:
    return {key: as_of(balance, now) for key, balance in balances.items()}


def use(
    feature: Feature,
    pools: Sequence[Pool],
    entity_id: str,
    amount: Decimal,
    overage: Overage,
    properties: Mapping[str, Any],
    balances: Balances,
    now: int,
) -> Decision:
    """Uses `amount` (below zero: gives it back) of a metered feature, grant by grant. Source: autumn.md 3.2 to 3.5.

    What is not granted at all is refused; nothing of it is counted anywhere.
    """
    before = all_as_of(balances, now)
    sources = sources_of(feature.id, pools, entity_id, before, properties)
    if not any(_grants(source, before) for source in sources):
        return Decision(False, ZERO, before)
    if amount < 0:
        grants, moved = _give_back(sources, -amount, overage, before)
        moved = -moved
    else:
        own = [grant for source in sources if source.key.feature_id == feature.id for grant in _grants(source, before)]
        may_go_negative = allows_negative(feature, own, overage)
        if overage is Overage.CAP and not feature.consumable and any(grant.price for grant in own):
            overage = Overage.REJECT
        windows_key = _windows_key(feature.id, entity_id, before)
        windows = () if any(grant.unlimited for grant in own) else _limits_at(windows_key, before).windows
        asked = amount
        if not overage.passes:
            asked = min([amount, *(window.room for window in windows if window.matches(properties))])
            if asked < amount and overage is Overage.REJECT:
                return Decision(False, ZERO, before, usage_limited=True)
        grants, moved = _take(feature, sources, entity_id, asked, overage, may_go_negative, properties, before)
        if moved < asked and overage is Overage.REJECT:
            return Decision(False, ZERO, before)
    after = dict(before)
    for key, changed in grants.items():
        after[key] = before[key]._replace(grants=changed)
    counted = {_windows_key(feature.id, entity_id, before): moved}
    for deduction in deductions_of(sources, before, after):
        if deduction.feature_id != feature.id:
            key = _windows_key(deduction.feature_id, entity_id, before)
            counted[key] = counted.get(key, ZERO) + deduction.value
    _count(after, counted, properties)
    _count_usage(BalanceKey(feature.id) if not entity_id else None, moved, sources, before, after)
    after = {key: balance if balance == before[key] else recomputed(balance) for key, balance in after.items()}
    return Decision(True, moved, after, deductions_of(sources, before, after), counted=counted_in(before, after))


def counted_in(before: Balances, after: Balances) -> tuple[BalanceKey, ...]:
    """The balance keys whose usage limits stand otherwise after a use; both worlds folded to one instant."""
    return tuple(key for key in after if after[key].limits.windows != before[key].limits.windows)


def allows_negative(feature: Feature, own: Iterable[Grant], overage: Overage) -> bool:
    """A free allocated feature may go negative unless the use is to be rejected (autumn.md 3.4)."""
    return not feature.consumable and overage is not Overage.REJECT and not any(grant.price for grant in own)


def _take(
    feature: Feature,
    sources: Sequence[Source],
    entity_id: str,
    amount: Decimal,
    overage: Overage,
    may_go_negative: bool,
    properties: Mapping[str, Any],
    balances: Balances,
) -> tuple[dict[BalanceKey, tuple[Grant, ...]], Decimal]:
    """Draws `amount` from the sources: all that they hold, then what they may be overdrawn by, then, to overflow, the
    rest. Returns the changed grants and what was drawn of it."""
    grants = {source.key: balances[source.key].grants for source in sources}
    left = amount
    endless = {
        source.key.feature_id for source in sources if any(grant.unlimited for grant in _grants(source, balances))
    }
    gates = {
        source.key.feature_id: _room(limits_of(source.key.feature_id, entity_id, balances).windows, properties)
        for source in sources
        if source.key.feature_id not in (feature.id, *endless) and not overage.passes
    }

    def pass_over(take: Any) -> None:
        nonlocal left
        for source in sources:
            if not left:
                return
            need = converted(left, source.cost)
            gate = gates.get(source.key.feature_id)
            asked = need if gate is None else min(need, gate)
            grants[source.key], rest = take(source, grants[source.key], asked)
            got = asked - rest
            if gate is not None:
                gates[source.key.feature_id] = gate - got
            left = ZERO if got == need else left - unconverted(got, source.cost)

    pass_over(lambda source, held, need: draw(held, need, source.may))
    spend_limited = False
    rooms: dict[str, Decimal | None] = {}
    for feature_id in {source.key.feature_id for source in sources}:
        limits = limits_of(feature_id, entity_id, balances)
        rooms[feature_id] = spend_room(limits, _spend_scope(feature_id, entity_id, balances))

    def overdraw(source: Source, held: tuple[Grant, ...], need: Decimal) -> tuple[tuple[Grant, ...], Decimal]:
        nonlocal spend_limited
        feature_id = source.key.feature_id
        cap_of = overage_cap(
            limits_of(feature_id, entity_id, balances), may_go_negative=may_go_negative and feature_id == feature.id
        )
        room = rooms[feature_id]
        if room is not None and any(cap_of(grant) != 0 for grant in held if source.may(grant)):
            spend_limited = True
        within = need if room is None else min(need, room)
        held, rest = draw_overage(held, within, cap_of, source.may)
        if room is not None:
            rooms[feature_id] = room - (within - rest)
        return held, need - (within - rest)

    if left:
        pass_over(overdraw)
    if left and overage.passes and (overage is Overage.REPORTED or not spend_limited):
        source = next(source for source in sources if _grants(source, balances))
        grants[source.key] = push(grants[source.key], converted(left, source.cost), source.may)
        left = ZERO
    return {key: held for key, held in grants.items() if held != balances[key].grants}, amount - left


def push(grants: tuple[Grant, ...], amount: Decimal, may: Eligible) -> tuple[Grant, ...]:
    """Moves `amount` past the floor (below zero: past the grant) of the first pay-per-use grant, else of the first grant."""
    able = [number for number, grant in enumerate(grants) if may(grant)]
    number = next((number for number in able if grants[number].overage and amount > 0), able[0])
    return (*grants[:number], grants[number]._replace(used=grants[number].used + amount), *grants[number + 1 :])


def _give_back(
    sources: Sequence[Source], amount: Decimal, overage: Overage, balances: Balances
) -> tuple[dict[BalanceKey, tuple[Grant, ...]], Decimal]:
    """Returns `amount`: overdrawn grants first, then each up to its grant; the excess is dropped unless it overflows."""
    grants = {source.key: balances[source.key].grants for source in sources}
    left = amount
    for put in (lift, refill):
        for source in sources:
            need = converted(left, source.cost)
            grants[source.key], rest = put(grants[source.key], need, source.may)
            left = ZERO if not rest else left - unconverted(need - rest, source.cost)
    if left and overage.passes:
        source = next(source for source in sources if _grants(source, balances))
        grants[source.key] = push(grants[source.key], -converted(left, source.cost), source.may)
        left = ZERO
    return {key: held for key, held in grants.items() if held != balances[key].grants}, amount - left


def _count(
    balances: dict[BalanceKey, Balance], moved: Mapping[BalanceKey, Decimal], properties: Mapping[str, Any]
) -> None:
    """Counts what moved in the usage limits of each place, in place; an unlimited balance counts nothing."""
    for key, amount in moved.items():
        balance = balances.get(key)
        if balance is None or not amount or any(grant.unlimited for grant in balance.live_grants):
            continue
        windows = tuple(
            window._replace(used=max(ZERO, window.used + amount)) if window.matches(properties) else window
            for window in balance.limits.windows
        )
        balances[key] = balance._replace(limits=balance.limits._replace(windows=windows))


def _count_usage(
    whole: BalanceKey | None,
    moved: Decimal,
    sources: Sequence[Source],
    before: Balances,
    balances: dict[BalanceKey, Balance],
) -> None:
    """Counts a use in the grants of every item, in place: what was drawn from the item, and all that `moved` in the
    customer's own item of the feature, whichever credit pool or entity's share paid (lotus.md 0.8)."""
    for source in sources:
        old, new = before[source.key].grants, balances[source.key].grants
        if source.key == whole:
            counted = moved
        else:
            counted = sum((grant.consumed for grant in new), ZERO) - sum((grant.consumed for grant in old), ZERO)
        if counted:
            grants = with_usage_counted(old, new, counted, source.may)
            balances[source.key] = balances[source.key]._replace(grants=grants)


def _room(windows: Iterable[Window], properties: Mapping[str, Any]) -> Decimal | None:
    return min((window.room for window in windows if window.matches(properties)), default=None)


def _grants(source: Source, balances: Balances) -> list[Grant]:
    return [grant for grant in balances[source.key].grants if source.may(grant)]


def deductions_of(sources: Sequence[Source], before: Balances, after: Balances) -> tuple[Deduction, ...]:
    """What moved on each grant between two balances as of one instant, in deduction order."""
    moved: list[Deduction] = []
    for source in sources:
        old = {grant.id: grant.consumed for grant in before[source.key].grants}
        changes = ((grant, grant.consumed - old.get(grant.id, ZERO)) for grant in after[source.key].grants)
        moved += [Deduction(source.key.feature_id, grant, value) for grant, value in changes if value]
    return tuple(moved)


# ------------------------------------------------------------------ the fast path


def fast_path(balance: Balance, amount: Decimal, overage: Overage, now: int, *, alone: bool) -> Balance | None:
    """The balance after what one conditional write can decide; None where it cannot and the slow path must.

    `amount` is in units of the balance. `alone`: nothing else pays for what is asked (no credit pool, no entity), so
    that overage may be drawn at once. The conditions are the store's (`store.balances.Balances.spend`): the whole amount
    where the balance covers it; where a capped use finds less, all that there is.
    """
    if amount < 0 or now >= balance.fresh_until:
        return None
    most = balance.ceiling if alone else balance.headroom
    drawn = amount
    if amount > most:
        if overage is not Overage.CAP or not alone or ENTITIES in balance.paid_first:
            return None
        drawn = most
    return balance._replace(
        headroom=balance.headroom - drawn, ceiling=balance.ceiling - drawn, spent=balance.spent + drawn
    )


def drawn_by(before: Balance, after: Balance) -> tuple[Deduction, ...]:
    """What a fast write moved on each grant, `after` being `before` with more spent."""
    old = {grant.id: grant.consumed for grant in apply_spent(before)}
    return tuple(
        Deduction(after.feature_id, grant, value)
        for grant in apply_spent(after)
        if (value := grant.consumed - old.get(grant.id, ZERO))
    )
