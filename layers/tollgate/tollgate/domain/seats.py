"""The use of allocated features: it follows what exists, not the grants that happen to count it.

A use of an allocated feature (a seat that is taken) lasts until it is given back. So the grants of such a balance hold
together, at any time, what is used in all: where a grant goes, its use moves to those that remain, and a grant that is
the first counts the entities that exist already (invariants.md 12).
"""

from __future__ import annotations

from decimal import Decimal

from tollgate.domain.drawing import (
    Eligible,
    any_grant,
    draw,
    draw_overage,
    overage_cap,
    overage_room,
    pay_back_overage,
    push,
    started,
    with_usage_counted,
)
from tollgate.domain.grants import Grant, deduction_order
from tollgate.domain.limits import NO_LIMITS, Limits
from tollgate.domain.quantities import ZERO

Grants = tuple[Grant, ...]


def placed(grants: Grants, used: Decimal) -> Grants:
    """The grants with `used` units more, whatever they allow: within what they hold, then as overage where it is sold,
    then beyond. Grants that have started come first; where none has, those that are to start count it until then.
    """
    if not grants or used <= 0:
        return grants
    may: Eligible = started if any(started(grant) for grant in grants) else any_grant
    ordered = tuple(sorted(grants, key=deduction_order))
    drawn, left = draw(ordered, used, may)
    if left:
        drawn, left = draw_overage(drawn, left, overage_cap(NO_LIMITS), may)
    return push(drawn, left, may) if left else drawn


def seats_left(grants: Grants, limits: Limits) -> Decimal | None:
    """How many units these grants still allow; None where nothing bounds them. Free ones do not, unless overage is
    switched off: they may be overdrawn (autumn.md 3.4)."""
    if any(grant.unlimited for grant in grants):
        return None
    if limits.overage_allowed is not False and all(grant.price is None for grant in grants):
        return None
    room = overage_room(grants, limits)
    left = sum((max(ZERO, grant.remaining) for grant in grants), ZERO)
    return None if room is None else left + room


def kept_together(before: Grants, after: Grants) -> Grants:
    """`after`, with the use of every grant of `before` that is not among them, and of those that are yet to start while
    others have started. What is counted of it in Lotus's periods is counted already."""
    remaining = {grant.id for grant in after}
    loose = sum((grant.used for grant in before if grant.id not in remaining and grant.used > 0), ZERO)
    if any(started(grant) for grant in after):
        waiting = [grant for grant in after if not started(grant) and grant.used > 0]
        loose += sum((grant.used for grant in waiting), ZERO)
        after = tuple(grant._replace(used=ZERO) if grant in waiting else grant for grant in after)
    if not loose:
        return after
    ordered = tuple(sorted(after, key=deduction_order))
    counting = {grant.id for grant in before if started(grant)}
    return with_usage_counted(ordered, placed(ordered, loose), ZERO, lambda grant: grant.id in counting)


def spread(before: Grants, after: Grants) -> Grants:
    """`after`, where one of its grants is new or holds more than in `before`: what others are overdrawn by is counted by
    the grants that have room. So what is left does not depend on which grant came first."""
    sizes = {grant.id: grant.total for grant in before if started(grant)}
    live = [grant for grant in after if started(grant)]
    if not any(grant.total > sizes.get(grant.id, ZERO) for grant in live) or any(grant.unlimited for grant in live):
        return after
    over = sum((grant.overdrawn for grant in live), ZERO)
    moves = min(over, sum((max(ZERO, grant.remaining) for grant in live), ZERO))
    if moves <= 0:
        return after
    ordered = tuple(sorted(after, key=deduction_order))
    freed, _ = pay_back_overage(ordered, moves, started)
    return with_usage_counted(ordered, placed(freed, moves), ZERO, started)
