"""One customer's balance of one feature: its rows, and the three numbers that make the hot path one conditional write.

`rows` hold the grants as of the last fold. Between folds only three numbers move: `spent` grows, `headroom` shrinks by
the same amount, and `fresh_until` says how long that is sound. The deduction order is fixed between folds, so rows and
`spent` together give every row's remaining (`settle`); nobody writes rows on the hot path.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.periods import Reset, next_boundary
from tollgate.domain.quantities import ZERO

UNBOUNDED = Decimal(10) ** 17  # an unlimited balance's headroom; used up after 100 of the largest uses, then folded
FOREVER = 9_999_999_999_999_999  # a `fresh_until` for what never changes by itself
NEVER_FRESH = 0  # a `fresh_until` that sends every use down the slow path


class Row(NamedTuple):
    """One grant. `used` is what was drawn from it since it was granted or last reset; over `granted`, it is overdrawn.

    Times are epoch milliseconds. `next_reset_at` is a boundary of `anchor` and `reset`; None never resets.
    """

    id: str
    plan_id: str | None
    subscription_id: str | None
    granted: Decimal
    used: Decimal = ZERO
    unlimited: bool = False
    reset: Reset | None = None
    anchor: int = 0
    next_reset_at: int | None = None
    expires_at: int | None = None
    add_on: bool = False

    @property
    def remaining(self) -> Decimal:
        """What the row still holds: below zero where it is overdrawn, zero where it is unlimited."""
        return ZERO if self.unlimited else self.granted - self.used

    @property
    def changes_at(self) -> int:
        """The first instant at which the row changes by itself."""
        return min(
            FOREVER if self.next_reset_at is None else self.next_reset_at,
            FOREVER if self.expires_at is None else self.expires_at,
        )


class Balance(NamedTuple):
    """The state of one balance. A `flag` grants a boolean feature: it has rows (who grants it) and nothing to spend."""

    feature_id: str
    rows: tuple[Row, ...] = ()
    headroom: Decimal = ZERO
    spent: Decimal = ZERO
    fresh_until: int = NEVER_FRESH
    flag: bool = False


def deduction_order(row: Row) -> tuple[bool, bool, int, int, bool, int, str]:
    """The order in which rows are drawn, first to last (autumn.md 3.1, for rows of one customer and feature).

    Unlimited rows (they absorb everything), then rows that reset before those that don't, shorter periods first, sooner
    expiry first, main plans before add-ons, older grants first.
    """
    return (
        not row.unlimited,
        row.next_reset_at is None,
        row.reset.nominal_ms if row.reset else 0,
        FOREVER if row.expires_at is None else row.expires_at,
        row.add_on,
        row.anchor,
        row.id,
    )


def balance_of(feature_id: str, rows: Iterable[Row]) -> Balance:
    """A folded balance of these rows: nothing spent, headroom and freshness as the rows have them."""
    ordered = tuple(sorted(rows, key=deduction_order))
    total = totals(ordered)
    headroom = UNBOUNDED if total.unlimited else total.remaining
    fresh_until = min((row.changes_at for row in ordered), default=FOREVER)
    return Balance(feature_id, ordered, headroom, ZERO, fresh_until)


def flag_of(feature_id: str, rows: Iterable[Row]) -> Balance:
    """A boolean feature's balance: held while it has a row."""
    return Balance(feature_id, tuple(rows), flag=True)


class Totals(NamedTuple):
    """What all rows hold together. An unlimited balance has no number but its usage."""

    granted: Decimal
    remaining: Decimal
    usage: Decimal
    unlimited: bool


def totals(rows: Iterable[Row]) -> Totals:
    """The sums over settled rows; what a row is overdrawn by does not reduce what another holds (autumn.md 1.2)."""
    rows = tuple(rows)
    usage = sum((row.used for row in rows), ZERO)
    if any(row.unlimited for row in rows):
        return Totals(ZERO, ZERO, usage, True)
    granted = sum((row.granted for row in rows), ZERO)
    return Totals(granted, sum((max(row.remaining, ZERO) for row in rows), ZERO), usage, False)


def settle(balance: Balance) -> tuple[Row, ...]:
    """The rows with `spent` drawn from them in order: what each row holds now, as long as the balance is fresh."""
    rows, left = draw(balance.rows, balance.spent)
    assert left == 0, "more was spent than the rows held: the hot path let through what it must not"
    return rows


def fold(balance: Balance, now: int) -> Balance:
    """The balance as it stands at `now`: spent settled into the rows, resets due applied once, expired rows dropped."""
    if balance.flag:
        return balance._replace(rows=tuple(row for row in balance.rows if not _expired(row, now)))
    return balance_of(balance.feature_id, (_renewed(row, now) for row in settle(balance) if not _expired(row, now)))


def _expired(row: Row, now: int) -> bool:
    return row.expires_at is not None and row.expires_at <= now


def _renewed(row: Row, now: int) -> Row:
    if row.next_reset_at is None or row.next_reset_at > now or row.reset is None:
        return row
    return row._replace(used=ZERO, next_reset_at=next_boundary(row.anchor, row.reset, now))


def draw(rows: tuple[Row, ...], amount: Decimal) -> tuple[tuple[Row, ...], Decimal]:
    """Draws `amount` >= 0 from ordered rows, each down to zero; returns the rows and what none of them could cover."""
    drawn = []
    for row in rows:
        part = amount if row.unlimited else min(amount, max(row.remaining, ZERO))
        drawn.append(row._replace(used=row.used + part) if part else row)
        amount -= part
    return tuple(drawn), amount


def overdraw(rows: tuple[Row, ...], amount: Decimal) -> tuple[Row, ...]:
    """Pushes `amount` past the floor of the last row; below zero, past its grant (autumn.md 3.2 and 3.3, overflow)."""
    return (*rows[:-1], rows[-1]._replace(used=rows[-1].used + amount))


def give_back(rows: tuple[Row, ...], amount: Decimal) -> tuple[tuple[Row, ...], Decimal]:
    """Returns `amount` >= 0 to ordered rows: overdrawn rows first, up to zero, then each up to its grant.

    Returns the rows and what none of them had room for (autumn.md 3.3: it is dropped).
    """
    for to_the_full in (False, True):
        returned = []
        for row in rows:
            floor = ZERO if to_the_full or row.unlimited else row.granted
            part = max(ZERO, min(amount, row.used - floor))
            returned.append(row._replace(used=row.used - part) if part else row)
            amount -= part
        rows = tuple(returned)
    return rows, amount
