"""Balances set by hand: created apart from any plan, changed, and deleted (autumn.md 3.8). `now` is the customer's time
(epoch ms).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from tollgate.domain.balances import BalanceKey, as_of
from tollgate.domain.customers import Holdings, with_grants
from tollgate.domain.decisions import sources_of
from tollgate.domain.drawing import any_grant, draw, pay_back_overage, push, totals, with_usage_counted
from tollgate.domain.errors import AlreadyExists, Conflict, InvalidInput, InvalidRequest, NotFound
from tollgate.domain.features import Catalog
from tollgate.domain.grants import Grant, RolloverRule
from tollgate.domain.periods import Interval, Reset, next_boundary
from tollgate.domain.plans import check_rollover
from tollgate.domain.quantities import ZERO
from tollgate.domain.seats import kept_together
from tollgate.domain.views import Shown, lines_of


@dataclass(frozen=True, slots=True)
class NewBalance:
    """A balance to create: one grant that no plan gives. `included` None and not `unlimited`: the feature is boolean or
    static.
    """

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
class BalanceFilter:
    """Selects grants: all, those of the line that is shown under an id, or those that reset with one interval. The
    fields that are set must all match.
    """

    feature_id: str | None = None
    entity_id: str = ""
    balance_id: str | None = None
    interval: Interval | None = None

    def matching(self, holdings: Holdings, now: int) -> Callable[[Grant], bool]:
        """Whether the filter's `balance_id` and `interval` select a grant of these holdings."""
        named = None if self.balance_id is None else _named(holdings, self.balance_id, now)

        def matches(grant: Grant) -> bool:
            if named is not None and grant.id not in named:
                return False
            if self.interval is None:
                return True
            return (grant.reset.interval if grant.reset else Interval.ONE_OFF) is self.interval

        return matches


def _named(holdings: Holdings, balance_id: str, now: int) -> set[str]:
    """The ids of the grants that are shown in the line with this id; else of the one grant that has it."""
    grants = [
        Shown(grant, key) for key, balance in holdings.balances.items() for grant in as_of(balance, now).live_grants
    ]
    line = next((line for line in lines_of(grants) if line.id == balance_id), None)
    return {shown.grant.id for shown in line.grants} if line else {balance_id}


@dataclass(frozen=True, slots=True)
class BalanceUpdate:
    """What to set on a balance: at most one of `remaining`, `usage` and `add` (units); times are epoch ms.

    - `included`: the included units that the selected grants have together.
    - `alters_grant`: a change of the remaining units changes the granted units and leaves the usage, as the legacy API
      does.
    - `if_held`: where no grant is selected nothing is done, as the legacy API has it.
    """

    remaining: Decimal | None = None
    usage: Decimal | None = None
    add: Decimal | None = None
    included: Decimal | None = None
    next_reset_at: int | None = None
    expires_at: int | None = None
    alters_grant: bool = False
    if_held: bool = False


def create(holdings: Holdings, catalog: Catalog, new: NewBalance, now: int) -> Holdings:
    """The holdings with one more grant, which no plan gave. Raises InvalidInput, InvalidRequest, AlreadyExists or
    NotFound.
    """
    feature = catalog.feature(new.feature_id)
    if new.entity_id and holdings.entity(new.entity_id).feature_id == feature.id:
        raise InvalidRequest(f"Entity {new.entity_id} cannot hold a balance of its own feature {feature.id}")
    key = BalanceKey(feature.id, new.entity_id)
    held = as_of(holdings.balances[key], now).grants if key in holdings.balances else ()
    if any(grant.id == new.id for balance in holdings.balances.values() for grant in balance.grants):
        raise AlreadyExists("balance", new.id)
    if feature.type.is_flag:
        if new.included is not None or new.unlimited or new.reset or new.rollover:
            raise InvalidInput("", f"A {feature.type.value} feature takes no included_grant, unlimited or reset")
        if held:
            raise AlreadyExists("balance", feature.id)
    elif (new.included is None) == (not new.unlimited):
        raise InvalidInput("", "Exactly one of included_grant and unlimited must be given")
    elif new.unlimited and new.reset:
        raise InvalidInput("reset", "an unlimited balance does not reset")
    if new.reset and new.reset.nominal_ms and not feature.consumable:
        raise InvalidInput("reset", "an allocated feature does not reset")
    if new.rollover:
        check_rollover(new.rollover, new.reset, feature, "rollover")
    if new.expires_at is not None and new.expires_at <= now:
        raise InvalidInput("expires_at", "must be in the future")
    next_reset_at = next_boundary(now, new.reset, now) if new.reset else None
    if new.next_reset_at is not None:
        if next_reset_at is None:
            raise InvalidInput("next_reset_at", "needs a reset interval")
        if new.next_reset_at <= now:
            raise InvalidInput("next_reset_at", "must be in the future")
        next_reset_at = new.next_reset_at
    if new.expires_at is not None and next_reset_at is not None:
        explicit = new.next_reset_at is not None or new.rollover is not None
        if explicit and new.expires_at <= next_reset_at:
            raise InvalidInput("expires_at", "must be later than the next reset")
    grant = Grant(
        id=new.id,
        plan_id=None,
        subscription_id=None,
        granted=new.included or ZERO,
        unlimited=new.unlimited,
        reset=new.reset,
        anchor=now if new.next_reset_at is None else new.next_reset_at,
        next_reset_at=next_reset_at,
        expires_at=new.expires_at,
        created_at=now,
        rollover=new.rollover,
    )
    return with_grants(holdings, catalog, {key: (*held, grant)}, now)


