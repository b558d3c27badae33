"""The time of a customer's test clock, read alone: most functions need nothing else of a customer."""

from __future__ import annotations

from tollgate.exact_json import loads
from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

CUSTOMER = Layout("customer", 1)


def decode_frozen_time(item: Item) -> int | None:
    """The time of the customer's test clock (epoch ms); None where it has none."""
    CUSTOMER.version_of(item)
    frozen: int | None = loads(item["data"]["S"]).get("frozen_time")
    return frozen
