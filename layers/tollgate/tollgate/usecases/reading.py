"""Reading what a decision about a feature may depend on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tollgate.domain.balances import ENTITIES, Balance, BalanceKey
from tollgate.domain.decisions import UseRequest
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import NotFound
from tollgate.store.balances import BalanceStore
from tollgate.store.codecs.balances import StoredBalance


class ReadState(NamedTuple):
    """What was read for a decision: the stored balances, and the customer's time (ms)."""

    stored: Mapping[BalanceKey, StoredBalance]
    now: int

    @property
    def balances(self) -> dict[BalanceKey, Balance]:
        """The balances as they are stored: not yet as of any time."""
        return {key: stored.balance for key, stored in self.stored.items()}


class BalanceReader:
    """Reads balances for decisions."""

    def __init__(self, store: BalanceStore) -> None:
        self._store = store

    def read(self, customer: CustomerRef, request: UseRequest, now: int) -> ReadState:
        """The balances that may pay for a request, and those that bound it.

        One request; one more for each feature of which entities hold balances that count here, and one for a test
        clock. Raises NotFound where there is no such customer or entity.
        """
        stored = self._store.read(customer, request.keys, request.entity_id)
        if not stored and not request.entity_id and not self._store.has_customer(customer):
            raise NotFound("customer", customer.id)
        return self.completed(customer, request.entity_id, stored, now)

    def completed(
        self, customer: CustomerRef, entity_id: str, stored: dict[BalanceKey, StoredBalance], now: int
    ) -> ReadState:
        """What was read, with all that it says must be read too: entities' balances that count here, a test clock."""
        for key, item in list(stored.items()):
            shared = not key.entity_id and ENTITIES in item.balance.paid_first
            if shared and (not entity_id or item.balance.limits.spend):
                stored |= self._store.of_feature(customer, key.feature_id)
        if any(item.balance.has_test_clock for item in stored.values()):
            frozen = self._store.frozen_time(customer)
            now = now if frozen is None else frozen
        return ReadState(stored, now)
