"""The `x-api-version` header (autumn.md 1.1): full, partial, dated and floating spellings; absent means the newest."""

from __future__ import annotations

from tollgate.domain.errors import TollgateError

Version = tuple[int, int]

NEWEST: Version = (2, 5)
OLDEST: Version = (2, 1)

_DATED = {"2026-03-17": (2, 1), "2026-03-18": (2, 2), "2026-05-13": (2, 3)}
_SPELLED: dict[str, Version] = {"2": NEWEST} | {
    spelling: (2, minor) for minor in range(OLDEST[1], NEWEST[1] + 1) for spelling in (f"2.{minor}", f"2.{minor}.0")
}
_VERSIONS = _SPELLED | _DATED | {f"{date}.clover": version for date, version in _DATED.items()}


class UnknownVersion(TollgateError):
    """The header names no version that is served."""

    def __init__(self, value: str) -> None:
        super().__init__(
            f"Invalid API version: {value[:40]!r}. Use {OLDEST[0]}.{OLDEST[1]}.0 to {NEWEST[0]}.{NEWEST[1]}.0"
        )


def version_of(header: str | None) -> Version:
    """The version asked for; raises UnknownVersion."""
    if header is None:
        return NEWEST
    version = _VERSIONS.get(header.strip())
    if version is None:
        raise UnknownVersion(header)
    return version
