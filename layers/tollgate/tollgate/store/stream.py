"""The table's stream as the outbox: what a record says was used.

A balance item carries its last event, so a record whose event is not the one before it tells of one deduction.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from tollgate.domain.keys import Environment
from tollgate.domain.recorded import RecordedUse
from tollgate.store import keys
from tollgate.store.balance_items import decode, decode_event
from tollgate.store.locks import RecordedLock, decode_lock

if TYPE_CHECKING:
    from tollgate.store.table import Item

_NAMESPACE = uuid.UUID("6f1d6f0e-6d0b-5a53-9b0e-2f6b1c1f7d11")


def recorded_use(record: Mapping[str, Any]) -> RecordedUse | None:
    """What a stream record tells of; None where no use was counted (a grant, a fence, another item).

    Raises KeyError, ValueError, ArithmeticError or a TollgateError where the record's image is not a balance item's.
    """
    change = record["dynamodb"]
    new, old = change.get("NewImage"), change.get("OldImage")
    if new is None or not change["Keys"]["sk"]["S"].startswith("BALANCE#"):
        return None
    item = _from_wire(new)
    event = decode_event(item)
    if event is None or (old is not None and old.get("event") == new.get("event")):
        return None
    stored = decode(item)
    pk, sk = item["pk"]["S"], item["sk"]["S"]
    environment, _, customer_id = pk.split("#")
    id = uuid.uuid5(_NAMESPACE, f"{pk}\n{sk}\n{stored.version}\n{event.id}")
    entity_id = event.entity_id or stored.balance.place.entity_id or None
    return RecordedUse(str(id), environment, customer_id, entity_id, event, stored.balance)


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
    id = uuid.uuid5(_NAMESPACE, f"{item['pk']['S']}\n{lock.reservation.created_at}\n{lock.state}")
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


def _from_wire(image: Mapping[str, Any]) -> Item:
    """A stream's image holds binary values as base64 text; an item, as bytes."""
    return cast(
        "Item",
        {
            name: {"B": base64.b64decode(value["B"])} if isinstance(value.get("B"), str) else dict(value)
            for name, value in image.items()
        },
    )
