"""A balance that is near its limit: its key says which; when it resets the item is of no more use.

| attribute | type | holds |
|---|---|---|
| `ttl` | N | seconds; absent where the balance never changes by itself |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

NEAR_LIMIT = Layout("balance near its limit", 0)


def encode_near_limit(until: int | None) -> Item:
    """The attributes of a balance near its limit. `until` is epoch seconds."""
    return {**({} if until is None else {"ttl": {"N": str(until)}}), **NEAR_LIMIT.mark}


def decode_near_limit(item: Item) -> int | None:
    """Until when the item is of use, in epoch seconds; None where nothing ends it."""
    NEAR_LIMIT.version_of(item)
    return int(item["ttl"]["N"]) if "ttl" in item else None