def update(holdings: Holdings, catalog: Catalog, which: BalanceFilter, change: BalanceUpdate, now: int) -> Holdings:
    """The holdings with the selected grants changed.

    Raises NotFound where no grant matches, unless it is to be changed `if_held`, or for an unknown feature or entity;
    InvalidInput for a time that is not in the future; InvalidRequest for a flag, or an expiry on a paid recurring
    grant.
    """
    feature_id = which.feature_id
    assert feature_id is not None
    feature = catalog.feature(feature_id)
    if which.entity_id:
        holdings.entity(which.entity_id)
    if feature.type.is_flag:
        raise InvalidRequest(f"Feature {feature.id} is {feature.type.value}: there is nothing to set")
    grants = _Selected(holdings, which, now)
    if not grants:
        if change.if_held:
            return holdings
        raise NotFound("held balance", which.balance_id or feature_id)
    if change.included is not None:
        more = change.included - sum((grant.granted + grant.adjustment for grant in grants), ZERO)
        keep = change.remaining is None and change.usage is None and change.add is None
        first = grants.first
        grants.replace(
            0, first._replace(adjustment=first.adjustment + more, used=first.used + (more if keep else ZERO))
        )
    delta = _delta(change, tuple(grants))
    if delta is not None and not any(grant.unlimited for grant in grants):
        if change.alters_grant:
            grants.replace(0, grants.first._replace(adjustment=grants.first.adjustment + delta))
        else:
            grants.move(delta)
    if change.next_reset_at is not None:
        _move_reset(grants, change.next_reset_at, now)
    if change.expires_at is not None:
        if change.expires_at <= now:
            raise InvalidInput("expires_at", "must be in the future")
        if any(grant.price and grant.reset for grant in grants):
            raise InvalidRequest("A paid recurring balance cannot be given an expiry")
        for number, grant in enumerate(tuple(grants)):
            grants.replace(number, grant._replace(expires_at=change.expires_at))
    return with_grants(holdings, catalog, grants.changes(), now)


def delete(holdings: Holdings, catalog: Catalog, which: BalanceFilter, now: int, *, recalculate: bool) -> Holdings:
    """The holdings without the selected grants. `recalculate`: the usage of the deleted grants is charged to those that
    remain.

    Raises NotFound where no grant matches, Conflict for a paid grant, InvalidInput where `recalculate` names no
    feature.
    """
    if recalculate and which.feature_id is None:
        raise InvalidInput("feature_id", "is required when recalculate_balances is true")
    if which.entity_id:
        holdings.entity(which.entity_id)
    matches = which.matching(holdings, now)
    shares_of = () if which.entity_id or which.balance_id is None else tuple(holdings.entities)
    gone: dict[BalanceKey, list[Grant]] = {}
    for key, balance in holdings.balances.items():
        if key.entity_id in (which.entity_id, *shares_of) and which.feature_id in (None, key.feature_id):
            found = [
                grant
                for grant in as_of(balance, now).grants
                if matches(grant) and (grant.entity_share or key.entity_id == which.entity_id)
            ]
            if found:
                gone[key] = found
    if not gone:
        raise NotFound("balance", which.balance_id or which.feature_id or "")
    if any(grant.price for grants in gone.values() for grant in grants):
        raise Conflict("A balance that is paid for cannot be deleted: cancel its subscription")
    changes = {}
    for key, grants in gone.items():
        ids = {grant.id for grant in grants}
        kept = tuple(grant for grant in as_of(holdings.balances[key], now).grants if grant.id not in ids)
        used = sum((grant.consumed for grant in grants), ZERO)
        if recalculate and used:
            charged = _charged(kept, grants[0], used)
            # the remaining grants have counted the uses that other grants paid for: only what they draw changes
            kept = with_usage_counted(kept, charged, ZERO, any_grant) if kept else charged
        elif holdings.balances[key].allocated:  # its use lasts, whatever grants it
            kept = kept_together(as_of(holdings.balances[key], now).grants, kept)
        changes[key] = kept
    return with_grants(holdings, catalog, changes, now)


