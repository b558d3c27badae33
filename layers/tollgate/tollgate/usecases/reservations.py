"""Reservations: hold units before the cost is known, settle or release them after."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.api_keys import Caller, Scope
from tollgate.domain.balances import BalanceKey
from tollgate.domain.decisions import Decision, Overage, all_as_of
from tollgate.domain.environments import Environment
from tollgate.domain.errors import (
    Conflict,
    DuplicateRequest,
    InvalidInput,
    InvalidRequest,
    LockAlreadyExists,
    Unavailable,
)
from tollgate.domain.features import Catalog, Feature
from tollgate.domain.holds import LONGEST_MS
from tollgate.domain.quantities import ZERO
from tollgate.domain.reservations import Lock, Reservation, digest_of, finalize_hold, hold
from tollgate.domain.use_records import NO_PROPERTIES
from tollgate.store.locks import LockStore
from tollgate.usecases.tracking import Outcome, ReadState, Tracking, UseCommand, granted, keys_of

NOT_FOUND = "Lock not found for ID: "


class LockTerms(NamedTuple):
    """How units are held: under which id, until when (None: a day), and what becomes of what is not there."""

    lock_id: str
    expires_at: int | None = None
    overage: Overage = Overage.REJECT


class Reservations:
    """The use cases around locks. `now` is epoch milliseconds."""

    def __init__(self, tracking: Tracking, locks: LockStore) -> None:
        self.tracking = tracking
        self.locks = locks

    def hold(self, caller: Caller, command: UseCommand, terms: LockTerms, now: int) -> Outcome:
        """Decides and holds in one transaction: one read and one write of every item it draws from, and the lock's.

        Raises NotFound, InvalidRequest for what cannot be held, InvalidInput for the expiry, LockAlreadyExists.
        """
        env = caller.environment
        catalog = self.tracking.features.catalog(env, command.feature_id)
        feature = catalog.feature(command.feature_id)
        if feature.type.is_flag:
            raise InvalidRequest(f"Feature {feature.id} is {feature.type.value}: there is nothing to hold")
        pools = catalog.pools(feature.id)
        digest = digest_of(terms.lock_id)
        for _ in self.tracking.balance_store.turns():
            read = self.tracking.look(env, command.customer_id, feature, pools, command.entity_id, now)
            expires_at = _expiry(terms.expires_at, read.now)
            decision = hold(
                feature,
                pools,
                command.entity_id,
                command.amount,
                terms.overage,
                command.properties,
                read.balances,
                read.now,
                digest,
                expires_at,
            )
            if not decision.allowed and (
                granted(feature, pools, command.entity_id, decision.balances) or command.amount > 0
            ):
                return self.tracking.refused(caller, feature, pools, command, decision, read, now, rejecting=False)
            lock = Lock(_reservation(command, terms, digest, decision, read.now, expires_at), "held", caller.key_id)
            if self._written(caller, command, read, feature, decision, lock, now):
                return self.tracking.outcome(feature, pools, command, decision, decision.balances, read.now)._replace(
                    allowed=True
                )
        raise Unavailable("The balance is being changed too often: nothing was held, try again")

    def _written(
        self,
        caller: Caller,
        command: UseCommand,
        read: ReadState,
        feature: Feature,
        decision: Decision,
        lock: Lock,
        now: int,
    ) -> bool:
        env = caller.environment
        write = self.locks.write(env, lock, read.now)
        decisions = [(feature, decision)]
        try:
            return self.tracking.commit(
                caller, command, read, decisions, decision.balances, now, [write], silent=not decision.allowed
            )
        except DuplicateRequest:
            found = self.locks.get(env, lock.reservation.id)
            if found is not None and found.live(read.now):
                raise LockAlreadyExists from None
            raise

    def finalize(
        self,
        caller: Caller,
        lock_id: str,
        action: str,
        final: Decimal | None,
        properties: Mapping[str, Any] | None,
        now: int,
    ) -> Decimal:
        """Confirms a lock (at what it held, or at `final`), or releases it; returns by how much its use changed.

        Raises InvalidRequest where no such lock lives, or Conflict where another call is settling it.
        """
        if action == "release":
            if final is not None:
                raise InvalidInput("override_value", "cannot be combined with action release")
            final = ZERO
        digest = digest_of(lock_id)
        state = "released" if action == "release" else "confirmed"
        lock = self.locks.get(caller.environment, digest)
        if lock is None or lock.state != "held":
            raise InvalidRequest(NOT_FOUND + lock_id)
        moved = self._settle(caller, lock, state, final, properties, now)
        if moved is None:
            raise InvalidRequest(NOT_FOUND + lock_id)
        return moved

    def expire(self, env: Environment, digest: str, now: int) -> None:
        """Records that a lock's time is over. Its units were free to use from that instant on; this only tells of it."""
        lock = self.locks.get(env, digest)
        if lock is None or lock.state != "held":
            return
        reservation = lock.reservation
        keys = [key for key, _ in reservation.drawn_from]
        for _ in self.tracking.balance_store.turns():
            stored = self.tracking.balance_store.read(env, reservation.customer_id, keys) if keys else {}
            read = self.tracking.completed(env, reservation.customer_id, "", stored, now)
            if read.now < reservation.expires_at:
                return
            command = UseCommand(reservation.customer_id, reservation.feature_id, ZERO)
            system = Caller(env, Scope.SECRET, lock.key_id)
            write = self.locks.finalize(env, lock, "expired", ZERO, read.now)
            held = {p: item for p, item in read.stored.items() if any(h.id == digest for h in item.balance.holds)}
            own = ReadState(held, read.now)
            try:
                if self.tracking.commit(
                    system, command, own, (), all_as_of(own.balances, read.now), now, [write], silent=True
                ):
                    return
            except DuplicateRequest:  # somebody settled it first
                return
        raise Unavailable("The balance is being changed too often: the lock could not be expired")

    def live(self, env: Environment, digests: list[str], now: int) -> list[Lock]:
        """The live locks among these ids, oldest first."""
        found = [lock for lock in self.locks.get_all(env, digests) if lock.live(now)]
        return sorted(found, key=lambda lock: (lock.reservation.created_at, lock.reservation.id))

    def _settle(
        self,
        caller: Caller,
        lock: Lock,
        state: str,
        final: Decimal | None,
        properties: Mapping[str, Any] | None,
        now: int,
    ) -> Decimal | None:
        """By how much the use changed; None where its time was over."""
        env, reservation = caller.environment, lock.reservation
        catalog: Catalog = self.tracking.features.catalog(env, reservation.feature_id)
        feature = catalog.feature(reservation.feature_id)
        pools = catalog.pools(feature.id)
        own = [key for key, _ in reservation.drawn_from]
        for _ in self.tracking.balance_store.turns():
            keys = {*own, *keys_of(feature, pools, reservation.entity_id)}
            stored = self.tracking.balance_store.read(env, reservation.customer_id, keys)
            read = self.tracking.completed(env, reservation.customer_id, reservation.entity_id, stored, now)
            if reservation.expires_at <= read.now:
                return None
            told = reservation.properties if properties is None else properties
            decision = finalize_hold(feature, pools, reservation, final, told, read.balances, read.now)
            command = UseCommand(
                reservation.customer_id,
                feature.id,
                decision.drawn if final is None or decision.drawn else ZERO,
                properties=told or NO_PROPERTIES,
                entity_id=reservation.entity_id,
            )
            write = self.locks.finalize(env, lock, state, reservation.held + decision.drawn, read.now)
            try:
                silent = decision.drawn == 0
                if self.tracking.commit(
                    caller, command, read, [(feature, decision)], decision.balances, now, [write], silent=silent
                ):
                    return decision.drawn
            except DuplicateRequest:
                raise Conflict("Lock receipt not claimable: RESERVATION_ALREADY_PROCESSING") from None
        raise Unavailable("The balance is being changed too often: the lock was not settled, try again")


def _expiry(asked: int | None, now: int) -> int:
    if asked is None:
        return now + LONGEST_MS
    if asked <= now:
        raise InvalidInput("lock.expires_at", "must be in the future")
    if asked > now + LONGEST_MS:
        raise InvalidInput("lock.expires_at", "must be at most one day ahead")
    return asked


def _reservation(
    command: UseCommand, terms: LockTerms, digest: str, decision: Decision, now: int, expires_at: int
) -> Reservation:
    moved: dict[BalanceKey, Decimal] = {}
    for key, balance in decision.balances.items():
        for held in balance.holds:
            if held.id == digest:
                moved[key] = sum((part.amount for part in held.parts), ZERO)
    return Reservation(
        terms.lock_id,
        digest,
        command.customer_id,
        command.feature_id,
        command.entity_id,
        command.amount,
        decision.drawn,
        tuple(moved.items()),
        now,
        expires_at,
        dict(command.properties),
    )
