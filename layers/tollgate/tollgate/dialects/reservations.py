"""Tollgate's own words about reservations: events on the bus, and the message that comes back when one is due.

The usage queue keeps a message for a quarter of an hour at most, so a reservation that lives longer is sent on until its
time has come. Nothing is decided by it: the units are back to the millisecond by themselves (domain/holds.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tollgate.domain.keys import Environment
from tollgate.exact_json import dumps, loads
from tollgate.store.locks import RecordedLock
from tollgate.usecases.reservations import Reservations

LONGEST_DELAY = 900
SOURCE = "tollgate"


class Delayed(NamedTuple):
    """A message for the usage queue, and the seconds after which it is to be delivered."""

    body: str
    seconds: int


def due_message(env: Environment, digest: str, expires_at: int, now: int) -> Delayed:
    """A message that comes back when a reservation is due, or a quarter of an hour from now."""
    seconds = min(LONGEST_DELAY, max(0, -(-(expires_at - now) // 1000)))
    return Delayed(dumps({"due": {"env": env.value, "lock": digest, "expires_at": expires_at}}), seconds)


def arrived(reservations: Reservations, body: str, now: int) -> Delayed | None:
    """What becomes of such a message: sent on while its time has not come, else the reservation is told to have ended."""
    due = loads(body)["due"]
    env = Environment(due["env"])
    if now < due["expires_at"]:
        return due_message(env, due["lock"], due["expires_at"], now)
    reservations.expire(env, due["lock"], now)
    return None


def is_due(body: str) -> bool:
    return body.startswith('{"due":')


def reservation_entry(recorded: RecordedLock, bus: str) -> dict[str, Any]:
    """A PutEvents entry: `reservation.held`, `.confirmed`, `.released` or `.expired`; times are epoch milliseconds.

    `held` is what was drawn when it was made, `final` what it came to: both in units of the feature.
    """
    lock, reservation = recorded.lock, recorded.lock.reservation
    detail = {
        "version": 1,
        "id": recorded.id,
        "environment": recorded.environment,
        "customer_id": reservation.customer_id,
        "entity_id": reservation.entity_id or None,
        "feature_id": reservation.feature_id,
        "lock_id": reservation.lock_id,
        "value": reservation.value,
        "held": reservation.held,
        "final": recorded.final,
        "balances": [
            {"feature_id": place.feature_id, "entity_id": place.entity_id or None, "held": moved}
            for place, moved in reservation.places
        ],
        "properties": reservation.properties,
        "created_at": reservation.created_at,
        "expires_at": reservation.expires_at,
        "timestamp": recorded.at,
        "cause": {"key_id": lock.key_id},
    }
    return {
        "Source": SOURCE,
        "DetailType": f"reservation.{lock.state}",
        "EventBusName": bus,
        "Detail": dumps(detail),
    }
