"""The record of a change that is larger than one transaction (`store.large_changes`).

| attribute | type | holds |
|---|---|---|
| `state` | S | `open`, then `done` or `undone` |
| `until` | N | ms: how long an open one is left alone; its writer renews it |
| `ttl` | N | seconds; absent while balances may have it staged |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollgate.store.codecs.layout import Layout

if TYPE_CHECKING:
    from tollgate.store.table import Item

LARGE_CHANGE = Layout("large change", 0)


def encode_large_change(state: str, until: int) -> Item:
    """The attributes of a change's record. `until` is epoch ms."""
    return {"state": {"S": state}, "until": {"N": str(until)}, **LARGE_CHANGE.mark}


def decode_large_change(item: Item) -> tuple[str, int]:
    """A change's state, and until when it is left alone (epoch ms)."""
    LARGE_CHANGE.version_of(item)
    return item["state"]["S"], int(item["until"]["N"])
