"""The message that comes back when a reservation is due.

It only makes the end known: the units are free to the millisecond without it (domain/holds.py).
"""

from __future__ import annotations

from collections.abc import Callable

from tollgate.domain.environments import Environment
from tollgate.exact_json import dumps, loads
from tollgate.usecases.reservations import Reservations

Keep = Callable[[Environment, int, str, int], None]
"""Has a message come at a time (`DueTimes.keep`)."""


def due_message(env: Environment, digest: str, expires_at: int) -> str:
    """The message about a reservation (by the digest of its lock id) that is due at `expires_at`."""
    return dumps({"due": {"env": env.value, "lock": digest, "expires_at": expires_at}})


def on_due(reservations: Reservations, keep: Keep, body: str, now: int) -> None:
    """Expires the reservation that a message is about. One that comes before its time, by this clock (ms), is kept for
    it again."""
    due = loads(body)["due"]
    env = Environment(due["env"])
    if now < due["expires_at"]:
        keep(env, due["expires_at"], body, now)
    else:
        reservations.expire(env, due["lock"], now)


def is_due(body: str) -> bool:
    """Whether a message of the usage queue says that a reservation is due."""
    return body.startswith('{"due":')
