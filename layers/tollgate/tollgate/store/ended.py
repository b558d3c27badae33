"""Subscriptions that have ended for good, apart from what their customer holds (`domain.ended_subscriptions`).

They move in the transaction of a later change of the customer's subscriptions: 2 write units a KB where they go, and 2 for
the deletion; the index by id has them already (`store.listing`). The customer's item says how many there are and of which
plans, and so does its entry in the list of customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tollgate.domain.customers import Customer, Subscription
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.store import keys
from tollgate.store.codecs.customers import decode_subscription, encode_subscription
from tollgate.store.listing import INDEX
from tollgate.store.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


class EndedSubscriptions:
    """The ended subscriptions of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def moves(
        self, env: Environment, customer: Customer, moved: Sequence[Subscription], *, indexed: bool
    ) -> list[TransactWriteItemTypeDef]:
        """The writes that put these subscriptions apart; who makes them deletes them where they were. `indexed`: the index by
        id has them."""
        ref = CustomerRef(env, customer.id)
        writes: list[TransactWriteItemTypeDef] = []
        for held in moved:
            item = {**keys.ended_subscription(ref, held.id), **encode_subscription(held)}
            index = {**keys.subscription_index(env, held.id, customer.created_at, customer.id), **INDEX.mark}
            puts = (item,) if indexed else (item, index)
            writes += [{"Put": {"TableName": self._table.name, "Item": each}} for each in puts]
        return writes

    def removals(self, env: Environment, customer: Customer) -> list[TransactWriteItemTypeDef]:
        """The writes that delete all of them, with their customer."""
        writes: list[TransactWriteItemTypeDef] = []
        for held in self.all(CustomerRef(env, customer.id)):
            own = keys.ended_subscription(CustomerRef(env, customer.id), held.id)
            index = keys.subscription_index(env, held.id, customer.created_at, customer.id)
            writes += [{"Delete": {"TableName": self._table.name, "Key": key}} for key in (own, index)]
        return writes

    def all(self, customer: CustomerRef) -> list[Subscription]:
        """All of a customer, in one Query. Raises Unavailable."""
        return [decode_subscription(item) for item in self._table.query(keys.ended_partition(customer))]

    def one(self, customer: CustomerRef, subscription_id: str) -> Subscription | None:
        """The one of that id; None where it is not among them. Raises Unavailable."""
        item = self._table.get(keys.ended_subscription(customer, subscription_id))
        return None if item is None else decode_subscription(item)
