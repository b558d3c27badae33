"""Idempotency keys: what makes a call that is repeated count once."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

DAY_MS = 86_400_000
KEPT_MS = DAY_MS  # Autumn's 24 hours (autumn.md 3.10)
QUEUED_KEPT_MS = 45 * DAY_MS  # longer than a message lives in the queue and the dead-letter queue together


class IdempotencyKey(NamedTuple):
    """A key that a use or an event is counted under once.

    `scope`: where the key comes from (`header`, `track`, `queue`, `reported`, `event`); equal texts of two scopes are two keys.
    `text`: the key as it was sent.
    `kept_ms`: how long it is remembered after its use, in milliseconds.
    `about`: what is stored with it: the customer of an event, so that one can ask whether it was received; or what the ids
    of a repeated call are made from (`Idempotency.seed`).
    """

    scope: str
    text: str
    kept_ms: int = KEPT_MS
    about: str = ""

    @property
    def digest(self) -> str:
        """The SHA-256 of scope and text in hex: what the key is stored under."""
        return hashlib.sha256(f"{self.scope}\n{self.text}".encode()).hexdigest()
