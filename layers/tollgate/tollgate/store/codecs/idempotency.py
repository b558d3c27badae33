"""Idempotency keys. The item's key is the digest of the caller's.

| attribute | type | holds |
|---|---|---|
| `kept_until` | N | ms: until then the key is in use |
| `about` | S | what whoever asks is told (a customer, or what a repeated call goes on with); absent where there is nothing |
| `ttl` | N | seconds |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

IDEMPOTENCY_KEY = Layout("idempotency key", 1)


def encode_idempotency_key(kept_until: int, about: str, ttl: int) -> Item:
    """`kept_until` in ms, `ttl` in seconds."""
    told: Item = {"about": {"S": about}} if about else {}
    return {"kept_until": {"N": str(kept_until)}, "ttl": {"N": str(ttl)}, **told, **IDEMPOTENCY_KEY.mark}


def decode_idempotency_key(item: Item) -> tuple[int, str]:
    """Until when it is kept (ms), and what it is about."""
    IDEMPOTENCY_KEY.version_of(item)
    return int(item["kept_until"]["N"]), item["about"]["S"] if "about" in item else ""
