"""API keys: each in two items, by its hash and in its environment's list, with the same attributes.

| attribute | type | holds |
|---|---|---|
| `id`, `name`, `hint` | S | |
| `digest` | S | the key's SHA-256, hex |
| `environment` | S | `sandbox` or `live` |
| `scope` | S | `secret` or `publishable` |
| `created_at` | N | ms |
| `expires_at` | N | ms, from which on it opens nothing; absent: never |
| `v` | N | the layout's version |

When a key was used last is an item of its own, with `at` (N, ms) and `v`.
"""

from __future__ import annotations

from tollgate.domain.api_keys import ApiKey, Scope
from tollgate.domain.environments import Environment
from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

API_KEY = Layout("API key", 1)
KEY_USE = Layout("last use of an API key", 0)


def encode_api_key(key: ApiKey) -> Item:
    """The attributes of an API key, the same in both of its items."""
    return {
        "id": {"S": key.id},
        "digest": {"S": key.digest},
        "environment": {"S": key.environment.value},
        "scope": {"S": key.scope.value},
        "name": {"S": key.name},
        "hint": {"S": key.hint},
        "created_at": {"N": str(key.created_at)},
        **({} if key.expires_at is None else {"expires_at": {"N": str(key.expires_at)}}),
        **API_KEY.mark,
    }


def decode_api_key(item: Item) -> ApiKey:
    """The API key that an item holds."""
    API_KEY.version_of(item)
    return ApiKey(
        item["id"]["S"],
        item["digest"]["S"],
        Environment(item["environment"]["S"]),
        Scope(item["scope"]["S"]),
        item["name"]["S"],
        item["hint"]["S"],
        int(item["created_at"]["N"]),
        int(item["expires_at"]["N"]) if "expires_at" in item else None,
    )


def encode_key_use(at: int) -> Item:
    """The attributes of a key's last use, at `at` (epoch ms)."""
    return {"at": {"N": str(at)}, **KEY_USE.mark}


def decode_key_use(item: Item) -> int:
    """When the key was used last, in epoch ms."""
    KEY_USE.version_of(item)
    return int(item["at"]["N"])
