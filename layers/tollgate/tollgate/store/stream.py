"""The table's stream as the outbox: what a record says was written.

A balance item carries its last event, so a record whose event is not the one before it tells of one deduction (or of the
several that one write counted).
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from tollgate.domain.balances import BalanceKey
from tollgate.domain.changes import Change
from tollgate.domain.environments import Environment
from tollgate.domain.recorded_writes import NAMESPACE, RecordedLock, SubscriptionWrite
from tollgate.domain.reservations import HELD
from tollgate.domain.use_records import UseRecord
from tollgate.exact_json import loads
from tollgate.store import keys
from tollgate.store.balance_items import decode, decode_event
from tollgate.store.locks import decode_lock

if TYPE_CHECKING:
    from tollgate.store.table import Item


def change_of(record: Mapping[str, Any]) -> Change | None:
    """The write of a balance, or of a use of what nothing grants; None where it changed nothing that is told (a fence,
    another item, what TTL removed).

    Raises KeyError, ValueError, ArithmeticError or a TollgateError where the record's image is not a balance item's.
    """
    change = record["dynamodb"]
    kind, _, rest = change["Keys"]["sk"]["S"].partition("#")
    if f"{kind}#" not in (keys.BALANCE, keys.USE):
        return None
    new, old = change.get("NewImage"), change.get("OldImage")
    if new is None and (old is None or f"{kind}#" == keys.USE):
        return None
    item = _from_wire(new or old)
    event = decode_event(item) if new is not None and (old is None or old.get("event") != new.get("event")) else None
    feature_id, _, entity_id = rest.partition("#")
    version = int(item["version"]["N"])
    before = after = None
    if f"{kind}#" == keys.BALANCE:
        before = decode(_from_wire(old)).balance if old is not None else None
        after = decode(item).balance if new is not None else None
        if new is not None and old is not None and old["version"] == new["version"]:
            return None
    elif event is None:
        return None
    environment, _, customer_id = item["pk"]["S"].split("#")
    at = int(change.get("ApproximateCreationDateTime", 0) * 1000)
    source = "" if f"{kind}#" == keys.BALANCE else keys.USE
    return Change(
        environment, customer_id, BalanceKey(feature_id, entity_id), version, before, after, event, at, source
    )


def subscription_write(record: Mapping[str, Any]) -> SubscriptionWrite | None:
    """The write of a subscription; None where the record tells of something else, or of no change."""
    change = record["dynamodb"]
    if not change["Keys"]["sk"]["S"].startswith(keys.SUBSCRIPTION):
        return None
    before, after = (
        loads(image["data"]["S"]) if (image := change.get(name)) is not None else None
        for name in ("OldImage", "NewImage")
    )
    if before == after:
        return None
    pk = change["Keys"]["pk"]["S"]
    environment, _, customer_id = pk.split("#")
    id = uuid.uuid5(NAMESPACE, f"{pk}\n{change['Keys']['sk']['S']}\n{change['SequenceNumber']}")
    at = int(change.get("ApproximateCreationDateTime", 0) * 1000)
    return SubscriptionWrite(str(id), environment, customer_id, before, after, at)


def recorded_lock(record: Mapping[str, Any]) -> RecordedLock | None:
    """The reservation that a stream record tells of; None where it tells of something else, or of TTL.

    Raises KeyError, ValueError or ArithmeticError where the record's image is not a lock's.
    """
    change = record["dynamodb"]
    new, old = change.get("NewImage"), change.get("OldImage")
    if new is None or change["Keys"]["sk"]["S"] != keys.LOCK:
        return None
    item = _from_wire(new)
    lock = decode_lock(item)
    if old is not None and (old["state"], old["expires_at"]) == (new["state"], new["expires_at"]):
        return None
    environment = item["pk"]["S"].partition("#")[0]
    id = uuid.uuid5(NAMESPACE, f"{item['pk']['S']}\n{lock.reservation.created_at}\n{lock.state}")
    final = Decimal(item["settled_value"]["N"]) if "settled_value" in item else None
    at = int(item["settled_at"]["N"]) if "settled_at" in item else lock.reservation.created_at
    return RecordedLock(str(id), environment, lock, final, at)


def new_holders(records: Sequence[Mapping[str, Any]]) -> list[tuple[Environment, str]]:
    """The customers that got a balance item they had not, each once: events that waited for them may now be counted."""
    found = {}
    for record in records:
        key = record["dynamodb"]["Keys"]
        if record["eventName"] == "INSERT" and key["sk"]["S"].startswith(keys.BALANCE):
            environment, _, customer_id = key["pk"]["S"].split("#")
            found[Environment(environment), customer_id] = True
    return list(found)


def lapsed_uses(record: Mapping[str, Any]) -> list[Change]:
    """A reservation whose time ran out, as the return of what it held, item by item: it was told to have ended, its lock id
    was taken anew, or TTL removed it. Nothing where the record tells of nothing like it.

    Its balances gave the units back by themselves, whenever they were next written; this is when it is told.
    """
    change = record["dynamodb"]
    new, old = change.get("NewImage"), change.get("OldImage")
    if old is None or change["Keys"]["sk"]["S"] != keys.LOCK:
        return []
    item = _from_wire(old)
    lock = decode_lock(item)
    reservation = lock.reservation
    again = new is not None and new["state"] == old["state"] and new["expires_at"] != old["expires_at"]
    if lock.state != HELD or not (new is None or new["state"]["S"] == "expired" or again):
        return []
    environment = item["pk"]["S"].partition("#")[0]
    id, version = f"{reservation.id}-{reservation.created_at}-expired", reservation.expires_at
    at = int(change.get("ApproximateCreationDateTime", 0) * 1000)
    found = []
    for number, (key, moved) in enumerate(reservation.drawn_from):
        event = UseRecord(
            id,
            -reservation.held,
            -moved,
            reservation.expires_at,
            lock.key_id,
            reservation.properties,
            reservation.feature_id,
            reservation.entity_id or None,
            number > 0,
        )
        source = f"{keys.LOCK}#{reservation.id}"
        found.append(Change(environment, reservation.customer_id, key, version, None, None, event, at, source))
    return found


def _from_wire(image: Mapping[str, Any]) -> Item:
    """A stream's image holds binary values as base64 text; an item, as bytes."""
    return cast(
        "Item",
        {
            name: {"B": base64.b64decode(value["B"])} if isinstance(value.get("B"), str) else dict(value)
            for name, value in image.items()
        },
    )
