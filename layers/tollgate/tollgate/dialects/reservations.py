"""The message that comes back when a reservation is due.

The usage queue keeps a message for a quarter of an hour at most, so a longer-lived reservation's message is sent again
until it is due. The message only makes the end known: the units are free to the millisecond without it
(domain/holds.py).
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
    """Expires the reservation that a message is about. Where it is not due at `now` (ms), returns the message to
    send again."""
    due = loads(body)["due"]
    env = Environment(due["env"])
    if now < due["expires_at"]:
        return due_message(env, due["lock"], due["expires_at"], now)
    reservations.expire(env, due["lock"], now)
    return None


def is_due(body: str) -> bool:
    """Whether a message of the usage queue says that a reservation is due."""
    return body.startswith('{"due":')
