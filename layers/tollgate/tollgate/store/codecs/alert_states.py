"""Alert states: which limits and thresholds of a feature are passed, and which write raised the alert.

| attribute | type | holds |
|---|---|---|
| `w` and 16 hex digits | S | one alert, by the digest of its key: its state, a space, and the write that raised it |
| `ttl` | N | seconds |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

ALERT_STATES = Layout("alert state", 1)
_PREFIX = "w"


def encode_alert_state(state: str, cause: str) -> AttributeValueTypeDef:
    """The value of the attribute of one limit or threshold."""
    return {"S": f"{state} {cause}"}


def decode_alert_states(item: Item) -> dict[str, tuple[str, str]]:
    """The state and the cause of each alert, by attribute."""
    ALERT_STATES.version_of(item)
    texts = ((name, value["S"].partition(" ")) for name, value in item.items() if name.startswith(_PREFIX))
    return {name: (state, cause) for name, (state, _, cause) in texts}
