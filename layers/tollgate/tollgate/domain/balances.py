"""One balance: the grants of one feature for one customer or entity, and the numbers that make the fast path one
conditional write.

`grants` are stored as they stood when the balance was last computed; between two computations only numbers move. Each
use adds to `spent` and takes the same from `headroom` and `ceiling`, and `fresh_until` says for how long that is
enough. The order in which grants are drawn is fixed meanwhile, so the stored grants and `spent` give what each grant
holds now (`apply_spent`), and no use has to write them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.drawing import (
    any_grant,
    draw,
    draw_overage,
    overage_cap,
    overage_room,
    pay_back_overage,
    refill,
    with_usage_counted,
)
from tollgate.domain.grants import FOREVER, Grant, deduction_order, renewed
from tollgate.domain.handovers import State, handed_over, next_handover, pruned
from tollgate.domain.holds import Hold, Part, forgotten, held_rollovers, kept_of, uncounted, undo
from tollgate.domain.limits import NO_LIMITS, Limits, Window
from tollgate.domain.quantities import ZERO
from tollgate.domain.seats import kept_together, spread

UNBOUNDED = (
    Decimal(10) ** 17
)  # an unlimited balance's headroom; used up after 100 of the largest uses, then computed anew
_COUNTED = UNBOUNDED / 10  # a ceiling below it is a sum of grants
NEVER_FRESH = 0  # a `fresh_until` that sends every use down the slow path
ENTITIES = "@"  # in `paid_first`: entities hold balances of the feature too


class BalanceKey(NamedTuple):
    """Which item of a customer: a feature, for one entity or (empty) for the customer."""

    feature_id: str
    entity_id: str = ""


class Balance(NamedTuple):
    """The state of one balance. Units are the feature's; times are epoch milliseconds.

    - `grants`: what was granted, in the order in which it is drawn, as of the last computation.
    - `headroom`: what may be used without overage. `ceiling`: that and the overage that the grants allow. Usage limits
      lower both.
    - `spent`: used since the last computation. `fresh_until`: the first instant at which something changes by itself (a
      reset, an expiry, the end of a window or of a hold); NEVER_FRESH sends every use down the slow path.
    - `flag`: a boolean or static feature, held while it has a grant; there is nothing to spend.
    - `allocated`: its use lasts until it is given back, whatever becomes of the grants that count it (`domain.seats`).
    - `left_off`: plans' grants that have ended, as they were then, while what was used of them counts (`domain.handovers`).
    - `limits`: spend and usage limits, and the thresholds that are watched. `holds`: the reservations that hold units.

    What else the customer holds decides the rest:

    - `paid_first`: the features that pay before this credit pool does, and ENTITIES where entities hold balances of it.
    - `counted_by_customer`: a use of this entity's balance counts in the usage limit of its customer's.
    - `has_test_clock`: the customer's test clock says what time it is. `unpooled`: entities do not share it.
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
    allocated: bool = False
    left_off: tuple[Grant, ...] = ()

    @property
    def feature_id(self) -> str:
        """The feature whose units it holds."""
        return self.key.feature_id

    @property
    def live_grants(self) -> tuple[Grant, ...]:
        """The grants that have started, of a balance as of now."""
        return tuple(grant for grant in self.grants if grant.starts_at is None)


Balances = Mapping[BalanceKey, Balance]
"""The balances of one customer that a decision may touch."""


def recomputed(balance: Balance) -> Balance:
    """The balance with its grants in order and its numbers as they follow from grants, limits and links. Nothing of it
    may be spent: `apply_spent` comes first."""
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


def as_of(balance: Balance, now: int) -> Balance:
    """The balance as of `now` (ms): what was spent is drawn from its grants, what was due is done once (resets,
    expiries, holds whose time is over, in the order of their times), and expired grants are gone.
    """
    over = any(g.next_reset_at is not None and g.next_reset_at <= now for g in balance.left_off)
    if now < balance.fresh_until and balance.ceiling < _COUNTED and not over:  # the numbers are the grants' own
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
    """Grants, usage limits and holds as time alone changes them up to `now`. Nothing of the balance may be spent."""
    while (moment := next_handover(balance.grants, now)) is not None:
        balance = _handed_over(_renewed(balance, moment - 1), moment)
    balance = _renewed(balance, now)
    if balance.left_off:
        state = pruned(State(balance.grants, balance.left_off, balance.holds), now)
        balance = balance._replace(left_off=state.left_off, holds=state.holds)
    limits = balance.limits
    if limits.windows:
        limits = limits._replace(windows=tuple(window.at(now) for window in limits.windows))
    return balance._replace(limits=limits)


