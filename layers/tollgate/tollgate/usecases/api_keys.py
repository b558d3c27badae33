"""API keys: created, listed, revoked, and found by their text."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from tollgate.domain import api_keys
from tollgate.domain.api_keys import ApiKey, Scope
from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput, Unavailable
from tollgate.store.api_keys import ApiKeyStore
from tollgate.store.table import Entries
from tollgate.usecases.audit import NO_AUDIT, Audit, Changed
from tollgate.usecases.ids import new_id

REMEMBERED_SECONDS = 30.0  # a key that was revoked is taken so much longer; API Gateway itself caches for a minute
MOST_REMEMBERED = 1_000
USE_NOTED_MS = 3_600_000  # a container notes at most once in so long that a key is used


class ApiKeys:
    """The use cases around API keys. `now` is epoch ms."""

    def __init__(self, store: ApiKeyStore, audit: Audit = NO_AUDIT) -> None:
        self._store = store
        self._audit = audit
        self._known: dict[str, tuple[ApiKey, float]] = {}  # by digest: the key, and until when it is taken for valid
        self._noted: dict[str, int] = {}  # by id: when it was last noted that the key is used

    def find(self, text: str) -> ApiKey | None:
        """The key with this text; None where there is none or it was revoked. One read."""
        return self._store.find(api_keys.digest(text)) if text else None

    def remembered(self, text: str, clock: Callable[[], float] = time.monotonic) -> ApiKey | None:
        """The same, without a read where the key was found in the last REMEMBERED_SECONDS. A wrong key is looked up each
        time.
        """
        digest, now = api_keys.digest(text), clock()
        known, until = self._known.get(digest, (None, now))
        if known is not None and now < until:
            return known
        self._known.pop(digest, None)
        found = self.find(text)
        if found is not None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[digest] = (found, now + REMEMBERED_SECONDS)
        return found

    def create(
        self,
        env: Environment,
        scope: Scope,
        name: str,
        now: int,
        expires_at: int | None = None,
    ) -> tuple[ApiKey, str]:
        """Creates a key; returns it and its text, which is stored nowhere and cannot be read again.

        Raises InvalidInput where it would have expired already.
        """
        if expires_at is not None and expires_at <= now:
            raise InvalidInput("expires_at", "must be in the future")
        text = api_keys.mint(env, scope, secrets.token_urlsafe(32))
        key = ApiKey(new_id("key"), api_keys.digest(text), env, scope, name, api_keys.hint(text), now, expires_at)
        self._store.add(key, self._audit.entry(env, lambda _: [Changed("api_key", key.id, None, key)]))
        return key, text

    def list(self, env: Environment) -> list[ApiKey]:
        """The environment's keys, the oldest first."""
        return self._store.list(env)

    def uses(self, env: Environment) -> dict[str, int]:
        """When each of the environment's keys was used last (epoch ms, an hour more or less), by the key's id."""
        return self._store.uses(env)

    def note_use(self, key: ApiKey, now: int, aside: Callable[[Callable[[], None]], None]) -> None:
        """Notes that a key is used, at most once an hour for each container. `aside` makes the write, so that no caller
        waits for it; one that fails is made again with the next call."""
        if now - self._noted.get(key.id, -USE_NOTED_MS) < USE_NOTED_MS:
            return
        if len(self._noted) >= MOST_REMEMBERED:
            self._noted.clear()
        self._noted[key.id] = now

        def note() -> None:
            try:
                self._store.used(key.environment, key.id, now)
            except Unavailable:
                self._noted.pop(key.id, None)

        aside(note)

    def revoke(self, env: Environment, key_id: str) -> None:
        """Deletes a key. Raises NotFound."""

        def entries(key: ApiKey) -> Entries:
            return self._audit.entry(env, lambda _: [Changed("api_key", key.id, key, None)])

        self._store.revoke(env, key_id, entries)
