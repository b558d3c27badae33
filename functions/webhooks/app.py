"""Consumes the webhook queue: an event of the bus becomes a delivery to each webhook that takes it, and a delivery is
tried.

What one address gets of a batch is tried one after another, beside what others get, and for so long only: what there is
no time for comes again in half a minute. So an address that does not answer holds up nobody's messages but its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tollgate import runtime
from tollgate.dialects.events import given_up_entries
from tollgate.dialects.webhook_payloads import told
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TollgateError
from tollgate.domain.webhooks import Delivery, Webhook
from tollgate.exact_json import dumps, loads
from tollgate.usecases.due_times import Delayed
from tollgate.usecases.webhooks import group_of, is_message, message_in

SECONDS = 20.0  # for one address in a batch; its last try may take ten more
AGAIN_SECONDS = 30

_BUS = runtime.settings().required("bus")
_events = runtime.client("events")


class NotTold(Exception):
    """The bus did not take what is to be told of a delivery: its message must come again."""


def _given_up(webhook: Webhook, delivery: Delivery, paused: bool) -> None:
    letter = {"reason": "given up on", "webhook": webhook.id, "env": webhook.environment.value, "delivery": delivery.id}
    runtime.to_webhook_dead_letters(dumps(letter))
    entries = given_up_entries(webhook, delivery, _BUS, paused=paused)
    if _events.put_events(Entries=entries).get("FailedEntryCount"):
        raise NotTold(delivery.id)


_deliveries = runtime.webhook_deliveries(_given_up)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes one batch of messages, and names to SQS those that failed and must come again."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in event["Records"]:
        groups.setdefault(_whose(record), []).append(record)
    with ThreadPoolExecutor(len(groups)) as threads:
        again = [id for ids in threads.map(_take, groups.values()) for id in ids]
    return {"batchItemFailures": [{"itemIdentifier": id} for id in again]}


def _whose(record: Mapping[str, Any]) -> str:
    """The address that a message is for; nobody's where it is an event, or cannot be read."""
    if not is_message(record["body"]):
        return ""
    try:
        return group_of(record["body"])
    except (KeyError, TypeError, ValueError, TollgateError):
        return ""


def _take(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of the messages that must come again."""
    started, again = time.monotonic(), []
    for record in records:
        try:
            if time.monotonic() - started > SECONDS:
                runtime.to_webhook_queue_later([Delayed(record["body"], AGAIN_SECONDS)])
            elif is_message(record["body"]):
                _deliveries.deliver(message_in(record["body"]))
            else:
                _accept(loads(record["body"]))
        except Exception:  # noqa: BLE001 - whatever is wrong with one message: told, and it comes again
            runtime.defect(f"message {record['messageId']} could not be dealt with")
            again.append(record["messageId"])
    return again


def _accept(envelope: Mapping[str, Any]) -> None:
    detail = envelope["detail"]
    words = partial(told, envelope["detail-type"], detail)
    _deliveries.accept(Environment(detail["environment"]), detail["id"], detail["timestamp"], words)
