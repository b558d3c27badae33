"""Reading, deciding and writing again where something changed in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tollgate.domain.errors import Unavailable

T = TypeVar("T")


def until_written(turns: Iterable[int], attempt: Callable[[int], T | None], otherwise: str) -> T:
    """What `attempt` answers, as soon as it answers anything.

    An attempt gets its number, reads, decides and writes; None says that what it read had changed when it wrote, so
    that nothing was written. `turns` counts the attempts and pauses between them (`store.table.Table.tries`). Raises
    Unavailable, in the words of `otherwise`, when they are over.
    """
    for turn in turns:
        answer = attempt(turn)
        if answer is not None:
            return answer
    raise Unavailable(otherwise)
