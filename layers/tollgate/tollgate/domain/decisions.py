"""How a check is decided, and what a use does to the balances.

Read from the top: `sources_of` says which balances answer for a feature and in which order, `check` is the answer of a
read-only check, `use` is a use decided grant by grant (the slow path), and `fast_path` is the same decision as the
store makes it in one conditional write. Where `fast_path` decides, it decides exactly as `use` does.

Functions that take `balances` want them as of one instant (`all_as_of`), unless they also take `now`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from tollgate.domain.balances import ENTITIES, Balance, BalanceKey, Balances, all_as_of, apply_spent, recomputed
from tollgate.domain.drawing import (
    draw,
    draw_overage,
    overage_cap,
    overage_room,
    pay_back_overage,
    push,
    refill,
    spend_room,
    totals,
    with_usage_counted,
)
from tollgate.domain.features import Feature, Pool
from tollgate.domain.grants import Grant
from tollgate.domain.holds import kept_of
from tollgate.domain.limits import NO_LIMITS, Limits, Window
from tollgate.domain.quantities import ZERO, converted, unconverted
from tollgate.domain.use_records import NO_PROPERTIES

ONE = Decimal(1)


class Overage(StrEnum):
    """What becomes of the part of a use that the balances do not cover (autumn.md 3.4)."""

    CAP = "cap"  # it is dropped
    REJECT = "reject"  # the whole use is refused
    OVERFLOW = "overflow"  # it goes through, past every bound but a spend limit
    REPORTED = "reported"  # it has happened: it goes through, past every bound (lotus.md 0.7)

    @property
    def passes(self) -> bool:
        """Whether what the balances do not cover is counted all the same."""
        return self in (Overage.OVERFLOW, Overage.REPORTED)


class Reason(StrEnum):
    """Why one feature allows what is asked of it, or does not (autumn.md 2.1, 2.10)."""

    FLAG = "flag"
    UNLIMITED = "unlimited"
    GIVES_BACK = "gives_back"
    WITHIN_BALANCE = "within_balance"
    WITHIN_OVERAGE = "within_overage"
    TOGETHER = "together"  # of a use: no feature could pay alone, but they do together
    OVERAGE_BEHAVIOR = "overage_behavior"  # of a lock: what is not covered is dropped, or goes through
    NOTHING_ASKED = "nothing_asked"  # of a use of nothing, of what nothing grants
    NOT_GRANTED = "not_granted"
    NOT_MATCHED = "not_matched"  # it is granted, for uses with other properties
    USAGE_LIMIT = "usage_limit"
    BALANCE_EXHAUSTED = "balance_exhausted"
    SPEND_LIMIT = "spend_limit"
    MAX_PURCHASE = "max_purchase"


_ALLOWING = frozenset((Reason.FLAG, Reason.UNLIMITED, Reason.GIVES_BACK, Reason.WITHIN_BALANCE, Reason.WITHIN_OVERAGE))


class UseRequest(NamedTuple):
    """What a check, a use or a hold asks of one feature of one customer.

    - `pools`: the credit systems that may pay for it, in the catalog's order.
    - `entity_id`: the entity that uses it; empty for the customer itself.
    - `amount`: units of the feature; below zero gives back. A check asks whether so many may be used.
    - `overage`: what becomes of the part that is not covered; a check has no need of it.
    - `properties`: what filters of grants and of usage limits are compared with.
    - `dated`: only grants whose period had begun by then (epoch ms) pay, and count it; None: any.
    """

    feature: Feature
    pools: Sequence[Pool] = ()
    entity_id: str = ""
    amount: Decimal = ONE
    overage: Overage = Overage.CAP
    properties: Mapping[str, Any] = NO_PROPERTIES
    dated: int | None = None

    @property
    def key(self) -> BalanceKey:
        """The balance that it asks of first: the feature's own, of the entity or of the customer."""
        return BalanceKey(self.feature.id, self.entity_id)

    @property
    def feature_ids(self) -> tuple[str, ...]:
        """The feature and its credit pools, in the order in which they pay."""
        return (self.feature.id, *(pool.feature_id for pool in self.pools))

    @property
    def keys(self) -> list[BalanceKey]:
        """The balances that may pay, an entity's own before its customer's."""
        levels = (self.entity_id, "") if self.entity_id else ("",)
        return [BalanceKey(feature_id, level) for level in levels for feature_id in self.feature_ids]

    def cost(self, feature_id: str) -> Decimal:
        """Units of that feature (itself, or a credit pool) for one unit of what is asked."""
        return next((pool.cost for pool in self.pools if pool.feature_id == feature_id), ONE)


