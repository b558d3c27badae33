"""Customers and what they hold. Whatever changes holdings goes through the customer's version: one change at a time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from tollgate.domain.customers import Customer, Holdings, Subscription
from tollgate.domain.errors import NotFound
from tollgate.domain.keys import Environment
from tollgate.store import keys
from tollgate.store.balance_items import Stored, decode, new_item, state_values
from tollgate.store.table import Item, Table, put_new

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


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

    def get(self, env: Environment, customer_id: str) -> StoredHoldings:
        """The whole customer in one Query; raises NotFound."""
        customer: tuple[Customer, int] | None = None
        subscriptions: dict[str, Subscription] = {}
        balances: dict[str, Stored] = {}
        for item in self._table.query(keys.customer_partition(env, customer_id)):
            sk = item["sk"]["S"]
            if sk == "CUSTOMER":
                customer = _customers().validate_json(item["data"]["S"]), int(item["version"]["N"])
            elif sk.startswith(keys.SUBSCRIPTION):
                subscription = _subscriptions().validate_json(item["data"]["S"])
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
                data = _subscriptions().dump_json(subscription).decode()
                writes.append(
                    put_new(self._table.name, {**keys.subscription(env, customer_id, id), "data": {"S": data}})
                )
        for feature_id, balance in after.balances.items():
            stored = before.balances.get(feature_id) if before else None
            key = keys.balance(env, customer_id, feature_id)
            if stored is None:
                writes.append(put_new(self._table.name, new_item(key, balance)))
            elif stored.balance != balance:
                state = state_values(balance)
                names = {f"#{name}": name for name in state}
                values: Item = {f":{name}": value for name, value in state.items()}
                writes.append(
                    {
                        "Update": {
                            "TableName": self._table.name,
                            "Key": key,
                            "UpdateExpression": "SET "
                            + ", ".join(f"#{name} = :{name}" for name in state)
                            + ", version = version + :one",
                            "ConditionExpression": "version = :version",
                            "ExpressionAttributeNames": names,
                            "ExpressionAttributeValues": {
                                **values,
                                ":one": {"N": "1"},
                                ":version": {"N": str(stored.version)},
                            },
                        }
                    }
                )
        self._table.transact(writes, str(uuid.uuid4()))

    def _customer_write(
        self, env: Environment, before: StoredHoldings | None, customer: Customer
    ) -> TransactWriteItemTypeDef:
        version = before.version if before else 0
        item: Item = {
            **keys.customer(env, customer.id),
            "data": {"S": _customers().dump_json(customer).decode()},
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
