"""Reads the records of the table's stream: what each write changed.

A balance item carries the last use that was counted (`event`). Where a record's new image has another event than its
old one, the write counted that use, or the several uses that the event lists.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tollgate.domain.balances import Balance, BalanceKey
from tollgate.domain.changes import BalanceWrite, Change, read_change
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.recorded_writes import NAMESPACE, PassedTime, RecordedLock, SubscriptionWrite
from tollgate.domain.reservations import HELD
from tollgate.domain.use_records import UseRecord
from tollgate.store import keys
from tollgate.store.codecs.balances import NO_ID, SLOTS, as_it_was, decode_balance
from tollgate.store.codecs.log import CALLED, LogEntry, decode_log_entry
from tollgate.store.codecs.reservations import decode_finalized
from tollgate.store.codecs.use_records import UNGRANTED_USE, decode_use_record
from tollgate.store.locks import decode_lock

if TYPE_CHECKING:
    from tollgate.store.table import Item

# Stands for the binary values of a balance item, which are base64 text in a stream's image and only needed to write.
_NO_IDS: Item = {name: {"B": NO_ID} for name in ("fence", *(f"s{number}" for number in range(SLOTS)))}
_NUMBERS = ("headroom", "ceiling", "spent")  # of a balance item: the fast path changes them
_MOVED_BY_FAST_WRITES = frozenset((*_NUMBERS, *_NO_IDS, "version", "event"))


def change_of(record: Mapping[str, Any]) -> Change | None:
    """What a write of a balance changed, or the ungranted use that a write recorded. None for any other record: of
    another item, of a fence, of an ungranted use that TTL removed.

    Raises KeyError, ValueError, AssertionError, ArithmeticError or a TollgateError where an image is not a balance
    item's.
    """
    recorded = record["dynamodb"]
    kind, _, rest = recorded["Keys"]["sk"]["S"].partition("#")
    kind += "#"
    if kind not in (keys.BALANCE, keys.USE):
        return None
    new, old = recorded.get("NewImage"), recorded.get("OldImage")
    if new is not None and "change" in new:
        return None  # a large change was staged on it: it stands as it was
    if old is not None and "change" in old:
        old = None if "made" in old else as_it_was(old)
        if new is not None and old is not None and _state(old) == _state(new):
            return None  # what was staged was undone, or kept it from being changed
    item = new or old
    if item is None or (new is None and kind == keys.USE):
        return None
    used = new is not None and (old is None or old.get("event") != new.get("event"))
    event = decode_use_record(new) if used and new is not None else None
    before = after = None
    if kind == keys.BALANCE:
        if new is not None and old is not None and old["version"] == new["version"]:
            return None
        before, after = _balances(old, new)
    else:
        UNGRANTED_USE.version_of(item)
        if event is None:
            return None
    feature_id, _, entity_id = rest.partition("#")
    environment, _, customer_id = item["pk"]["S"].split("#")
    write = BalanceWrite(
        Environment(environment),
        customer_id,
        BalanceKey(feature_id, entity_id),
        int(item["version"]["N"]),
        before,
        after,
        event,
        int(recorded.get("ApproximateCreationDateTime", 0) * 1000),
        "" if kind == keys.BALANCE else keys.USE,
    )
    return read_change(write)


def _balances(old: Item | None, new: Item | None) -> tuple[Balance | None, Balance | None]:
    """The balances of both images. Where the write changed only what the fast path changes, the rest is decoded
    once.
    """
    after = None if new is None else _decoded(new)
    if old is None or new is None or after is None or _without_numbers(old) != _without_numbers(new):
        return None if old is None else _decoded(old), after
    headroom, ceiling, spent = (Decimal(old[name]["N"]) for name in _NUMBERS)
    return after._replace(headroom=headroom, ceiling=ceiling, spent=spent), after


def _decoded(image: Item) -> Balance:
    return decode_balance({**image, **_NO_IDS}).balance


def _state(image: Item) -> Item:
    """What an image says besides the number of its write and the layout's."""
    return {name: value for name, value in image.items() if name not in ("version", "v")}


def _without_numbers(image: Item) -> Item:
    return {name: value for name, value in image.items() if name not in _MOVED_BY_FAST_WRITES}


def audit_entry(record: Mapping[str, Any]) -> LogEntry | None:
    """The entry of a log that was written with a change; None for a record of anything else.

    Raises KeyError or a TollgateError where the image is not an entry's.
    """
    partition, new = record["dynamodb"]["Keys"]["pk"]["S"].split("#"), record["dynamodb"].get("NewImage")
    if len(partition) < 2 or partition[1] not in ("log", "audit") or new is None:
        return None
    entry = decode_log_entry(new)
    return entry if entry.type == CALLED else None