def _handed_over(balance: Balance, moment: int) -> Balance:
    state = State(balance.grants, balance.left_off, balance.holds)
    grants, left_off, holds = handed_over(state, moment, allocated=balance.allocated)
    return balance._replace(grants=grants, left_off=() if balance.flag else left_off, holds=holds)


def _renewed(balance: Balance, now: int) -> Balance:
    """The balance with every grant's resets that are due by `now`: none starts or ends by then."""
    grants, whole = [], set()
    for old in balance.grants:
        held = held_rollovers(balance.holds, old.id) if old.rollovers and balance.holds else frozenset[int | None]()
        grant = renewed(old, now, held)
        if grant is not None:
            grants.append(grant)
            if grant.next_reset_at != old.next_reset_at:
                whole.add(old.id)
    holds = forgotten(balance.holds, whole) if whole and balance.holds else balance.holds
    return balance._replace(grants=tuple(grants), holds=holds)


def with_other_grants(balance: Balance, grants: tuple[Grant, ...], now: int) -> Balance:
    """The balance, as of `now`, with these grants: those that start or end at `now` do so at once. Use of seats that
    nothing granted is theirs."""
    left_off = balance.left_off
    if balance.allocated and grants and left_off:
        grants, left_off = kept_together(left_off, grants), ()
    if balance.allocated:
        grants = spread(balance.grants, grants)
    return recomputed(_passed(balance._replace(grants=grants, left_off=left_off), now))


def _lapsed(balance: Balance, hold_id: str) -> Balance:
    """The balance with what a hold took given back, its time being over."""
    hold = next(hold for hold in balance.holds if hold.id == hold_id)
    return released(balance, hold)


def released(balance: Balance, hold: Hold) -> Balance:
    """The balance without a hold, what it took given back. What came from a grant that is gone goes to those there are.

    Source: autumn.md 3.11.
    """
    others = tuple(other for other in balance.holds if other.id != hold.id)
    balance, rest = undone(balance, hold.parts)
    if hold.used_elsewhere:
        balance = balance._replace(
            grants=_uncounted_elsewhere(balance.grants, hold), left_off=_uncounted_elsewhere(balance.left_off, hold)
        )
    grants = before = balance.grants
    if rest > 0:
        held = kept_of(others)
        grants, rest = pay_back_overage(grants, rest, held=held)
        grants, _ = refill(grants, rest, held=held)
    elif rest < 0 and grants:
        grants, left = draw(grants, -rest)
        grants = (grants[0]._replace(used=grants[0].used + left), *grants[1:]) if left else grants
    grants = with_usage_counted(before, grants, ZERO, any_grant)  # what they counted of it is uncounted already
    return balance._replace(
        grants=grants,
        limits=uncounted(balance.limits, hold.counted),
        holds=others,
    )


def undone(balance: Balance, parts: Sequence[Part]) -> tuple[Balance, Decimal]:
    """The balance with these parts of a hold returned to the grants that they were drawn from, also to those that have
    ended, and the units that could not be (`holds.undo`)."""
    grants, rest = undo((*balance.grants, *balance.left_off), parts)
    live = len(balance.grants)
    return balance._replace(grants=grants[:live], left_off=grants[live:]), rest


def _uncounted_elsewhere(grants: tuple[Grant, ...], hold: Hold) -> tuple[Grant, ...]:
    counted = dict(hold.used_elsewhere)
    return tuple(g._replace(used_elsewhere=g.used_elsewhere - counted.get(g.id, ZERO)) for g in grants)


def apply_spent(balance: Balance) -> tuple[Grant, ...]:
    """The grants with `spent` drawn from them in order: what each holds now, as long as the balance is fresh."""
    if not balance.spent:
        return balance.grants
    grants, left = draw(balance.grants, balance.spent)
    if left:
        grants, left = draw_overage(grants, left, overage_cap(balance.limits))
    assert left == 0, "more was spent than the grants held: the fast path let through what it must not"
    return with_usage_counted(balance.grants, grants, balance.spent)


def _counted(balance: Balance) -> tuple[Window, ...]:
    """The usage limits with `spent` counted in them; an unlimited balance counts nothing (autumn.md 3.7)."""
    if not balance.spent or any(grant.unlimited and grant.starts_at is None for grant in balance.grants):
        return balance.limits.windows
    return tuple(window._replace(used=window.used + balance.spent) for window in balance.limits.windows)


def all_as_of(balances: Balances, now: int) -> dict[BalanceKey, Balance]:
    """Each balance as of `now` (ms)."""
    return {key: as_of(balance, now) for key, balance in balances.items()}
