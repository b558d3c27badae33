"""Customers and what they hold. Whatever changes holdings goes through the customer's version: one change at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from tollgate.domain.customers import Customer, Holdings, Subscription
from tollgate.domain.errors import InvalidRequest, NotFound
from tollgate.domain.keys import Environment
from tollgate.exact_json import dumps, loads
from tollgate.store import keys
from tollgate.store.balance_items import Stored, decode, new_item, state_update
from tollgate.store.table import Item, Table, put_new

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

MAX_WRITES = 100  # in one transaction
TURNS = 24


@cache
def _customers() -> TypeAdapter[Customer]:
    """Built when first needed: most checks never read a customer."""
    return TypeAdapter(Customer)


@cache
def _subscriptions() -> TypeAdapter[Subscription]:
    return TypeAdapter(Subscription)


@dataclass(frozen=True, slots=True)
class StoredHoldings:
    """A customer's holdings as they were read, with the versions that their next write is conditional on."""

    holdings: Holdings
    version: int
    balances: dict[str, Stored]


class Customers:
    """The customers of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def turns(self) -> Iterator[int]:
        """Counts the turns of a read, a decision and its write, pausing before each but the first."""
        return self._table.tries(TURNS)

    def get(self, env: Environment, customer_id: str) -> StoredHoldings:
        """The whole customer in one Query; raises NotFound."""
        customer: tuple[Customer, int] | None = None
        subscriptions: dict[str, Subscription] = {}
        balances: dict[str, Stored] = {}
        for item in self._table.query(keys.customer_partition(env, customer_id)):
            sk = item["sk"]["S"]
            if sk == "CUSTOMER":
                customer = _customers().validate_python(loads(item["data"]["S"])), int(item["version"]["N"])
            elif sk.startswith(keys.SUBSCRIPTION):
                subscription = _subscriptions().validate_python(loads(item["data"]["S"]))
                subscriptions[subscription.id] = subscription
            elif sk.startswith(keys.BALANCE):
                stored = decode(item)
                balances[stored.balance.feature_id] = stored
        if customer is None:
            raise NotFound("customer", customer_id)
        states = {feature_id: stored.balance for feature_id, stored in balances.items()}
        return StoredHoldings(Holdings(customer[0], subscriptions, states), customer[1], balances)

    def add(self, env: Environment, holdings: Holdings) -> None:
        """Writes a new customer with all it holds; raises Refused where the customer exists."""
        self._commit(env, None, holdings)

    def change(self, env: Environment, before: StoredHoldings, after: Holdings) -> None:
        """Writes what differs, in one transaction; raises Refused where anything changed since `before` was read."""
        self._commit(env, before, after)

    def _commit(self, env: Environment, before: StoredHoldings | None, after: Holdings) -> None:
        customer_id = after.customer.id
        writes = [self._customer_write(env, before, after.customer)]
        for id, subscription in after.subscriptions.items():
            if before is None or before.holdings.subscriptions.get(id) != subscription:
                data = dumps(_subscriptions().dump_python(subscription))
                writes.append(
                    put_new(self._table.name, {**keys.subscription(env, customer_id, id), "data": {"S": data}})
                )
        for feature_id, balance in after.balances.items():
            stored = before.balances.get(feature_id) if before else None
            key = keys.balance(env, customer_id, feature_id)
            if stored is None:
                writes.append(put_new(self._table.name, new_item(key, balance)))
            elif stored.balance != balance:
                clauses, names, values = state_update(balance)
                writes.append(
                    {
                        "Update": {
                            "TableName": self._table.name,
                            "Key": key,
                            "UpdateExpression": f"SET {clauses}",
                            "ConditionExpression": "version = :version",
                            "ExpressionAttributeNames": names,
                            "ExpressionAttributeValues": {**values, ":version": {"N": str(stored.version)}},
                        }
                    }
                )
        if len(writes) > MAX_WRITES:
            raise InvalidRequest(f"This would change {len(writes)} things of a customer at once: at most {MAX_WRITES}")
        self._table.transact(writes, str(uuid.uuid4()))

    def _customer_write(
        self, env: Environment, before: StoredHoldings | None, customer: Customer
    ) -> TransactWriteItemTypeDef:
        version = before.version if before else 0
        item: Item = {
            **keys.customer(env, customer.id),
            "data": {"S": dumps(_customers().dump_python(customer))},
            "version": {"N": str(version + 1)},
        }
        if before is None:
            return put_new(self._table.name, item)
        return {
            "Put": {
                "TableName": self._table.name,
                "Item": item,
                "ConditionExpression": "version = :version",
                "ExpressionAttributeValues": {":version": {"N": str(version)}},
            }
        }
