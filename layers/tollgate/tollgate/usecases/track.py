"""May this customer do this now, and if so, count it: check-and-track, and track."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from tollgate.domain.api_keys import Caller
from tollgate.domain.balances import BalanceKey, all_as_of
from tollgate.domain.decisions import (
    Decision,
    Deduction,
    UseRequest,
    allows_negative,
    check,
    drawn_by,
    fast_path,
    has_payer,
    use,
)
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import (
    WAS_COUNTED,
    InsufficientBalance,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    Unavailable,
    UsageLimitExceeded,
)
from tollgate.domain.quantities import ZERO, converted
from tollgate.domain.use_records import CountedUse, Origin
from tollgate.store.balances import Applied, Deduct
from tollgate.store.codecs.balances import StoredBalance
from tollgate.usecases.commands import Outcome, UseCall, UseCommand, outcome_of
from tollgate.usecases.committing import BatchDecision, Extra
from tollgate.usecases.features import CACHE_SECONDS
from tollgate.usecases.ledger import Ledger
from tollgate.usecases.reading import ReadState
from tollgate.usecases.retry import until_written

MOST_HINTS = 10_000
CHANGING = "The balance is being changed too often: nothing was counted, try again"


class _Hint(NamedTuple):
    """Where a customer's use of a feature went last: the balance to try first, and the others there were to show."""

    until: float
    target: BalanceKey
    others: frozenset[BalanceKey]