class Source(NamedTuple):
    """One balance that pays for a feature.

    - `cost`: its units for one unit of what is asked.
    - `shares_only`: of an entity's balance, only the shares that the customer's own plans gave it.
    - `properties`: only grants whose filters a use with these passes; None for all grants.
    - `dated`: only grants whose period had begun by then (epoch ms); None for all grants.
    """

    key: BalanceKey
    cost: Decimal = ONE
    shares_only: bool = False
    properties: Mapping[str, Any] | None = None
    dated: int | None = None

    def may(self, grant: Grant) -> bool:
        """Whether the grant may be drawn."""
        return (
            grant.starts_at is None
            and (grant.entity_share or not self.shares_only)
            and (self.properties is None or grant.matches(self.properties))
            and (self.dated is None or grant.begins <= self.dated)
        )

    def grants(self, balances: Balances) -> list[Grant]:
        """Its grants that may be drawn, in order."""
        return [grant for grant in balances[self.key].grants if self.may(grant)]


class Deduction(NamedTuple):
    """What moved on one grant, in units of its feature: above zero consumed, below zero given back."""

    feature_id: str
    grant: Grant
    value: Decimal


class Decision(NamedTuple):
    """What became of a use.

    - `drawn`: what moved, in units of what was asked: above zero consumed, below zero given back.
    - `balances`: as of the use, after it where it was allowed.
    - `usage_limited`: it was refused for a usage limit and not for the balance.
    - `counted`: the balances whose usage limits counted it.
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

    def moved(self) -> dict[BalanceKey, list[Deduction]]:
        """What moved, by balance, in deduction order."""
        owners = {(grant.id, key.feature_id): key for key, balance in self.balances.items() for grant in balance.grants}
        moved: dict[BalanceKey, list[Deduction]] = {}
        for deduction in self.deductions:
            moved.setdefault(owners[deduction.grant.id, deduction.feature_id], []).append(deduction)
        return moved


def sources_of(
    feature_id: str,
    pools: Sequence[Pool],
    entity_id: str,
    balances: Balances,
    properties: Mapping[str, Any] | None = None,
) -> tuple[Source, ...]:
    """The balances that pay for a feature, in deduction order (autumn.md 3.1 (steps 1 to 3)).

    With an entity its own balances come first, then the customer's; without, the customer's, then each entity's shares
    by entity id. At each level the feature itself comes before the credit pools, in the catalog's order.
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


def payers_of(request: UseRequest, balances: Balances) -> tuple[Source, ...]:
    """The balances that pay for a request, with the grants that its properties and its date may draw."""
    sources = sources_of(request.feature.id, request.pools, request.entity_id, balances, request.properties)
    return sources if request.dated is None else tuple(source._replace(dated=request.dated) for source in sources)


# ------------------------------------------------------------------ what bounds a request


def limits_of(feature_id: str, entity_id: str, balances: Balances) -> Limits:
    """What bounds a feature in a request: an entity's controls stand over its customer's (autumn.md 3.5)."""
    customer = _limits_at(BalanceKey(feature_id), balances)
    entity = _limits_at(BalanceKey(feature_id, entity_id), balances) if entity_id else NO_LIMITS
    return Limits(
        customer.overage_allowed if entity.overage_allowed is None else entity.overage_allowed,
        entity.spend or customer.spend,
        entity.windows or customer.windows,
    )


def _limits_at(key: BalanceKey, balances: Balances) -> Limits:
    return balances[key].limits if key in balances else NO_LIMITS


def windows_key(feature_id: str, entity_id: str, balances: Balances) -> BalanceKey:
    """The balance that counts a feature's usage limits for a request."""
    own = BalanceKey(feature_id, entity_id)
    return own if entity_id and _limits_at(own, balances).windows else BalanceKey(feature_id)


