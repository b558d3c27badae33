"""One balance item: the grants of one feature for one customer or entity, and the numbers that make the fast path one
conditional write.

`grants` hold the grants as of the last fold. Between folds only numbers move: `spent` grows, `headroom` and `ceiling`
shrink by the same amount, and `fresh_until` says how long that is sound. The deduction order is fixed between folds, so
grants and `spent` together give every grant's remaining (`apply_spent`); nobody writes grants on the fast path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.grants import FOREVER, Grant, deduction_order, renewed, soonest_first
from tollgate.domain.holds import Hold, forgotten, uncounted, undo
from tollgate.domain.limits import NO_LIMITS, Limits, Window
from tollgate.domain.quantities import ZERO

UNBOUNDED = Decimal(10) ** 17  # an unlimited balance's headroom; used up after 100 of the largest uses, then folded
_COUNTED = UNBOUNDED / 10  # a ceiling below it is a sum of grants
NEVER_FRESH = 0  # a `fresh_until` that sends every use down the slow path
ENTITIES = "@"  # in `paid_first`: entities hold balances of the feature too


class BalanceKey(NamedTuple):
    """Which item of a customer: a feature, for one entity or (empty) for the customer."""

    feature_id: str
    entity_id: str = ""


class Balance(NamedTuple):
    """The state of one balance item.

    `headroom` is what the grants hold, `ceiling` that and the overage that they allow; usage limits lower both. `flag`: a
    boolean or static feature, held while it has a grant, with nothing to spend. What else the customer holds decides
    `paid_first` (features that are drawn before this credit pool, and ENTITIES), `counted_by_customer` (a use here counts in another
    item's usage limit), `has_test_clock` (a test clock says what time it is) and `unpooled` (entities do not share it). `holds`
    are the reservations that hold units of it.
    """

    key: BalanceKey
    grants: tuple[Grant, ...] = ()
    headroom: Decimal = ZERO
    ceiling: Decimal = ZERO
    spent: Decimal = ZERO
    fresh_until: int = NEVER_FRESH
    flag: bool = False
    limits: Limits = NO_LIMITS
    paid_first: frozenset[str] = frozenset()
    counted_by_customer: bool = False
    has_test_clock: bool = False
    unpooled: bool = False
    holds: tuple[Hold, ...] = ()

    @property
    def feature_id(self) -> str:
        return self.key.feature_id

    @property
    def live_grants(self) -> tuple[Grant, ...]:
        """The grants of a folded balance that have started."""
        return tuple(grant for grant in self.grants if grant.starts_at is None)


def recomputed(balance: Balance) -> Balance:
    """A folded balance (nothing spent) of these grants, limits and links: in order, its numbers as they follow from those."""
    grants = tuple(sorted(balance.grants, key=deduction_order))
    live = [grant for grant in grants if grant.starts_at is None]
    moments = [*(grant.changes_at for grant in grants), *(hold.expires_at for hold in balance.holds)]
    if any(grant.unlimited for grant in live):
        headroom = ceiling = UNBOUNDED
        thoughtful = False
    else:
        headroom = sum((max(grant.remaining, ZERO) + grant.rolled for grant in live), ZERO)
        room = overage_room(live, balance.limits)
        ceiling = headroom if ENTITIES in balance.paid_first else UNBOUNDED if room is None else headroom + room
        for window in balance.limits.windows:
            headroom, ceiling = min(headroom, window.room), min(ceiling, window.room)
        moments += [window.ends_at for window in balance.limits.windows]
        thoughtful = any(window.filter for window in balance.limits.windows)
    thoughtful = thoughtful or any(grant.filters for grant in grants)
    fresh_until = (
        NEVER_FRESH
        if thoughtful or balance.counted_by_customer or balance.has_test_clock
        else min(moments, default=FOREVER)
    )
    return balance._replace(grants=grants, headroom=headroom, ceiling=ceiling, spent=ZERO, fresh_until=fresh_until)


def balance_of(key: BalanceKey, grants: Iterable[Grant], *, flag: bool = False) -> Balance:
    """A folded balance of these grants, without limits or links."""
    return recomputed(Balance(key, tuple(grants), flag=flag))


def as_of(balance: Balance, now: int) -> Balance:
    """The balance as it stands at `now`: spent settled into the grants, what was due done once, expired grants dropped."""
    if now < balance.fresh_until and balance.ceiling < _COUNTED:  # nothing is due, and the numbers are the grants' own
        windows = tuple(_counted(balance)) if balance.limits.windows else ()
        limits = balance.limits._replace(windows=windows) if windows else balance.limits
        headroom = max(ZERO, balance.headroom)  # overage was drawn from it too
        return balance._replace(grants=apply_spent(balance), headroom=headroom, spent=ZERO, limits=limits)
    limits = balance.limits._replace(windows=tuple(_counted(balance))) if balance.limits.windows else balance.limits
    balance = balance._replace(grants=apply_spent(balance), spent=ZERO, limits=limits)
    for hold in sorted(balance.holds, key=lambda hold: hold.expires_at):
        if hold.expires_at > now:
            break
        balance = _lapsed(_passed(balance, hold.expires_at), hold.id)
    return recomputed(_passed(balance, now))


def _passed(balance: Balance, now: int) -> Balance:
    """What time does to settled grants, usage limits and holds by itself."""
    grants, whole = [], set()
    for old in balance.grants:
        grant = renewed(old, now)
        if grant is not None:
            grants.append(grant)
            if grant.next_reset_at != old.next_reset_at:
                whole.add(grant.id)
    limits = balance.limits
    if limits.windows:
        limits = limits._replace(windows=tuple(window.at(now) for window in limits.windows))
    holds = forgotten(balance.holds, whole) if whole and balance.holds else balance.holds
    return balance._replace(grants=tuple(grants), limits=limits, holds=holds)


def _lapsed(balance: Balance, hold_id: str) -> Balance:
    """Settled grants and usage limits with what a hold took of them given back."""
    hold = next(hold for hold in balance.holds if hold.id == hold_id)
    return released(balance, hold)


def released(balance: Balance, hold: Hold) -> Balance:
    """The item without a hold, what it took given back. What belonged to a grant that is gone lands on those there are
    (autumn.md 3.11)."""
    grants, rest = undo(balance.grants, hold.parts)
    if hold.used_elsewhere:
        used_elsewhere = dict(hold.used_elsewhere)
        grants = tuple(
            grant._replace(used_elsewhere=grant.used_elsewhere - used_elsewhere.get(grant.id, ZERO)) for grant in grants
        )
    undone = grants
    if rest > 0:
        grants, rest = lift(grants, rest)
        grants, _ = refill(grants, rest)
    elif rest < 0 and grants:
        grants, left = draw(grants, -rest)
        grants = (grants[0]._replace(used=grants[0].used + left), *grants[1:]) if left else grants
    grants = with_usage_counted(undone, grants, ZERO, any_grant)  # what they counted of it is uncounted already
    windows = uncounted(balance.limits.windows, hold.counted)
    return balance._replace(
        grants=grants,
        limits=balance.limits._replace(windows=windows),
        holds=tuple(other for other in balance.holds if other.id != hold.id),
    )


def apply_spent(balance: Balance) -> tuple[Grant, ...]:
    """The grants with `spent` drawn from them in order: what each grant holds now, as long as the balance is fresh."""
    if not balance.spent:
        return balance.grants
    grants, left = draw(balance.grants, balance.spent)
    if left:
        grants, left = draw_overage(grants, left, overage_cap(balance.limits))
    assert left == 0, "more was spent than the rows held: the hot path let through what it must not"
    return with_usage_counted(balance.grants, grants, balance.spent)


def _counted(balance: Balance) -> tuple[Window, ...]:
    """The usage limits with `spent` counted; an unlimited balance counts nothing (autumn.md 3.7)."""
    if not balance.spent or any(grant.unlimited and grant.starts_at is None for grant in balance.grants):
        return balance.limits.windows
    return tuple(window._replace(used=window.used + balance.spent) for window in balance.limits.windows)


# ------------------------------------------------------------------ overage

CapOf = Callable[[Grant], Decimal | None]
"""By how much a row may be overdrawn in all: zero for not at all, None for without end."""


def overage_cap(limits: Limits, *, may_go_negative: bool = False) -> CapOf:
    """Whether and how far each grant may be overdrawn under these limits (autumn.md 2.1 (steps 6 and 7)).

    A spend limit takes precedence over `max_purchase`; it bounds all grants together (`spend_room`). `may_go_negative`: a free
    allocated feature's grants may go negative (autumn.md 3.4).
    """

    def cap_of(grant: Grant) -> Decimal | None:
        if limits.overage_allowed is False:
            return ZERO
        if not grant.overage:
            return None if may_go_negative or limits.overage_allowed else ZERO
        return None if limits.spend else grant.max_purchase

    return cap_of


def spend_room(limits: Limits, grants: Iterable[Grant]) -> Decimal | None:
    """What a spend limit leaves of overage, of all the grants that it bounds; None where nothing limits it."""
    if limits.spend is None:
        return None
    grants = tuple(grants)
    most = limits.spend.limit
    if limits.spend.percentage:
        base = sum((grant.granted for grant in grants if grant.subscription_id and not grant.add_on), ZERO)
        if not base:
            return None
        most = most * base / 100
    return max(ZERO, most - sum((grant.overdrawn for grant in grants), ZERO))


def overage_room(grants: Iterable[Grant], limits: Limits) -> Decimal | None:
    """By how much these grants together may still be overdrawn; None where nothing limits it."""
    grants = tuple(grants)
    cap_of = overage_cap(limits)
    rooms = [
        None if cap is None else max(ZERO, cap - grant.overdrawn) for grant in grants if (cap := cap_of(grant)) != 0
    ]
    if not rooms:
        return ZERO
    room = spend_room(limits, grants)
    if room is not None or None in rooms:
        return room
    return sum((known for known in rooms if known is not None), ZERO)


# ------------------------------------------------------------------ drawing and giving back

Eligible = Callable[[Grant], bool]


def started(grant: Grant) -> bool:
    return grant.starts_at is None


def any_grant(_: Grant) -> bool:
    return True


def draw(grants: tuple[Grant, ...], amount: Decimal, may: Eligible = started) -> tuple[tuple[Grant, ...], Decimal]:
    """Draws `amount` >= 0 from ordered grants: rollovers, soonest to expire first, then each grant down to zero.

    Returns the grants and what none of them could cover. Source: autumn.md 3.2 (rollovers, then down to 0).
    """
    if any(grant.rollovers for grant in grants) and not any(grant.unlimited and may(grant) for grant in grants):
        grants, amount = _draw_rollovers(grants, amount, may)
    drawn = []
    for grant in grants:
        part = ZERO
        if may(grant):
            part = amount if grant.unlimited else min(amount, max(grant.remaining, ZERO))
        drawn.append(grant._replace(used=grant.used + part) if part else grant)
        amount -= part
    return tuple(drawn), amount


def _draw_rollovers(grants: tuple[Grant, ...], amount: Decimal, may: Eligible) -> tuple[tuple[Grant, ...], Decimal]:
    changed = list(grants)
    queue = sorted(
        (FOREVER if rollover.expires_at is None else rollover.expires_at, number, index)
        for number, grant in enumerate(grants)
        if may(grant)
        for index, rollover in enumerate(soonest_first(grant.rollovers))
    )
    for _, number, index in queue:
        rollovers = list(soonest_first(changed[number].rollovers))
        part = min(amount, rollovers[index].remaining)
        if part:
            rollovers[index] = rollovers[index]._replace(used=rollovers[index].used + part)
            changed[number] = changed[number]._replace(rollovers=tuple(rollovers))
            amount -= part
    return tuple(changed), amount


def draw_overage(
    grants: tuple[Grant, ...], amount: Decimal, cap_of: CapOf, may: Eligible = started
) -> tuple[tuple[Grant, ...], Decimal]:
    """Overdraws ordered grants by `amount` > 0, each as far as it may; returns the grants and the rest (3.2, pass 2)."""
    drawn = []
    for grant in grants:
        part = ZERO
        if may(grant) and not grant.unlimited:
            cap = cap_of(grant)
            part = amount if cap is None else min(amount, max(ZERO, cap - grant.overdrawn))
        drawn.append(grant._replace(used=grant.used + part) if part else grant)
        amount -= part
    return tuple(drawn), amount


def lift(grants: tuple[Grant, ...], amount: Decimal, may: Eligible = started) -> tuple[tuple[Grant, ...], Decimal]:
    """Returns `amount` >= 0 to overdrawn grants, each up to zero; returns the grants and the rest (autumn.md 3.3)."""
    return _put_back(grants, amount, lambda grant: grant.overdrawn if may(grant) else ZERO)


def refill(grants: tuple[Grant, ...], amount: Decimal, may: Eligible = started) -> tuple[tuple[Grant, ...], Decimal]:
    """Returns `amount` >= 0 to grants, each up to its grant; rollovers are never refilled (autumn.md 3.3)."""
    return _put_back(grants, amount, lambda grant: max(ZERO, grant.used) if may(grant) else ZERO)


def _put_back(
    grants: tuple[Grant, ...], amount: Decimal, room_of: Callable[[Grant], Decimal]
) -> tuple[tuple[Grant, ...], Decimal]:
    returned = []
    for grant in grants:
        part = min(amount, room_of(grant))
        returned.append(grant._replace(used=grant.used - part) if part else grant)
        amount -= part
    return tuple(returned), amount


def with_usage_counted(
    before: tuple[Grant, ...], after: tuple[Grant, ...], amount: Decimal, may: Eligible = started
) -> tuple[Grant, ...]:
    """`after` with a use of `amount` counted in every grant that may count it, whichever of them paid (lotus.md 0.8)."""
    return tuple(
        new._replace(used_elsewhere=new.used_elsewhere + rest)
        if may(new) and (rest := amount - (new.used - old.used))
        else new
        for old, new in zip(before, after, strict=True)
    )


# ------------------------------------------------------------------ sums


class Totals(NamedTuple):
    """What grants hold together. An unlimited balance has no number but its usage."""

    granted: Decimal
    remaining: Decimal
    usage: Decimal
    unlimited: bool


def totals(grants: Iterable[Grant]) -> Totals:
    """The sums over settled grants and their rollovers; what a grant is overdrawn by does not reduce what another holds
    (autumn.md 1.2)."""
    grants = tuple(grants)
    usage = sum((grant.consumed for grant in grants), ZERO)
    if any(grant.unlimited for grant in grants):
        return Totals(ZERO, ZERO, usage, True)
    granted = sum((grant.total + sum((r.granted for r in grant.rollovers), ZERO) for grant in grants), ZERO)
    return Totals(granted, sum((max(grant.remaining, ZERO) + grant.rolled for grant in grants), ZERO), usage, False)
