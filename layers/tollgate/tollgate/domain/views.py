"""What a customer or an entity sees of a feature: rows gathered over the items of a folded world."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.balances import Balance, Place, Totals, totals
from tollgate.domain.decisions import World, limits_of
from tollgate.domain.quantities import ZERO
from tollgate.domain.rows import Rollover, Row, soonest_first


class Shown(NamedTuple):
    """A row, and whether an entity holds it alone (attached to it, or made for it)."""

    row: Row
    place: Place

    @property
    def of_entity(self) -> bool:
        return bool(self.place.entity_id) and not self.row.slot


class View(NamedTuple):
    """A metered feature as it is shown. `overage_allowed` and `max_purchase` as autumn.md 1.2, 5.2 have them;
    `reserved` is what reservations hold of it."""

    feature_id: str
    rows: tuple[Shown, ...]
    totals: Totals
    overage: Decimal
    overage_allowed: bool
    max_purchase: Decimal | None
    next_reset_at: int | None
    reserved: Decimal = ZERO

    @property
    def rollovers(self) -> tuple[Rollover, ...] | None:
        """The unused units of earlier periods; None where no row rolls any over."""
        rows = [shown.row for shown in self.rows]
        if not any(row.rollover or row.rollovers for row in rows):
            return None
        return soonest_first(tuple(rollover for row in rows for rollover in row.rollovers))


def balances_seen(feature_id: str, entity_id: str, world: World) -> list[Balance]:
    """The items that are seen: an entity sees its own and the customer's; the customer sees everybody's."""
    if entity_id:
        own, shared = world.get(Place(feature_id, entity_id)), world.get(Place(feature_id))
        return [balance for balance in (own, shared) if balance and not (balance is shared and shared.unpooled)]
    places = sorted(place for place in world if place.feature_id == feature_id)
    return [world[place] for place in places]


def view(feature_id: str, entity_id: str, world: World) -> View | None:
    """The feature's balance; None where nothing grants it, or where it is a flag."""
    seen = balances_seen(feature_id, entity_id, world)
    rows = tuple(Shown(row, balance.place) for balance in seen if not balance.flag for row in balance.live_rows)
    if not rows:
        return None
    limits = limits_of(feature_id, entity_id, world)
    plain = [shown.row for shown in rows]
    caps = [row.max_purchase for row in plain]
    allowed = any(row.overage for row in plain) if limits.overage_allowed is None else limits.overage_allowed
    return View(
        feature_id,
        rows,
        totals(plain),
        sum((row.overdrawn for row in plain), ZERO),
        allowed,
        None if None in caps else sum((cap for cap in caps if cap is not None), ZERO),
        min((row.next_reset_at for row in plain if row.next_reset_at is not None), default=None),
        sum((hold.reserved for balance in seen for hold in balance.holds), ZERO),
    )


def flag(feature_id: str, entity_id: str, world: World) -> Row | None:
    """The row that grants a boolean or static feature, the oldest; None where nothing does."""
    seen = [balance for balance in balances_seen(feature_id, entity_id, world) if balance.flag]
    return next((row for balance in seen for row in balance.live_rows), None)
