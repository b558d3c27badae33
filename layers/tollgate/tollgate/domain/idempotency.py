"""Idempotency keys: a call that is repeated under the same key counts once."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

DAY_MS = 86_400_000
KEPT_MS = DAY_MS  # Autumn's 24 hours (autumn.md 3.10)
QUEUED_KEPT_MS = 45 * DAY_MS  # longer than a message lives in the queue and the dead-letter queue together


class IdempotencyKey(NamedTuple):
    """A key under which a use or an event counts once.

    - `scope`: where the key comes from (`header`, `track`, `queue`, `reported`, `event`). The same text in two scopes
      makes two keys.
    - `text`: the key as it was sent.
    - `kept_ms`: how long it is remembered after its use, in milliseconds.
    - `about`: stored with the key: the customer of an event, so that a caller can ask whether the event was received;
      or the value from which a repeated call makes its ids (`Idempotency.seed`).
    """

    scope: str
    text: str
    kept_ms: int = KEPT_MS
    about: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of scope and text in hex: what the key is stored under."""
        return hashlib.sha256(f"{self.scope}\n{self.text}".encode()).hexdigest()
