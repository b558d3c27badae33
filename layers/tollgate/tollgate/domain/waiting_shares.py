"""What a plan grants to each entity, while there is no entity that it could be granted to (autumn.md 1.5.4).

Nothing of it is stored: it is shown, as nothing that is held.
"""

from __future__ import annotations

from tollgate.domain.balances import Balance, BalanceKey, Balances
from tollgate.domain.customers import Entity, Holdings
from tollgate.domain.features import Catalog
from tollgate.domain.grants import Grant
from tollgate.domain.plan_grants import granted_by
from tollgate.domain.quantities import ZERO


def with_waiting_shares(holdings: Holdings, balances: Balances, catalog: Catalog, now: int) -> Balances:
    """The customer's balances as of `now` (ms), with an empty grant of each running plan's item that grants per entity
    and finds no entity of its kind."""
    kinds = {entity.feature_id for entity in holdings.entities.values()}
    found: dict[BalanceKey, tuple[Grant, ...]] = {}
    for subscription in holdings.active(now):
        items = [item for item in subscription.items if item.entity_feature_id not in (None, *kinds)]
        if subscription.entity_id is not None or not items:
            continue
        nobodies = [Entity("", str(kind)) for kind in {item.entity_feature_id for item in items}]
        for key, grants in granted_by(subscription, nobodies, catalog, now, keeps_overage=False).items():
            empty = (
                grant._replace(granted=ZERO, prepaid=ZERO, unlimited=False) for grant in grants if grant.entity_share
            )
            found[key] = (*found.get(key, ()), *empty)
    return {
        **balances,
        **{
            key: held._replace(grants=(*held.grants, *grants))
            for key, grants in found.items()
            if grants and not (held := balances.get(key, Balance(key))).flag
        },
    }
