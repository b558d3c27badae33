"""Reservations on both atomic backends: what they cost, and that units are neither doubled nor lost (autumn.md 5.9).

Rules: autumn.md 3.11.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from tests.conftest import Spent, create_table
from tests.contract.conftest import Backend
from tests.service import CALLER, FIXTURE, HOUR, HOURLY, NOW, SANDBOX, Service, item, service
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import Conflict, InvalidInput, InvalidRequest, LockAlreadyExists, Unavailable
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.reservations import digest_of
from tollgate.store.locks import LockStore
from tollgate.usecases.commands import Outcome, UseCommand
from tollgate.usecases.reservations import Finalization, LockTerms, Reservations

T = TypeVar("T")

LIFETIME = Reset(Interval.ONE_OFF)
DAY = 24 * HOUR


class Here:
    """balances, and its reservations."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.locks = LockStore(service.table)
        self.reservations = Reservations(service.ledger, service.tracking, self.locks)

    def hold(
        self,
        customer_id: str,
        amount: int | str | Decimal,
        lock_id: str,
        *,
        feature: str = "messages",
        entity: str = "",
        expires_at: int | None = None,
    ) -> Outcome:
        """Holds units under a lock id, or refuses."""
        use = UseCommand(customer_id, feature, Decimal(amount), Overage.REJECT, {}, entity)
        return self.reservations.hold(CALLER, use, LockTerms(lock_id, expires_at, Overage.REJECT), NOW)

    def confirm(self, lock_id: str, final: int | str | Decimal | None = None, now: int = NOW) -> Decimal:
        value = None if final is None else Decimal(final)
        return self.reservations.finalize(CALLER, lock_id, Finalization(value), now)

    def release(self, lock_id: str, now: int = NOW) -> Decimal:
        return self.reservations.finalize(CALLER, lock_id, Finalization(releases=True), now)

    def remaining(self, customer_id: str, feature: str = "messages", now: int = NOW) -> Decimal:
        return self.service.totals(customer_id, feature, now=now).remaining


@pytest.fixture
def here(backend: Backend) -> Here:
    client = backend.client()
    return Here(service(client, create_table(client), FIXTURE))


def together(calls: int, call: Any) -> list[Any]:
    """The results of calls that run at once; an error is a result."""

    def finalized(number: int) -> Any:
        try:
            return call(number)
        except (Conflict, InvalidRequest, LockAlreadyExists) as error:
            return error

    with ThreadPoolExecutor(min(calls, 20)) as threads:
        return list(threads.map(finalized, range(calls)))


def until_available(call: Callable[[], T]) -> T:
    """The answer of a call that is made again when the balance was changed too often, as a caller would; ten times at
    most."""
    for _ in range(9):
        with contextlib.suppress(Unavailable):
            return call()
    return call()


class TestCosts:
    def test_a_hold_is_one_read_and_one_transaction_of_two_items(self, here: Here) -> None:
        here.service.customer("c1", [item(100)])
        here.service.use("c1", 1)
        requests = Spent(here.service.table.client).of(lambda: here.hold("c1", 5, "lock-1"))
        assert requests == [("GetItem", 1.0), ("TransactWriteItems", 4.0)]

    def test_a_denied_hold_is_one_read(self, here: Here) -> None:
        here.service.customer("c1", [item(4)])
        here.service.use("c1", 0)  # the features are read once
        requests = Spent(here.service.table.client).of(lambda: here.hold("c1", 5, "lock-1"))
        assert requests == [("GetItem", 1.0)]

    def test_to_finalize_is_two_reads_and_one_transaction(self, here: Here) -> None:
        here.service.customer("c1", [item(100)])
        here.hold("c1", 5, "lock-1")
        requests = Spent(here.service.table.client).of(lambda: here.confirm("lock-1"))
        assert requests == [("GetItem", 1.0), ("GetItem", 1.0), ("TransactWriteItems", 4.0)]

    def test_a_use_beside_a_hold_is_still_one_write_unit(self, here: Here) -> None:
        here.service.customer("c1", [item(100)])
        here.hold("c1", 5, "lock-1")
        requests = Spent(here.service.table.client).of(lambda: here.service.use("c1", 1))
        assert requests == [("UpdateItem", 1.0)]


