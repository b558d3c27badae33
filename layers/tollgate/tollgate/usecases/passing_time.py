"""What time has done to a customer is written down when its time has come, so that the table's stream tells of it.

A balance is written as it is by then: that write is what tells of a reset or of a grant that ended, and a use that came
first was that write already. A subscription keeps up to which instant it was told of. So each is told of once, however
often the time is announced.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from tollgate.domain.balances import BalanceKey, as_of
from tollgate.domain.customers import with_seats_moved
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import NotFound, Unavailable
from tollgate.domain.passing_time import is_due, passed
from tollgate.store.balances import BalanceStore
from tollgate.store.codecs.balances import StoredBalance
from tollgate.store.customers import CustomerStore, StoredHoldings
from tollgate.store.table import Refused

_AT_ONCE = 8
Balances = Iterable[tuple[BalanceKey, StoredBalance]]


class PassingTime:
    """The use cases of time that passes by itself. Times are epoch ms."""

    def __init__(self, customers: CustomerStore, balances: BalanceStore) -> None:
        self._customers = customers
        self._balances = balances

    def reach(self, customer: CustomerRef, at: int, now: int) -> None:
        """Has it told what happens to the customer at the instant `at`, which is over. Nothing for a customer that is
        gone, or has a test clock.

        Raises Unavailable; some may have been told then, and is not told again.
        """
        try:
            stored = self._customers.get(customer)
        except NotFound:
            return
        if stored.holdings.customer.frozen_time is None:
            self._pass(customer, stored, (at - 1, at), max(at, now))
            if with_seats_moved(stored.holdings, max(at, now)) is not stored.holdings:
                self._move_seats(customer, max(at, now))

    def move(self, customer: CustomerRef, after: int, until: int) -> None:
        """Has it told what the test clock of a customer has passed, when it was moved. Raises Unavailable."""
        self._pass(customer, self._customers.get(customer), (after, until), until)

    def _pass(self, customer: CustomerRef, stored: StoredHoldings, span: tuple[int, int], until: int) -> None:
        for subscription in stored.holdings.subscriptions.values():
            names = [boundary.name for boundary in passed(subscription, *span)]
            if names:
                self._customers.tell_passed(customer, subscription.id, names)
        due = [(key, found) for key, found in stored.balances.items() if is_due(found.balance, until)]
        if len(due) < 2:
            self._write(customer, due, until)
            return
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(lambda one: self._write(customer, [one], until), due))

    def _move_seats(self, customer: CustomerRef, until: int) -> None:
        """Counts seats where they are granted since a plan has started (management.md 5)."""
        with closing(self._customers.readings(customer)) as readings:
            for before in readings:
                after = with_seats_moved(before.holdings, until)
                if after is before.holdings:
                    return
                try:
                    self._customers.change(customer.environment, before, after)
                except Refused:
                    continue
                return
        raise Unavailable("The customer is being changed too often: try again")

    def _write(self, customer: CustomerRef, due: Balances, until: int) -> None:
        for key, stored in due:
            self._write_one(customer, key, stored, until)

    def _write_one(self, customer: CustomerRef, key: BalanceKey, stored: StoredBalance | None, until: int) -> None:
        """Writes a balance as of `until`, unless somebody else has."""
        for _ in self._balances.turns():
            if stored is None or not is_due(stored.balance, until):
                return
            if self._balances.write_as_of(customer, stored, as_of(stored.balance, until)):
                return
            stored = self._balances.read(customer, [key]).get(key)
        raise Unavailable("The balance is being changed too often: try again")
