"""Random ids."""

from __future__ import annotations

import uuid


def new_id(kind: str) -> str:
    """A new random id: `kind`, an underscore and 32 hex digits."""
    return f"{kind}_{uuid.uuid4().hex}"
