"""Locks: one item for each reservation. The digest of its lock id is the item's key.

| attribute | type | holds |
|---|---|---|
| `data` | S | JSON, below: what does not change |
| `state` | S | `held`, `confirmed`, `released` or `expired` |
| `expires_at` | N | ms |
| `settled_value` | N | units of the feature that it was finalized at; absent while it is held |
| `settled_at` | N | ms; absent while it is held |
| `ttl` | N | seconds |
| `v` | N | the layout's version |

| field of `data` | type | holds |
|---|---|---|
| `lock_id`, `customer_id`, `feature_id`, `entity_id` | string | `entity_id` is empty for the customer's own |
| `value`, `held` | number | units of the feature asked for, and drawn |
| `places` | array | what was drawn from each balance: `[feature, entity, units of the balance]` |
| `created_at` | number | ms |
| `properties` | object | as they were sent |
| `key` | string | the API key that made it |
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.balances import BalanceKey
from tollgate.domain.reservations import Reservation
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

LOCK = Layout("reservation", 1)


class Finalized(NamedTuple):
    """The units of the feature that a reservation was finalized at, and when (epoch ms)."""

    final: Decimal
    at: int


def encode_lock(reservation: Reservation, state: str, key_id: str, ttl: int) -> Item:
    """The attributes of a reservation that is not finalized. `ttl` is epoch seconds."""
    data = {
        "lock_id": reservation.lock_id,
        "customer_id": reservation.customer_id,
        "feature_id": reservation.feature_id,
        "entity_id": reservation.entity_id,
        "value": reservation.value,
        "held": reservation.held,
        "places": [[*key, moved] for key, moved in reservation.drawn_from],
        "created_at": reservation.created_at,
        "properties": dict(reservation.properties),
        "key": key_id,
    }
    return {
        "data": {"S": dumps(data)},
        "state": {"S": state},
        "expires_at": {"N": str(reservation.expires_at)},
        "ttl": {"N": str(ttl)},
        **LOCK.mark,
    }


def decode_lock(item: Item) -> tuple[Reservation, str, str]:
    """The reservation, its state, and the id of the API key that made it."""
    LOCK.version_of(item)
    data = loads(item["data"]["S"])
    reservation = Reservation(
        data["lock_id"],
        item["pk"]["S"].rpartition("#")[2],
        data["customer_id"],
        data["feature_id"],
        data["entity_id"],
        Decimal(data["value"]),
        Decimal(data["held"]),
        tuple((BalanceKey(feature, entity), Decimal(moved)) for feature, entity, moved in data["places"]),
        data["created_at"],
        int(item["expires_at"]["N"]),
        data["properties"],
    )
    return reservation, item["state"]["S"], data["key"]


def encode_finalized(finalized: Finalized) -> Item:
    """The attributes that finalizing a reservation sets, without its state."""
    return {"settled_value": {"N": str(finalized.final)}, "settled_at": {"N": str(finalized.at)}}


def decode_finalized(item: Item) -> Finalized | None:
    """What the reservation was finalized at; None while it is held."""
    if "settled_value" not in item:
        return None
    return Finalized(Decimal(item["settled_value"]["N"]), int(item["settled_at"]["N"]))
