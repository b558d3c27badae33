"""Webhooks, and the deliveries to them.

| attribute of a webhook | type | holds |
|---|---|---|
| `url`, `dialect` | S | |
| `events` | S | JSON: the types that it is told of; none for all |
| `description` | S | absent where there is none |
| `disabled` | BOOL | |
| `secrets` | S | JSON: of each its text, and until when it signs (ms; null for the present one) |
| `created_at`, `updated_at` | N | ms |
| `failing_since`, `paused_at` | N | ms; absent where it is neither |
| `v` | N | the layout's version |

| attribute of a delivery | type | holds |
|---|---|---|
| `type`, `payload`, `state` | S | |
| `created_at` | N | ms |
| `attempts` | S | JSON: of each when (ms), the status or null, the error or null, how long it took (ms) |
| `tries` | N | how many these are |
| `next_at` | N | ms; absent where it is not tried again |
| `ttl` | N | when it goes, in seconds |
| `v` | N | the layout's version |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollgate.domain.environments import Environment
from tollgate.domain.webhooks import KEPT_MS, Attempt, Delivery, DeliveryState, PayloadDialect, Secret, Webhook
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.layout import Layout
from tollgate.store.table import Item

WEBHOOK = Layout("webhook", 0)
DELIVERY = Layout("delivery", 0)


def encode_webhook(webhook: Webhook) -> Item:
    """The attributes of a webhook."""
    optional = {"failing_since": webhook.failing_since, "paused_at": webhook.paused_at}
    return {
        "url": {"S": webhook.url},
        "dialect": {"S": webhook.dialect.value},
        "events": {"S": dumps(list(webhook.events))},
        **({} if webhook.description is None else {"description": {"S": webhook.description}}),
        "disabled": {"BOOL": webhook.disabled},
        "secrets": {"S": dumps([list(one) for one in webhook.secrets])},
        "created_at": {"N": str(webhook.created_at)},
        "updated_at": {"N": str(webhook.updated_at)},
        **{name: {"N": str(at)} for name, at in optional.items() if at is not None},
        **WEBHOOK.mark,
    }


def decode_webhook(env: Environment, id: str, item: Mapping[str, Any]) -> Webhook:
    """The webhook that an item holds."""
    WEBHOOK.version_of(item)
    return Webhook(
        env,
        id,
        item["url"]["S"],
        tuple(loads(item["events"]["S"])),
        PayloadDialect(item["dialect"]["S"]),
        item["description"]["S"] if "description" in item else None,
        item["disabled"]["BOOL"],
        tuple(Secret(*one) for one in loads(item["secrets"]["S"])),
        int(item["created_at"]["N"]),
        int(item["updated_at"]["N"]),
        _number(item, "failing_since"),
        _number(item, "paused_at"),
    )


def encode_delivery(delivery: Delivery) -> Item:
    """The attributes of a delivery."""
    return {
        "type": {"S": delivery.type},
        "payload": {"S": delivery.payload},
        "state": {"S": delivery.state.value},
        "created_at": {"N": str(delivery.created_at)},
        "attempts": {"S": dumps([list(one) for one in delivery.attempts])},
        "tries": {"N": str(len(delivery.attempts))},
        **({} if delivery.next_at is None else {"next_at": {"N": str(delivery.next_at)}}),
        "ttl": {"N": str((delivery.created_at + KEPT_MS) // 1000)},
        **DELIVERY.mark,
    }


def decode_delivery(env: Environment, webhook_id: str, id: str, item: Mapping[str, Any]) -> Delivery:
    """The delivery that an item holds."""
    DELIVERY.version_of(item)
    return Delivery(
        env,
        webhook_id,
        id,
        item["type"]["S"],
        item["payload"]["S"],
        int(item["created_at"]["N"]),
        DeliveryState(item["state"]["S"]),
        tuple(Attempt(*one) for one in loads(item["attempts"]["S"])),
        _number(item, "next_at"),
    )


def _number(item: Mapping[str, Any], name: str) -> int | None:
    return int(item[name]["N"]) if name in item else None
