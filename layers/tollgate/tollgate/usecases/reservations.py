"""Reservations: units are held before the cost is known, and finalized (confirmed or released) afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.api_keys import Caller, Scope
from tollgate.domain.balances import BalanceKey, all_as_of
from tollgate.domain.decisions import Decision, Overage, UseRequest, has_payer
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import Conflict, DuplicateRequest, InvalidInput, InvalidRequest, LockAlreadyExists
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.holds import LONGEST_MS
from tollgate.domain.quantities import ZERO
from tollgate.domain.reservations import HoldTerms, Lock, Reservation, digest_of, finalize_hold, hold
from tollgate.domain.use_records import NO_PROPERTIES
from tollgate.store.codecs.balances import StoredBalance
from tollgate.store.locks import LockStore
from tollgate.usecases.commands import Outcome, UseCall, UseCommand
from tollgate.usecases.ledger import Ledger
from tollgate.usecases.reading import ReadState
from tollgate.usecases.retry import until_written
from tollgate.usecases.track import Tracking, used

NOT_FOUND = "Lock not found for ID: "
CLAIMED = "Lock receipt not claimable: RESERVATION_ALREADY_PROCESSING"
NOT_HELD = "The balance is being changed too often: nothing was held, try again"
NOT_FINALIZED = "The balance is being changed too often: the lock was not finalized, try again"
NOT_EXPIRED = "The balance is being changed too often: the lock could not be expired"


class LockTerms(NamedTuple):
    """How units are held: the lock id, the expiry (epoch ms; None: in a day), and what becomes of units that are not
    covered.
    """

    lock_id: str
    expires_at: int | None = None
    overage: Overage = Overage.REJECT


class Finalization(NamedTuple):
    """How a reservation ends: at `final` units (None: what it held), or released.

    `properties` of the use replace those that it was held with; None keeps them.
    """

    final: Decimal | None = None
    releases: bool = False
    properties: Mapping[str, Any] | None = None


class Reservations:
    """The use cases around reservations. `now` is the wall clock's time in epoch ms."""

    def __init__(self, ledger: Ledger, tracking: Tracking, locks: LockStore) -> None:
        self._store, self._features, self._reader, self._committer = ledger
        self._tracking = tracking
        self._locks = locks

    def hold(self, caller: Caller, command: UseCommand, terms: LockTerms, now: int) -> Outcome:
        """Decides a use and holds its units: one read of every balance that it may draw from, and one transaction that
        writes those that changed and the lock.

        Raises NotFound, InvalidRequest for a feature whose units cannot be held, InvalidInput for the expiry,
        LockAlreadyExists.
        """
        catalog = self._features.catalog(caller.environment, command.feature_id)
        request = command.request_in(catalog)._replace(overage=terms.overage)
        if request.feature.type.is_flag:
            raise InvalidRequest(
                f"Feature {request.feature.id} is {request.feature.type.value}: there is nothing to hold"
            )
        customer = CustomerRef(caller.environment, command.customer_id)
        call = UseCall(caller, customer, command, request, now)
        return until_written(self._store.turns(), lambda _: self._hold(call, terms), NOT_HELD)

    def _hold(self, call: UseCall, terms: LockTerms) -> Outcome | None:
        """Decides on what is stored, and writes it; None where something had changed since it was read."""
        request = call.request
        read = self._reader.read(call.customer, request, call.now)
        held = HoldTerms(digest_of(terms.lock_id), _expiry(terms.expires_at, read.now))
        decision = hold(request, held, read.balances, read.now)
        if not decision.allowed:
            if has_payer(request, decision.balances) or request.amount > 0:
                return self._tracking.refused(call, decision, read, raises=False)
            return used(request, decision, read.now)._replace(allowed=True)  # nothing to hold, and no lock of it
        reservation = _reservation(call.command, terms.lock_id, held, decision, read.now)
        lock = Lock(reservation, "held", call.caller.key_id)
        write = self._locks.write(call.caller.environment, lock, read.now)
        try:
            if not self._committer.commit(call, read, decision, [write]):
                return None
        except DuplicateRequest:
            found = self._locks.get(call.caller.environment, reservation.id)
            if found is not None and found.live(read.now):
                raise LockAlreadyExists from None
            raise
        return used(request, decision, read.now)

    def finalize(self, caller: Caller, lock_id: str, how: Finalization, now: int) -> Decimal:
        """Confirms a reservation, at what it held or at another amount, or releases it. Returns by how many units its
        use changed.

        Raises InvalidRequest where no such reservation holds units, or Conflict where another call is finalizing it.
        """
        if how.releases:
            if how.final is not None:
                raise InvalidInput("override_value", "cannot be combined with action release")
            how = how._replace(final=ZERO)
        lock = self._locks.get(caller.environment, digest_of(lock_id))
        if lock is None or lock.state != "held":
            raise InvalidRequest(NOT_FOUND + lock_id)
        catalog = self._features.catalog(caller.environment, lock.reservation.feature_id)
        feature = catalog.feature(lock.reservation.feature_id)
        pools = catalog.pools(feature.id)
        properties = lock.reservation.properties if how.properties is None else how.properties
        request = UseRequest(feature, pools, lock.reservation.entity_id, properties=properties or NO_PROPERTIES)
        return until_written(
            self._store.turns(), lambda _: self._finalize(caller, lock, request, how, now), NOT_FINALIZED
        )

    def _finalize(self, caller: Caller, lock: Lock, request: UseRequest, how: Finalization, now: int) -> Decimal | None:
        """By how many units the use changed; None where something had changed since it was read."""
        reservation = lock.reservation
        customer = CustomerRef(caller.environment, reservation.customer_id)
        keys = {*(key for key, _ in reservation.drawn_from), *request.keys}
        stored = self._store.read(customer, keys)
        read = self._reader.completed(customer, reservation.entity_id, stored, now)
        if reservation.expires_at <= read.now or not self._still_there(customer, reservation, stored):
            found = self._locks.get(caller.environment, reservation.id)
            if found is not None and found.state != "held":
                raise Conflict(CLAIMED)
            raise InvalidRequest(NOT_FOUND + reservation.lock_id)  # what it was drawn from is deleted, or made again
        decision = finalize_hold(request, reservation, how.final, read.balances, read.now)
        command = UseCommand(
            reservation.customer_id,
            request.feature.id,
            decision.drawn,
            properties=request.properties,
            entity_id=reservation.entity_id,
        )
        call = UseCall(caller, customer, command, request._replace(amount=decision.drawn), now)
        state = "released" if how.releases else "confirmed"
        write = self._locks.finalize(caller.environment, lock, state, reservation.held + decision.drawn, read.now)
        try:
            written = self._committer.commit(call, read, decision, [write], is_use=decision.drawn != 0)
        except DuplicateRequest:
            raise Conflict(CLAIMED) from None
        return decision.drawn if written else None

    def _still_there(
        self, customer: CustomerRef, reservation: Reservation, stored: Mapping[BalanceKey, StoredBalance]
    ) -> bool:
        """Whether the customer that made the reservation still exists: not deleted since, nor made again.

        A balance that still has the hold proves it. A reservation of nothing has no hold, so there the customer's own
        creation time is compared.
        """
        if reservation.drawn_from:
            return any(held.id == reservation.id for item in stored.values() for held in item.balance.holds)
        created_at = self._store.created_at(customer)
        return created_at is not None and created_at <= reservation.created_at

    def expire(self, env: Environment, digest: str, now: int) -> None:
        """Records that a reservation has expired. Its units were free from that instant on, without this write."""
        lock = self._locks.get(env, digest)
        if lock is None or lock.state != "held":
            return
        with suppress(DuplicateRequest):  # another call finalized it first
            until_written(self._store.turns(), lambda _: self._expire(env, lock, now), NOT_EXPIRED)

    def _expire(self, env: Environment, lock: Lock, now: int) -> bool | None:
        """True where the expiry is recorded, False where it is still to come; None where something had changed since it
        was read.
        """
        reservation = lock.reservation
        customer = CustomerRef(env, reservation.customer_id)
        keys = [key for key, _ in reservation.drawn_from]
        stored = self._store.read(customer, keys) if keys else {}
        read = self._reader.completed(customer, "", stored, now)
        if read.now < reservation.expires_at:
            return False
        holding = {
            key: item
            for key, item in read.stored.items()
            if any(held.id == reservation.id for held in item.balance.holds)
        }
        own = ReadState(holding, read.now)
        command = UseCommand(reservation.customer_id, reservation.feature_id, ZERO)
        system = Caller(env, Scope.SECRET, lock.key_id)
        feature = Feature(reservation.feature_id, "", FeatureType.METERED)
        call = UseCall(system, customer, command, UseRequest(feature), now)
        write = self._locks.finalize(env, lock, "expired", ZERO, read.now)
        decision = Decision(True, ZERO, all_as_of(own.balances, read.now))
        return self._committer.commit(call, own, decision, [write], is_use=False) or None

    def live(self, env: Environment, digests: list[str], now: int) -> list[Lock]:
        """Those of these reservations (digests of lock ids) that still hold units, the oldest first."""
        found = [lock for lock in self._locks.get_all(env, digests) if lock.live(now)]
        return sorted(found, key=lambda lock: (lock.reservation.created_at, lock.reservation.id))


def _expiry(asked: int | None, now: int) -> int:
    """When a hold expires (epoch ms): as asked, or in a day. Raises InvalidInput for a time that is not allowed."""
    if asked is None:
        return now + LONGEST_MS
    if asked <= now:
        raise InvalidInput("lock.expires_at", "must be in the future")
    if asked > now + LONGEST_MS:
        raise InvalidInput("lock.expires_at", "must be at most one day ahead")
    return asked


def _reservation(command: UseCommand, lock_id: str, terms: HoldTerms, decision: Decision, now: int) -> Reservation:
    """The reservation to store: what was asked for, and what was drawn from each balance."""
    drawn_from: dict[BalanceKey, Decimal] = {}
    for key, balance in decision.balances.items():
        for held in balance.holds:
            if held.id == terms.hold_id:
                drawn_from[key] = sum((part.amount for part in held.parts), ZERO)
    return Reservation(
        lock_id,
        terms.hold_id,
        command.customer_id,
        command.feature_id,
        command.entity_id,
        command.amount,
        decision.drawn,
        tuple(drawn_from.items()),
        now,
        terms.expires_at,
        dict(command.properties),
    )
