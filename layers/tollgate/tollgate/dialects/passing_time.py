"""The message that comes back when time brings something about for a customer (management.md 16).

It only makes it known: balances follow time without it (domain/passing_time.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollgate.dialects.reservations import Keep
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.exact_json import dumps, loads

if TYPE_CHECKING:
    from tollgate.usecases.passing_time import PassingTime


def reached_message(customer: CustomerRef, at: int) -> str:
    """The message about what happens to a customer at `at` (epoch ms): one, whatever happens then."""
    return dumps({"reached": {"env": customer.environment.value, "customer": customer.id, "at": at}})


def on_reached(passing_time: PassingTime, keep: Keep, body: str, now: int) -> None:
    """Has told what a message is about. One that comes before its time, by this clock (ms), is kept for it again."""
    reached = loads(body)["reached"]
    customer, at = CustomerRef(Environment(reached["env"]), reached["customer"]), reached["at"]
    if now < at:
        keep(customer.environment, at, body, now)
    else:
        passing_time.reach(customer, at, now)
