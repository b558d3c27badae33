"""`balances.finalize` and Tollgate's own `balances.list_locks` (autumn.md 1.2, 3.11): requests in, answers out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tollgate.dialects.autumn.fields import Id, Number, Params, Properties
from tollgate.dialects.http import Answer, Request
from tollgate.domain.balances import all_as_of
from tollgate.domain.reservations import Lock
from tollgate.usecases.customers import Customers
from tollgate.usecases.reservations import Finalization, Reservations


class FinalizeParams(Params):
    """The body of `balances.finalize`. `override_value` is what was used in the end, in units of the feature."""

    lock_id: Annotated[str, Field(min_length=1, max_length=256)]
    action: Literal["confirm", "release"]
    override_value: Number | None = None
    properties: Properties | None = None


class ListLocksParams(Params):
    """The body of `balances.list_locks`."""

    customer_id: Id


def finalize(reservations: Reservations, request: Request) -> Answer:
    """`balances.finalize`: confirms what a lock holds, uses another amount of it, or releases it (autumn.md 3.11).

    Raises InvalidRequest where no such lock lives, or Conflict where another call is finalizing it.
    """
    params = FinalizeParams.of(request.body)
    how = Finalization(params.override_value, params.action == "release", params.properties)
    reservations.finalize(request.caller, params.lock_id, how, request.now)
    return Answer({"success": True})


def list_locks(customers: Customers, reservations: Reservations, request: Request) -> Answer:
    """`balances.list_locks`: the locks that hold units of the customer's balances now, oldest first. Raises
    NotFound."""
    params = ListLocksParams.of(request.body)
    env = request.caller.environment
    holdings = customers.get(request.customer(params.customer_id))
    at = holdings.time(request.now)
    balances = all_as_of(holdings.balances, at)
    ids = sorted({hold.id for balance in balances.values() for hold in balance.holds})
    return Answer({"list": [lock_json(lock) for lock in reservations.live(env, ids, at)]})


def lock_json(lock: Lock) -> dict[str, Any]:
    """A lock: amounts in units of the feature, times in ms."""
    reservation = lock.reservation
    return {
        "lock_id": reservation.lock_id,
        "customer_id": reservation.customer_id,
        "feature_id": reservation.feature_id,
        "entity_id": reservation.entity_id or None,
        "value": reservation.value,
        "held": reservation.held,
        "properties": reservation.properties,
        "created_at": reservation.created_at,
        "expires_at": reservation.expires_at,
    }
