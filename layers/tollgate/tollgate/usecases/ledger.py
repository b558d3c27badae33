"""What the use cases around balances share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tollgate.store.balances import BalanceStore
from tollgate.usecases.committing import Committer
from tollgate.usecases.features import FeatureCache
from tollgate.usecases.reading import BalanceReader

if TYPE_CHECKING:
    from tollgate.store.idempotency import IdempotencyStore


class Ledger(NamedTuple):
    """Where balances are stored, how they are read for a decision and written after it, and the catalog's features."""

    store: BalanceStore
    features: FeatureCache
    reader: BalanceReader
    committer: Committer


def ledger_of(store: BalanceStore, features: FeatureCache, idempotency: IdempotencyStore | None = None) -> Ledger:
    """A ledger over these stores; without one of idempotency keys, calls must not carry any."""
    return Ledger(store, features, BalanceReader(store), Committer(store, idempotency))
