"""Calls under an idempotency key that no balance write carries: claimed before, kept or given back after."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tollgate.dialects.http import Answer, Request
from tollgate.domain.errors import DuplicateRequest
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.store.idempotency import IdempotencyStore


def guarded(
    store: IdempotencyStore | None, request: Request, keys: Sequence[IdempotencyKey], call: Callable[[], Answer]
) -> Answer:
    """The call's answer; raises DuplicateRequest where a key is in use. A failed call gives its keys back (3.10)."""
    assert store is not None
    env = request.caller.environment
    claimed: list[IdempotencyKey] = []
    done = False
    try:
        for key in keys:
            if not store.claim(env, key, request.now):
                raise DuplicateRequest
            claimed.append(key)
        answer = call()
        done = True
    finally:
        for key in claimed:
            if done:
                store.keep(env, key, request.now)
            else:
                store.release(env, key)
    return answer
