"""What a customer or an entity sees of a feature: the grants of its balances together, as of one instant."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.balances import Balance, BalanceKey, Balances
from tollgate.domain.drawing import Totals, totals
from tollgate.domain.grants import Grant, Rollover, soonest_first
from tollgate.domain.quantities import ZERO


class Shown(NamedTuple):
    """A grant that is shown, and the key of its balance."""

    grant: Grant
    key: BalanceKey

    @property
    def of_entity(self) -> bool:
        """Whether an entity alone holds the grant: it comes from the entity's own plan, or was set by hand for it."""
        return bool(self.key.entity_id) and not self.grant.entity_share


class View(NamedTuple):
    """A metered feature as it is shown to a customer or an entity.

    - `overage`: units overdrawn. `overage_allowed`: whether one of the grants may be, whatever controls say of it.
      `max_purchase`: as autumn.md 1.2, 5.2 define it.
    - `next_reset_at`: the soonest reset (epoch ms); None: none resets. `reserved`: units that reservations hold.
    """

    feature_id: str
    grants: tuple[Shown, ...]
    totals: Totals
    overage: Decimal
    overage_allowed: bool
    max_purchase: Decimal | None
    next_reset_at: int | None
    reserved: Decimal = ZERO

    @property
    def rollovers(self) -> tuple[Rollover, ...] | None:
        """The unused units of earlier periods; None where no grant rolls units over."""
        grants = [shown.grant for shown in self.grants]
        if not any(grant.rollover or grant.rollovers for grant in grants):
            return None
        return soonest_first(tuple(rollover for grant in grants for rollover in grant.rollovers))


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
    seen = balances_seen(feature_id, entity_id, balances)
    grants = tuple(Shown(grant, balance.key) for balance in seen if not balance.flag for grant in balance.live_grants)
    if not grants:
        return None
    plain = [shown.grant for shown in grants]
    caps = [grant.max_purchase for grant in plain]
    return View(
        feature_id,
        grants,
        totals(plain),
        sum((grant.overdrawn for grant in plain), ZERO),
        any(grant.overage for grant in plain),
        None if None in caps else sum((cap for cap in caps if cap is not None), ZERO),
        min((grant.next_reset_at for grant in plain if grant.next_reset_at is not None), default=None),
        sum((hold.reserved for balance in seen for hold in balance.holds), ZERO),
    )


def flag(feature_id: str, entity_id: str, balances: Balances) -> Grant | None:
    """The first grant of a boolean or static feature; None where nothing grants it."""
    seen = [balance for balance in balances_seen(feature_id, entity_id, balances) if balance.flag]
    return next((grant for balance in seen for grant in balance.live_grants), None)
