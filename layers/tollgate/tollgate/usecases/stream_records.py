"""Reading the table's stream: what one of its records says was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tollgate.domain.changes import Change
from tollgate.domain.recorded_writes import PassedTime, RecordedLock, SubscriptionWrite
from tollgate.store.stream import change_of, lapsed_uses, passed_time, recorded_lock, subscription_write


class Written(NamedTuple):
    """What a record says was written: a subscription, or a note that time has passed for one, or changes of usage, or a
    reservation; nothing where it is of another kind of item."""

    subscription: SubscriptionWrite | None = None
    changes: Sequence[Change] = ()
    lock: RecordedLock | None = None
    passed: PassedTime | None = None


def written(record: Mapping[str, Any]) -> Written:
    """What a record of the stream says was written.

    Raises Unavailable where a newer release wrote the item, and an error of reading (KeyError, ValueError, …) where
    nobody can read it.
    """
    subscription = subscription_write(record)
    if subscription is not None:
        return Written(subscription)
    change = change_of(record)
    if change is not None:
        return Written(changes=(change,))
    return Written(changes=lapsed_uses(record), lock=recorded_lock(record), passed=passed_time(record))
