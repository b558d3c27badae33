"""Which writes ask for a top-up (autumn.md 7.3). `domain/top_ups.py` decides; this reads and writes what was asked for.

A balance that counts alone and stays above its threshold costs no request. Where several balances count together all are
read as they are now, as for alerts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tollgate.domain.alerts import TopUpAlert, left_at
from tollgate.domain.balances import ENTITIES, Balance, BalanceKey, Balances
from tollgate.domain.changes import Change, What
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import Unavailable
from tollgate.domain.quantities import ZERO
from tollgate.domain.top_ups import Met, TopUpState, Verdict, top_up_after
from tollgate.store.top_up_states import TopUpStateStore

_TRIES = 5
_GIVING = (What.GRANTED, What.ADJUSTED, What.RESET)

All = Callable[[Change, Balance, Iterable[str]], Balances]
"""All balances of a customer and its entities of these features, with the written one as it is after the write."""


class TopUps:
    """The top-ups that the writes of one batch of the stream ask for, in the stream's order."""

    def __init__(self, store: TopUpStateStore) -> None:
        self._store = store
        self._known: dict[tuple[CustomerRef, str], tuple[TopUpState, int]] = {}

    def raised_by(self, change: Change, after: Balance, all_of: All) -> Iterator[TopUpAlert]:
        """What a write asks for: nothing, one top-up, or one that the purchase limit blocks.

        Raises Unavailable. Repeated for the same write, the answer is the same.
        """
        customer = BalanceKey(change.write.key.feature_id)
        alone = not change.write.key.entity_id and ENTITIES not in after.paid_first
        balances: Balances = {customer: after} if alone else all_of(change, after, (customer.feature_id,))
        top_up = balances[customer].limits.top_up if customer in balances else None
        left = left_at(customer, balances) if top_up else None
        if top_up is None or left is None:
            return
        was = left_at(customer, {customer: change.before}) if alone else None
        below, was_below = left <= top_up.threshold, was is not None and was <= top_up.threshold
        if alone and not below and not was_below:
            return
        met = Met(
            f"{change.write.at}#{change.write.version}#{change.write.key.entity_id}",
            change.write.at,
            below,
            was is not None and not was_below,
            any(changed.what in _GIVING and (changed.value or ZERO) > 0 for changed in change.grant_changes),
            bool(change.uses) or (alone and change.previous is not None and _is_new(change, after)),
        )
        for _ in range(_TRIES):
            known, writes = self._state(change, customer.feature_id)
            state, verdict = top_up_after(known, top_up, met)
            if state == known or self._write(change, customer.feature_id, state, writes):
                if verdict is not Verdict.NOTHING:
                    yield TopUpAlert(customer.feature_id, top_up, left, verdict is Verdict.BLOCKED)
                return
        raise Unavailable("What was asked for changes all the time: try again")

    def _state(self, change: Change, feature_id: str) -> tuple[TopUpState, int]:
        held = CustomerRef(change.write.environment, change.write.customer_id), feature_id
        if held not in self._known:
            self._known[held] = self._store.get(*held)
        return self._known[held]

    def _write(self, change: Change, feature_id: str, state: TopUpState, writes: int) -> bool:
        held = CustomerRef(change.write.environment, change.write.customer_id), feature_id
        if self._store.put(*held, state, writes, change.write.at):
            self._known[held] = state, writes + 1
            return True
        del self._known[held]
        return False


def _is_new(change: Change, after: Balance) -> bool:
    """Whether this write is the one that states how the balance is topped up."""
    before = change.previous.limits.top_up if change.previous else None
    assert after.limits.top_up is not None
    return not after.limits.top_up.says_as(before)
