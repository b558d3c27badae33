"""May this customer do this now, and if so, count it: check, check-and-track, and track."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.api_keys import Caller
from tollgate.domain.balances import ENTITIES, Balance, BalanceKey, as_of
from tollgate.domain.decisions import (
    Balances,
    Check,
    Decision,
    Deduction,
    Overage,
    all_as_of,
    allows_negative,
    check,
    drawn_by,
    fast_path,
    sources_of,
    use,
)
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InsufficientBalance, InvalidRequest, NotFound, Unavailable, UsageLimitExceeded
from tollgate.domain.features import Catalog, Feature, Pool
from tollgate.domain.ids import id_text
from tollgate.domain.quantities import ZERO, converted
from tollgate.domain.use_records import NO_PROPERTIES, CountedUse, UseRecord
from tollgate.store.balance_items import StoredBalance
from tollgate.store.balances import Applied, BalanceStore, BalanceWrite
from tollgate.usecases.features import CACHE_SECONDS, FeatureCache

if TYPE_CHECKING:
    from tollgate.domain.idempotency import IdempotencyKey
    from tollgate.store.idempotency import IdempotencyStore
    from tollgate.usecases.use_batch import UseBatch

MOST_HINTS = 10_000


class UseCommand(NamedTuple):
    """A use of one feature by one customer. `amount` below zero gives back. `idempotency_keys`: idempotency keys that it uses up.
    `itemized`: the answer is to tell what moved on each grant."""

    customer_id: str
    feature_id: str
    amount: Decimal
    overage: Overage = Overage.CAP
    properties: Mapping[str, Any] = NO_PROPERTIES
    entity_id: str = ""
    at: int | None = None
    idempotency_keys: tuple[IdempotencyKey, ...] = ()
    itemized: bool = True


class Outcome(NamedTuple):
    """The answer to a check or a use.

    `answering` is the feature that answered (itself or a credit pool) and `required` what was asked of it; `balances` holds
    the folded balances to show, and `features` those that are in play.
    """

    allowed: bool
    feature: Feature
    answering: str
    required: Decimal
    balances: Balances
    features: tuple[str, ...]
    entity_id: str = ""
    drawn: Decimal = ZERO
    deductions: tuple[Deduction, ...] = ()
    now: int = 0


class ReadState(NamedTuple):
    """What was read for a decision: the stored items, and the customer's time."""

    stored: Mapping[BalanceKey, StoredBalance]
    now: int

    @property
    def balances(self) -> dict[BalanceKey, Balance]:
        return {key: stored.balance for key, stored in self.stored.items()}


class _Hint(NamedTuple):
    """Where a customer's use of a feature went last: the item to try first, and the others there were to show."""

    until: float
    target: BalanceKey
    others: frozenset[BalanceKey]