class TestLocks:
    def test_a_lock_id_is_taken_while_it_lives(self, here: Here) -> None:
        """S194, ERR-2."""
        here.service.customer("c1", [item(20)])
        assert here.hold("c1", 5, "lock-1").allowed
        with pytest.raises(LockAlreadyExists):
            here.hold("c1", 5, "lock-1")
        assert here.remaining("c1") == 15
        here.release("lock-1")
        assert here.hold("c1", 5, "lock-1").allowed

    def test_a_denied_hold_takes_no_lock_id(self, here: Here) -> None:
        here.service.customer("c1", [item(20)])
        assert not here.hold("c1", 21, "lock-1").allowed
        assert here.locks.get(SANDBOX, digest_of("lock-1")) is None

    def test_what_nothing_grants_holds_nothing_but_zero(self, here: Here) -> None:
        here.service.customer("c1", [item(20)])
        assert not here.hold("c1", 1, "lock-1", feature="action1").allowed
        assert here.hold("c1", 0, "lock-2", feature="action1").allowed
        with pytest.raises(InvalidRequest, match="Lock not found for ID: lock-2"):
            here.confirm("lock-2")

    def test_it_lives_a_day_at_most(self, here: Here) -> None:
        """S197."""
        here.service.customer("c1", [item(20)])
        with pytest.raises(InvalidInput):
            here.hold("c1", 5, "lock-1", expires_at=NOW + 2 * DAY)
        with pytest.raises(InvalidInput):
            here.hold("c1", 5, "lock-1", expires_at=NOW)
        here.hold("c1", 5, "lock-1")
        assert here.remaining("c1", now=NOW + DAY - 1) == 15
        assert here.remaining("c1", now=NOW + DAY) == 20

    def test_unknown_and_finished_locks_are_not_found(self, here: Here) -> None:
        here.service.customer("c1", [item(20)])
        here.hold("c1", 5, "lock-1")
        here.confirm("lock-1")
        for id in ("lock-1", "lock-2"):
            with pytest.raises(InvalidRequest, match=f"Lock not found for ID: {id}"):
                here.confirm(id)
        assert here.remaining("c1") == 15

    def test_rc_3_an_expired_lock_is_not_found(self, here: Here) -> None:
        here.service.customer("c1", [item(5, HOURLY), item(10)])
        here.hold("c1", 8, "lock-1", expires_at=NOW + 5_000)
        with pytest.raises(InvalidRequest):
            here.confirm("lock-1", 4, now=NOW + 5_000)
        assert here.remaining("c1", now=NOW + 5_000) == 15
        here.reservations.expire(SANDBOX, digest_of("lock-1"), NOW + 5_000)
        assert here.remaining("c1", now=NOW + 5_000) == 15

    def test_rc_2_expiry_after_a_confirmation_does_nothing(self, here: Here) -> None:
        here.service.customer("c1", [item(5, HOURLY), item(10)])
        here.hold("c1", 8, "lock-1", expires_at=NOW + 5_000)
        here.confirm("lock-1", 4)
        here.reservations.expire(SANDBOX, digest_of("lock-1"), NOW + 5_000)
        assert here.remaining("c1", now=NOW + 5_000) == 11

    def test_rc_1_restored_once(self, here: Here) -> None:
        here.service.customer("c1", [item(5, HOURLY), item(10)])
        here.service.use("c1", 3)
        here.hold("c1", 8, "lock-1", expires_at=NOW + 5_000)
        together(4, lambda _: here.reservations.expire(SANDBOX, digest_of("lock-1"), NOW + 5_000))
        assert here.remaining("c1", now=NOW + 5_000) == 12
        lock = here.locks.get(SANDBOX, digest_of("lock-1"))
        assert lock
        assert lock.state == "expired"

    def test_spilled_into_credits_and_finalized_across_both(self, here: Here) -> None:
        """S199, CS-2 and CS-3."""
        here.service.customer("c1", [item(100, feature="action1"), item(200, feature="credits")])
        here.service.use("c1", 95, feature="action1")
        here.hold("c1", 8, "lock-1", feature="action1")
        here.confirm("lock-1", 12)
        assert (here.remaining("c1", "action1"), here.remaining("c1", "credits")) == (0, Decimal("198.6"))

    def test_held_by_an_entity_across_its_own_and_its_customers(self, here: Here) -> None:
        here.service.customer("c1", [item(100)])
        here.service.entity("c1", "e1")
        here.hold("c1", 30, "lock-1", entity="e1")
        assert here.confirm("lock-1", 10) == -20
        assert here.remaining("c1") == 90


class TestConcurrency:
    def test_holds_at_once_grant_what_there_is(self, here: Here) -> None:
        """20 parallel holds of 75 on 500 grant exactly six."""
        here.service.customer("c1", [item(500)])
        answers = together(20, lambda number: here.hold("c1", 75, f"lock-{number}").allowed)
        assert answers.count(True) == 6
        assert here.remaining("c1") == 50

    def test_rc_4_of_two_confirmations_one_wins(self, here: Here) -> None:
        here.service.customer("c1", [item(5, HOURLY), item(10)])
        here.hold("c1", 8, "lock-1")
        answers = together(2, lambda _: here.confirm("lock-1", 4))
        assert len([answer for answer in answers if isinstance(answer, Decimal)]) == 1
        assert here.remaining("c1") == 11

    def test_holds_of_one_id_at_once_hold_once(self, here: Here) -> None:
        here.service.customer("c1", [item(500)])
        answers = together(8, lambda _: here.hold("c1", 10, "lock-1"))
        assert len([answer for answer in answers if isinstance(answer, LockAlreadyExists)]) == 7
        assert here.remaining("c1") == 490

    def test_pairs_of_holds_and_confirmations_add_up(self, here: Here) -> None:
        """S205, with 60 pairs, four at a time."""
        here.service.customer("c1", [item(1000, feature="action1"), item(2000, feature="credits")])
        pick = random.Random(205)
        held = [Decimal(pick.randint(51, 299)) / 100 for _ in range(60)]
        final = [Decimal(pick.randint(10, 350)) / 100 for _ in range(60)]

        def pair(number: int) -> None:
            lock = f"lock-{number}"
            assert until_available(lambda: here.hold("c1", held[number], lock, feature="action1")).allowed
            until_available(lambda: here.confirm(lock, final[number]))

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(pair, range(60)))
        assert here.remaining("c1", "action1") == 1000 - sum(final)
        assert here.remaining("c1", "credits") == 2000
        assert all(not balance.holds for balance in here.service.held("c1").values())
