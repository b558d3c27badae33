"""Customers and all that they hold. Every change of holdings is conditional on the customer's version, so changes
happen one after another.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from tollgate.domain.balances import BalanceKey
from tollgate.domain.customers import NONE_ENDED, Customer, Entity, Holdings, Subscription
from tollgate.domain.ended_subscriptions import over
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import NotFound
from tollgate.store import keys, listing
from tollgate.store.codecs.balances import StoredBalance, decode_balance, new_item, state_attributes, state_update
from tollgate.store.codecs.customers import (
    Extent,
    decode_customer,
    decode_ended,
    decode_entity,
    decode_extent,
    decode_subscription,
    encode_customer,
    encode_ended,
    encode_entity,
    encode_extent,
    encode_subscription,
)
from tollgate.store.codecs.listing import ListedCustomer
from tollgate.store.codecs.reservations import decode_lock
from tollgate.store.ended import EndedSubscriptions
from tollgate.store.large_changes import Claim, LargeChanges, Staged, staged_balance, too_large
from tollgate.store.listing import MOST_PARTS, Listing
from tollgate.store.table import MAX_BATCH, Entries, Item, Refused, Table, delete_existing, put_existing, put_new
from tollgate.store.top_up_states import TopUpStateStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from tollgate.store.keys import Key

MAX_WRITES = 100  # in one transaction
TURNS = 24
NEAR_TURNS = 4  # of a change of one entity: then all is read, whatever stands in its way
THINGS_IN_A_UNIT = 8  # of what a customer holds, read together; read by key, each is a unit
MOST_FEATURES = 8  # that are read one by one
READERS = 8  # requests at a time for a page of a list


@dataclass(frozen=True, slots=True)
class StoredHoldings:
    """A customer's holdings as they were read, with the versions that the next write is conditional on.

    - `claim`: the large change that writes them, where they are more than one transaction takes.
    - `in_change`: the keys of balances that other large changes have staged, or have yet to make, and which changes.
    """

    holdings: Holdings
    version: int
    balances: dict[BalanceKey, StoredBalance]
    claim: Claim | None = None
    in_change: tuple[tuple[Key, str], ...] = ()
    listed: int = 0  # the version with which its entry in the list was written; 0: it has no index yet
    extent: Extent | None = None  # set: these are not all that the customer holds, which is said here


@dataclass(slots=True)
class Near:
    """A change that makes one entity of a customer: what others hold need not be read.

    - `suffices`: whether that was so, of what was read and what became of it.
    - `all`: everything is to be read from now on.
    """

    entity_id: str
    suffices: Callable[[Holdings, Holdings], bool]
    all: bool = False


class CustomerStore:
    """The customers of one table.

    `clock` gives epoch ms. The version of a new balance item starts at that time. A balance is written less than once
    in a millisecond, so an item that is created again never repeats a version.
    """

    def __init__(self, table: Table, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._table = self.table = table
        self._clock = clock
        self._large_changes = LargeChanges(table, clock)
        self.listing = Listing(table)
        self.ended = EndedSubscriptions(table)
        self.top_ups = TopUpStateStore(table)

    def turns(self) -> Iterator[int]:
        """Counts the attempts of a read, a decision and a write, with a pause before each but the first."""
        return self._table.tries(TURNS)

    def readings(self, customer: CustomerRef, near: Near | None = None) -> Generator[StoredHoldings]:
        """What the customer holds, read anew for each attempt to change it, with a pause before each but the first. What
        a large change has staged is kept from one attempt to the next, and given up when the attempts are over.

        `near`: what other entities hold is read where that is no dearer, or where attempts without it came to nothing.
        Raises NotFound."""
        claim = Claim(keys.customer_partition(customer))
        try:
            for turn in self.turns():
                if claim.closed:  # somebody took it for given up
                    claim.begin()
                part = None
                if near and turn < NEAR_TURNS and not near.all:
                    part = self.near(customer, near.entity_id, claim, is_new=not turn)
                yield part or self.get(customer, claim)
        finally:
            if claim.opened:
                self._large_changes.give_up(claim)

    def get(self, customer: CustomerRef, claim: Claim | None = None) -> StoredHoldings:
        """All that the customer holds, in one Query. Raises NotFound."""
        return self._parsed(self._table.query(keys.customer_partition(customer)), customer.id, claim)

    def near(
        self, customer: CustomerRef, entity_id: str, claim: Claim | None = None, *, is_new: bool = False
    ) -> StoredHoldings | None:
        """What the customer holds itself, and one entity of it with its balances: three requests, a read unit for each
        balance, whatever other entities hold. None where that is not to be had, or dearer than all of it.

        `is_new`: there should be no such entity, so it is not looked for. Raises NotFound.
        """
        profile = self._table.get(keys.customer(customer))
        if profile is None:
            raise NotFound("customer", customer.id)
        extent = decode_extent(profile)
        if extent is None:
            return None
        wanted = [keys.balance(customer, BalanceKey(id)) for id in sorted(extent.own)]
        if not is_new:
            wanted.append(keys.entity(customer, entity_id))
            wanted += [keys.balance(customer, BalanceKey(id, entity_id)) for id in sorted(extent.shared)]
        if len(wanted) > extent.things // THINGS_IN_A_UNIT:
            return None
        subscriptions = self._table.query(keys.customer_partition(customer), keys.SUBSCRIPTION)
        return self._parsed([profile, *subscriptions, *self._table.get_all(wanted)], customer.id, claim, extent)

    def of_features(self, customer: CustomerRef, feature_ids: Collection[str]) -> StoredHoldings:
        """What the customer holds, with at least the balances of these features, those of entities among them. Of a customer
        who holds much, others are not read: a request for the customer, one for its subscriptions, one for its own balances,
        and one for each feature of which entities hold some. Raises NotFound.
        """
        profile = self._table.get(keys.customer(customer))
        if profile is None:
            raise NotFound("customer", customer.id)
        extent = decode_extent(profile)
        held = sorted((extent.own | extent.shared).intersection(feature_ids)) if extent else []
        if extent is None or len(held) > MOST_FEATURES:
            return self.get(customer)
        partition = keys.customer_partition(customer)
        items = [profile, *self._table.query(partition, keys.SUBSCRIPTION)]
        items += self._table.get_all([keys.balance(customer, BalanceKey(id)) for id in held if id not in extent.shared])
        for id in held:
            if id in extent.shared:
                items += self._table.query(partition, f"{keys.BALANCE}{id}#")
        return self._parsed(items, customer.id, extent=extent)

    def _parsed(
        self, items: Sequence[Item], customer_id: str, claim: Claim | None = None, extent: Extent | None = None
    ) -> StoredHoldings:
        in_change: tuple[tuple[Key, str], ...] = ()
        if any("change" in item for item in items):
            own = claim.id if claim else ""
            in_change = tuple(
                ({"pk": item["pk"], "sk": item["sk"]}, item["change"]["S"])
                for item in items
                if "change" in item and item["change"]["S"] != own
            )
            items = self._large_changes.standing(items, claim)
        customer: tuple[Customer, int] | None = None
        listed, ended = 0, NONE_ENDED
        entities: dict[str, Entity] = {}
        subscriptions: dict[str, Subscription] = {}
        balances: dict[BalanceKey, StoredBalance] = {}
        for item in items:
            sk = item["sk"]["S"]
            if sk == keys.CUSTOMER:
                customer, ended = decode_customer(item), decode_ended(item)
                listed = int(item["listed"]["N"]) if "listed" in item else 0
            elif sk.startswith(keys.ENTITY):
                entity = decode_entity(item)
                entities[entity.id] = entity
            elif sk.startswith(keys.SUBSCRIPTION):
                subscription = decode_subscription(item)
                subscriptions[subscription.id] = subscription
            elif sk.startswith(keys.BALANCE):
                stored = decode_balance(item)
                balances[stored.balance.key] = stored
        if customer is None:
            raise NotFound("customer", customer_id)
        states = {key: stored.balance for key, stored in balances.items()}
        unread = extent.shared if extent else frozenset[str]()
        holdings = Holdings(customer[0], entities, subscriptions, states, unread, ended)
        return StoredHoldings(holdings, customer[1], balances, claim, in_change, listed, extent)

    def profile(self, customer: CustomerRef) -> Customer | None:
        """The customer alone, in one GetItem; None where there is none."""
        item = self._table.get(keys.customer(customer))
        return None if item is None else decode_customer(item)[0]

    def profiles(self, env: Environment, ids: Sequence[str]) -> list[Customer]:
        """The customers of these ids alone, in this order, those that do not exist left out: one request for each 100, several
        at a time."""
        wanted = [keys.customer(CustomerRef(env, id)) for id in dict.fromkeys(ids)]
        chunks = [wanted[start : start + MAX_BATCH] for start in range(0, len(wanted), MAX_BATCH)]
        with ThreadPoolExecutor(READERS) as threads:
            items = list(chain.from_iterable(threads.map(self._table.get_all, chunks)))
        found = {customer.id: customer for customer, _ in map(decode_customer, items)}
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    def some(
        self, customer: CustomerRef, balance_keys: Collection[BalanceKey], subscriptions: Collection[str]
    ) -> StoredHoldings:
        """The customer with only these of its balances and subscriptions, in one request for up to 100 items. Raises
        NotFound.
        """
        wanted = [keys.customer(customer), *(keys.balance(customer, key) for key in balance_keys)]
        wanted += [keys.subscription(customer, id) for id in subscriptions]
        return self._parsed(self._table.get_all(wanted), customer.id)

    def subscriptions(self, customer: CustomerRef) -> dict[str, Subscription]:
        """All subscriptions of a customer by id, in one Query."""
        items = self._table.query(keys.customer_partition(customer), keys.SUBSCRIPTION)
        return {subscription.id: subscription for subscription in map(decode_subscription, items)}

    def read_listed(self, env: Environment, entries: Sequence[ListedCustomer]) -> list[Holdings]:
        """What these customers of the list hold, in order; without those that are gone. One request for each 100 of their
        items, several at a time; one Query for a customer whose entry does not name them all.
        """
        wanted: list[keys.Key] = []
        for entry in entries:
            if entry.facts is not None and entry.facts.parts is not None:
                customer = CustomerRef(env, entry.customer_id)
                wanted += [keys.part(customer, name) for name in (keys.CUSTOMER, *entry.facts.parts)]
        chunks = [wanted[start : start + MAX_BATCH] for start in range(0, len(wanted), MAX_BATCH)]
        found: dict[str, list[Item]] = defaultdict(list)
        with ThreadPoolExecutor(READERS) as threads:
            for item in chain.from_iterable(threads.map(self._table.get_all, chunks)):
                found[item["pk"]["S"]].append(item)
            read = list(threads.map(lambda entry: self._listed(env, entry, found), entries))
        return [holdings for holdings in read if holdings is not None]

    def _listed(self, env: Environment, entry: ListedCustomer, found: Mapping[str, list[Item]]) -> Holdings | None:
        """A customer from what was read of it; read again where its entry is not of what was read."""
        customer = CustomerRef(env, entry.customer_id)
        try:
            if items := found.get(keys.customer_partition(customer)):
                read = self._parsed(items, customer.id)
                if read.listed == entry.version:
                    return read.holdings
            return self.get(customer).holdings
        except NotFound:
            return None

    def add(self, env: Environment, holdings: Holdings) -> None:
        """Stores a new customer with all that it holds. Raises Refused where the customer exists."""
        try:
            self._commit(env, None, holdings)
        except Refused:
            own = CustomerRef(env, holdings.customer.id)
            self._large_changes.resolve(keys.balance(own, key) for key in holdings.balances)  # one that broke off
            raise

    def change(
        self,
        env: Environment,
        before: StoredHoldings,
        after: Holdings,
        entries: Entries = (),
        now: int | None = None,
    ) -> None:
        """Writes what differs between `before` and `after`, and `entries`, in one transaction. Where subscriptions differ, others
        that are over at `now` (epoch ms) are moved apart (`store.ended`).

        More than one transaction takes is a large change (`store.large_changes`).

        Raises Refused where the customer or a written balance was changed since `before` was read, InvalidRequest where
        a hundred things that are no balances change at once, Unavailable or OutcomeUnknown.
        """
        moved = [] if now is None or before.extent else over(before.holdings, after, now)
        if moved:
            gone = {held.id for held in moved}
            left = {id: held for id, held in after.subscriptions.items() if id not in gone}
            after = replace(after, subscriptions=left, ended=after.ended.with_more(moved))
        writes = self.ended.moves(env, after.customer, moved, indexed=bool(before.listed))
        self._commit(env, before, after, [*entries, *writes], [held.id for held in moved])

    def tell_passed(self, customer: CustomerRef, subscription_id: str, passed: Sequence[str]) -> None:
        """Notes on a subscription what the clock has done to it (`Boundary.name`), unless that is noted: the stream tells
        of it then. Changes of the subscription know nothing of the note. One write unit.

        Raises Unavailable.
        """
        news = {f":new{number}": {"S": name} for number, name in enumerate(passed)}
        untold = " OR ".join(f"NOT contains(told, {new})" for new in news)
        try:
            self._table.repeated(
                self._table.client.update_item,
                TableName=self._table.name,
                Key=keys.subscription(customer, subscription_id),
                UpdateExpression="ADD told :all",
                ConditionExpression=f"attribute_exists(pk) AND ({untold})",
                ExpressionAttributeValues={":all": {"SS": list(passed)}, **news},
            )
        except Refused:
            return

    def remove(self, env: Environment, before: StoredHoldings, entries: Entries = ()) -> None:
        """Deletes a customer and all that it has, and what would act on one that is made again under its id: its
        reservations, the events that wait for it, and which top-ups were asked for (management.md 4 (customers.delete)).
        Raises Refused where it was changed since `before` was read.

        Items beyond one transaction are deleted first, and the customer last, with `entries`: a deletion that stops half-way
        can be repeated.
        """
        customer = before.holdings.customer
        ref = CustomerRef(env, customer.id)
        own = [item for item in self._table.query(keys.customer_partition(ref)) if item["sk"]["S"] != keys.CUSTOMER]
        others = (keys.waiting_partition(ref), keys.top_up_states(ref))
        items = [*self._locks(ref, own), *(item for part in others for item in self._table.query(part)), *own]
        deletes = listing.removals(self._table, env, before.holdings) if before.listed else []
        deletes += self.ended.removals(env, customer)
        deletes += [delete_existing(self._table.name, {"pk": item["pk"], "sk": item["sk"]}) for item in items]
        last: list[TransactWriteItemTypeDef] = [
            {
                "Delete": {
                    "TableName": self._table.name,
                    "Key": keys.customer(CustomerRef(env, customer.id)),
                    "ConditionExpression": "version = :version",
                    "ExpressionAttributeValues": {":version": {"N": str(before.version)}},
                }
            },
            delete_existing(self._table.name, keys.listed_customer(env, customer.created_at, customer.id)),
            *entries,
        ]
        room = MAX_WRITES - len(last)
        while len(deletes) > room:
            self._table.transact(deletes[:MAX_WRITES], str(uuid.uuid4()))
            deletes = deletes[MAX_WRITES:]
        self._table.transact([*last, *deletes], str(uuid.uuid4()))

    def _locks(self, customer: CustomerRef, items: Iterable[Item]) -> list[Item]:
        """The records of the reservations that hold units of a customer's balances."""
        held = (item for item in items if item["sk"]["S"].startswith(keys.BALANCE))
        balances = (decode_balance(item).balance for item in self._large_changes.standing(held))
        digests = {hold.id for balance in balances for hold in balance.holds}
        found = self._table.get_all([keys.lock(customer.environment, digest) for digest in sorted(digests)])
        return [item for item in found if decode_lock(item)[0].customer_id == customer.id]

    def _commit(
        self,
        env: Environment,
        before: StoredHoldings | None,
        after: Holdings,
        entries: Entries = (),
        apart: Collection[str] = (),
    ) -> None:
        customer_id = after.customer.id
        version, listed = (before.version + 1, before.listed) if before else (1, 0)
        known = before.holdings if before and listed else None
        if before and before.extent:  # its entry in the list names no parts, so that none is missing there
            index, is_listed = listing.entity_changes(self._table, env, known, after), False
        else:
            index, is_listed = listing.changes(self._table, env, known, after, version, apart)
        listed = version if is_listed else listed
        writes = [self._customer_write(env, before, after, listed), *index]
        old = before.holdings if before else Holdings(after.customer)
        for id, subscription in after.subscriptions.items():
            if subscription != old.subscriptions.get(id):
                item = {**keys.subscription(CustomerRef(env, customer_id), id), **encode_subscription(subscription)}
                writes.append(self._put(item, new=id not in old.subscriptions))
        taken_back = old.subscriptions.keys() - after.subscriptions.keys()
        own = CustomerRef(env, customer_id)
        writes += [delete_existing(self._table.name, keys.subscription(own, id)) for id in taken_back]
        for id, entity in after.entities.items():
            if entity != old.entities.get(id):
                item = {**keys.entity(CustomerRef(env, customer_id), id), **encode_entity(entity)}
                writes.append(self._put(item, new=id not in old.entities))
        gone = old.entities.keys() - after.entities.keys()
        writes += [delete_existing(self._table.name, keys.entity(CustomerRef(env, customer_id), id)) for id in gone]
        writes += entries
        balances, staged = self._balance_writes(CustomerRef(env, customer_id), before, after)
        claim = before.claim if before else None
        if before and before.in_change:
            self._large_changes.resolve(key for key, _ in before.in_change)
            if claim and any(other < claim.id for _, other in before.in_change):  # one of two must make way
                self._large_changes.give_up(claim)
            raise Refused(None)
        if not (claim and claim.opened) and not too_large([*writes, *balances]):
            self._table.transact([*writes, *balances], str(uuid.uuid4()))
        elif claim:
            self._large_changes.write(claim, staged, writes)
        else:
            claim = Claim(keys.customer_partition(own))
            try:
                self._large_changes.write(claim, staged, writes)
            finally:
                self._large_changes.give_up(claim)

    def _balance_writes(
        self, customer: CustomerRef, before: StoredHoldings | None, after: Holdings
    ) -> tuple[list[TransactWriteItemTypeDef], list[Staged]]:
        """What makes of the balances what they are afterwards: as writes of one transaction, and for a large change."""
        writes: list[TransactWriteItemTypeDef] = []
        staged: list[Staged] = []
        held = before.balances if before else {}
        for balance_key, balance in after.balances.items():
            stored = held.get(balance_key)
            key = keys.balance(customer, balance_key)
            if stored is None:
                writes.append(put_new(self._table.name, new_item(key, balance, self._clock())))
                staged.append(Staged(key, None, state_attributes(balance)))
            elif stored.balance != balance:
                update = state_update(balance)
                writes.append(
                    {
                        "Update": {
                            "TableName": self._table.name,
                            "Key": key,
                            "UpdateExpression": f"SET {update.sets}{update.removes}",
                            "ConditionExpression": "version = :version AND attribute_not_exists(#change)",
                            "ExpressionAttributeNames": {**update.names, "#change": "change"},
                            "ExpressionAttributeValues": {**update.values, ":version": {"N": str(stored.version)}},
                        }
                    }
                )
                staged.append(staged_balance(customer, stored, state_attributes(balance)))
        for balance_key in held.keys() - after.balances.keys():
            stored = held[balance_key]
            delete: TransactWriteItemTypeDef = {
                "Delete": {
                    "TableName": self._table.name,
                    "Key": keys.balance(customer, balance_key),
                    "ConditionExpression": "version = :version",
                    "ExpressionAttributeValues": {":version": {"N": str(stored.version)}},
                }
            }
            writes.append(delete)
            staged.append(staged_balance(customer, stored, None))
        return writes, staged

    def _put(self, item: Item, *, new: bool) -> TransactWriteItemTypeDef:
        return (put_new if new else put_existing)(self._table.name, item)

    def _customer_write(
        self, env: Environment, before: StoredHoldings | None, after: Holdings, listed: int
    ) -> TransactWriteItemTypeDef:
        version, customer = before.version if before else 0, after.customer
        item: Item = {**keys.customer(CustomerRef(env, customer.id)), **encode_customer(customer, version + 1)}
        item |= {"listed": {"N": str(listed)}, **encode_extent(_extent(before, after))}
        item |= encode_ended(after.ended)
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


def _extent(before: StoredHoldings | None, after: Holdings) -> Extent | None:
    """What a customer's item says of what the customer holds after a change; None where it is little."""
    things = len(after.entities) + len(after.subscriptions) + len(after.balances)
    own = frozenset(key.feature_id for key in after.balances if not key.entity_id)
    shared = frozenset(key.feature_id for key in after.balances if key.entity_id)
    if before is None or before.extent is None:
        return Extent(own, shared, things) if things > MOST_PARTS else None
    held, known = before.holdings, before.extent
    more = things - len(held.entities) - len(held.subscriptions) - len(held.balances)
    return Extent(known.own | own, known.shared | shared, known.things + more)
