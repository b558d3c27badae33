"""What happened in a minute: uses as the stream told of them, denials as functions counted them.

| attribute | type | holds |
|---|---|---|
| `u#<feature>` | N | uses that were counted |
| `d#<reason>#<feature>` | N | checks and uses that were denied, by reason |
| `behind` | N | ms: how old the oldest record of the stream's last batch was when it was done |
| `read_at` | N | ms: when that was |
| `ttl` | N | seconds |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

MINUTE = Layout("minute's activity", 0)
_USE, _DENIAL = "u#", "d#"


class Lag(NamedTuple):
    """How far behind the stream's consumer was (`behind_ms`) when it was done with its last batch (`read_at`, epoch
    ms)."""

    behind_ms: int
    read_at: int


class Minute(NamedTuple):
    """The activity of one minute, which starts at `at` (epoch ms): uses by feature, denials by feature and reason."""

    at: int
    uses: Counter[str]
    denials: Counter[tuple[str, str]]
    lag: Lag | None


def use_attribute(feature_id: str) -> str:
    """The attribute that counts the uses of a feature."""
    return f"{_USE}{feature_id}"


def denial_attribute(feature_id: str, reason: str) -> str:
    """The attribute that counts what was denied of a feature for this reason."""
    return f"{_DENIAL}{reason}#{feature_id}"


def encode_minute(minute: Minute, ttl: int) -> Item:
    """The attributes of a minute. `ttl` is epoch seconds."""
    counts = {use_attribute(feature_id): count for feature_id, count in minute.uses.items()}
    counts |= {denial_attribute(*which): count for which, count in minute.denials.items()}
    lag = {} if minute.lag is None else {"behind": minute.lag.behind_ms, "read_at": minute.lag.read_at}
    return {**{name: {"N": str(value)} for name, value in {**counts, **lag, "ttl": ttl}.items()}, **MINUTE.mark}


def decode_minute(item: Item) -> Minute:
    """The minute that an item holds; its time is in the item's key."""
    MINUTE.version_of(item)
    uses: Counter[str] = Counter()
    denials: Counter[tuple[str, str]] = Counter()
    for name, value in item.items():
        if name.startswith(_USE):
            uses[name.removeprefix(_USE)] = int(value["N"])
        elif name.startswith(_DENIAL):
            reason, _, feature_id = name.removeprefix(_DENIAL).partition("#")
            denials[feature_id, reason] = int(value["N"])
    lag = Lag(int(item["behind"]["N"]), int(item["read_at"]["N"])) if "behind" in item else None
    return Minute(int(item["sk"]["S"]), uses, denials, lag)