def spend_scope(feature_id: str, entity_id: str, balances: Balances) -> list[Grant]:
    """The grants whose overage counts against the spend limit: an entity's limit sees what the entity sees, a
    customer's sees all.
    """
    own = BalanceKey(feature_id, entity_id)
    if entity_id and _limits_at(own, balances).spend:
        keys: Iterable[BalanceKey] = (own, BalanceKey(feature_id))
    else:
        keys = (key for key in balances if key.feature_id == feature_id)
    return [grant for key in keys if key in balances for grant in balances[key].live_grants]


# ------------------------------------------------------------------ check


class Check(NamedTuple):
    """The answer of a check: the feature that answers (itself or a credit pool), what it asks of it, whether it may, and
    what that was decided by (autumn.md 2.10).
    """

    allowed: bool
    feature_id: str
    required: Decimal
    reason: Reason


def check(request: UseRequest, balances: Balances) -> Check:
    """Whether the requested amount may be used now, and which feature answers (autumn.md 2.1, 2.2).

    The feature itself if it alone would allow; else the first credit pool that would (asked for the plain number), else
    the first one held; else itself if held, else the first pool in the catalog.
    """
    feature, pools, entity_id, required, _, properties, _ = request
    own = verdict(feature.id, entity_id, required, properties, balances)
    held = own is not Reason.NOT_GRANTED
    if held and own in _ALLOWING:
        return Check(True, feature.id, required, own)
    owned = [pool for pool in pools if is_granted(pool.feature_id, entity_id, balances)]
    willing = [pool for pool in owned if allows(pool.feature_id, entity_id, required, properties, balances)]
    pool = next(iter(willing or owned or (() if held else pools)), None)
    if pool is None:
        return Check(False, feature.id, required, own)
    asked = converted(required, pool.cost)
    reason = verdict(pool.feature_id, entity_id, asked, properties, balances)
    if reason in _ALLOWING and required >= 0:
        windows = limits_of(feature.id, entity_id, balances).windows
        if any(w.matches(properties) and w.limit - w.used < required for w in windows):
            reason = Reason.USAGE_LIMIT
    return Check(reason in _ALLOWING, pool.feature_id, asked, reason)


def allows(
    feature_id: str, entity_id: str, required: Decimal, properties: Mapping[str, Any], balances: Balances
) -> bool:
    """Whether a use of `required` units of this one feature is allowed (autumn.md 2.1)."""
    return verdict(feature_id, entity_id, required, properties, balances) in _ALLOWING


def verdict(
    feature_id: str, entity_id: str, required: Decimal, properties: Mapping[str, Any], balances: Balances
) -> Reason:
    """What decides whether a use of `required` units of this one feature is allowed: the first that matches (autumn.md
    2.1)."""
    if has_flag(feature_id, entity_id, balances):
        return Reason.FLAG
    grants = payable(feature_id, entity_id, balances, properties)
    if not grants:
        return Reason.NOT_MATCHED if is_granted(feature_id, entity_id, balances) else Reason.NOT_GRANTED
    if any(grant.unlimited for grant in grants):
        return Reason.UNLIMITED
    if required < 0:
        return Reason.GIVES_BACK
    limits = limits_of(feature_id, entity_id, balances)
    if any(window.matches(properties) and window.limit - window.used < required for window in limits.windows):
        return Reason.USAGE_LIMIT
    left = required - totals(grants).remaining
    if left <= 0:
        return Reason.WITHIN_BALANCE
    spending = spend_scope(feature_id, entity_id, balances)
    room = overage_room(grants, limits, spending)
    if room is None or left <= room:
        return Reason.WITHIN_OVERAGE
    cap_of = overage_cap(limits)
    if all(cap_of(grant) == 0 for grant in grants):
        return Reason.BALANCE_EXHAUSTED
    return Reason.MAX_PURCHASE if spend_room(limits, spending) is None else Reason.SPEND_LIMIT


def payable(feature_id: str, entity_id: str, balances: Balances, properties: Mapping[str, Any] | None) -> list[Grant]:
    """The grants of this one feature that may pay for a use with these properties, in order."""
    sources = sources_of(feature_id, (), entity_id, balances, properties)
    return [grant for source in sources for grant in source.grants(balances)]


