"""What a change of a customer's plans would do: the change itself, made on what is stored and written nowhere.

So a preview is what the same call then does, as long as nothing else changes meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tollgate.domain.customers import Holdings, Subscription
from tollgate.domain.environments import Environment
from tollgate.domain.plans import Plan
from tollgate.store.customers import CustomerStore, StoredHoldings
from tollgate.store.table import Entries
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.customers import Customers


class Changed(NamedTuple):
    """A subscription that a change touches. `at`: when that takes effect (epoch ms); None: at once."""

    subscription: Subscription
    at: int | None


class Preview(NamedTuple):
    """A customer's holdings before a change and after it, at the customer's time `now` (epoch ms)."""

    before: Holdings
    after: Holdings
    now: int

    @property
    def incoming(self) -> list[Changed]:
        """The subscriptions that are new, that go on after all, or that differ in what was bought, or in what they grant,
        cost and limit."""
        return [self._changed(s, s.started_at) for s in self.after.subscriptions.values() if self._comes(s)]

    @property
    def outgoing(self) -> list[Changed]:
        """The subscriptions that end, end sooner, never start, or are what they were before they differed."""
        return list(self._outgoing())

    def _comes(self, after: Subscription) -> bool:
        before = self.before.subscriptions.get(after.id)
        if before is None:
            return after.status(self.now) != "expired"
        goes_on = before.canceled_at is not None and after.canceled_at is None
        return goes_on or _differ(before, after)

    def _outgoing(self) -> Iterator[Changed]:
        for id, before in self.before.subscriptions.items():
            after = self.after.subscriptions.get(id)
            if after is None:
                yield Changed(before, None)
            elif after.expires_at is not None and after.expires_at != before.expires_at:
                yield self._changed(after, after.expires_at)
            elif _differ(before, after):
                yield Changed(before, None)

    def _changed(self, subscription: Subscription, at: int) -> Changed:
        return Changed(subscription, at if at > self.now else None)


def _differ(before: Subscription, after: Subscription) -> bool:
    old, new = ((s.quantities, s.items, s.price, s.controls) for s in (before, after))
    return old != new


def preview(customers: Customers, change: Callable[[Customers], object], now: int) -> Preview | None:
    """What a change that is made with customers would do; None where it would change nothing. `now` is epoch ms.

    Raises what the change raises.
    """
    store = _Unwritten(customers.store.table)
    change(Customers(store, _Unmarked(*customers.catalogs.stores), customers.defaults))
    if store.changed is None:
        return None
    before, after = store.changed
    return Preview(before, after, before.time(now))


class _Unwritten(CustomerStore):
    """The customers of a table, none of which is ever written."""

    changed: tuple[Holdings, Holdings] | None = None

    def add(self, env: Environment, holdings: Holdings, entries: Entries = ()) -> None:
        """Adds nothing."""

    def change(
        self,
        env: Environment,  # noqa: ARG002 - the store's
        before: StoredHoldings,
        after: Holdings,
        entries: Entries = (),  # noqa: ARG002 - the store's
        now: int | None = None,  # noqa: ARG002 - the store's
    ) -> None:
        """Keeps what would be written."""
        self.changed = before.holdings, after


class _Unmarked(Catalogs):
    """Features and plans, of which no version is ever marked as used."""

    def mark_used(self, env: Environment, plan: Plan) -> None:
        """Marks nothing."""
