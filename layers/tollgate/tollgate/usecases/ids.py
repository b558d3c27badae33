"""Ids that are made at random."""

from __future__ import annotations

import uuid


def new_id(kind: str) -> str:
    """An id that nothing has yet: `kind`, an underscore and 32 hex digits."""
    return f"{kind}_{uuid.uuid4().hex}"
