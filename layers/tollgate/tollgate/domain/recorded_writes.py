"""What the table's stream tells of writes that are not a balance's, and the ids of what is told.

A change of a balance is `domain.changes.Change`. The stream delivers a record at least once, so each id here is made of the
record itself: the same record always gives the same id.
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.changes import BalanceWrite
from tollgate.domain.customers import Subscription
from tollgate.domain.reservations import Lock

NAMESPACE = uuid.UUID("6f1d6f0e-6d0b-5a53-9b0e-2f6b1c1f7d11")


class SubscriptionWrite(NamedTuple):
    """One write of a subscription, as it was `before` and `after`; None where there was none before, or is none after. `at` is
    when it was written, in epoch milliseconds."""

    id: str
    environment: str
    customer_id: str
    before: Subscription | None
    after: Subscription | None
    at: int


class RecordedLock(NamedTuple):
    """One write of a reservation's lock: it was made or finalized. `final` is the value that it was finalized at; None until then.
    `at` is when that happened, in epoch milliseconds."""

    id: str
    environment: str
    lock: Lock
    final: Decimal | None
    at: int


def record_id(write: BalanceWrite, *parts: str) -> str:
    """The id of one thing that a write of a balance tells (`parts` say which one).

    It is made of the item, its version and `parts`. A removed item keeps the version of the write before it, so a removal is
    marked as such.
    """
    gone = "" if write.source or write.new is not None else "REMOVED#"
    item = f"{gone}{write.source or 'BALANCE#'}{write.key.feature_id}"  # the start of a balance item's sort key
    start = f"{write.environment}#customer#{write.customer_id}\n{item}"
    return str(uuid.uuid5(NAMESPACE, "\n".join([f"{start}#{write.key.entity_id}\n{write.version}", *parts])))
