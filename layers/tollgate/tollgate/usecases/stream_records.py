"""Reading the table's stream: what one of its records says was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tollgate.domain.changes import Change
from tollgate.domain.recorded_writes import PassedTime, RecordedLock, SubscriptionWrite
from tollgate.store.codecs.log import LogEntry
from tollgate.store.stream import audit_entry, change_of, lapsed_uses, passed_time, recorded_lock, subscription_write


class Written(NamedTuple):
    """What a record says was written: a subscription, or a note that time has passed for one, or changes of usage, or a
    reservation, or an entry of the audit log; nothing where it is of another kind of item."""

    subscription: SubscriptionWrite | None = None
    changes: Sequence[Change] = ()
    lock: RecordedLock | None = None
    passed: PassedTime | None = None
    entry: LogEntry | None = None


def written(record: Mapping[str, Any]) -> Written:
    """What a record of the stream says was written.

    Raises Unavailable where a newer release wrote the item, and an error of reading (KeyError, ValueError, …) where
    nobody can read it.
    """
    subscription = subscription_write(record)
    if subscription is not None:
        return Written(subscription)
    entry = audit_entry(record)
    if entry is not None:
        return Written(entry=entry)
    change = change_of(record)
    if change is not None:
        return Written(changes=(change,))
    return Written(changes=lapsed_uses(record), lock=recorded_lock(record), passed=passed_time(record))
