"""Balances set by hand: created beside any plan, changed, and deleted (autumn.md 3.8). `now` is the customer's time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from tollgate.domain.balances import Place, any_row, draw, fold, lift, tallied, totals
from tollgate.domain.customers import Holdings, with_rows
from tollgate.domain.decisions import push, sources_of
from tollgate.domain.errors import AlreadyExists, Conflict, InvalidInput, InvalidRequest, NotFound
from tollgate.domain.features import Catalog
from tollgate.domain.periods import Interval, Reset, next_boundary
from tollgate.domain.plans import check_rollover
from tollgate.domain.quantities import ZERO
from tollgate.domain.rows import RolloverRule, Row


@dataclass(frozen=True, slots=True)
class Grant:
    """A balance to create. `included` None and not `unlimited`: of a boolean feature."""

    id: str
    feature_id: str
    entity_id: str = ""
    included: Decimal | None = None
    unlimited: bool = False
    reset: Reset | None = None
    rollover: RolloverRule | None = None
    expires_at: int | None = None
    next_reset_at: int | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows of a feature: all, one by its id, or those of one interval."""

    feature_id: str | None = None
    entity_id: str = ""
    balance_id: str | None = None
    interval: Interval | None = None

    def matches(self, row: Row) -> bool:
        if self.balance_id is not None and row.id != self.balance_id:
            return False
        if self.interval is None:
            return True
        return (row.reset.interval if row.reset else Interval.ONE_OFF) is self.interval


@dataclass(frozen=True, slots=True)
class Change:
    """What to set on a balance: at most one of `remaining`, `usage` and `add`."""

    remaining: Decimal | None = None
    usage: Decimal | None = None
    add: Decimal | None = None
    included: Decimal | None = None
    next_reset_at: int | None = None
    expires_at: int | None = None
    alters_grant: bool = False  # `remaining` changes the grant and leaves the usage (the legacy way)


def create(holdings: Holdings, catalog: Catalog, grant: Grant, now: int) -> Holdings:
    """The holdings with one more row that no plan gave. Raises InvalidInput, InvalidRequest, AlreadyExists or NotFound."""
    feature = catalog.feature(grant.feature_id)
    if grant.entity_id and holdings.entity(grant.entity_id).feature_id == feature.id:
        raise InvalidRequest(f"Entity {grant.entity_id} cannot hold a balance of its own feature {feature.id}")
    place = Place(feature.id, grant.entity_id)
    held = fold(holdings.balances[place], now).rows if place in holdings.balances else ()
    if any(row.id == grant.id for balance in holdings.balances.values() for row in balance.rows):
        raise AlreadyExists("balance", grant.id)
    if feature.type.is_flag:
        if grant.included is not None or grant.unlimited or grant.reset or grant.rollover:
            raise InvalidInput("", f"A {feature.type.value} feature takes no included_grant, unlimited or reset")
        if held:
            raise AlreadyExists("balance", feature.id)
    elif (grant.included is None) == (not grant.unlimited):
        raise InvalidInput("", "Exactly one of included_grant and unlimited must be given")
    elif grant.unlimited and grant.reset:
        raise InvalidInput("reset", "an unlimited balance does not reset")
    if grant.reset and grant.reset.nominal_ms and not feature.consumable:
        raise InvalidInput("reset", "an allocated feature does not reset")
    if grant.rollover:
        check_rollover(grant.rollover, grant.reset, feature, "rollover")
    if grant.expires_at is not None and grant.expires_at <= now:
        raise InvalidInput("expires_at", "must be in the future")
    next_reset_at = next_boundary(now, grant.reset, now) if grant.reset else None
    if grant.next_reset_at is not None:
        if next_reset_at is None:
            raise InvalidInput("next_reset_at", "needs a reset interval")
        if grant.next_reset_at <= now:
            raise InvalidInput("next_reset_at", "must be in the future")
        next_reset_at = grant.next_reset_at
    if grant.expires_at is not None and next_reset_at is not None:
        explicit = grant.next_reset_at is not None or grant.rollover is not None
        if explicit and grant.expires_at <= next_reset_at:
            raise InvalidInput("expires_at", "must be later than the next reset")
    row = Row(
        id=grant.id,
        plan_id=None,
        subscription_id=None,
        granted=grant.included or ZERO,
        unlimited=grant.unlimited,
        reset=grant.reset,
        anchor=now if grant.next_reset_at is None else grant.next_reset_at,
        next_reset_at=next_reset_at,
        expires_at=grant.expires_at,
        created_at=now,
        rollover=grant.rollover,
    )
    return with_rows(holdings, catalog, {place: (*held, row)}, now)


def update(holdings: Holdings, catalog: Catalog, which: Filter, change: Change, now: int) -> Holdings:
    """The holdings with a balance set. Where no row matches, what only moves units does nothing.

    Raises NotFound (a balance) where a row's own field is to be set and there is none, InvalidInput for a bad time.
    """
    feature_id = which.feature_id
    assert feature_id is not None
    feature = catalog.feature(feature_id)
    if which.entity_id:
        holdings.entity(which.entity_id)
    if feature.type.is_flag:
        raise InvalidRequest(f"Feature {feature.id} is {feature.type.value}: there is nothing to set")
    rows = _Selected(holdings, which, now)
    if not rows:
        if change.included is not None or change.next_reset_at is not None or change.expires_at is not None:
            raise NotFound("balance", which.balance_id or feature_id)
        return holdings
    if change.included is not None:
        more = change.included - sum((row.granted + row.adjustment for row in rows), ZERO)
        keep = change.remaining is None and change.usage is None and change.add is None
        first = rows.first
        rows.replace(0, first._replace(adjustment=first.adjustment + more, used=first.used + (more if keep else ZERO)))
    delta = _delta(change, tuple(rows))
    if delta is not None and not any(row.unlimited for row in rows):
        if change.alters_grant:
            rows.replace(0, rows.first._replace(adjustment=rows.first.adjustment + delta))
        else:
            rows.move(delta)
    if change.next_reset_at is not None:
        _move_reset(rows, change.next_reset_at, now)
    if change.expires_at is not None:
        if change.expires_at <= now:
            raise InvalidInput("expires_at", "must be in the future")
        if any(row.price and row.reset for row in rows):
            raise InvalidRequest("A paid recurring balance cannot be given an expiry")
        for number, row in enumerate(tuple(rows)):
            rows.replace(number, row._replace(expires_at=change.expires_at))
    return with_rows(holdings, catalog, rows.changes(), now)


