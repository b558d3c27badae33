"""What the table's stream records of subscriptions and reservations, and the ids of the events made from records.

A change of a balance is `domain.changes.Change`. The stream delivers each record at least once, so an id is computed
from the record itself: the same record always gives the same id.
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from tollgate.domain.changes import BalanceWrite
from tollgate.domain.environments import Environment
from tollgate.domain.reservations import Lock

if TYPE_CHECKING:
    from tollgate.domain.customers import Subscription

NAMESPACE = uuid.UUID("6f1d6f0e-6d0b-5a53-9b0e-2f6b1c1f7d11")


class SubscriptionWrite(NamedTuple):
    """One write of a subscription. `before` is None where the write created it, `after` where the write removed it.
    `at` is the time of the write (epoch ms).
    """

    id: str
    environment: Environment
    customer_id: str
    before: Subscription | None
    after: Subscription | None
    at: int

    @property
    def instant(self) -> int:
        """What time it was for the customer at the latest (epoch ms). The stream knows whole seconds only, and a test clock
        may be ahead, as the subscription then says.
        """
        now = self.after or self.before
        known = 0 if now is None else max(now.created_at, now.canceled_at or 0)
        return max(self.at + 1000, known)


class PassedTime(NamedTuple):
    """A note on a subscription of what the clock has done to it: the names of boundaries (`passing_time`)."""

    environment: Environment
    customer_id: str
    subscription: Subscription
    names: frozenset[str]


class RecordedLock(NamedTuple):
    """One write of a reservation: it was made or finalized. `final` is the amount that it was finalized at, in units of
    the feature; None while it is held. `at` is the time of that (epoch ms).
    """

    id: str
    environment: Environment
    lock: Lock
    final: Decimal | None
    at: int


def boundary_id(environment: Environment, customer_id: str, subscription_id: str, what: str, at: int) -> str:
    """The id of the event that tells what the clock did to a subscription at `at` (epoch ms): the same, however often it
    is told."""
    return str(uuid.uuid5(NAMESPACE, "\n".join([environment.value, customer_id, subscription_id, what, str(at)])))


def record_id(write: BalanceWrite, *parts: str) -> str:
    """The id of one event that a write of a balance gives rise to; `parts` distinguish several events of one write.

    It is a UUIDv5 of the item, its version and `parts`. A removal has the version of the write before it, so its id is
    made from another text.
    """
    gone = "" if write.source or write.new is not None else "REMOVED#"
    item = f"{gone}{write.source or 'BALANCE#'}{write.key.feature_id}"  # the start of a balance item's sort key
    start = f"{write.environment}#customer#{write.customer_id}\n{item}"
    return str(uuid.uuid5(NAMESPACE, "\n".join([f"{start}#{write.key.entity_id}\n{write.version}", *parts])))