class Tracking:
    """The use cases around balances. `now` is always epoch milliseconds."""

    def __init__(
        self,
        balances: BalanceStore,
        features: FeatureCache,
        idempotency_keys: IdempotencyStore | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.balance_store = balances
        self.features = features
        self.idempotency_keys = idempotency_keys
        self._monotonic = monotonic
        self._hints: dict[tuple[Environment, str, BalanceKey], _Hint] = {}

    # -------------------------------------------------------------- check

    def check(
        self,
        env: Environment,
        customer_id: str,
        feature_id: str,
        required: Decimal,
        now: int,
        *,
        entity_id: str = "",
        properties: Mapping[str, Any] = NO_PROPERTIES,
        fresh: bool = False,
    ) -> Outcome:
        """Whether the customer may use `required` units now. One read; counts nothing.

        Raises NotFound for an unknown feature, customer or entity.
        """
        catalog = self.features.catalog(env, feature_id, fresh=fresh)
        feature = catalog.feature(feature_id)
        pools = catalog.pools(feature_id)
        read = self.look(env, customer_id, feature, pools, entity_id, now)
        return self.answer(
            feature, pools, entity_id, required, properties, all_as_of(read.balances, read.now), read.now
        )

    def answer(
        self,
        feature: Feature,
        pools: Sequence[Pool],
        entity_id: str,
        required: Decimal,
        properties: Mapping[str, Any],
        balances: Balances,
        now: int,
    ) -> Outcome:
        """The answer of a check on a balances as of one instant."""
        answer = check(feature, pools, entity_id, required, properties, balances)
        names = (feature.id, *(pool.feature_id for pool in pools))
        return Outcome(answer.allowed, feature, answer.feature_id, answer.required, balances, names, entity_id, now=now)

    def look(
        self,
        env: Environment,
        customer_id: str,
        feature: Feature,
        pools: Sequence[Pool],
        entity_id: str,
        now: int,
    ) -> ReadState:
        """Reads what a decision about a feature may depend on.

        One request; one more for each feature of which entities hold balances that count here, and one for a test clock.
        Raises NotFound where there is no such customer or entity.
        """
        stored = self.balance_store.read(env, customer_id, keys_of(feature, pools, entity_id), entity_id)
        if not stored and not entity_id and not self.balance_store.has_customer(env, customer_id):
            raise NotFound("customer", customer_id)
        return self.completed(env, customer_id, entity_id, stored, now)

    def completed(
        self, env: Environment, customer_id: str, entity_id: str, stored: dict[BalanceKey, StoredBalance], now: int
    ) -> ReadState:
        for key, item in list(stored.items()):
            shared = not key.entity_id and ENTITIES in item.balance.paid_first
            if shared and (not entity_id or item.balance.limits.spend):
                stored |= self.balance_store.of_feature(env, customer_id, key.feature_id)
        if any(item.balance.has_test_clock for item in stored.values()):
            frozen = self.balance_store.frozen_time(env, customer_id)
            now = now if frozen is None else frozen
        return ReadState(stored, now)

    # -------------------------------------------------------------- use

    def check_and_track(self, caller: Caller, command: UseCommand, now: int) -> Outcome:
        """Decides and counts in one step. Raises NotFound, or InvalidRequest for a boolean feature."""
        catalog = self.features.catalog(caller.environment, command.feature_id)
        feature = catalog.feature(command.feature_id)
        if feature.type.is_flag:
            raise InvalidRequest(f"Feature {feature.id} is {feature.type.value}: there is nothing to track")
        return self._use(caller, catalog, feature, command, now)

    def track(self, caller: Caller, command: UseCommand, now: int) -> Outcome:
        """Counts a use that has happened.

        Raises NotFound, InsufficientBalance or UsageLimitExceeded where it is to reject and must, and DuplicateRequest.
        """
        catalog = self.features.catalog(caller.environment, command.feature_id)
        feature = catalog.feature(command.feature_id)
        if feature.type.is_flag:
            read = self.look(caller.environment, command.customer_id, feature, (), command.entity_id, now)
            self._consume_keys(caller.environment, command, now)
            balances = all_as_of(read.balances, read.now)
            return self.answer(feature, (), command.entity_id, ZERO, command.properties, balances, read.now)
        return self._use(caller, catalog, feature, command, now, rejecting=True)

    def track_event(self, caller: Caller, event_name: str, command: UseCommand, now: int) -> list[Outcome]:
        """Counts an event as a use of every feature that lists its name, in one transaction (autumn.md 3.6).

        `command.feature_id` is not looked at. Raises NotFound where no feature lists it.
        """
        features = self.features.listening(caller.environment, event_name)
        if len(features) == 1:
            return [self.track(caller, command._replace(feature_id=features[0].id), now)]
        catalog = self.features.catalog(caller.environment)
        metered = [feature for feature in features if not feature.type.is_flag]
        env, customer_id, entity_id = caller.environment, command.customer_id, command.entity_id
        keys = {p for feature in metered for p in keys_of(feature, catalog.pools(feature.id), entity_id)}
        for _ in self.balance_store.turns():
            stored = self.balance_store.read(env, customer_id, keys, entity_id)
            if not stored and not self.balance_store.has_customer(env, customer_id):
                raise NotFound("customer", customer_id)
            read = self.completed(env, customer_id, entity_id, stored, now)
            balances: Balances = read.balances
            decisions: list[tuple[Feature, Decision]] = []
            for feature in metered:
                decision = use(
                    feature,
                    catalog.pools(feature.id),
                    entity_id,
                    command.amount,
                    command.overage,
                    command.properties,
                    balances,
                    read.now,
                )
                decisions.append((feature, decision))
                balances = decision.balances
            if self.commit(caller, command, read, decisions, balances, now):
                return [
                    self.outcome(feature, catalog.pools(feature.id), command, decision, balances, read.now)
                    for feature, decision in decisions
                ]
        raise Unavailable("The balances are being changed too often: nothing was counted, try again")

    def _use(
        self,
        caller: Caller,
        catalog: Catalog,
        feature: Feature,
        command: UseCommand,
        now: int,
        *,
        rejecting: bool = False,
    ) -> Outcome:
        env, customer_id, entity_id = caller.environment, command.customer_id, command.entity_id
        pools = catalog.pools(feature.id)
        single = not pools and not entity_id
        for turn in self.balance_store.turns():
            known: StoredBalance | None = None
            if command.amount >= 0 and (single or turn == 0):
                result = self._spend(caller, feature, pools, command, now)
                if isinstance(result, Outcome):
                    return result
                known = result
            if known is not None and single:  # the item that declined is all there is to read
                read = self.completed(env, customer_id, entity_id, {known.balance.key: known}, now)
            else:
                read = self.look(env, customer_id, feature, pools, entity_id, now)
            decision = use(
                feature, pools, entity_id, command.amount, command.overage, command.properties, read.balances, read.now
            )
            if not decision.allowed:
                return self.refused(caller, feature, pools, command, decision, read, now, rejecting)
            if self.commit(caller, command, read, [(feature, decision)], decision.balances, now):
                self._remember(env, feature, pools, command, read)
                return self.outcome(feature, pools, command, decision, decision.balances, read.now)
        raise Unavailable("The balance is being changed too often: nothing was counted, try again")

    def _spend(
        self, caller: Caller, feature: Feature, pools: Sequence[Pool], command: UseCommand, now: int
    ) -> Outcome | StoredBalance | None:
        """The fast path: one write decides, and nearly always that is all. Else what declined it, for the slow path to
        think about; None where there is no such item."""
        env, customer_id, entity_id = caller.environment, command.customer_id, command.entity_id
        key = BalanceKey(feature.id, entity_id)
        hint = self._hint(env, customer_id, key)
        target = hint.target if hint else key
        if entity_id and target != key:
            return None  # the entity holds nothing of its own: its customer's balances are thought through
        cost = next((pool.cost for pool in pools if pool.feature_id == target.feature_id), Decimal(1))
        amount = converted(command.amount, cost)
        alone = not pools and not entity_id and not allows_negative(feature, (), command.overage)
        for capped in (False, True):
            event_of = partial(self.event, caller, command, now, feature, target, amount)
            result = self.balance_store.spend(
                env,
                customer_id,
                target,
                amount,
                now,
                event_of,
                alone=alone,
                pays_for=feature.id if target != key else None,
                idempotency_keys=self._keys(env, command, now),
            )
            if isinstance(result, Applied):
                return self._spent(env, feature, pools, command, target, amount, hint, result, now)
            declined = result.stored
            if capped or declined is None:
                return declined
            fast = fast_path(declined.balance, amount, command.overage, now, alone=alone)
            if fast is None or fast.spent - declined.balance.spent == amount:
                return declined
            amount = fast.spent - declined.balance.spent
        return None

    def _spent(
        self,
        env: Environment,
        feature: Feature,
        pools: Sequence[Pool],
        command: UseCommand,
        target: BalanceKey,
        amount: Decimal,
        hint: _Hint | None,
        result: Applied,
        now: int,
    ) -> Outcome:
        """The answer after a fast write: the item as it left it, and the others that are shown beside it."""
        after = result.stored.balance
        stored = {target: result.stored}
        keys = keys_of(feature, pools, command.entity_id)
        others = set(hint.others if hint else keys) - {target}
        if others:
            stored |= self.balance_store.read(env, command.customer_id, others)
            if not hint:
                self._remember(env, feature, pools, command, ReadState(stored, now))
        read = self.completed(env, command.customer_id, command.entity_id, dict(stored), now)
        deductions: tuple[Deduction, ...] = ()
        if command.itemized and after.spent >= amount:
            deductions = drawn_by(after._replace(spent=after.spent - amount), after)
        balances = all_as_of(read.balances, now)
        own = target.feature_id == feature.id
        asked, drawn = (command.amount, amount) if own else (amount, command.amount)
        names = (feature.id, *(pool.feature_id for pool in pools))
        return Outcome(
            True, feature, target.feature_id, asked, balances, names, command.entity_id, drawn, deductions, now
        )

    def commit(
        self,
        caller: Caller,
        command: UseCommand,
        read: ReadState,
        decisions: Sequence[tuple[Feature, Decision]],
        balances: Balances,
        now: int,
        extra: Sequence[Any] = (),
        *,
        silent: bool = False,
    ) -> bool:
        """Writes what was decided, each use with its event; False where something had changed since it was read.

        `extra` writes go into the same transaction; raises DuplicateRequest where one of them is refused. `silent`: what
        changes is no use, and leaves no event.
        """
        env, customer_id = caller.environment, command.customer_id
        drawn: dict[BalanceKey, Decimal] = {}
        uses: dict[BalanceKey, Feature] = {}
        for feature, decision in decisions:
            if silent or not decision.allowed:
                continue
            pools = self.features.catalog(env).pools(feature.id)
            moved = _moved(decision)
            if not moved:  # the first item that could have paid remembers a use that moved nothing
                moved = {sources_of(feature.id, pools, command.entity_id, balances)[0].key: ZERO}
            for key in decision.counted:  # its usage limits tell of the use, whoever paid
                moved.setdefault(key, ZERO)
            for key, amount in moved.items():
                drawn[key] = drawn.get(key, ZERO) + amount
                uses.setdefault(key, feature)
        if not uses and not extra:
            self._consume_keys(env, command, now)
            return True
        changed = [
            key
            for key, balance in balances.items()
            if key in uses
            or as_of(read.stored[key].balance, read.now) != balance
            or len(balance.holds) != len(read.stored[key].balance.holds)
        ]
        batch = self._count_usage(caller, command, read.now, decisions) if len(decisions) > 1 and not silent else None
        changes: list[BalanceWrite] = []
        for key in sorted(changed, key=lambda p: list(uses).index(p) if p in uses else len(uses)):
            event_of = None
            if batch:
                event_of = batch.event_of(key)
            elif key in uses:
                part = any(change.event_of for change in changes)
                event_of = partial(self.event, caller, command, read.now, uses[key], key, drawn[key], part=part)
            changes.append(BalanceWrite(read.stored[key], balances[key], event_of))
        idempotency_keys = [*extra, *self._keys(env, command, now)]
        unchanged = depended_on(read, balances, changed)
        if len(changes) == 1 and not idempotency_keys and not unchanged:
            change = changes[0]
            assert change.event_of is not None
            key = change.balance.key
            amount = drawn[key]
            fast = fast_path(change.stored.balance, amount, Overage.REJECT, read.now, alone=False)
            if fast is not None and as_of(fast, read.now) == change.balance:
                spent = self.balance_store.spend(env, customer_id, key, amount, read.now, change.event_of)
                return isinstance(spent, Applied)
            result = self.balance_store.replace(env, customer_id, change.stored, change.balance, change.event_of)
            return isinstance(result, Applied)
        return self.balance_store.commit(env, customer_id, changes, unchanged, idempotency_keys) is not None

    def refused(
        self,
        caller: Caller,
        feature: Feature,
        pools: Sequence[Pool],
        command: UseCommand,
        decision: Decision,
        read: ReadState,
        now: int,
        rejecting: bool,
    ) -> Outcome:
        """The answer to a use that was not allowed: refused, or of what nothing grants."""
        entity_id = command.entity_id
        held = granted(feature, pools, entity_id, decision.balances)
        if held and rejecting:
            if decision.usage_limited:
                raise UsageLimitExceeded(f"Usage limit of {feature.id} reached for customer {command.customer_id}")
            raise InsufficientBalance(f"Insufficient balance of {feature.id} for customer {command.customer_id}")
        if held or not rejecting:
            self._consume_keys(caller.environment, command, now)
        else:
            self._record_ungranted_use(caller, feature, command, read.now, now)
        answer = self.answer(feature, pools, entity_id, command.amount, command.properties, decision.balances, read.now)
        # a use of nothing is allowed where nothing is granted (autumn.md 2), and counts nothing
        return answer._replace(allowed=not held and command.amount <= 0)

    def outcome(
        self,
        feature: Feature,
        pools: Sequence[Pool],
        command: UseCommand,
        decision: Decision,
        balances: Balances,
        now: int,
    ) -> Outcome:
        answer = check(feature, pools, command.entity_id, command.amount, command.properties, balances)
        if decision.deductions:
            id = decision.deductions[0].feature_id
            cost = next((pool.cost for pool in pools if pool.feature_id == id), Decimal(1))
            answer = Check(True, id, converted(command.amount, cost))
        names = (feature.id, *(pool.feature_id for pool in pools))
        return Outcome(
            decision.allowed,
            feature,
            answer.feature_id,
            answer.required,
            balances,
            names,
            command.entity_id,
            decision.drawn,
            decision.deductions,
            now,
        )

    @staticmethod
    def event(
        caller: Caller,
        command: UseCommand,
        now: int,
        feature: Feature,
        key: BalanceKey,
        drawn: Decimal,
        id: str,
        *,
        part: bool = False,
    ) -> UseRecord:
        return UseRecord(
            id,
            command.amount,
            drawn,
            now if command.at is None else command.at,
            caller.key_id,
            command.properties,
            feature.id if feature.id != key.feature_id else None,
            command.entity_id if command.entity_id != key.entity_id else None,
            part,
        )

    def _count_usage(
        self, caller: Caller, command: UseCommand, now: int, decisions: Sequence[tuple[Feature, Decision]]
    ) -> UseBatch:
        """What each item remembers of a use of several features, which may have drawn on the same ones."""
        from tollgate.usecases.use_batch import UseBatch  # the check has no need of it

        batch = UseBatch()
        at = now if command.at is None else command.at
        use = CountedUse("", command.amount, at, properties=command.properties)
        for feature, decision in decisions:
            if decision.allowed:
                pools = self.features.catalog(caller.environment).pools(feature.id)
                batch.count(use, caller.key_id, feature, pools, command.entity_id, decision)
        return batch

    def _record_ungranted_use(self, caller: Caller, feature: Feature, command: UseCommand, at: int, now: int) -> None:
        """Remembers a use that has happened of what nothing grants: it moves nothing, and is an event all the same."""
        key = BalanceKey(feature.id, command.entity_id)
        event = self.event(caller, command, at, feature, key, ZERO, id_text(self.balance_store.new_id()))
        self.balance_store.record_ungranted_use(
            caller.environment, command.customer_id, key, event, now, self._keys(caller.environment, command, now)
        )

    # -------------------------------------------------------------- idempotency keys and hints

    def _keys(self, env: Environment, command: UseCommand, now: int) -> list[Any]:
        if not command.idempotency_keys:
            return []
        assert self.idempotency_keys is not None
        return [
            self.idempotency_keys.write(env, idempotency_keys, now) for idempotency_keys in command.idempotency_keys
        ]

    def _consume_keys(self, env: Environment, command: UseCommand, now: int) -> None:
        """Uses up the idempotency keys of a call that succeeds without changing a balance."""
        if command.idempotency_keys:
            self.balance_store.commit(env, command.customer_id, (), (), self._keys(env, command, now))

    def _hint(self, env: Environment, customer_id: str, key: BalanceKey) -> _Hint | None:
        hint = self._hints.get((env, customer_id, key))
        return hint if hint and hint.until > self._monotonic() else None

    def _remember(
        self, env: Environment, feature: Feature, pools: Sequence[Pool], command: UseCommand, read: ReadState
    ) -> None:
        """Remembers which item to try first; the write's own condition keeps a stale hint from mattering."""
        held = [balance_key for balance_key in keys_of(feature, pools, command.entity_id) if balance_key in read.stored]
        if not held or (not pools and not command.entity_id):
            return
        if len(self._hints) >= MOST_HINTS:
            self._hints.clear()
        until = self._monotonic() + CACHE_SECONDS
        key = env, command.customer_id, BalanceKey(feature.id, command.entity_id)
        self._hints[key] = _Hint(until, held[0], frozenset(held[1:]))


def keys_of(feature: Feature, pools: Sequence[Pool], entity_id: str) -> list[BalanceKey]:
    """The balance keys that a feature may be paid from, the customer's last."""
    ids = (feature.id, *(pool.feature_id for pool in pools))
    levels = (entity_id, "") if entity_id else ("",)
    return [BalanceKey(id, level) for level in levels for id in ids]


def _moved(decision: Decision) -> dict[BalanceKey, Decimal]:
    """What moved on each item, in its units, in deduction order."""
    owners = {(grant.id, key.feature_id): key for key, balance in decision.balances.items() for grant in balance.grants}
    moved: dict[BalanceKey, Decimal] = {}
    for deduction in decision.deductions:
        key = owners[deduction.grant.id, deduction.feature_id]
        moved[key] = moved.get(key, ZERO) + deduction.value
    return moved


def granted(feature: Feature, pools: Sequence[Pool], entity_id: str, balances: Balances) -> bool:
    """Whether anything grants the feature there."""
    sources = sources_of(feature.id, pools, entity_id, balances)
    return any(source.may(grant) for source in sources for grant in balances[source.key].grants)


def depended_on(read: ReadState, balances: Balances, changed: Sequence[BalanceKey]) -> list[StoredBalance]:
    """The items whose overage a shared spend limit counted, where this use made more of it."""
    found = []
    for key in read.stored:
        limited = (
            read.stored[BalanceKey(key.feature_id)].balance.limits.spend
            if BalanceKey(key.feature_id) in read.stored
            else None
        )
        overdrawn = any(
            grant.overdrawn for p in changed if p.feature_id == key.feature_id for grant in balances[p].grants
        )
        if limited and overdrawn and key not in changed:
            found.append(read.stored[key])
    return found
