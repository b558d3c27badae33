"""Calls whose idempotency key no balance write stores: the key is claimed before the call, and kept or freed after
it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from tollgate.domain.environments import Environment
from tollgate.domain.errors import DuplicateRequest, OutcomeUnknown, Unavailable
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.store.idempotency import IdempotencyStore

T = TypeVar("T")


class Idempotency:
    """The use cases around idempotency keys. `now` is epoch ms."""

    def __init__(self, store: IdempotencyStore) -> None:
        self._store = store

    def guarded(self, env: Environment, keys: Sequence[IdempotencyKey], now: int, call: Callable[[], T]) -> T:
        """Runs `call` under these keys and returns its result. A failed call frees its keys, so it can be repeated
        (autumn.md 3.10).

        Raises what the call raises, DuplicateRequest where a key is in use, or Unavailable; OutcomeUnknown where the
        call was done, and its keys may be forgotten early.
        """
        claimed: list[IdempotencyKey] = []
        try:
            for key in keys:
                if not self._store.claim(env, key, now):
                    raise DuplicateRequest
                claimed.append(key)
            result = call()
        except BaseException:
            for key in claimed:
                with suppress(Unavailable):  # the call's own error is what the caller must know; a claim ends by itself
                    self._store.release(env, key)
            raise
        try:
            for key in claimed:
                self._store.keep(env, key, now)
        except Unavailable as error:
            raise OutcomeUnknown(
                "It was done, but its idempotency key may be forgotten early: do not repeat it"
            ) from error
        return result

    def seed(self, env: Environment, key: IdempotencyKey, now: int) -> uuid.UUID:
        """The value from which a call under a claimed key makes its ids: the same for repeats of the call, also after a
        failure.

        Raises Unavailable or OutcomeUnknown; a repeat then finds the value or stores one.
        """
        return self._store.seed(env, key, now)
