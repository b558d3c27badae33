"""What the bus was told of a customer other than uses, which the history has; and each alert once more, in a list of
all customers' alerts.

| attribute | type | holds |
|---|---|---|
| `type` | S | the event's type, such as `balance.reset` |
| `detail` | S | the event's content as JSON: docs/events |
| `ttl` | N | seconds |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from typing import NamedTuple

from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

LOG_ENTRY = Layout("log entry", 0)
CALLED = "api.called"  # the type of an entry that was written with a change: the stream tells the bus of it


class LogEntry(NamedTuple):
    """An event: its `type`, and its content as JSON."""

    type: str
    detail: str


def encode_log_entry(entry: LogEntry, ttl: int) -> Item:
    """The attributes of a log entry. `ttl` is epoch seconds."""
    return {
        "type": {"S": entry.type},
        "detail": {"S": entry.detail},
        "ttl": {"N": str(ttl)},
        **LOG_ENTRY.mark,
    }


def decode_log_entry(item: Item) -> LogEntry:
    """The log entry that an item holds."""
    LOG_ENTRY.version_of(item)
    return LogEntry(item["type"]["S"], item["detail"]["S"])
