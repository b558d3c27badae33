"""Stream records as DynamoDB makes them of balance items."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypedDict, Unpack

from tollgate.domain.balances import Balance, BalanceKey, recomputed
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.grants import Grant
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.use_records import UseRecord
from tollgate.store import keys
from tollgate.store.codecs.balances import new_item
from tollgate.store.codecs.use_records import encode_use_record

SANDBOX = Environment.SANDBOX
NOW = 1_767_225_600_000  # 2026-01-01
MONTH_END = 1_769_904_000_000
MESSAGES = BalanceKey("messages")


def monthly(granted: int, id: str = "sub_1:0", **more: Any) -> Grant:
    """A grant of the plan `pro` that resets with the month."""
    return Grant(
        id,
        "pro",
        "sub_1",
        Decimal(granted),
        reset=Reset(Interval.MONTH),
        anchor=NOW,
        next_reset_at=MONTH_END,
        **more,
    )


def balance_of(key: BalanceKey, grants: Iterable[Grant]) -> Balance:
    """A balance of these grants, nothing spent, without limits or links."""
    return recomputed(Balance(key, tuple(grants)))


def held(*grants: Grant, key: BalanceKey = MESSAGES) -> Balance:
    return balance_of(key, grants)


def spent(balance: Balance, amount: int | str | Decimal) -> Balance:
    """The balance after a fast write."""
    v = Decimal(amount)
    return balance._replace(headroom=balance.headroom - v, ceiling=balance.ceiling - v, spent=balance.spent + v)


def with_limits(balance: Balance, **limits: Any) -> Balance:
    return recomputed(balance._replace(limits=balance.limits._replace(**limits)))


def used(id: str, value: int | str, at: int = NOW + 500, **more: Any) -> UseRecord:
    return UseRecord(id, Decimal(value), more.pop("drawn", Decimal(value)), at, "key_test", **more)


class RecordOptions(TypedDict, total=False):
    """What else a record may say."""

    old_event: UseRecord | None  # the use that the old image remembers
    customer: str  # else `c1`
    at: int  # when the write was made, in epoch ms; else a second after NOW


def record(
    before: Balance | None,
    after: Balance | None,
    version: int,
    event: UseRecord | None = None,
    **more: Unpack[RecordOptions],
) -> dict[str, Any]:
    """The record of a write that made `version` of the item."""
    old_event, customer, at = more.get("old_event"), more.get("customer", "c1"), more.get("at", NOW + 1000)
    balance = after or before
    assert balance
    key = keys.balance(CustomerRef(SANDBOX, customer), balance.key)
    images: dict[str, Any] = {}
    if before is not None:
        images["OldImage"] = _image(key, before, version - 1, old_event)
    if after is not None:
        images["NewImage"] = _image(key, after, version, event or old_event)
    return {
        "eventID": f"{customer}-{version}",
        "eventName": "MODIFY" if len(images) == 2 else "INSERT" if after else "REMOVE",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": at / 1000,
            "Keys": key,
            "SequenceNumber": str(version),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **images,
        },
    }


def _image(key: keys.Key, balance: Balance, version: int, event: UseRecord | None) -> dict[str, Any]:
    item = new_item(dict(key), balance, version)
    if event is not None:
        item["event"] = {"S": encode_use_record(event)}
    wire: dict[str, Any] = {}
    for name, value in item.items():
        binary: Any = value.get("B")
        wire[name] = dict(value) if binary is None else {"B": base64.b64encode(binary).decode()}
    return wire


def uses(balance: Balance, values: list[int], customer: str = "c1", start: int = 2) -> list[dict[str, Any]]:
    """The records of one fast write after another, from version `start`."""
    records = []
    last: UseRecord | None = None
    for number, value in enumerate(values):
        event = used(f"use-{customer}-{start + number}", value)
        after = spent(balance, value)
        records.append(record(balance, after, start + number, event, old_event=last, customer=customer))
        balance, last = after, event
    return records