def delete(holdings: Holdings, catalog: Catalog, which: Filter, now: int, *, recalculate: bool) -> Holdings:
    """The holdings without the rows that match; to `recalculate`, their usage is charged to those that stay.

    Raises NotFound (a balance), Conflict for a paid row, InvalidInput where usage has no feature to be charged to.
    """
    if recalculate and which.feature_id is None:
        raise InvalidInput("feature_id", "is required when recalculate_balances is true")
    if which.entity_id:
        holdings.entity(which.entity_id)
    gone: dict[Place, list[Row]] = {}
    for place, balance in holdings.balances.items():
        if place.entity_id == which.entity_id and which.feature_id in (None, place.feature_id):
            found = [row for row in fold(balance, now).rows if which.matches(row)]
            if found:
                gone[place] = found
    if not gone:
        raise NotFound("balance", which.balance_id or which.feature_id or "")
    if any(row.price for rows in gone.values() for row in rows):
        raise Conflict("A balance that is paid for cannot be deleted: cancel its subscription")
    changes = {}
    for place, rows in gone.items():
        ids = {row.id for row in rows}
        kept = tuple(row for row in fold(holdings.balances[place], now).rows if row.id not in ids)
        used = sum((row.consumed for row in rows), ZERO)
        if recalculate and used:
            charged = _charged(kept, rows[0], used)
            # what the others paid for was counted in the rows that stay already
            kept = tallied(kept, charged, ZERO, any_row) if kept else charged
        changes[place] = kept
    return with_rows(holdings, catalog, changes, now)


def _charged(kept: tuple[Row, ...], first: Row, used: Decimal) -> tuple[Row, ...]:
    if not kept:
        empty = first._replace(granted=ZERO, prepaid=ZERO, adjustment=ZERO, used=used, unlimited=False)
        return (empty._replace(reset=None, next_reset_at=None, rollover=None, rollovers=()),)
    if used < 0:
        return push(kept, used, any_row)
    kept, left = draw(kept, used, any_row)
    return push(kept, left, any_row) if left else kept


def _delta(change: Change, rows: tuple[Row, ...]) -> Decimal | None:
    """By how much the rows' remaining units are to change in all; None where they are not."""
    if change.add is not None:
        return change.add
    current = sum((row.remaining + row.rolled for row in rows), ZERO)
    if change.remaining is not None:
        return change.remaining - current
    if change.usage is not None:
        return totals(rows).granted - change.usage - current
    return None


def _move_reset(rows: _Selected, next_reset_at: int, now: int) -> None:
    if next_reset_at <= now:
        raise InvalidInput("next_reset_at", "must be in the future")
    resetting = [(row.next_reset_at, number) for number, row in enumerate(rows) if row.next_reset_at is not None]
    if not resetting:
        raise InvalidInput("next_reset_at", "cannot be set on a balance that does not reset")
    _, number = min(resetting)
    rows.replace(number, tuple(rows)[number]._replace(next_reset_at=next_reset_at, anchor=next_reset_at))


class _Selected:
    """The rows that a change works on, in deduction order over all the items that hold them."""

    def __init__(self, holdings: Holdings, which: Filter, now: int) -> None:
        assert which.feature_id is not None
        world = {p: fold(b, now) for p, b in holdings.balances.items() if p.feature_id == which.feature_id}
        self._items = {place: list(balance.rows) for place, balance in world.items()}
        self._touched: set[Place] = set()
        self._at = [
            (source.place, index)
            for source in sources_of(which.feature_id, (), which.entity_id, world)
            for index, row in enumerate(world[source.place].rows)
            if source.may(row) and which.matches(row)
        ]

    def __iter__(self) -> Iterator[Row]:
        return (self._items[place][index] for place, index in self._at)

    def __bool__(self) -> bool:
        return bool(self._at)

    @property
    def first(self) -> Row:
        return next(iter(self))

    def replace(self, number: int, row: Row) -> None:
        place, index = self._at[number]
        self._items[place][index] = row
        self._touched.add(place)

    def move(self, delta: Decimal) -> None:
        """Adds `delta` to what the rows hold: less, each to zero and the rest below zero on the first; more, overdrawn
        rows up to zero and the rest onto the first, past its grant."""
        less, left = delta < 0, abs(delta)
        for number, row in enumerate(tuple(self)):
            (changed,), left = (draw if less else lift)((row,), left, any_row)
            self.replace(number, changed)
        if left:
            self.replace(0, self.first._replace(used=self.first.used + (left if less else -left)))

    def changes(self) -> Mapping[Place, tuple[Row, ...]]:
        return {place: tuple(self._items[place]) for place in self._touched}
