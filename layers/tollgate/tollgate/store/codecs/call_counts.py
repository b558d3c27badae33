"""How many calls of one key or customer all containers have told of in one window.

| attribute | type | holds |
|---|---|---|
| `calls` | N | calls |
| `ttl` | N | seconds |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

CALL_COUNT = Layout("count of calls", 0)


def encode_call_count(calls: int, ttl: int) -> Item:
    """The attributes of a count. `ttl` is epoch seconds."""
    return {"calls": {"N": str(calls)}, "ttl": {"N": str(ttl)}, **CALL_COUNT.mark}


def decode_call_count(item: Item) -> int:
    """How many calls were told of. Raises Unavailable where a newer release wrote the item."""
    CALL_COUNT.version_of(item)
    return int(item["calls"]["N"])