class Tracking:
    """The use cases that count. `now` is the wall clock's time in epoch milliseconds."""

    def __init__(self, ledger: Ledger, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store, self._features, self._reader, self._committer = ledger
        self._monotonic = monotonic
        self._hints: dict[tuple[CustomerRef, BalanceKey], _Hint] = {}

    def check_and_track(self, caller: Caller, command: UseCommand, now: int) -> Outcome:
        """Decides and counts in one step. Raises NotFound, or InvalidRequest for a boolean feature."""
        call = self._call(caller, command, now)
        feature = call.request.feature
        if feature.type.is_flag:
            raise InvalidRequest(f"Feature {feature.id} is {feature.type.value}: there is nothing to track")
        return self._use(call)

    def track(self, caller: Caller, command: UseCommand, now: int) -> Outcome:
        """Counts a use that has happened.

        Raises NotFound, DuplicateRequest, and InsufficientBalance or UsageLimitExceeded where it is to be rejected.
        """
        call = self._call(caller, command, now)
        if call.request.feature.type.is_flag:
            return self._track_flag(call)
        return self._use(call, raises=True)

    def track_event(self, caller: Caller, event_name: str, command: UseCommand, now: int) -> list[Outcome]:
        """Counts an event as a use of every feature that lists its name, in one transaction (autumn.md 3.6).

        `command.feature_id` is not looked at. Raises NotFound where no feature lists it.
        """
        features = self._features.listening(caller.environment, event_name)
        command = command._replace(event_name=event_name)
        if len(features) == 1:
            return [self.track(caller, command._replace(feature_id=features[0].id), now)]
        catalog = self._features.catalog(caller.environment)
        requests = [command.request_of(feature, catalog) for feature in features if not feature.type.is_flag]
        return until_written(self._store.turns(), lambda _: self._track_all(caller, command, requests, now), CHANGING)

    def _call(self, caller: Caller, command: UseCommand, now: int) -> UseCall:
        catalog = self._features.catalog(caller.environment, command.feature_id)
        customer = CustomerRef(caller.environment, command.customer_id)
        return UseCall(caller, customer, command, command.request_in(catalog), now)

    def _track_flag(self, call: UseCall) -> Outcome:
        """The answer to a use of a boolean or static feature: there is nothing to count."""
        request = call.request._replace(pools=(), amount=ZERO)
        read = self._reader.read(call.customer, request, call.now)
        call.command.check_time(read.now)
        self._committer.consume_keys(call)
        balances = all_as_of(read.balances, read.now)
        return outcome_of(request, check(request, balances), balances, read.now)

    # -------------------------------------------------------------- one feature

    def _use(self, call: UseCall, *, raises: bool = False) -> Outcome:
        """The fast path where it can decide, else the slow path; `raises` where a refusal is an error."""
        request = call.request
        alone = not request.pools and not request.entity_id
        at = call.command.at
        may_be_fast = request.amount >= 0 and (at is None or at <= call.now)  # later, a test clock has to be looked at
        declined: StoredBalance | None = None

        def attempt(turn: int) -> Outcome | None:
            nonlocal declined
            if turn and alone and may_be_fast:
                answer = self._use_fast(call)
                if isinstance(answer, Outcome):
                    return answer
                declined = answer
            if declined is not None and alone:  # the balance that declined is all there is to read
                stored = {declined.balance.key: declined}
                read = self._reader.completed(call.customer, request.entity_id, stored, call.now)
            else:
                read = self._reader.read(call.customer, request, call.now)
            return self._use_slow(call, read, raises)

        turns = self._store.turns()  # their time begins before the fast path
        if may_be_fast:
            first = self._use_fast(call)
            if isinstance(first, Outcome):
                return first
            declined = first
        return until_written(turns, attempt, CHANGING)

    def _use_slow(self, call: UseCall, read: ReadState, raises: bool) -> Outcome | None:
        """Decides on what was read, and writes it; None where it had changed."""
        call.command.check_time(read.now)
        decision = use(call.request, read.balances, read.now)
        if not decision.allowed:
            return self.refused(call, decision, read, raises=raises)
        if not self._committer.commit(call, read, decision):
            return None
        self._remember(call, read)
        return used(call.request, decision, read.now)

    def _use_fast(self, call: UseCall) -> Outcome | StoredBalance | None:
        """One write decides, and nearly always that is all: its outcome. Else the balance that declined, for the slow
        path to think about; None where there is no such balance.
        """
        request = call.request
        own = request.key
        alone = not request.pools and not request.entity_id
        hint = None if alone else self._hint(call)
        target = hint.target if hint else own
        if request.entity_id and target != own:
            return None  # the entity holds nothing of its own: its customer's balances have to be read
        amount = converted(request.amount, request.cost(target.feature_id)) if target != own else request.amount
        alone = alone and not allows_negative(request.feature, (), request.overage)
        pays_for = request.feature.id if target != own else None
        key_writes = self._committer.key_writes(call) if call.command.idempotency_keys else ()
        for capped in (False, True):
            record = call.record(target, amount, call.now)
            deduct = Deduct(target, amount, call.now, record, alone, pays_for)
            result = self._store.spend(call.customer, deduct, key_writes)
            if isinstance(result, Applied):
                try:
                    return self._used_fast(call, hint, deduct, result)
                except Unavailable as error:  # of a read: the use is counted
                    raise OutcomeUnknown(WAS_COUNTED) from error
            declined = result.stored
            if capped or declined is None:
                return declined
            fast = fast_path(declined.balance, amount, request.overage, call.now, alone=alone)
            if fast is None or fast.spent - declined.balance.spent == amount:
                return declined
            amount = fast.spent - declined.balance.spent  # a capped use takes what there is
        return None

    def _used_fast(self, call: UseCall, hint: _Hint | None, deduct: Deduct, result: Applied) -> Outcome:
        """The answer after a fast write: the balance as it left it, and the others that are shown beside it."""
        command, request, target = call.command, call.request, deduct.key
        after = result.stored.balance
        stored = {target: result.stored}
        others = set(hint.others if hint else request.keys) - {target}
        if others:
            stored |= self._store.read(call.customer, others)
            if not hint:
                self._remember(call, ReadState(stored, call.now))
        read = self._reader.completed(call.customer, request.entity_id, stored, call.now)
        deductions: tuple[Deduction, ...] = ()
        if command.itemized and after.spent >= deduct.amount:
            deductions = drawn_by(after._replace(spent=after.spent - deduct.amount), after)
        own = target.feature_id == request.feature.id
        return Outcome(
            True,
            request.feature,
            target.feature_id,
            request.amount if own else deduct.amount,
            all_as_of(read.balances, call.now),
            request.feature_ids,
            request.entity_id,
            deduct.amount if own else request.amount,
            deductions,
            call.now,
        )

    def refused(self, call: UseCall, decision: Decision, read: ReadState, *, raises: bool) -> Outcome:
        """The answer to a use that was not allowed: refused, or of a feature that nothing grants.

        Where it `raises`, a refusal is InsufficientBalance or UsageLimitExceeded, and a use of what nothing grants is
        recorded.
        """
        request, command = call.request, call.command
        held = has_payer(request, decision.balances)
        if held and raises:
            if decision.usage_limited:
                raise UsageLimitExceeded(
                    f"Usage limit of {request.feature.id} reached for customer {command.customer_id}"
                )
            raise InsufficientBalance(
                f"Insufficient balance of {request.feature.id} for customer {command.customer_id}"
            )
        if raises:
            self._committer.record_ungranted_use(call, read.now)
        else:
            self._committer.consume_keys(call)
        answer = outcome_of(request, check(request, decision.balances), decision.balances, read.now)
        # a use of nothing is allowed where nothing is granted (autumn.md 2.6), and counts nothing
        allowed = not held and command.amount <= 0
        return answer._replace(allowed=allowed, reason=None if allowed else answer.reason)

    # -------------------------------------------------------------- several features

    def _track_all(
        self, caller: Caller, command: UseCommand, requests: list[UseRequest], now: int
    ) -> list[Outcome] | None:
        """Decides an event as a use of each feature, one after another, and writes them together; None where something
        had changed since it was read."""
        from tollgate.usecases.use_batch import UseBatch  # the check has no need of it

        customer = CustomerRef(caller.environment, command.customer_id)
        keys = {key for request in requests for key in request.keys}
        stored = self._store.read(customer, keys, command.entity_id)
        if not stored and not self._store.has_customer(customer):
            raise NotFound("customer", customer.id)
        read = self._reader.completed(customer, command.entity_id, stored, now)
        command.check_time(read.now)
        batch = UseBatch()
        counted = CountedUse("", command.amount, read.now if command.at is None else command.at)
        counted = counted._replace(properties=command.properties, origin=Origin(command.event_name))
        balances = before = all_as_of(read.balances, read.now)
        decisions = []
        for request in requests:
            decision = use(request, balances, read.now)
            balances = dict(decision.balances)
            decisions.append(decision)
            if decision.allowed:
                batch.add(counted, caller.key_id, request, decision)
        keys_taken = Extra(self._committer.writes_of(caller.environment, command.idempotency_keys, now))
        if batch.empty:
            if keys_taken.idempotency:
                self._store.commit(customer, (), (), keys_taken.idempotency)
        elif not self._committer.commit_batch(
            customer, read.stored, BatchDecision(before, balances, batch), now, keys_taken
        ):
            return None
        return [
            used(request, decision._replace(balances=balances), read.now)
            for request, decision in zip(requests, decisions, strict=True)
        ]

    # -------------------------------------------------------------- hints

    def _hint(self, call: UseCall) -> _Hint | None:
        hint = self._hints.get((call.customer, call.request.key))
        return hint if hint and hint.until > self._monotonic() else None

    def _remember(self, call: UseCall, read: ReadState) -> None:
        """Remembers which balance to try first; the write's own condition keeps a stale hint from mattering."""
        request = call.request
        held = [key for key in request.keys if key in read.stored]
        if not held or (not request.pools and not request.entity_id):
            return
        if len(self._hints) >= MOST_HINTS:
            self._hints.clear()
        until = self._monotonic() + CACHE_SECONDS
        self._hints[call.customer, request.key] = _Hint(until, held[0], frozenset(held[1:]))


def used(request: UseRequest, decision: Decision, now: int) -> Outcome:
    """The answer to a use that was decided at the customer's time `now` (ms): the feature that paid first answers; of
    units given back, the credit pool where some landed (autumn.md 1.5.5)."""
    answer = check(request, decision.balances)
    moved = {deduction.feature_id for deduction in decision.deductions}
    if moved:
        ranked = (*request.feature_ids[1:], request.feature.id) if request.amount < 0 else request.feature_ids
        feature_id = next(id for id in ranked if id in moved)
        required = converted(request.amount, request.cost(feature_id))
        answer = answer._replace(allowed=True, feature_id=feature_id, required=required)
    outcome = outcome_of(request, answer, decision.balances, now)
    return outcome._replace(
        allowed=decision.allowed,
        drawn=decision.drawn,
        deductions=decision.deductions,
        reason=None if decision.allowed else outcome.reason,
    )