def is_granted(feature_id: str, entity_id: str, balances: Balances) -> bool:
    """Whether anything grants the feature to the customer, or to the entity."""
    sources = sources_of(feature_id, (), entity_id, balances)
    return any(source.grants(balances) for source in sources) or has_flag(feature_id, entity_id, balances)


def has_flag(feature_id: str, entity_id: str, balances: Balances) -> bool:
    """Whether a boolean or static feature is held: by the customer, or by the entity."""
    held = [balances[key] for key in {BalanceKey(feature_id), BalanceKey(feature_id, entity_id)} if key in balances]
    shared = [flag for flag in held if flag.key.entity_id == entity_id or not flag.unpooled]
    return any(balance.flag and balance.live_grants for balance in shared)


def has_payer(request: UseRequest, balances: Balances) -> bool:
    """Whether any grant could pay for the request, of the feature or of a credit pool, whatever its filters."""
    sources = sources_of(request.feature.id, request.pools, request.entity_id, balances)
    return any(source.grants(balances) for source in sources)


# ------------------------------------------------------------------ use


def use(request: UseRequest, balances: Balances, now: int) -> Decision:
    """Uses the requested amount (below zero: gives it back) of a metered feature, grant by grant.

    What is not granted at all is refused, and counted nowhere. Source: autumn.md 3.2 to 3.5.
    """
    before = all_as_of(balances, now)
    sources = payers_of(request, before)
    if not any(source.grants(before) for source in sources):
        return Decision(False, ZERO, before)
    if request.amount < 0:
        grants, returned = _give_back(request, sources, before)
        return _decided(request, sources, before, grants, -returned)
    own = [
        grant for source in sources if source.key.feature_id == request.feature.id for grant in source.grants(before)
    ]
    paid_seats = not request.feature.consumable and any(grant.price for grant in own)
    overage = Overage.REJECT if paid_seats and request.overage is Overage.CAP else request.overage
    may_go_negative = allows_negative(request.feature, own, request.overage)
    asked = request.amount if overage.passes else min(request.amount, _window_room(request, own, before))
    if asked < request.amount and overage is Overage.REJECT:
        return Decision(False, ZERO, before, usage_limited=True)
    grants, drawn = _Drawing(request._replace(overage=overage), sources, before, may_go_negative).draw(asked)
    if drawn < asked and overage is Overage.REJECT:
        return Decision(False, ZERO, before)
    return _decided(request, sources, before, grants, drawn)


def allows_negative(feature: Feature, own: Iterable[Grant], overage: Overage) -> bool:
    """Whether grants may be drawn below zero: a free allocated feature's, unless the use is to be rejected (autumn.md
    3.4).

    `own` are the grants of the feature itself.
    """
    return not feature.consumable and overage is not Overage.REJECT and not any(grant.price for grant in own)


def _window_room(request: UseRequest, own: Iterable[Grant], balances: Balances) -> Decimal:
    """What the feature's own usage limits leave of the requested amount; an unlimited grant has none."""
    if any(grant.unlimited for grant in own):
        return request.amount
    key = windows_key(request.feature.id, request.entity_id, balances)
    room = _room(_limits_at(key, balances).windows, request.properties)
    return request.amount if room is None else room


def _decided(
    request: UseRequest,
    sources: Sequence[Source],
    before: Balances,
    grants: Mapping[BalanceKey, tuple[Grant, ...]],
    drawn: Decimal,
) -> Decision:
    """The decision that changes these grants: usage limits and usage counts follow, and the balances' numbers."""
    after = dict(before)
    for key, changed in grants.items():
        after[key] = before[key]._replace(grants=changed)
    _count_in_windows(request, drawn, deductions_of(sources, before, after), after)
    _count_usage(request, drawn, sources, before, after)
    after = {key: balance if balance == before[key] else recomputed(balance) for key, balance in after.items()}
    deductions = deductions_of(sources, before, after)
    return Decision(True, drawn, after, deductions, counted=windows_changed(before, after))


def windows_changed(before: Balances, after: Balances) -> tuple[BalanceKey, ...]:
    """The balances whose usage limits stand otherwise after a use."""
    return tuple(key for key in after if after[key].limits.windows != before[key].limits.windows)


