"""API keys: what a caller may do, and where. A key is stored only as its SHA-256."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import NamedTuple

from tollgate.domain.environments import Environment
from tollgate.domain.errors import Forbidden


class Scope(StrEnum):
    """A secret key may do everything; a publishable key may read a check and nothing else."""

    SECRET = "secret"
    PUBLISHABLE = "publishable"


class ApiKey(NamedTuple):
    """A key as it is stored: `digest` is its SHA-256, `hint` its first and last characters, by which people recognise
    it. `created_at` is epoch ms, as `expires_at` is, from which on the key opens nothing (None: it does not expire).
    """

    id: str
    digest: str
    environment: Environment
    scope: Scope
    name: str
    hint: str
    created_at: int
    expires_at: int | None = None

    def is_expired(self, now: int) -> bool:
        """Whether the key opens nothing any more at `now` (epoch ms)."""
        return self.expires_at is not None and self.expires_at <= now


class Caller(NamedTuple):
    """The environment, scope and id of the API key that a call was made with."""

    environment: Environment
    scope: Scope
    key_id: str

    def require_secret(self, what: str) -> None:
        """Raises Forbidden where the key is not a secret one. `what` says in the message what it may not do."""
        if self.scope is not Scope.SECRET:
            raise Forbidden(f"A publishable key cannot {what}: use a secret key")


def digest(key: str) -> str:
    """A key's SHA-256 in hex. A key has 256 random bits, so a slow hash would protect no better."""
    return hashlib.sha256(key.encode()).hexdigest()


def mint(environment: Environment, scope: Scope, secret: str) -> str:
    """The key's text: `am_sk_test_…` or `am_pk_live_…`, as Autumn writes them."""
    kind = "sk" if scope is Scope.SECRET else "pk"
    return f"am_{kind}_{'test' if environment is Environment.SANDBOX else 'live'}_{secret}"


def hint(key: str) -> str:
    """The first 11 and the last 4 characters of a key."""
    return f"{key[:11]}…{key[-4:]}"
