"""Events that came before their customer: counted when the customer comes to hold something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollgate.domain.environments import CustomerRef
from tollgate.store.stream import new_holders
from tollgate.usecases.usage_events import UsageEvents


class WaitingEvents:
    """Reads the table's stream for customers that got a balance they had not."""

    def __init__(self, usage_events: UsageEvents) -> None:
        self._usage_events = usage_events

    def count(self, records: Sequence[Mapping[str, Any]], now: int) -> None:
        """Counts what waited for the customers in these stream records; events of which they hold nothing wait on.

        `now` is epoch milliseconds. May be repeated: an event is counted once. Raises Unavailable.
        """
        for environment, customer_id in new_holders(records):
            self._usage_events.count_waiting(CustomerRef(environment, customer_id), now)
