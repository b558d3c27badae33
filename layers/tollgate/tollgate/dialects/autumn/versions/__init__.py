"""API versions (autumn.md 1.1, 1.4): the header, and the answers of older ones as translations of the newest.

Every answer is made in the newest shape. An older version is a chain of small steps back from it, one module each:
2.5 → 2.3 (`v2_3`) → 2.0 (`v2_0`) → 1.2 (`v1_2`). A module is imported when a caller asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from tollgate.domain.errors import TollgateError

Version = tuple[int, int]

NEWEST: Version = (2, 5)
CURSORS: Version = (2, 3)  # lists are paged by cursor from here on
PLANS: Version = (2, 0)  # plans and subscriptions, from here on; products before
FLAGS: Version = (2, 1)  # flags beside balances, and unknown customers are refused, from here on

_SERVED: tuple[Version, ...] = ((1, 1), (1, 2), (1, 4), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4), (2, 5))
_DATED: dict[str, Version] = {
    "2025-05-05": (1, 2),
    "2026-03-16": (2, 0),
    "2026-03-17": (2, 1),
    "2026-03-18": (2, 2),
    "2026-05-13": (2, 3),
}
_SPELLED: dict[str, Version] = {"2": (2, 0), "1": (1, 2), "beta": (1, 4)} | {
    spelling: version
    for version in _SERVED
    for spelling in (f"{version[0]}.{version[1]}", f"{version[0]}.{version[1]}.0")
}
_VERSIONS = _SPELLED | _DATED | {f"{date}.clover": version for date, version in _DATED.items()}
_STEPS: tuple[tuple[Version, str], ...] = (((2, 5), "v2_3"), ((2, 1), "v2_0"), ((2, 0), "v1_2"))


class UnknownVersion(TollgateError):
    """The header names no version that is served."""

    def __init__(self, value: str) -> None:
        super().__init__(f"Invalid API version: {value[:40]!r}. Use 1.2.0, 2.0.0, or 2.1.0 to 2.5.0")


def version_of(header: str | None) -> Version:
    """The version asked for; raises UnknownVersion."""
    if header is None:
        return NEWEST
    version = _VERSIONS.get(header.strip())
    if version is None:
        raise UnknownVersion(header)
    return version


def translated(version: Version, kind: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Turns the newest answer of a kind (check, track, customer, entity, ...) into that of `version`.

    Each step's module has a function named after the kind, where it has something to change. Keys that begin with `_`
    are for the steps alone, and are taken out in the end.
    """
    for newer, name in _STEPS:
        if version >= newer:
            break
        module = import_module(f"{__name__}.{name}")
        step = cast("Callable[[dict[str, Any]], dict[str, Any]] | None", getattr(module, kind, None))
        if step is not None:
            answer = step(answer)
    return _shown(answer)


def _shown(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without the keys that were for the steps alone, here and in lists."""
    return {
        name: [_shown(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else value
        for name, value in answer.items()
        if not name.startswith("_")
    }
