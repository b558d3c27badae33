"""Where customers are found without being asked for by id: the list of all, and the indexes by e-mail, of entities, of
subscriptions and of plans.

Every item here is written in the transaction that makes it true (`store/customers.py`), so it lags behind nothing. What it
costs: the entry of the list, 2 write units a KB of it where a name, an e-mail, a subscription or the set of balances and
entities changes; an e-mail, an entity, a subscription and a plan, 2 write units when they come and when they go. A
subscription and a plan go when they are taken back or with their customer: what has ended is found by them too.

Customers that were written before entries held anything have an empty entry, and no index, until they are next changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from tollgate.domain.customers import Holdings
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.store import keys
from tollgate.store.codecs.layout import Layout
from tollgate.store.codecs.listing import (
    Facts,
    ListedCustomer,
    ListedSubscription,
    decode_listed_customer,
    encode_listed_customer,
)
from tollgate.store.table import MAX_BATCH, Item, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

MOST_PARTS = 60  # of a customer, in its entry
MOST_LATE = 40  # index entries of a customer that is indexed late: they are written in one transaction
FEW = 2  # customers that are read one by one
INDEX = Layout("index of customers", 0)


def facts_of(holdings: Holdings) -> Facts:
    """What the entry of a customer says."""
    customer = CustomerRef(Environment.SANDBOX, holdings.customer.id)
    parts = [keys.subscription(customer, id) for id in holdings.subscriptions]
    parts += [keys.entity(customer, id) for id in holdings.entities]
    parts += [keys.balance(customer, key) for key in holdings.balances]
    names = tuple(sorted(part["sk"]["S"] for part in parts))
    held = sorted(holdings.subscriptions.values(), key=lambda s: s.id)
    return Facts(
        holdings.customer.name,
        holdings.customer.email,
        tuple(
            ListedSubscription(
                s.id,
                s.plan_id,
                s.plan_version,
                s.entity_id,
                s.started_at,
                s.expires_at,
                s.created_at,
                s.trial_ends_at,
                s.parent_id,
            )
            for s in held
        ),
        names if len(names) <= MOST_PARTS else None,
        holdings.customer.frozen_time,
        tuple(sorted(holdings.ended.plan_ids)),
    )


def changes(
    table: Table, env: Environment, before: Holdings | None, after: Holdings, version: int, apart: Collection[str] = ()
) -> tuple[list[TransactWriteItemTypeDef], bool]:
    """The writes that bring list and indexes up to date, and whether the entry of the list is among them. `before`: what
    they say now; None: they say nothing yet. `apart`: the subscriptions that go where ended ones are kept, with this change.
    """
    customer = after.customer
    old, new = (_indexed(env, held) if held else {} for held in (before, after))
    if before is None and len(new) > MOST_LATE:
        return [], False
    writes: list[TransactWriteItemTypeDef] = []
    facts = facts_of(after)
    is_listed = before is None or facts_of(before) != facts
    if is_listed:
        key = keys.listed_customer(env, customer.created_at, customer.id)
        writes.append(_put(table, {**key, **encode_listed_customer(facts, version)}))
    kept = {keys.subscription_partition(env, id) for id in apart}
    writes += [_put(table, {**key, **INDEX.mark}) for name, key in new.items() if name not in old]
    writes += [_delete(table, key) for name, key in old.items() if name not in new and name[0] not in kept]
    return writes, is_listed


def entity_changes(
    table: Table, env: Environment, before: Holdings | None, after: Holdings
) -> list[TransactWriteItemTypeDef]:
    """The writes that add the entities that are new to their index, where only a part of what the customer holds is known.
    `before`: that part, as it was; None: the customer has no index yet."""
    if before is None:
        return []
    old, new = (_indexed(env, held) for held in (before, after))
    return [_put(table, {**key, **INDEX.mark}) for name, key in new.items() if name not in old]


def removals(table: Table, env: Environment, holdings: Holdings) -> list[TransactWriteItemTypeDef]:
    """The writes that take a customer out of the indexes."""
    return [_delete(table, key) for key in _indexed(env, holdings).values()]


def _indexed(env: Environment, holdings: Holdings) -> dict[tuple[str, str], keys.Key]:
    customer = holdings.customer
    plans = holdings.ended.plan_ids.union(held.plan_id for held in holdings.subscriptions.values())
    found = [keys.entity_index(env, id, customer.created_at, customer.id) for id in holdings.entities]
    found += [keys.subscription_index(env, id, customer.created_at, customer.id) for id in holdings.subscriptions]
    found += [keys.plan_index(env, id, customer.created_at, customer.id) for id in sorted(plans)]
    if customer.email:
        found.append(keys.email_index(env, digest_of(customer.email), customer.created_at, customer.id))
    return {(key["pk"]["S"], key["sk"]["S"]): key for key in found}


def digest_of(email: str) -> str:
    """An e-mail address as the index has it."""
    return hashlib.sha256(email.encode()).hexdigest()[:32]


def indexed_position(item: Item) -> str:
    """Where the customer that an item of an index names is in the list of all. Raises Unavailable where its layout is newer
    than this code reads."""
    INDEX.version_of(item)
    return str(item["sk"]["S"])


def indexed_customer(item: Item) -> str:
    """The customer that an item of an index names. Raises Unavailable where its layout is newer than this code reads."""
    return indexed_position(item).partition("#")[2]


def _put(table: Table, item: Item) -> TransactWriteItemTypeDef:
    return {"Put": {"TableName": table.name, "Item": item}}


def _delete(table: Table, key: keys.Key) -> TransactWriteItemTypeDef:
    return {"Delete": {"TableName": table.name, "Key": key}}


class Listing:
    """Reads the list of customers and its indexes."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._whole: set[Environment] = set()  # environments of which every entry was seen to hold facts

    def page(
        self, env: Environment, after: str, limit: int | None, *, newest_first: bool = False
    ) -> tuple[list[ListedCustomer], bool]:
        """Up to `limit` entries that follow a position (empty: from the first) in order of creation, or as many as fit into
        1 MB; and whether more follow.
        """
        beyond = "<" if newest_first else ">"
        most: dict[str, Any] = {} if limit is None else {"Limit": limit}
        answer = self._table.repeated(
            self._table.client.query,
            TableName=self._table.name,
            KeyConditionExpression="pk = :pk" + (f" AND sk {beyond} :after" if after else ""),
            ExpressionAttributeValues={
                ":pk": {"S": keys.customer_list(env)},
                **({":after": {"S": after}} if after else {}),
            },
            ConsistentRead=True,
            ScanIndexForward=not newest_first,
            **most,
        )
        return [decode_listed_customer(item) for item in answer["Items"]], "LastEvaluatedKey" in answer

    def with_email(self, env: Environment, email: str) -> list[str]:
        """The customers with exactly this e-mail address, the oldest first; those without an index are not found."""
        return self._customers(keys.email_partition(env, digest_of(email)))

    def with_entity(self, env: Environment, entity_id: str) -> list[str]:
        """The customers with an entity of this id, the oldest first; those without an index are not found."""
        return self._customers(keys.entity_partition(env, entity_id))

    def with_subscription(self, env: Environment, subscription_id: str) -> list[str]:
        """The customers that have or had a subscription of this id, the oldest first; of those without an index, the ones
        that have ended are found.
        """
        return self._customers(keys.subscription_partition(env, subscription_id))

    def with_plans(
        self, env: Environment, plan_ids: Collection[str], after: str, *, newest_first: bool = False
    ) -> tuple[list[ListedCustomer], bool]:
        """As `page`, of up to 100 customers that have or had one of these plans, themselves or by an entity; those without an
        index are not found. A Query for each plan, and one request for the entries; a few customers come without facts, since
        to read them whole is no dearer.
        """
        pages = [
            self._table.page(keys.plan_partition(env, id), after, MAX_BATCH, newest_first=newest_first)
            for id in sorted(plan_ids)
        ]
        full = [page[-1]["sk"]["S"] for page in pages if len(page) == MAX_BATCH]
        positions = sorted({indexed_position(item) for page in pages for item in page}, reverse=newest_first)
        if full:  # what one plan's page does not reach may come before what another's does
            last = max(full) if newest_first else min(full)
            positions = [one for one in positions if (one >= last if newest_first else one <= last)]
        wanted = positions[:MAX_BATCH]
        more = bool(full) or len(wanted) < len(positions)
        if len(wanted) <= FEW:
            return [ListedCustomer(one, one.partition("#")[2]) for one in wanted], more
        found = self._table.get_all([keys.listed_at(env, one) for one in wanted])
        entries = map(decode_listed_customer, found)
        return sorted(entries, key=lambda one: one.position, reverse=newest_first), more

    def unindexed(self, env: Environment) -> list[str]:
        """The customers that have no index yet, the oldest first. Once there is none, the list is not read again."""
        if env in self._whole:
            return []
        found: list[str] = []
        position, more = "", True
        while more:
            page, more = self.page(env, position, None)
            found += [one.customer_id for one in page if one.facts is None]
            position = page[-1].position if page else ""
        if not found:
            self._whole.add(env)
        return found

    def _customers(self, partition: str) -> list[str]:
        return [indexed_customer(item) for item in self._table.query(partition)]
