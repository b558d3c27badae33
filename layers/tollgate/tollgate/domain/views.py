"""What a customer or an entity sees of a feature: the grants of its balances together, as of one instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.balances import Balance, BalanceKey, Balances
from tollgate.domain.drawing import Totals, totals
from tollgate.domain.grants import Grant, Rollover, soonest_first
from tollgate.domain.holds import Hold
from tollgate.domain.periods import Interval
from tollgate.domain.quantities import ZERO


class Shown(NamedTuple):
    """A grant that is shown, and the key of its balance."""

    grant: Grant
    key: BalanceKey

    @property
    def id(self) -> str:
        """The id it is shown under: all shares of one plan item have the same."""
        return self.grant.id.removesuffix(f":{self.key.entity_id}") if self.grant.entity_share else self.grant.id

    @property
    def of_entity(self) -> bool:
        """Whether an entity alone holds the grant: it comes from the entity's own plan, or was set by hand for it."""
        return bool(self.key.entity_id) and not self.grant.entity_share

    @property
    def group(self) -> tuple[Any, ...]:
        """What it has in common with the grants that are shown in one line with it (autumn.md 1.5.2): the plan, whose
        it is, how it resets and ends, and how it is paid for. A grant that no plan gave has a line of its own.
        """
        grant = self.grant
        if grant.subscription_id is None:
            return (grant.id, self.key.entity_id)
        reset = grant.reset if grant.reset and grant.reset.interval is not Interval.ONE_OFF else None
        return (
            grant.plan_id,
            grant.entity_share,
            "" if grant.entity_share else self.key.entity_id,
            reset,
            grant.unlimited,
            grant.overage,
            grant.price and grant.price.get("billing_method"),
            grant.expires_at,
            grant.filters,
        )


class Line(NamedTuple):
    """Grants that are shown as one: at least one. The oldest gives the line its id.

    `reserved`: units of them, and of their rollovers, that reservations hold.
    """

    grants: tuple[Shown, ...]
    reserved: Decimal = ZERO

    @property
    def id(self) -> str:
        """The id that `balances.update` and the like know the line by."""
        return min(self.grants, key=lambda shown: (shown.grant.created_at, shown.id)).id

    @property
    def first(self) -> Grant:
        """The grant that is drawn first. What defines the line is the same in all."""
        return self.grants[0].grant

    @property
    def plan_id(self) -> str | None:
        """The plan that gave them; None where none did, or several."""
        plans = {shown.grant.plan_id for shown in self.grants}
        return next(iter(plans)) if len(plans) == 1 else None

    @property
    def included(self) -> Decimal:
        """The included units, adjustments by hand among them."""
        return self._sum(lambda grant: ZERO if grant.unlimited else grant.granted + grant.adjustment)

    @property
    def prepaid(self) -> Decimal:
        """The units bought on top."""
        return self._sum(lambda grant: grant.prepaid)

    @property
    def remaining(self) -> Decimal:
        """What is left; what one grant is overdrawn by does not reduce what another holds."""
        return self._sum(lambda grant: max(grant.remaining, ZERO))

    @property
    def usage(self) -> Decimal:
        """What was used of them."""
        return self._sum(lambda grant: grant.used)

    @property
    def overage(self) -> Decimal:
        """What they are overdrawn by."""
        return self._sum(lambda grant: grant.overdrawn)

    @property
    def max_purchase(self) -> Decimal | None:
        """The most units of overage; None is no limit."""
        return _together(shown.grant.max_purchase for shown in self.grants)

    @property
    def next_reset_at(self) -> int | None:
        """The soonest reset (epoch ms); None: they never reset."""
        return min((s.grant.next_reset_at for s in self.grants if s.grant.next_reset_at is not None), default=None)

    @property
    def rolls_over(self) -> bool:
        """Whether unused units live on."""
        return any(shown.grant.rollover or shown.grant.rollovers for shown in self.grants)

    @property
    def rollovers(self) -> tuple[Rollover, ...]:
        """Unused units of earlier periods, the soonest to expire first. Those that expire together are one."""
        by_end: dict[int | None, Rollover] = {}
        for rollover in (rollover for shown in self.grants for rollover in shown.grant.rollovers):
            same = by_end.get(rollover.expires_at, Rollover(ZERO, ZERO, rollover.expires_at))
            by_end[rollover.expires_at] = same._replace(
                granted=same.granted + rollover.granted, used=same.used + rollover.used
            )
        return soonest_first(tuple(by_end.values()))

    def _sum(self, of: Callable[[Grant], Decimal]) -> Decimal:
        return sum((of(shown.grant) for shown in self.grants), ZERO)


