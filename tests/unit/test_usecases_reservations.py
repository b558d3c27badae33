"""Units held before the cost is known, from the question to what is stored, over a table in memory."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.service import CALLER, HOUR, NOW, SANDBOX, Service, item
from tests.streams import records
from tests.unit.usecases import here
from tollgate.domain.customers import Customer
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import InvalidRequest, LockAlreadyExists
from tollgate.runtime import clock
from tollgate.store import keys
from tollgate.store.locks import LockStore
from tollgate.store.stream import lapsed_uses
from tollgate.usecases.commands import UseCommand
from tollgate.usecases.reservations import Finalization, LockTerms, Reservations


class Shop:
    """A customer with ten messages, and reservations of them."""

    def __init__(self) -> None:
        self.service: Service = here()
        self.service.customer("c1", [item(10)])
        self.reservations = Reservations(self.service.ledger, self.service.tracking, LockStore(self.service.table))

    def hold(self, amount: int, lock: str = "l1", until: int = NOW + HOUR, now: int = NOW) -> bool:
        use = UseCommand("c1", "messages", Decimal(amount), Overage.REJECT)
        return self.reservations.hold(CALLER, use, LockTerms(lock, until), now).allowed

    def finalize(self, action: str, final: int | None = None, lock: str = "l1", now: int = NOW) -> Decimal:
        value = None if final is None else Decimal(final)
        return self.reservations.finalize(CALLER, lock, Finalization(value, action == "release"), now)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_held_units_are_nobody_elses(shop: Shop) -> None:
    assert shop.hold(7)
    assert not shop.service.use("c1", 4).allowed
    assert not shop.hold(4, "l2")
    assert shop.service.use("c1", 3).allowed


def test_what_was_confirmed_stays_used_and_the_rest_comes_back(shop: Shop) -> None:
    shop.hold(7)
    shop.finalize("confirm", 2)
    assert shop.service.remaining("c1") == 8


def test_what_was_released_comes_back_whole(shop: Shop) -> None:
    shop.hold(7)
    shop.finalize("release")
    assert shop.service.remaining("c1") == 10


def test_what_expires_comes_back_by_itself(shop: Shop) -> None:
    shop.hold(7)
    assert shop.service.remaining("c1", NOW + HOUR - 1) == 3
    assert shop.service.remaining("c1", NOW + HOUR) == 10


def test_a_lock_is_taken_while_it_lives_and_finalized_once(shop: Shop) -> None:
    shop.hold(7)
    with pytest.raises(LockAlreadyExists):
        shop.hold(1)
    shop.finalize("confirm")
    with pytest.raises(InvalidRequest):
        shop.finalize("release")
    assert shop.service.remaining("c1") == 3


def made_again(shop: Shop) -> None:
    shop.service.customers.delete(CustomerRef(SANDBOX, "c1"))
    shop.service.customer("c1", [item(10)])


def test_what_a_deleted_customer_held_is_not_its_successors(shop: Shop) -> None:
    """management.md 4 (customers.delete): finalizing it draws nothing, and its lock id is free."""
    shop.hold(7)
    made_again(shop)
    with pytest.raises(InvalidRequest, match="Lock not found"):
        shop.finalize("confirm", 9)
    assert shop.service.remaining("c1") == 10
    assert shop.hold(4)
    shop.finalize("confirm", 5)
    assert shop.service.remaining("c1") == 5


def test_what_a_deleted_customer_held_is_told_as_returned_before_a_successor_can_use_anything(shop: Shop) -> None:
    """management.md 4 (customers.delete): not when it would have expired, which may be in the successor's time."""
    table, now = shop.service.table, clock()
    shop.hold(7, until=now + HOUR, now=now)
    shop.service.customers.delete(CustomerRef(SANDBOX, "c1"))
    (change,) = [change for record in records(table.client, table.name) for change in lapsed_uses(record)]
    (returned,) = change.uses
    assert (change.write.customer_id, returned.value) == ("c1", -7)
    assert now <= returned.at <= clock()


def test_a_hold_that_is_nowhere_any_more_is_not_found(shop: Shop) -> None:
    """management.md 4 (customers.delete): where the record outlived its customer, as one that was made meanwhile does."""
    shop.hold(7)
    lock = shop.service.table.get(keys.lock(SANDBOX, shop.service.stored("c1").balance.holds[0].id))
    assert lock is not None
    made_again(shop)
    shop.service.table.client.put_item(TableName=shop.service.table.name, Item=lock)
    with pytest.raises(InvalidRequest, match="Lock not found"):
        shop.finalize("confirm", 9)
    assert shop.service.remaining("c1") == 10


def test_a_hold_of_nothing_is_not_its_successors_either(shop: Shop) -> None:
    """management.md 4 (customers.delete)."""
    shop.hold(0)
    shop.hold(0, "l2")
    assert shop.finalize("confirm", 3) == 3
    shop.service.customers.delete(CustomerRef(SANDBOX, "c1"))
    with pytest.raises(InvalidRequest, match="Lock not found"):
        shop.finalize("confirm", 9, "l2")
    shop.service.customers.create(SANDBOX, Customer("c1"), NOW + 1)
    with pytest.raises(InvalidRequest, match="Lock not found"):
        shop.finalize("confirm", 9, "l2", NOW + 1)


@pytest.mark.parametrize("amount", [0, -1])
def test_of_what_nothing_grants_there_is_nothing_to_finalize(shop: Shop, amount: int) -> None:
    """autumn.md 3.11."""
    shop.service.customer("c2", [])
    use = UseCommand("c2", "messages", Decimal(amount), Overage.REJECT)
    assert shop.reservations.hold(CALLER, use, LockTerms("none", NOW + HOUR), NOW).allowed
    for action in ("confirm", "release"):
        with pytest.raises(InvalidRequest, match="Lock not found"):
            shop.finalize(action, None if action == "release" else 1, "none")


def test_another_customers_lock_of_the_same_id_stays(shop: Shop) -> None:
    """management.md 4 (customers.delete): one that took the id when the deleted customer's had run out."""
    shop.hold(7, until=NOW + 1)
    shop.service.customer("c2", [item(10)])
    use = UseCommand("c2", "messages", Decimal(3), Overage.REJECT)
    assert shop.reservations.hold(CALLER, use, LockTerms("l1", NOW + HOUR), NOW + 1).allowed
    made_again(shop)
    shop.finalize("confirm", 2, now=NOW + 2)
    assert shop.service.remaining("c2") == 8


def test_no_event_waits_for_a_successor(shop: Shop) -> None:
    """management.md 4 (customers.delete)."""
    table, customer = shop.service.table, CustomerRef(SANDBOX, "c1")
    table.client.put_item(TableName=table.name, Item=keys.waiting(customer, NOW, "digest"))
    made_again(shop)
    assert table.query(keys.waiting_partition(customer)) == []
