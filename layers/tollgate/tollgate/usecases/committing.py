"""Writing what was decided, each use with the record that tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.balances import BalanceKey, Balances, as_of
from tollgate.domain.decisions import Decision, Overage, UseRequest, fast_path, sources_of
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.ids import id_text
from tollgate.domain.quantities import ZERO
from tollgate.store.balances import Applied, BalanceStore, Deduct, Replacement
from tollgate.store.codecs.balances import StoredBalance
from tollgate.usecases.commands import UseCall
from tollgate.usecases.reading import ReadState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from tollgate.domain.idempotency import IdempotencyKey
    from tollgate.store.idempotency import IdempotencyStore
    from tollgate.usecases.use_batch import UseBatch


class BatchDecision(NamedTuple):
    """What many uses did, one after another: the balances without them and after them, as of the last use's time, and
    what each balance is to remember."""

    before: Balances
    after: Balances
    batch: UseBatch


class Extra(NamedTuple):
    """What goes into the same transaction: the writes of idempotency keys, and others with conditions of their own."""

    idempotency: Sequence[TransactWriteItemTypeDef] = ()
    writes: Sequence[TransactWriteItemTypeDef] = ()


NOTHING = Extra()


class Committer:
    """Writes decisions. Every method answers False where something had changed since it was read, so that nothing was
    written, and raises DuplicateRequest for an idempotency key in use, Unavailable or OutcomeUnknown."""

    def __init__(self, store: BalanceStore, idempotency: IdempotencyStore | None = None) -> None:
        self.store = store
        self._idempotency = idempotency

    def commit(
        self,
        call: UseCall,
        read: ReadState,
        decision: Decision,
        extra: Sequence[TransactWriteItemTypeDef] = (),
        *,
        is_use: bool = True,
    ) -> bool:
        """Writes one decision. `extra` writes go into the same transaction; a refused one counts as a key in use.

        Not `is_use`: what changes is no use, and is not recorded as one.
        """
        drawn = _drawn(call.request, decision) if is_use and decision.allowed else {}
        if not drawn and not extra:
            self.consume_keys(call)
            return True
        changed = [
            key
            for key, balance in decision.balances.items()
            if key in drawn
            or as_of(read.stored[key].balance, read.now) != balance
            or len(balance.holds) != len(read.stored[key].balance.holds)
        ]
        order = {key: number for number, key in enumerate(drawn)}
        writes: list[Replacement] = []
        for key in sorted(changed, key=lambda key: order.get(key, len(order))):
            part = any(write.record for write in writes)
            record = call.record(key, drawn[key], read.now, part=part) if key in drawn else None
            writes.append(Replacement(read.stored[key], decision.balances[key], record))
        idempotency = [*extra, *self.key_writes(call)]
        unchanged = depended_on(read.stored, decision.balances, changed)
        if len(writes) == 1 and not idempotency and not unchanged:
            return self._commit_one(call.customer, writes[0], read.now)
        return self.store.commit(call.customer, writes, unchanged, idempotency) is not None

    def _commit_one(self, customer: CustomerRef, write: Replacement, now: int) -> bool:
        """Writes one balance without a transaction. Where the fast path's write gives the same state it is taken: it
        succeeds whatever else was used since the balance was read, as long as there is enough."""
        assert write.record is not None
        if not self.store.writable(customer, (write.stored,)):
            return False
        amount = write.record.drawn
        fast = fast_path(write.stored.balance, amount, Overage.REJECT, now, alone=False)
        if fast is not None and as_of(fast, now) == write.balance:
            deduct = Deduct(write.balance.key, amount, now, write.record)
            return isinstance(self.store.spend(customer, deduct), Applied)
        return isinstance(self.store.replace(customer, write), Applied)

    def commit_batch(
        self,
        customer: CustomerRef,
        stored: Mapping[BalanceKey, StoredBalance],
        decided: BatchDecision,
        now: int,
        extra: Extra = NOTHING,
        *,
        bounded: bool = True,
    ) -> bool:
        """Writes what many uses did, together; `now` is the wall clock's (ms). Not `bounded`: they went
        through past every limit, so that it does not matter what others have drawn of a shared one.

        Raises InvalidRequest where they do not fit one item or one transaction.
        """
        before, after, batch = decided
        batch.check_size()
        changed = [key for key, balance in after.items() if key in batch or before[key] != balance]
        writes = [Replacement(stored[key], after[key], batch.record_of(key)) for key in changed]
        ungranted = [
            self.store.ungranted_use(customer, key, record, now)
            for key, record in batch.ungranted(lambda: id_text(self.store.new_id()))
        ]
        unchanged = depended_on(stored, after, changed) if bounded else ()
        if len(writes) == 1 and writes[0].record and not (ungranted or unchanged or extra.idempotency or extra.writes):
            return self._commit_one(customer, writes[0], now)
        return (
            self.store.commit(customer, writes, unchanged, [*extra.idempotency, *ungranted], extra.writes) is not None
        )

    def record_ungranted_use(self, call: UseCall, at: int) -> None:
        """Records a use of a feature that nothing grants, at the customer's time `at` (ms). No balance moves, and it is
        a use all the same."""
        key = call.request.key
        self.store.record_ungranted_use(call.customer, key, call.record(key, ZERO, at), call.now, self.key_writes(call))

    # -------------------------------------------------------------- idempotency keys

    def key_writes(self, call: UseCall) -> list[Any]:
        """The writes, for a transaction, that take a call's idempotency keys."""
        return self.writes_of(call.caller.environment, call.command.idempotency_keys, call.now)

    def writes_of(self, env: Environment, keys: Sequence[IdempotencyKey], now: int) -> list[Any]:
        """The writes, for a transaction, that take these idempotency keys."""
        if not keys:
            return []
        assert self._idempotency is not None
        return [self._idempotency.write(env, key, now) for key in keys]

    def consume_keys(self, call: UseCall) -> None:
        """Takes the idempotency keys of a call that succeeds without changing a balance."""
        if call.command.idempotency_keys:
            self.store.commit(call.customer, (), (), self.key_writes(call))


def _drawn(request: UseRequest, decision: Decision) -> dict[BalanceKey, Decimal]:
    """What a use drew from each balance that is to tell of it, in its units and in deduction order.

    A use that moved nothing is told by the first balance that could have paid; balances whose usage limits counted it
    tell of it too, whoever paid.
    """
    drawn = {key: sum((d.value for d in deductions), ZERO) for key, deductions in decision.moved().items()}
    if not drawn:
        sources = sources_of(request.feature.id, request.pools, request.entity_id, decision.balances)
        drawn = {sources[0].key: ZERO}
    for key in decision.counted:
        drawn.setdefault(key, ZERO)
    return drawn


def depended_on(
    stored: Mapping[BalanceKey, StoredBalance], balances: Balances, changed: Sequence[BalanceKey]
) -> list[StoredBalance]:
    """The balances whose overage a shared spend limit counted, where a use made more of it: they must not change before
    it is written."""
    limited = {key.feature_id for key in stored if not key.entity_id and stored[key].balance.limits.spend}
    overdrawn = {
        key.feature_id
        for key in changed
        if key.feature_id in limited and any(grant.overdrawn for grant in balances[key].grants)
    }
    return [stored[key] for key in stored.keys() - set(changed) if key.feature_id in overdrawn] if overdrawn else []