def lines_of(grants: Iterable[Shown], balances: Iterable[Balance] = ()) -> tuple[Line, ...]:
    """The grants as they are shown: those of one plan and interval in one line, in the order of their first grants. The
    holds of `balances` say what is reserved."""
    groups: dict[tuple[Any, ...], list[Shown]] = {}
    for shown in grants:
        groups.setdefault(shown.group, []).append(shown)
    holds = [hold for balance in balances for hold in balance.holds]
    return tuple(_line(tuple(group), holds) for group in groups.values())


def _line(grants: tuple[Shown, ...], holds: Iterable[Hold]) -> Line:
    return Line(grants, sum((hold.reserved(shown.grant for shown in grants) for hold in holds), ZERO))


class View(NamedTuple):
    """A metered feature as it is shown to a customer or an entity.

    - `lines`: its grants. What an entity alone holds counts in its customer's totals and has no line there. Where a line
      is unlimited, it is the only one.
    - `overage`: units overdrawn. `overage_allowed`, `max_purchase`: as autumn.md 1.5.5 defines them.
    - `next_reset_at`: the soonest reset (epoch ms); None: none resets. `reserved`: units that reservations hold.
    """

    feature_id: str
    lines: tuple[Line, ...]
    totals: Totals
    overage: Decimal
    overage_allowed: bool
    max_purchase: Decimal | None
    next_reset_at: int | None
    reserved: Decimal = ZERO

    @property
    def rollovers(self) -> tuple[Rollover, ...] | None:
        """The unused units of earlier periods; None where no line rolls units over."""
        if not any(line.rolls_over for line in self.lines):
            return None
        return soonest_first(tuple(rollover for line in self.lines for rollover in line.rollovers))


def balances_seen(feature_id: str, entity_id: str, balances: Balances) -> list[Balance]:
    """The balances that are shown: an entity sees its own and the customer's; the customer sees its own and all its
    entities'.
    """
    if entity_id:
        own, shared = balances.get(BalanceKey(feature_id, entity_id)), balances.get(BalanceKey(feature_id))
        return [balance for balance in (own, shared) if balance and not (balance is shared and shared.unpooled)]
    keys = sorted(key for key in balances if key.feature_id == feature_id)
    return [balances[key] for key in keys]


def view(feature_id: str, entity_id: str, balances: Balances) -> View | None:
    """The feature as shown; None where nothing grants it, or it is a flag. The balances must be as of one instant."""
    seen = [balance for balance in balances_seen(feature_id, entity_id, balances) if not balance.flag]
    grants = [Shown(grant, balance.key) for balance in seen for grant in balance.live_grants]
    if not grants:
        return None
    lines = lines_of((shown for shown in grants if entity_id or not shown.of_entity), seen)
    unlimited = [shown for shown in grants if shown.grant.unlimited]
    if unlimited:
        return _unlimited(feature_id, lines, unlimited, seen)
    plain = [shown.grant for shown in grants]
    sold = [shown.grant for line in lines for shown in line.grants if shown.grant.overage or shown.grant.price]
    return View(
        feature_id,
        lines,
        totals(plain),
        sum((grant.overdrawn for grant in plain), ZERO),
        any(grant.overage for grant in plain),
        _together(grant.max_purchase for grant in sold) if sold else None,
        min((grant.next_reset_at for grant in plain if grant.next_reset_at is not None), default=None),
        sum((hold.reserved(balance.grants) for balance in seen for hold in balance.holds), ZERO),
    )


def _unlimited(feature_id: str, lines: tuple[Line, ...], unlimited: list[Shown], seen: list[Balance]) -> View:
    """An unlimited feature: what else grants it is not shown, and its usage is what was used without a limit."""
    ids = {shown.grant.id for shown in unlimited}
    own = tuple(shown for line in lines for shown in line.grants if shown.grant.unlimited)
    holds = [hold for balance in seen for hold in balance.holds]
    held = (part.amount for hold in holds for part in hold.parts if part.amount > 0 and part.grant_id in ids)
    return View(
        feature_id,
        (_line(own, holds),) if own else lines,
        totals(shown.grant for shown in unlimited),
        ZERO,
        False,
        None,
        None,
        sum(held, ZERO),
    )


def _together(caps: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of several limits; None where one of them is none."""
    caps = tuple(caps)
    return None if None in caps else sum((cap for cap in caps if cap is not None), ZERO)


def shown_ids(feature_id: str, entity_id: str, balances: Balances) -> Mapping[str, str]:
    """By the id of a grant, the id of the line that shows it."""
    found = view(feature_id, entity_id, balances)
    return {shown.grant.id: line.id for line in found.lines for shown in line.grants} if found else {}


def flag(feature_id: str, entity_id: str, balances: Balances) -> Grant | None:
    """The first grant of a boolean or static feature; None where nothing grants it."""
    seen = [balance for balance in balances_seen(feature_id, entity_id, balances) if balance.flag]
    return next((grant for balance in seen for grant in balance.live_grants), None)