def subscription_write(record: Mapping[str, Any]) -> SubscriptionWrite | None:
    """The write of a subscription; None for a record of anything else, or one without a change: an ended one that goes, apart
    (`store.ended`) or with its customer, is none.

    Raises KeyError, ValueError or a TollgateError where the image is not a subscription's.
    """
    change = record["dynamodb"]
    if not change["Keys"]["sk"]["S"].startswith(keys.SUBSCRIPTION):
        return None
    from tollgate.store.codecs.customers import decode_subscription  # few records have need of it

    before, after = (
        decode_subscription(image) if (image := change.get(name)) is not None else None
        for name in ("OldImage", "NewImage")
    )
    if before == after:
        return None
    pk = change["Keys"]["pk"]["S"]
    environment, _, customer_id = pk.split("#")
    id = uuid.uuid5(NAMESPACE, f"{pk}\n{change['Keys']['sk']['S']}\n{change['SequenceNumber']}")
    at = int(change.get("ApproximateCreationDateTime", 0) * 1000)
    if before is not None and after is None and before.expires_at is not None and before.expires_at <= at + 999:
        return None
    return SubscriptionWrite(str(id), Environment(environment), customer_id, before, after, at)


def passed_time(record: Mapping[str, Any]) -> PassedTime | None:
    """The note on a subscription that time has passed; None for a record of anything else.

    Raises KeyError, ValueError or a TollgateError where the image is not a subscription's.
    """
    change = record["dynamodb"]
    told, before = (change.get(image, {}).get("told", {}).get("SS", ()) for image in ("NewImage", "OldImage"))
    names = frozenset(told).difference(before)
    if not names or not change["Keys"]["sk"]["S"].startswith(keys.SUBSCRIPTION):
        return None
    from tollgate.store.codecs.customers import decode_subscription  # few records have need of it

    environment, _, customer_id = change["Keys"]["pk"]["S"].split("#")
    return PassedTime(Environment(environment), customer_id, decode_subscription(change["NewImage"]), names)


def recorded_lock(record: Mapping[str, Any]) -> RecordedLock | None:
    """The write of a reservation: made or finalized. None for a record of anything else, or of a removal by TTL.

    Raises KeyError, ValueError or ArithmeticError where the image is not a lock's.
    """
    change = record["dynamodb"]
    new, old = change.get("NewImage"), change.get("OldImage")
    if new is None or change["Keys"]["sk"]["S"] != keys.LOCK:
        return None
    item = new
    lock = decode_lock(item)
    if old is not None and (old["state"], old["expires_at"]) == (new["state"], new["expires_at"]):
        return None
    environment = Environment(item["pk"]["S"].partition("#")[0])
    id = uuid.uuid5(NAMESPACE, f"{item['pk']['S']}\n{lock.reservation.created_at}\n{lock.state}")
    finalized = decode_finalized(item)
    final, at = finalized or (None, lock.reservation.created_at)
    return RecordedLock(str(id), environment, lock, final, at)


def new_holders(records: Sequence[Mapping[str, Any]]) -> dict[CustomerRef, set[str]]:
    """The customers for whom balance items were created, with the features of those: events that waited for them may now
    be counted."""
    found: dict[CustomerRef, set[str]] = {}
    for record in records:
        key = record["dynamodb"]["Keys"]
        old = record["dynamodb"].get("OldImage", {})
        if (record["eventName"] == "INSERT" or "made" in old) and key["sk"]["S"].startswith(keys.BALANCE):
            environment, _, customer_id = key["pk"]["S"].split("#")
            feature_id = key["sk"]["S"].removeprefix(keys.BALANCE).partition("#")[0]
            found.setdefault(CustomerRef(Environment(environment), customer_id), set()).add(feature_id)
    return found


def lapsed_uses(record: Mapping[str, Any]) -> list[Change]:
    """The return of a reservation's units, one change for each balance, where the record shows that the reservation
    ended unconfirmed: its state became `expired`, its lock id was taken again, TTL removed it, or its customer was
    deleted. Empty for any other record.

    The units are returned as time passes, without a write of the balances, so the lock's record is the only trace of
    it. They are returned when it expired; with a deleted customer, at the deletion, before any customer that is made
    again under its id (management.md 4 (customers.delete)).
    """
    change = record["dynamodb"]
    new, old = change.get("NewImage"), change.get("OldImage")
    if old is None or change["Keys"]["sk"]["S"] != keys.LOCK:
        return []
    item = old
    lock = decode_lock(item)
    reservation = lock.reservation
    again = new is not None and new["state"] == old["state"] and new["expires_at"] != old["expires_at"]
    if lock.state != HELD or not (new is None or new["state"]["S"] == "expired" or again):
        return []
    environment = Environment(item["pk"]["S"].partition("#")[0])
    id, version = f"{reservation.id}-{reservation.created_at}-expired", reservation.expires_at
    at = int(change.get("ApproximateCreationDateTime", 0) * 1000)
    returned_at = reservation.returned_at(at if new is None and at else None)
    found = []
    for number, (key, moved) in enumerate(reservation.drawn_from):
        event = UseRecord(
            id,
            -reservation.held,
            -moved,
            returned_at,
            lock.key_id,
            reservation.properties,
            reservation.feature_id,
            reservation.entity_id or None,
            number > 0,
        )
        source = f"{keys.LOCK}#{reservation.id}"
        write = BalanceWrite(environment, reservation.customer_id, key, version, None, None, event, at, source)
        found.append(read_change(write))
    return found