Take = Callable[[Source, tuple[Grant, ...], Decimal], tuple[tuple[Grant, ...], Decimal]]
"""Draws an amount from a source's grants: the grants after it, and what they could not cover."""


class _Drawing:
    """One use on its way through the sources: all that they hold, then what they may be overdrawn by, then the rest
    where it is to pass every bound. It keeps what is `left` to draw, in units of the feature.
    """

    def __init__(
        self, request: UseRequest, sources: Sequence[Source], balances: Balances, may_go_negative: bool
    ) -> None:
        self.request = request
        self.sources = sources
        self.balances = balances
        self.may_go_negative = may_go_negative
        self.left = ZERO
        self.grants = {source.key: balances[source.key].grants for source in sources}
        self.spend_limited = False
        features = {source.key.feature_id for source in sources}
        self.limits = {id: limits_of(id, request.entity_id, balances) for id in features}
        self.spend_rooms: dict[str, Decimal | None] = {}
        self.window_rooms: dict[str, Decimal | None] = {}  # of credit pools: the feature's own are asked before
        if not request.overage.passes:
            endless = {s.key.feature_id for s in sources if any(grant.unlimited for grant in s.grants(balances))}
            for id in features - endless - {request.feature.id}:
                self.window_rooms[id] = _room(self.limits[id].windows, request.properties)

    def draw(self, amount: Decimal) -> tuple[dict[BalanceKey, tuple[Grant, ...]], Decimal]:
        """Draws `amount` >= 0; the grants that changed, and how much of it was drawn."""
        self.left = amount
        self._pass_over(lambda source, grants, need: draw(grants, need, source.may))
        if self.left:
            for id, limits in self.limits.items():
                scope = spend_scope(id, self.request.entity_id, self.balances)
                self.spend_rooms[id] = spend_room(limits, scope)
            self._pass_over(self._overdraw)
        overage = self.request.overage
        if self.left and overage.passes and (overage is Overage.REPORTED or not self.spend_limited):
            source = next(source for source in self.sources if source.grants(self.balances))
            self.grants[source.key] = push(self.grants[source.key], converted(self.left, source.cost), source.may)
            self.left = ZERO
        changed = {key: grants for key, grants in self.grants.items() if grants != self.balances[key].grants}
        return changed, amount - self.left

    def _pass_over(self, take: Take) -> None:
        """Takes what is left from one source after another."""
        for source in self.sources:
            if not self.left:
                return
            feature_id = source.key.feature_id
            need = converted(self.left, source.cost)
            room = self.window_rooms.get(feature_id)
            asked = need if room is None else min(need, room)
            self.grants[source.key], rest = take(source, self.grants[source.key], asked)
            got = asked - rest
            if room is not None:
                self.window_rooms[feature_id] = room - got
            self.left = ZERO if got == need else self.left - unconverted(got, source.cost)

    def _overdraw(self, source: Source, grants: tuple[Grant, ...], need: Decimal) -> tuple[tuple[Grant, ...], Decimal]:
        """Overdraws a source's grants, within the spend limit that the sources of one feature share."""
        feature_id = source.key.feature_id
        negative = self.may_go_negative and feature_id == self.request.feature.id
        cap_of = overage_cap(self.limits[feature_id], may_go_negative=negative)
        room = self.spend_rooms[feature_id]
        if room is None:
            return draw_overage(grants, need, cap_of, source.may)
        if any(cap_of(grant) != 0 for grant in grants if source.may(grant)):
            self.spend_limited = True
        within = min(need, room)
        grants, rest = draw_overage(grants, within, cap_of, source.may)
        self.spend_rooms[feature_id] = room - (within - rest)
        return grants, need - (within - rest)


