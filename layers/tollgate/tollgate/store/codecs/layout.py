"""The version of an item's layout, in the attribute `v` (N). An item without it was written before there were versions:
it has version 0.

An item of a version that is not known yet is not read: whoever asks may try again, and finds a function that knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tollgate.domain.errors import Unavailable

if TYPE_CHECKING:
    from tollgate.store.table import Item

ATTRIBUTE = "v"


class Layout(NamedTuple):
    """How one kind of item is stored: `version` is written, it and all before it are read.

    `reads`, where it is more: the newest that is read. So a release can read a layout before any release writes it.
    """

    kind: str
    version: int
    reads: int = 0

    @property
    def mark(self) -> Item:
        """The attribute that says which layout an item has."""
        return {ATTRIBUTE: {"N": str(self.version)}}

    def version_of(self, item: Mapping[str, Any]) -> int:
        """The version of an item. Raises Unavailable where it is newer than this code."""
        return self.known(int(item[ATTRIBUTE]["N"])) if ATTRIBUTE in item else 0

    def known(self, version: int) -> int:
        """`version`. Raises Unavailable where it is newer than this code."""
        if version > self.version and version > self.reads:
            raise Unavailable(
                f"A newer release of Tollgate wrote this {self.kind} (its layout is {version}): try again"
            )
        return version
