"""Events that came before their customer: they are counted when the customer gets its first balances."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tollgate.domain.errors import Unavailable
from tollgate.store.stream import new_holders
from tollgate.usecases.usage_events import UsageEvents

SECONDS = 12.0  # of the function's 20: one event that has begun then still comes to its end


class WaitingEvents:
    """Finds the customers that got a balance in the table's stream, and counts the events that waited for them."""

    def __init__(self, usage_events: UsageEvents, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._usage_events = usage_events
        self._monotonic = monotonic

    def count(self, records: Sequence[Mapping[str, Any]], now: int) -> None:
        """Counts the events that waited for the customers in these stream records. An event of which the customer holds
        no feature keeps waiting.

        `now` is epoch ms. May be repeated: an event is counted once, and what was counted is not read again. Raises
        Unavailable, also after SECONDS: the same batch then comes again, and goes on with what is left.
        """
        deadline = self._monotonic() + SECONDS

        def in_time() -> None:
            if self._monotonic() > deadline:
                raise Unavailable("Events that waited are left: they are counted when the batch comes again")

        for customer, features in new_holders(records).items():
            self._usage_events.count_waiting(customer, now, features, in_time)
