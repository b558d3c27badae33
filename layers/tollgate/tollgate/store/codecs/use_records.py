"""A use as the balance that it changed records it (the attribute `event`), the item that a large record has of its own, and
the item of an ungranted use.

| attribute | type | of | holds |
|---|---|---|---|
| `event` | S | balance, ungranted use | JSON, below: the last use |
| `event` | S | large record | the same, whole |
| `ttl`, `v` | N | large record | seconds; the item's layout's version |
| `last_id` | S | ungranted use | the id of the last use |
| `version` | N | ungranted use | counts the writes, from the time (ms) of the first on |
| `ttl` | N | ungranted use | seconds |
| `v` | N | ungranted use | the item's layout's version |

| field of `event` | type | holds |
|---|---|---|
| `id`, `key` | string | the use's id; the API key that sent it |
| `value`, `drawn` | number | units of the feature asked for; units of the item's balance drawn |
| `at` | number | ms |
| `properties` | object | absent where there are none |
| `feature`, `entity` | string | absent where they are the item's own |
| `part` | bool | absent where this is the use's first item |
| `name`, `source` | string | of the event that it was; absent where not said |
| `uses` | array | where one write counted several: their fields (below) |
| `apart` | number | 1: all but `id` and `v` is in an item of its own (`store.large_records`) |
| `v` | number | the record's own version; absent: 0 |

The fields of one of several `uses` are `id`, `value`, `at`, `properties`, `feature`, `entity`, `part`, `key`, `name`,
`source` and `moved`: pairs of a grant and the units of the balance drawn from it.

The record has a version of its own, because the fast path writes it into items that it has not read.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tollgate.domain.use_records import CountedUse, UseRecord
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.layout import ATTRIBUTE, Layout
from tollgate.store.codecs.values import origin_json, origin_of, present
from tollgate.store.table import Item

USE_RECORD = Layout("use", 1)
UNGRANTED_USE = Layout("use of what nothing grants", 1)
LARGE_RECORD = Layout("large record of a use", 0)


def encode_use_record(use: UseRecord) -> str:
    """The JSON of the attribute `event`."""
    return dumps(
        present(
            {
                "id": use.id,
                "value": use.value,
                "drawn": use.drawn,
                "at": use.at,
                "key": use.key_id,
                "properties": use.properties or None,
                "feature": use.feature_id,
                "entity": use.entity_id,
                "part": use.part or None,
                **origin_json(use.origin),
                "uses": [_counted_use_json(counted) for counted in use.uses] or None,
                ATTRIBUTE: USE_RECORD.version or None,
            }
        )
    )


def decode_use_record(item: Item) -> UseRecord | None:
    """The last use that a balance, or the item of an ungranted use, records; None where there was none yet."""
    if "event" not in item:
        return None
    data = loads(item["event"]["S"])
    get = data.get
    USE_RECORD.known(get(ATTRIBUTE, 0))
    return UseRecord(
        data["id"],
        Decimal(data["value"]),
        Decimal(data["drawn"]),
        data["at"],
        data["key"],
        get("properties", {}),
        get("feature"),
        get("entity"),
        get("part", False),
        tuple(_counted_use(counted) for counted in get("uses", ())),
        origin_of(data),
    )


def encode_use_apart(use_id: str) -> str:
    """The JSON of the attribute `event` where the record has an item of its own."""
    return dumps({"id": use_id, "apart": 1, ATTRIBUTE: USE_RECORD.version})


def use_apart(event: str) -> str | None:
    """The id of the use whose record has an item of its own; None where `event` is the record."""
    if '"apart"' not in event:
        return None
    data = loads(event)
    return data["id"] if "apart" in data else None


def encode_large_record(event: str, ttl: int) -> Item:
    """The item of a large record: the JSON of it. `ttl` is epoch seconds."""
    return {"event": {"S": event}, "ttl": {"N": str(ttl)}, **LARGE_RECORD.mark}


def decode_large_record(item: Item) -> str:
    """The JSON of a large record."""
    LARGE_RECORD.version_of(item)
    return item["event"]["S"]


def encode_ungranted_use(event: str, use_id: str, ttl: int) -> Item:
    """All attributes but `version`, which the write itself counts. `event`: the record as JSON. `ttl` is epoch seconds."""
    return {
        "event": {"S": event},
        "last_id": {"S": use_id},
        "ttl": {"N": str(ttl)},
        **UNGRANTED_USE.mark,
    }


def decode_ungranted_use(item: Item) -> tuple[UseRecord, int]:
    """The last use, and the item's version."""
    UNGRANTED_USE.version_of(item)
    use = decode_use_record(item)
    assert use is not None
    return use, int(item["version"]["N"])


def _counted_use_json(use: CountedUse) -> dict[str, Any]:
    return present(
        {
            "id": use.id,
            "value": use.value,
            "at": use.at,
            "moved": [list(moved) for moved in use.moved] or None,
            "properties": use.properties or None,
            "feature": use.feature_id,
            "entity": use.entity_id,
            "part": use.part or None,
            "key": use.key_id,
            **origin_json(use.origin),
        }
    )


def _counted_use(data: dict[str, Any]) -> CountedUse:
    get = data.get
    return CountedUse(
        data["id"],
        Decimal(data["value"]),
        data["at"],
        tuple((grant, Decimal(value)) for grant, value in get("moved", ())),
        get("properties", {}),
        get("feature"),
        get("entity"),
        get("part", False),
        get("key"),
        origin_of(data),
    )
