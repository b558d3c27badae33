"""The version of an item's layout, in the attribute `v` (N). An item without it was written before versions existed and
has version 0.

An item whose version is newer than this code is not read: the caller may try again, and reaches a function that knows
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.errors import Unavailable

if TYPE_CHECKING:
    from tollgate.store.table import Item

ATTRIBUTE = "v"


class Layout(NamedTuple):
    """How one kind of item is stored: `version` is written; it and all versions before it are read.

    `reads`: the newest version that is read, where that is more than `version`. So one release can read a layout before
    the next one writes it.
    """

    kind: str
    version: int
    reads: int = 0

    @property
    def mark(self) -> Item:
        """The attribute that holds the version."""
        return {ATTRIBUTE: {"N": str(self.version)}}

    def version_of(self, item: Mapping[str, Any]) -> int:
        """The version of an item. Raises Unavailable where it is newer than this code reads."""
        return self.known(int(item[ATTRIBUTE]["N"])) if ATTRIBUTE in item else 0

    def known(self, version: int) -> int:
        """Returns `version`. Raises Unavailable where it is newer than this code reads."""
        if version > self.version and version > self.reads:
            raise Unavailable(
                f"A newer release of Tollgate wrote this {self.kind} (its layout is {version}): try again"
            )
        return version