def _give_back(
    request: UseRequest, sources: Sequence[Source], balances: Balances
) -> tuple[dict[BalanceKey, tuple[Grant, ...]], Decimal]:
    """Returns the requested amount: to overdrawn grants first, then to each up to what it granted, but for what is
    held; the excess is dropped unless it is to pass every bound. The grants that changed, and how much was returned.
    """
    held = {source.key: kept_of(balances[source.key].holds) for source in sources}
    grants = {source.key: balances[source.key].grants for source in sources}
    amount = left = -request.amount
    for put in (pay_back_overage, refill):
        for source in sources:
            need = converted(left, source.cost)
            grants[source.key], rest = put(grants[source.key], need, source.may, held[source.key])
            left = ZERO if not rest else left - unconverted(need - rest, source.cost)
    if left and request.overage.passes:
        source = next(source for source in sources if source.grants(balances))
        grants[source.key] = push(grants[source.key], -converted(left, source.cost), source.may)
        left = ZERO
    return {key: held for key, held in grants.items() if held != balances[key].grants}, amount - left


def _count_in_windows(
    request: UseRequest, drawn: Decimal, deductions: Iterable[Deduction], balances: dict[BalanceKey, Balance]
) -> None:
    """Counts a use in the usage limits of the feature and of each credit pool that paid, in place; an unlimited balance
    counts nothing. What is given back does not reopen a limit that is used up (autumn.md 3.5)."""
    counted = {windows_key(request.feature.id, request.entity_id, balances): drawn}
    for deduction in deductions:
        if deduction.feature_id != request.feature.id:
            key = windows_key(deduction.feature_id, request.entity_id, balances)
            counted[key] = counted.get(key, ZERO) + deduction.value
    for key, amount in counted.items():

        def closed(window: Window, amount: Decimal = amount) -> bool:
            return not window.matches(request.properties) or (amount < 0 and window.room <= 0)

        balance = balances.get(key)
        if balance is None or not amount or any(grant.unlimited for grant in balance.live_grants):
            continue
        windows = tuple(
            window if closed(window) else window._replace(used=max(ZERO, window.used + amount))
            for window in balance.limits.windows
        )
        balances[key] = balance._replace(limits=balance.limits._replace(windows=windows))


def _count_usage(
    request: UseRequest,
    drawn: Decimal,
    sources: Sequence[Source],
    before: Balances,
    balances: dict[BalanceKey, Balance],
) -> None:
    """Counts a use in the grants of every balance, in place: what was drawn from the balance; in the customer's own
    balance of the feature all that was `drawn`, whichever credit pool or entity's share paid (lotus.md 0.8)."""
    for source in sources:
        old, new = before[source.key].grants, balances[source.key].grants
        if not request.entity_id and source.key == request.key:
            counted = drawn
        else:
            counted = sum((grant.consumed for grant in new), ZERO) - sum((grant.consumed for grant in old), ZERO)
        if counted:
            grants = with_usage_counted(old, new, counted, source.may)
            balances[source.key] = balances[source.key]._replace(grants=grants)


def _room(windows: Iterable[Window], properties: Mapping[str, Any]) -> Decimal | None:
    """What the narrowest usage limit on a use with these properties leaves; None where there is none."""
    return min((window.room for window in windows if window.matches(properties)), default=None)


def deductions_of(sources: Sequence[Source], before: Balances, after: Balances) -> tuple[Deduction, ...]:
    """What moved on each grant between two states of the balances, in deduction order."""
    moved: list[Deduction] = []
    for source in sources:
        old = {grant.id: grant.consumed for grant in before[source.key].grants}
        changes = ((grant, grant.consumed - old.get(grant.id, ZERO)) for grant in after[source.key].grants)
        moved += [Deduction(source.key.feature_id, grant, value) for grant, value in changes if value]
    return tuple(moved)


# ------------------------------------------------------------------ the fast path


def fast_path(balance: Balance, amount: Decimal, overage: Overage, now: int, *, alone: bool) -> Balance | None:
    """The balance after what one conditional write can decide; None where it cannot, and the slow path must.

    `amount` is in units of the balance. `alone`: nothing else pays for what is asked (no credit pool, no entity), so
    that overage may be drawn at once. The conditions are the store's (`store.balances.BalanceStore.spend`): the whole
    amount where the balance covers it; where a capped use finds less, all that there is.
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
    """What a fast write moved on each grant; `after` is `before` with more spent."""
    old = {grant.id: grant.consumed for grant in apply_spent(before)}
    return tuple(
        Deduction(after.feature_id, grant, value)
        for grant in apply_spent(after)
        if (value := grant.consumed - old.get(grant.id, ZERO))
    )
