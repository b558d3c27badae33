"""Due times: what is to be sent when its time comes.

| attribute | type | holds |
|---|---|---|
| `message` | S | the message for the usage queue |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

DUE_TIME = Layout("due time", 0)


def encode_due_time(message: str) -> Item:
    """The attributes of a due time."""
    return {"message": {"S": message}, **DUE_TIME.mark}


def decode_due_time(item: Item) -> str:
    """The message that is to be sent."""
    DUE_TIME.version_of(item)
    return item["message"]["S"]
