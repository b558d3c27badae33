"""Identifiers: what the caller may choose, and the time-ordered ids that Tollgate makes.

A caller's id is 1 to 256 visible ASCII characters without `#`, which separates the parts of a table key: two
different ids can therefore never share an item.
"""

from __future__ import annotations

import re
import uuid

from tollgate.domain.errors import InvalidInput

_ALLOWED = re.compile(r'[!"$-~]{1,256}').fullmatch
RULE = "must be 1 to 256 visible ASCII characters other than '#'"


def is_id(value: str) -> bool:
    """Whether a caller may use this text as an id."""
    return _ALLOWED(value) is not None


def checked_id(value: str, field: str) -> str:
    """Returns `value`. Raises InvalidInput, naming `field`, where it cannot be an id."""
    if _ALLOWED(value) is None:
        raise InvalidInput(field, RULE)
    return value


def time_ordered_id(now_ms: int, random: bytes) -> bytes:
    """A UUIDv7 (RFC 9562) as its 16 bytes, which sort by time: 48 bits of `now_ms` (epoch ms), then 74 bits of
    `random`.
    """
    raw = bytearray(now_ms.to_bytes(6, "big") + random[:10])
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return bytes(raw)


def id_time(id: bytes) -> int:
    """The time at which a time-ordered id was made (epoch ms)."""
    return int.from_bytes(id[:6], "big")


def id_text(id: bytes) -> str:
    """A time-ordered id as callers see it: the UUID's canonical text."""
    return str(uuid.UUID(bytes=id))


_LOTUS = uuid.UUID("0f3c1c1e-2a0e-5b43-8a54-5f1d3c0f7a10")


_IN_LOTUS_FORM = re.compile(r"(?:metric|feature)_([0-9a-f]{32})").fullmatch


def lotus_ids(environment: str, feature_id: str) -> tuple[str, str]:
    """A feature's metric id and feature id in Lotus's form: one UUIDv5 of environment and feature (management.md 2). One
    that was brought in from Lotus has its id there as its own, and keeps it."""
    if own := _IN_LOTUS_FORM(feature_id):
        return f"metric_{own[1]}", f"feature_{own[1]}"
    digest = uuid.uuid5(_LOTUS, f"{environment}\n{feature_id}").hex
    return f"metric_{digest}", f"feature_{digest}"
