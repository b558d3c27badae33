"""May this customer do this now, and if so, count it: check, check-and-track, and track."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from tollgate.domain.balances import Balance, fold
from tollgate.domain.decisions import Overage, allows, hot, use
from tollgate.domain.errors import InsufficientBalance, InvalidRequest, NotFound, Unavailable
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.keys import Caller, Environment
from tollgate.domain.quantities import ZERO
from tollgate.domain.usage import NO_PROPERTIES, UsageEvent
from tollgate.store.balance_items import Stored
from tollgate.store.balances import Applied, Balances, Declined
from tollgate.usecases.features import FeatureCache


class Use(NamedTuple):
    """A use of one feature by one customer. `amount` below zero gives back."""

    customer_id: str
    feature_id: str
    amount: Decimal
    overage: Overage = Overage.CAP
    properties: Mapping[str, Any] = NO_PROPERTIES


class Outcome(NamedTuple):
    """The answer to a check or a use. `balance` is folded to that time; None where nothing grants the feature."""

    allowed: bool
    feature: Feature
    balance: Balance | None
    drawn: Decimal = ZERO


class Meter:
    """The use cases around balances. `now` is always epoch milliseconds."""

    def __init__(self, balances: Balances, features: FeatureCache) -> None:
        self.balances = balances
        self.features = features

    def check(
        self, env: Environment, customer_id: str, feature_id: str, required: Decimal, now: int, *, fresh: bool = False
    ) -> Outcome:
        """Whether the customer may use `required` units now. One read of one unit; counts nothing.

        Raises NotFound for an unknown feature or customer.
        """
        feature = self.features.get(env, feature_id, fresh=fresh)
        stored = self.balances.get(env, customer_id, feature_id)
        if stored is None:
            return self._not_granted(env, customer_id, feature, allowed=False)
        allowed = allows(stored.balance, required, now)
        return Outcome(allowed, feature, fold(stored.balance, now))

    def check_and_track(self, caller: Caller, command: Use, now: int) -> Outcome:
        """Decides and counts in one step. Raises NotFound, or InvalidRequest for a boolean feature."""
        feature = self.features.get(caller.environment, command.feature_id)
        if feature.type is FeatureType.BOOLEAN:
            raise InvalidRequest(f"Feature {feature.id} is boolean: there is nothing to track")
        return self._use(caller, feature, command, now)

    def track(self, caller: Caller, command: Use, now: int) -> Outcome:
        """Counts a use that has happened. Raises NotFound, or InsufficientBalance where it is to reject and must."""
        feature = self.features.get(caller.environment, command.feature_id)
        if feature.type is FeatureType.BOOLEAN:
            return self.check(caller.environment, command.customer_id, feature.id, ZERO, now)
        outcome = self._use(caller, feature, command, now)
        if not outcome.allowed and command.overage is Overage.REJECT:
            raise InsufficientBalance(f"Insufficient balance of {feature.id} for customer {command.customer_id}")
        return outcome

    def _use(self, caller: Caller, feature: Feature, command: Use, now: int) -> Outcome:
        env, customer_id, amount = caller.environment, command.customer_id, command.amount

        def event(drawn: Decimal, id: str) -> UsageEvent:
            return UsageEvent(id, amount, drawn, now, caller.key_id, command.properties)

        stored: Stored | None = None
        for turn in self.balances.turns():
            if turn or amount < 0:
                stored = self.balances.get(env, customer_id, feature.id)
            result: Applied | Declined
            if turn == 0 and amount >= 0:  # the hot path: one write decides, and nearly always that is all
                result = self.balances.spend(env, customer_id, feature.id, amount, now, partial(event, amount))
                if isinstance(result, Applied):
                    return Outcome(True, feature, fold(result.stored.balance, now), amount)
                stored = result.stored
            if stored is None:
                # a use of nothing is allowed all the same (autumn.md 2), and counts nothing
                return self._not_granted(env, customer_id, feature, allowed=amount <= 0)
            quick = hot(stored.balance, amount, command.overage, now)
            decision = quick or use(stored.balance, amount, command.overage, now)
            if not decision.allowed:
                return Outcome(False, feature, decision.balance)
            event_of = partial(event, decision.drawn)
            if quick:
                result = self.balances.spend(env, customer_id, feature.id, quick.drawn, now, event_of)
            else:
                result = self.balances.replace(env, customer_id, stored, decision.balance, event_of)
            if isinstance(result, Applied):
                return Outcome(True, feature, fold(result.stored.balance, now), decision.drawn)
        raise Unavailable("The balance is being changed too often: nothing was counted, try again")

    def _not_granted(self, env: Environment, customer_id: str, feature: Feature, *, allowed: bool) -> Outcome:
        """The answer where nothing grants the feature; raises NotFound where there is no such customer."""
        if not self.balances.has_customer(env, customer_id):
            raise NotFound("customer", customer_id)
        return Outcome(allowed, feature, None)
