"""One balance item: the rows of one feature for one customer or entity, and the numbers that make the hot path one
conditional write.

`rows` hold the grants as of the last fold. Between folds only numbers move: `spent` grows, `headroom` and `ceiling`
shrink by the same amount, and `fresh_until` says how long that is sound. The deduction order is fixed between folds, so
rows and `spent` together give every row's remaining (`settle`); nobody writes rows on the hot path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.holds import Hold, forgotten, uncounted, undo
from tollgate.domain.limits import NO_LIMITS, Limits, Window
from tollgate.domain.quantities import ZERO
from tollgate.domain.rows import FOREVER, Row, deduction_order, renewed, soonest_first

UNBOUNDED = Decimal(10) ** 17  # an unlimited balance's headroom; used up after 100 of the largest uses, then folded
_COUNTED = UNBOUNDED / 10  # a ceiling below it is a sum of rows
NEVER_FRESH = 0  # a `fresh_until` that sends every use down the slow path
ENTITIES = "@"  # in `before`: entities hold balances of the feature too


class Place(NamedTuple):
    """Which item of a customer: a feature, for one entity or (empty) for the customer."""

    feature_id: str
    entity_id: str = ""


class Balance(NamedTuple):
    """The state of one balance item.

    `headroom` is what the rows hold, `ceiling` that and the overage that they allow; usage limits lower both. `flag`: a
    boolean or static feature, held while it has a row, with nothing to spend. What else the customer holds decides
    `before` (features that are drawn before this credit pool, and ENTITIES), `governed` (a use here counts in another
    item's usage limit), `clocked` (a test clock says what time it is) and `unpooled` (entities do not share it). `holds`
    are the reservations that hold units of it.
    """

    place: Place
    rows: tuple[Row, ...] = ()
    headroom: Decimal = ZERO
    ceiling: Decimal = ZERO
    spent: Decimal = ZERO
    fresh_until: int = NEVER_FRESH
    flag: bool = False
    limits: Limits = NO_LIMITS
    before: frozenset[str] = frozenset()
    governed: bool = False
    clocked: bool = False
    unpooled: bool = False
    holds: tuple[Hold, ...] = ()

    @property
    def feature_id(self) -> str:
        return self.place.feature_id

    @property
    def live_rows(self) -> tuple[Row, ...]:
        """The rows of a folded balance that have started."""
        return tuple(row for row in self.rows if row.starts_at is None)


def restated(balance: Balance) -> Balance:
    """A folded balance (nothing spent) of these rows, limits and links: in order, its numbers as they follow from those."""
    rows = tuple(sorted(balance.rows, key=deduction_order))
    live = [row for row in rows if row.starts_at is None]
    moments = [*(row.changes_at for row in rows), *(hold.expires_at for hold in balance.holds)]
    if any(row.unlimited for row in live):
        headroom = ceiling = UNBOUNDED
        thoughtful = False
    else:
        headroom = sum((max(row.remaining, ZERO) + row.rolled for row in live), ZERO)
        room = overage_room(live, balance.limits)
        ceiling = headroom if ENTITIES in balance.before else UNBOUNDED if room is None else headroom + room
        for window in balance.limits.windows:
            headroom, ceiling = min(headroom, window.room), min(ceiling, window.room)
        moments += [window.ends_at for window in balance.limits.windows]
        thoughtful = any(window.filter for window in balance.limits.windows)
    thoughtful = thoughtful or any(row.filters for row in rows)
    fresh_until = NEVER_FRESH if thoughtful or balance.governed or balance.clocked else min(moments, default=FOREVER)
    return balance._replace(rows=rows, headroom=headroom, ceiling=ceiling, spent=ZERO, fresh_until=fresh_until)


def balance_of(place: Place, rows: Iterable[Row], *, flag: bool = False) -> Balance:
    """A folded balance of these rows, without limits or links."""
    return restated(Balance(place, tuple(rows), flag=flag))


def fold(balance: Balance, now: int) -> Balance:
    """The balance as it stands at `now`: spent settled into the rows, what was due done once, expired rows dropped."""
    if now < balance.fresh_until and balance.ceiling < _COUNTED:  # nothing is due, and the numbers are the rows' own
        windows = tuple(_counted(balance)) if balance.limits.windows else ()
        limits = balance.limits._replace(windows=windows) if windows else balance.limits
        headroom = max(ZERO, balance.headroom)  # overage was drawn from it too
        return balance._replace(rows=settle(balance), headroom=headroom, spent=ZERO, limits=limits)
    limits = balance.limits._replace(windows=tuple(_counted(balance))) if balance.limits.windows else balance.limits
    balance = balance._replace(rows=settle(balance), spent=ZERO, limits=limits)
    for hold in sorted(balance.holds, key=lambda hold: hold.expires_at):
        if hold.expires_at > now:
            break
        balance = _lapsed(_passed(balance, hold.expires_at), hold.id)
    return restated(_passed(balance, now))


def _passed(balance: Balance, now: int) -> Balance:
    """What time does to settled rows, usage limits and holds by itself."""
    rows, whole = [], set()
    for old in balance.rows:
        row = renewed(old, now)
        if row is not None:
            rows.append(row)
            if row.next_reset_at != old.next_reset_at:
                whole.add(row.id)
    limits = balance.limits
    if limits.windows:
        limits = limits._replace(windows=tuple(window.at(now) for window in limits.windows))
    holds = forgotten(balance.holds, whole) if whole and balance.holds else balance.holds
    return balance._replace(rows=tuple(rows), limits=limits, holds=holds)


def _lapsed(balance: Balance, hold_id: str) -> Balance:
    """Settled rows and usage limits with what a hold took of them given back."""
    hold = next(hold for hold in balance.holds if hold.id == hold_id)
    return released(balance, hold)


def released(balance: Balance, hold: Hold) -> Balance:
    """The item without a hold, what it took given back. What belonged to a row that is gone lands on those there are
    (autumn.md 3.11)."""
    rows, rest = undo(balance.rows, hold.parts)
    if hold.beside:
        beside = dict(hold.beside)
        rows = tuple(row._replace(beside=row.beside - beside.get(row.id, ZERO)) for row in rows)
    undone = rows
    if rest > 0:
        rows, rest = lift(rows, rest)
        rows, _ = refill(rows, rest)
    elif rest < 0 and rows:
        rows, left = draw(rows, -rest)
        rows = (rows[0]._replace(used=rows[0].used + left), *rows[1:]) if left else rows
    rows = tallied(undone, rows, ZERO, any_row)  # what they counted of it is uncounted already
    windows = uncounted(balance.limits.windows, hold.counted)
    return balance._replace(
        rows=rows,
        limits=balance.limits._replace(windows=windows),
        holds=tuple(other for other in balance.holds if other.id != hold.id),
    )


def settle(balance: Balance) -> tuple[Row, ...]:
    """The rows with `spent` drawn from them in order: what each row holds now, as long as the balance is fresh."""
    if not balance.spent:
        return balance.rows
    rows, left = draw(balance.rows, balance.spent)
    if left:
        rows, left = draw_overage(rows, left, overage_cap(balance.limits))
    assert left == 0, "more was spent than the rows held: the hot path let through what it must not"
    return tallied(balance.rows, rows, balance.spent)


def _counted(balance: Balance) -> tuple[Window, ...]:
    """The usage limits with `spent` counted; an unlimited balance counts nothing (autumn.md 3.7)."""
    if not balance.spent or any(row.unlimited and row.starts_at is None for row in balance.rows):
        return balance.limits.windows
    return tuple(window._replace(used=window.used + balance.spent) for window in balance.limits.windows)


# ------------------------------------------------------------------ overage

CapOf = Callable[[Row], Decimal | None]
"""By how much a row may be overdrawn in all: zero for not at all, None for without end."""


def overage_cap(limits: Limits, *, lenient: bool = False) -> CapOf:
    """Whether and how far each row may be overdrawn under these limits (autumn.md 2.1 (steps 6 and 7)).

    A spend limit takes precedence over `max_purchase`; it bounds all rows together (`spend_room`). `lenient`: a free
    allocated feature's rows may go negative (autumn.md 3.4).
    """

    def cap_of(row: Row) -> Decimal | None:
        if limits.overage_allowed is False:
            return ZERO
        if not row.overage:
            return None if lenient or limits.overage_allowed else ZERO
        return None if limits.spend else row.max_purchase

    return cap_of


def spend_room(limits: Limits, rows: Iterable[Row]) -> Decimal | None:
    """What a spend limit leaves of overage, of all the rows that it bounds; None where nothing limits it."""
    if limits.spend is None:
        return None
    rows = tuple(rows)
    most = limits.spend.limit
    if limits.spend.percentage:
        base = sum((row.granted for row in rows if row.subscription_id and not row.add_on), ZERO)
        if not base:
            return None
        most = most * base / 100
    return max(ZERO, most - sum((row.overdrawn for row in rows), ZERO))


def overage_room(rows: Iterable[Row], limits: Limits) -> Decimal | None:
    """By how much these rows together may still be overdrawn; None where nothing limits it."""
    rows = tuple(rows)
    cap_of = overage_cap(limits)
    rooms = [None if cap is None else max(ZERO, cap - row.overdrawn) for row in rows if (cap := cap_of(row)) != 0]
    if not rooms:
        return ZERO
    room = spend_room(limits, rows)
    if room is not None or None in rooms:
        return room
    return sum((known for known in rooms if known is not None), ZERO)


# ------------------------------------------------------------------ drawing and giving back

Eligible = Callable[[Row], bool]


def started(row: Row) -> bool:
    return row.starts_at is None


def any_row(_: Row) -> bool:
    return True


def draw(rows: tuple[Row, ...], amount: Decimal, may: Eligible = started) -> tuple[tuple[Row, ...], Decimal]:
    """Draws `amount` >= 0 from ordered rows: rollovers, soonest to expire first, then each row down to zero.

    Returns the rows and what none of them could cover. Source: autumn.md 3.2 (rollovers, then down to 0).
    """
    if any(row.rollovers for row in rows) and not any(row.unlimited and may(row) for row in rows):
        rows, amount = _draw_rollovers(rows, amount, may)
    drawn = []
    for row in rows:
        part = ZERO
        if may(row):
            part = amount if row.unlimited else min(amount, max(row.remaining, ZERO))
        drawn.append(row._replace(used=row.used + part) if part else row)
        amount -= part
    return tuple(drawn), amount


def _draw_rollovers(rows: tuple[Row, ...], amount: Decimal, may: Eligible) -> tuple[tuple[Row, ...], Decimal]:
    changed = list(rows)
    queue = sorted(
        (FOREVER if rollover.expires_at is None else rollover.expires_at, number, index)
        for number, row in enumerate(rows)
        if may(row)
        for index, rollover in enumerate(soonest_first(row.rollovers))
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
    rows: tuple[Row, ...], amount: Decimal, cap_of: CapOf, may: Eligible = started
) -> tuple[tuple[Row, ...], Decimal]:
    """Overdraws ordered rows by `amount` > 0, each as far as it may; returns the rows and the rest (3.2, pass 2)."""
    drawn = []
    for row in rows:
        part = ZERO
        if may(row) and not row.unlimited:
            cap = cap_of(row)
            part = amount if cap is None else min(amount, max(ZERO, cap - row.overdrawn))
        drawn.append(row._replace(used=row.used + part) if part else row)
        amount -= part
    return tuple(drawn), amount


def lift(rows: tuple[Row, ...], amount: Decimal, may: Eligible = started) -> tuple[tuple[Row, ...], Decimal]:
    """Returns `amount` >= 0 to overdrawn rows, each up to zero; returns the rows and the rest (autumn.md 3.3)."""
    return _put_back(rows, amount, lambda row: row.overdrawn if may(row) else ZERO)


def refill(rows: tuple[Row, ...], amount: Decimal, may: Eligible = started) -> tuple[tuple[Row, ...], Decimal]:
    """Returns `amount` >= 0 to rows, each up to its grant; rollovers are never refilled (autumn.md 3.3)."""
    return _put_back(rows, amount, lambda row: max(ZERO, row.used) if may(row) else ZERO)


def _put_back(
    rows: tuple[Row, ...], amount: Decimal, room_of: Callable[[Row], Decimal]
) -> tuple[tuple[Row, ...], Decimal]:
    returned = []
    for row in rows:
        part = min(amount, room_of(row))
        returned.append(row._replace(used=row.used - part) if part else row)
        amount -= part
    return tuple(returned), amount


def tallied(
    before: tuple[Row, ...], after: tuple[Row, ...], amount: Decimal, may: Eligible = started
) -> tuple[Row, ...]:
    """`after` with a use of `amount` counted in every row that may count it, whichever of them paid (lotus.md 0.8)."""
    return tuple(
        new._replace(beside=new.beside + rest) if may(new) and (rest := amount - (new.used - old.used)) else new
        for old, new in zip(before, after, strict=True)
    )


# ------------------------------------------------------------------ sums


class Totals(NamedTuple):
    """What rows hold together. An unlimited balance has no number but its usage."""

    granted: Decimal
    remaining: Decimal
    usage: Decimal
    unlimited: bool


def totals(rows: Iterable[Row]) -> Totals:
    """The sums over settled rows and their rollovers; what a row is overdrawn by does not reduce what another holds
    (autumn.md 1.2)."""
    rows = tuple(rows)
    usage = sum((row.consumed for row in rows), ZERO)
    if any(row.unlimited for row in rows):
        return Totals(ZERO, ZERO, usage, True)
    granted = sum((row.total + sum((r.granted for r in row.rollovers), ZERO) for row in rows), ZERO)
    return Totals(granted, sum((max(row.remaining, ZERO) + row.rolled for row in rows), ZERO), usage, False)
