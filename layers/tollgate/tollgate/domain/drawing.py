"""Drawing units from grants, returning them, and adding up what grants hold.

Every function takes the grants of one balance in deduction order (`grants.deduction_order`), with the balance's `spent`
already applied, and returns new grants. Amounts are units of the balance. `may` selects the grants that take part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from tollgate.domain.grants import FOREVER, Grant, soonest_first
from tollgate.domain.limits import Limits
from tollgate.domain.quantities import ZERO

# ------------------------------------------------------------------ overage

CapOf = Callable[[Grant], Decimal | None]
"""The most units by which a grant may be overdrawn: zero is not at all, None is no limit."""


def overage_cap(limits: Limits, *, may_go_negative: bool = False) -> CapOf:
    """How far each grant may be overdrawn under these limits (autumn.md 2.1 (steps 6 and 7)).

    A spend limit takes precedence over `max_purchase`; it bounds all grants together (`spend_room`). `may_go_negative`:
    the grants are of a free allocated feature, which may be drawn below zero (autumn.md 3.4).
    """

    def cap_of(grant: Grant) -> Decimal | None:
        if limits.overage_allowed is False:
            return ZERO
        if not grant.overage:
            return None if may_go_negative or limits.overage_allowed else ZERO
        return None if limits.spend else grant.max_purchase

    return cap_of


def spend_room(limits: Limits, grants: Iterable[Grant]) -> Decimal | None:
    """The units of overage that the spend limit still allows these grants together; None where there is no spend limit,
    or it is a percentage of nothing.
    """
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


def overage_room(grants: Iterable[Grant], limits: Limits, spending: Iterable[Grant] | None = None) -> Decimal | None:
    """By how many units these grants together may still be overdrawn; None is no limit.

    `spending`: the grants whose overage counts against the spend limit; None for these.
    """
    grants = tuple(grants)
    cap_of = overage_cap(limits)
    rooms = [
        None if cap is None else max(ZERO, cap - grant.overdrawn) for grant in grants if (cap := cap_of(grant)) != 0
    ]
    if not rooms:
        return ZERO
    room = spend_room(limits, grants if spending is None else spending)
    if room is not None or None in rooms:
        return room
    return sum((known for known in rooms if known is not None), ZERO)


# ------------------------------------------------------------------ drawing and giving back

Eligible = Callable[[Grant], bool]


def started(grant: Grant) -> bool:
    """Whether the grant has started."""
    return grant.starts_at is None


def any_grant(_: Grant) -> bool:
    """Every grant takes part."""
    return True


def draw(grants: tuple[Grant, ...], amount: Decimal, may: Eligible = started) -> tuple[tuple[Grant, ...], Decimal]:
    """Draws `amount` >= 0 from the grants: from rollovers first, the soonest to expire before the others, then from
    each grant down to zero (autumn.md 3.2).

    Returns the grants, and the units that none of them could cover.
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
    """Overdraws the grants by `amount` > 0, each as far as `cap_of` allows (autumn.md 3.2, pass 2). Returns the grants,
    and the units that were not drawn.
    """
    drawn = []
    for grant in grants:
        part = ZERO
        if may(grant) and not grant.unlimited:
            cap = cap_of(grant)
            part = amount if cap is None else min(amount, max(ZERO, cap - grant.overdrawn))
        drawn.append(grant._replace(used=grant.used + part) if part else grant)
        amount -= part
    return tuple(drawn), amount


NOTHING_HELD: Mapping[str, Decimal] = MappingProxyType({})


def pay_back_overage(
    grants: tuple[Grant, ...], amount: Decimal, may: Eligible = started, held: Mapping[str, Decimal] = NOTHING_HELD
) -> tuple[tuple[Grant, ...], Decimal]:
    """Returns `amount` >= 0 to overdrawn grants, each up to zero (autumn.md 3.3). Returns the grants, and the units
    left over. What holds keep of a grant (`held`, by its id) is not returned.
    """

    def room(grant: Grant) -> Decimal:
        return min(grant.overdrawn, _returnable(grant, held)) if may(grant) else ZERO

    return _put_back(grants, amount, room)


def refill(
    grants: tuple[Grant, ...], amount: Decimal, may: Eligible = started, held: Mapping[str, Decimal] = NOTHING_HELD
) -> tuple[tuple[Grant, ...], Decimal]:
    """Returns `amount` >= 0 to the grants, each up to what it granted; rollovers are never refilled (autumn.md 3.3).
    Returns the grants, and the units left over. What holds keep of a grant (`held`, by its id) is not returned.
    """
    return _put_back(grants, amount, lambda grant: _returnable(grant, held) if may(grant) else ZERO)


def _returnable(grant: Grant, held: Mapping[str, Decimal]) -> Decimal:
    return max(ZERO, grant.used - held.get(grant.id, ZERO))


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
    """`after`, with a use of `amount` units counted by every grant that `may` count it, whichever grant paid (lotus.md
    0.8).
    """
    return tuple(
        new._replace(used_elsewhere=new.used_elsewhere + rest)
        if may(new) and (rest := amount - (new.used - old.used))
        else new
        for old, new in zip(before, after, strict=True)
    )


# ------------------------------------------------------------------ sums


class Totals(NamedTuple):
    """The sums of several grants. Where one of them is unlimited, `granted` and `remaining` are zero and only `usage`
    counts.
    """

    granted: Decimal
    remaining: Decimal
    usage: Decimal
    unlimited: bool


def totals(grants: Iterable[Grant]) -> Totals:
    """The sums over grants and their rollovers. What one grant is overdrawn by does not reduce what another holds
    (autumn.md 1.2).
    """
    grants = tuple(grants)
    usage = sum((grant.consumed for grant in grants), ZERO)
    if any(grant.unlimited for grant in grants):
        return Totals(ZERO, ZERO, usage, True)
    granted = sum((grant.total + sum((r.granted for r in grant.rollovers), ZERO) for grant in grants), ZERO)
    return Totals(granted, sum((max(grant.remaining, ZERO) + grant.rolled for grant in grants), ZERO), usage, False)


def push(grants: tuple[Grant, ...], amount: Decimal, may: Eligible) -> tuple[Grant, ...]:
    """Uses `amount` units on one grant without any bound; below zero, gives them back past what it granted.

    A positive amount goes to the first pay-per-use grant; where there is none, and for amounts below zero, the first
    grant takes it. At least one grant must take part.
    """
    able = [number for number, grant in enumerate(grants) if may(grant)]
    number = next((number for number in able if grants[number].overage and amount > 0), able[0])
    return (*grants[:number], grants[number]._replace(used=grants[number].used + amount), *grants[number + 1 :])
