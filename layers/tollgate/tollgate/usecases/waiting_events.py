"""Events that came before their customer: they are counted when the customer gets its first balances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollgate.domain.environments import CustomerRef
from tollgate.store.stream import new_holders
from tollgate.usecases.usage_events import UsageEvents


class WaitingEvents:
    """Finds the customers that got a balance in the table's stream, and counts the events that waited for them."""

    def __init__(self, usage_events: UsageEvents) -> None:
        self._usage_events = usage_events

    def count(self, records: Sequence[Mapping[str, Any]], now: int) -> None:
        """Counts the events that waited for the customers in these stream records. An event of which the customer holds
        no feature keeps waiting.

        `now` is epoch ms. May be repeated: an event is counted once. Raises Unavailable.
        """
        for environment, customer_id in new_holders(records):
            self._usage_events.count_waiting(CustomerRef(environment, customer_id), now)
