"""Idempotency keys. The item's key is the digest of the caller's.

| attribute | type | holds |
|---|---|---|
| `kept_until` | N | ms: until then the key is in use |
| `about` | S | an event's customer, or what a repeated call makes ids from; absent where there is neither |
| `ttl` | N | seconds |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

IDEMPOTENCY_KEY = Layout("idempotency key", 1)


def encode_idempotency_key(kept_until: int, about: str, ttl: int) -> Item:
    """The attributes of a key. `kept_until` is epoch ms, `ttl` epoch seconds."""
    told: Item = {"about": {"S": about}} if about else {}
    return {"kept_until": {"N": str(kept_until)}, "ttl": {"N": str(ttl)}, **told, **IDEMPOTENCY_KEY.mark}


def decode_idempotency_key(item: Item) -> tuple[int, str]:
    """Until when the key is in use (epoch ms), and its `about`."""
    IDEMPOTENCY_KEY.version_of(item)
    return int(item["kept_until"]["N"]), item["about"]["S"] if "about" in item else ""
