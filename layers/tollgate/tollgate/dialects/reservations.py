"""The message that comes back when a reservation is due.

The usage queue keeps a message for a quarter of an hour at most, so a reservation that lives longer is sent on until its
time has come. Nothing is decided by it: the units are back to the millisecond by themselves (domain/holds.py).
"""

from __future__ import annotations

from typing import NamedTuple

from tollgate.domain.environments import Environment
from tollgate.exact_json import dumps, loads
from tollgate.usecases.reservations import Reservations

LONGEST_DELAY = 900


class Delayed(NamedTuple):
    """A message for the usage queue, and the seconds after which it is to be delivered."""

    body: str
    seconds: int


def due_message(env: Environment, digest: str, expires_at: int, now: int) -> Delayed:
    """A message that comes back when a reservation is due, or a quarter of an hour from now."""
    seconds = min(LONGEST_DELAY, max(0, -(-(expires_at - now) // 1000)))
    return Delayed(dumps({"due": {"env": env.value, "lock": digest, "expires_at": expires_at}}), seconds)


def on_due(reservations: Reservations, body: str, now: int) -> Delayed | None:
    """What becomes of such a message: sent on while its time has not come, else the reservation is told to have ended."""
    due = loads(body)["due"]
    env = Environment(due["env"])
    if now < due["expires_at"]:
        return due_message(env, due["lock"], due["expires_at"], now)
    reservations.expire(env, due["lock"], now)
    return None


def is_due(body: str) -> bool:
    return body.startswith('{"due":')