def _charged(kept: tuple[Grant, ...], first: Grant, used: Decimal) -> tuple[Grant, ...]:
    if not kept:
        empty = first._replace(granted=ZERO, prepaid=ZERO, adjustment=ZERO, used=used, unlimited=False)
        return (empty._replace(reset=None, next_reset_at=None, rollover=None, rollovers=()),)
    if used < 0:
        return push(kept, used, any_grant)
    kept, left = draw(kept, used, any_grant)
    return push(kept, left, any_grant) if left else kept


def _delta(change: BalanceUpdate, grants: tuple[Grant, ...]) -> Decimal | None:
    """By how many units the remaining units of all the grants change; None where they do not."""
    if change.add is not None:
        return change.add
    current = sum((grant.remaining + grant.rolled for grant in grants), ZERO)
    if change.remaining is not None:
        return change.remaining - current
    if change.usage is not None:
        return totals(grants).granted - change.usage - current
    return None


def _move_reset(grants: _Selected, next_reset_at: int, now: int) -> None:
    if next_reset_at <= now:
        raise InvalidInput("next_reset_at", "must be in the future")
    resetting = [
        (grant.next_reset_at, number) for number, grant in enumerate(grants) if grant.next_reset_at is not None
    ]
    if not resetting:
        raise InvalidInput("next_reset_at", "cannot be set on a balance that does not reset")
    _, number = min(resetting)
    grants.replace(number, tuple(grants)[number]._replace(next_reset_at=next_reset_at, anchor=next_reset_at))


class _Selected:
    """The grants that a change applies to, in deduction order over all balances that hold them."""

    def __init__(self, holdings: Holdings, which: BalanceFilter, now: int) -> None:
        assert which.feature_id is not None
        balances = {p: as_of(b, now) for p, b in holdings.balances.items() if p.feature_id == which.feature_id}
        matches = which.matching(holdings, now)
        self._items = {key: list(balance.grants) for key, balance in balances.items()}
        self._touched: set[BalanceKey] = set()
        self._at = [
            (source.key, index)
            for source in sources_of(which.feature_id, (), which.entity_id, balances)
            for index, grant in enumerate(balances[source.key].grants)
            if source.may(grant) and matches(grant)
        ]

    def __iter__(self) -> Iterator[Grant]:
        return (self._items[key][index] for key, index in self._at)

    def __bool__(self) -> bool:
        return bool(self._at)

    @property
    def first(self) -> Grant:
        return next(iter(self))

    def replace(self, number: int, grant: Grant) -> None:
        key, index = self._at[number]
        self._items[key][index] = grant
        self._touched.add(key)

    def move(self, delta: Decimal) -> None:
        """Adds `delta` units to what the grants hold.

        Below zero: each grant is drawn down to zero, and the first one takes the rest below zero. Above zero: overdrawn
        grants are paid back up to zero, and the first one takes the rest, past what it granted.
        """
        less, left = delta < 0, abs(delta)
        for number, grant in enumerate(tuple(self)):
            (changed,), left = (draw if less else pay_back_overage)((grant,), left, any_grant)
            self.replace(number, changed)
        if left:
            self.replace(0, self.first._replace(used=self.first.used + (left if less else -left)))

    def changes(self) -> Mapping[BalanceKey, tuple[Grant, ...]]:
        return {key: tuple(self._items[key]) for key in self._touched}
