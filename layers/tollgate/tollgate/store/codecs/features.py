"""Features. Every check whose cached catalog is too old reads them, so this module imports little.

| attribute | type | holds |
|---|---|---|
| `data` | S | JSON, below |
| `v` | N | the layout's version |

| field of `data` | type | holds |
|---|---|---|
| `id`, `name` | string | |
| `type` | string | `boolean`, `metered`, `credit_system` or `static` |
| `consumable` | bool | whether usage resets |
| `event_names` | array | the events that are uses of it |
| `credit_schema` | array | of a credit system: pairs of a member and what one unit of it costs, in the system's units |
| `display`, `extra` | object | what only dialects show |
| `archived` | bool | |
| `created_at` | number | ms |
"""

from __future__ import annotations

from decimal import Decimal

from tollgate.domain.features import Feature, FeatureType
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

FEATURE = Layout("feature", 1)


def encode_feature(feature: Feature) -> Item:
    """The attributes of a feature."""
    data = {
        "id": feature.id,
        "name": feature.name,
        "type": feature.type.value,
        "consumable": feature.consumable,
        "event_names": list(feature.event_names),
        "credit_schema": [list(pair) for pair in feature.credit_schema],
        "display": dict(feature.display),
        "extra": dict(feature.extra),
        "archived": feature.archived,
        "created_at": feature.created_at,
    }
    return {"data": {"S": dumps(data)}, **FEATURE.mark}


def decode_feature(item: Item) -> Feature:
    """The feature that an item holds."""
    FEATURE.version_of(item)
    data = loads(item["data"]["S"])
    get = data.get
    return Feature(
        data["id"],
        data["name"],
        FeatureType(data["type"]),
        get("consumable", True),
        tuple(get("event_names", ())),
        tuple((member, Decimal(cost)) for member, cost in get("credit_schema", ())),
        get("display", {}),
        get("extra", {}),
        get("archived", False),
        get("created_at", 0),
    )
