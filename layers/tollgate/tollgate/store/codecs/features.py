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
| `lots` | object | by member, how many units its cost is of, where it is not one; absent where there are none |
| `display`, `extra` | object | what only dialects show |
| `archived` | bool | |
| `created_at` | number | ms |

Beside them lies how often they have changed (`changes`, N), and, where they are many, one item with all of them as they
were after so many `changes`: `features` (B) is the zlib-compressed JSON array of their `data`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tollgate.domain.features import Feature, FeatureType
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

FEATURE = Layout("feature", 1)
CHANGES = Layout("count of the features' changes", 0)
SNAPSHOT = Layout("snapshot of the features", 1)


def encode_feature(feature: Feature) -> Item:
    """The attributes of a feature."""
    return {"data": {"S": dumps(_data(feature))}, **FEATURE.mark}


def _data(feature: Feature) -> dict[str, Any]:
    return {
        "id": feature.id,
        "name": feature.name,
        "type": feature.type.value,
        "consumable": feature.consumable,
        "event_names": list(feature.event_names),
        "credit_schema": [list(pair) for pair in feature.credit_schema],
        **({"lots": dict(feature.lots)} if feature.lots else {}),
        "display": dict(feature.display),
        "extra": dict(feature.extra),
        "archived": feature.archived,
        "created_at": feature.created_at,
    }


def decode_feature(item: Item) -> Feature:
    """The feature that an item holds."""
    FEATURE.version_of(item)
    return _feature(loads(item["data"]["S"]))


def _feature(data: dict[str, Any]) -> Feature:
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
        {member: Decimal(units) for member, units in get("lots", {}).items()},
    )


def decode_changes(item: Item | None) -> int:
    """How often the features of an environment have changed; 0 where that was never counted."""
    if item is None:
        return 0
    CHANGES.version_of(item)
    return int(item["changes"]["N"])


def encode_snapshot(features: Iterable[Feature], changes: int) -> Item:
    """The attributes of an item with all features, as they are after so many changes."""
    text = dumps([_data(feature) for feature in features])
    return {"features": {"B": zlib.compress(text.encode())}, "changes": {"N": str(changes)}, **SNAPSHOT.mark}


def decode_snapshot(item: Item) -> tuple[list[Feature], int]:
    """The features that an item holds, and the number of changes after which they were so."""
    SNAPSHOT.version_of(item)
    text = zlib.decompress(bytes(item["features"]["B"])).decode()
    return [_feature(data) for data in loads(text)], int(item["changes"]["N"])
