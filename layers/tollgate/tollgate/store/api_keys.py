"""API keys in the table: one item found by the key's hash, one in the list of its environment."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from tollgate.domain.api_keys import ApiKey
from tollgate.domain.environments import Environment
from tollgate.domain.errors import NotFound
from tollgate.store import keys
from tollgate.store.codecs.api_keys import decode_api_key, decode_key_use, encode_api_key, encode_key_use
from tollgate.store.table import Entries, Refused, Table, delete_existing, put_new


class ApiKeyStore:
    """The API keys of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def find(self, digest: str) -> ApiKey | None:
        """The key with this SHA-256 (hex); None where there is none or it was revoked."""
        item = self._table.get(keys.api_key(digest))
        return decode_api_key(item) if item else None

    def list(self, env: Environment) -> list[ApiKey]:
        """The environment's keys, the oldest first."""
        listed = [decode_api_key(item) for item in self._table.query(keys.api_key_partition(env))]
        return sorted(listed, key=lambda key: (key.created_at, key.id))

    def add(self, key: ApiKey, entries: Entries = ()) -> None:
        """Stores a new key: both items, and `entries`, in one transaction. Raises Unavailable or OutcomeUnknown."""
        item_keys = keys.api_key(key.digest), keys.api_key_listing(key.environment, key.id)
        writes = [put_new(self._table.name, {**item_key, **encode_api_key(key)}) for item_key in item_keys]
        self._table.transact([*writes, *entries], str(uuid.uuid4()))

    def revoke(self, env: Environment, key_id: str, entries: Callable[[ApiKey], Entries] = lambda _: ()) -> None:
        """Deletes a key; the `entries` of it are written with it. Raises NotFound. An authorizer may accept it for as long as
        it caches answers."""
        listing = keys.api_key_listing(env, key_id)
        item = self._table.get(listing)
        if item is None:
            raise NotFound("key", key_id)
        key = decode_api_key(item)
        deletes = [delete_existing(self._table.name, one) for one in (keys.api_key(key.digest), listing)]
        try:
            self._table.transact([*deletes, *entries(key)], str(uuid.uuid4()))
        except Refused as refused:
            raise NotFound("key", key_id) from refused

    def used(self, env: Environment, key_id: str, at: int) -> None:
        """Records that a key was used at `at` (epoch ms). Raises Unavailable."""
        item = {**keys.key_use(env, key_id), **encode_key_use(at)}
        self._table.repeated(self._table.client.put_item, TableName=self._table.name, Item=item)

    def uses(self, env: Environment) -> dict[str, int]:
        """When each of the environment's keys was used last (epoch ms), by the key's id; also of some that were revoked."""
        return {item["sk"]["S"]: decode_key_use(item) for item in self._table.query(keys.key_uses(env))}
