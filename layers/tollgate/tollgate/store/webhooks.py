"""Webhooks and their deliveries in the table."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from tollgate.domain.environments import Environment
from tollgate.domain.errors import AlreadyExists, Conflict
from tollgate.domain.webhooks import Delivery, Webhook
from tollgate.store import keys
from tollgate.store.codecs.webhooks import decode_delivery, decode_webhook, encode_delivery, encode_webhook
from tollgate.store.table import Entries, Item, Refused, Table, put_new


class WebhookStore:
    """The webhooks of one table. Each method may raise Unavailable."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def list(self, env: Environment) -> list[Webhook]:
        """The environment's webhooks, by id."""
        items = self._table.query(keys.webhooks(env))
        return [decode_webhook(env, item["sk"]["S"], item) for item in items]

    def get(self, env: Environment, id: str) -> Webhook | None:
        """The webhook; None where there is none."""
        item = self._table.get(keys.webhook(env, id))
        return decode_webhook(env, id, item) if item else None

    def add(self, webhook: Webhook, entries: Entries = ()) -> None:
        """Stores a new webhook; `entries` are written with it. Raises AlreadyExists."""
        item = {**keys.webhook(webhook.environment, webhook.id), **encode_webhook(webhook)}
        try:
            self._table.transact([put_new(self._table.name, item), *entries], str(uuid.uuid4()))
        except Refused as refused:
            raise AlreadyExists("webhook", webhook.id) from refused

    def change(self, before: Webhook, after: Webhook, entries: Entries = ()) -> None:
        """Stores a webhook in place of what it was; `entries` are written with it. Raises Conflict where it was changed or
        deleted meanwhile."""
        item = {**keys.webhook(after.environment, after.id), **encode_webhook(after)}
        self._in_place(before, {"Put": {"Item": item}}, entries)

    def delete(self, webhook: Webhook, entries: Entries = ()) -> None:
        """Deletes a webhook; `entries` are written with it. Its deliveries stay until their time is over. Raises Conflict
        where it was changed or deleted meanwhile."""
        self._in_place(webhook, {"Delete": {"Key": keys.webhook(webhook.environment, webhook.id)}}, entries)

    def _in_place(self, before: Webhook, write: dict[str, dict[str, Any]], entries: Entries) -> None:
        """Makes a write of a webhook that is as it was read."""
        failing = before.failing_since
        condition = "attribute_not_exists(#f)" if failing is None else "#f = :failing"
        values = {":updated": before.updated_at} | ({} if failing is None else {":failing": failing})
        ((kind, what),) = write.items()
        conditional: Any = {
            kind: {
                **what,
                "TableName": self._table.name,
                "ConditionExpression": f"#u = :updated AND {condition}",
                "ExpressionAttributeNames": {"#u": "updated_at", "#f": "failing_since"},
                "ExpressionAttributeValues": {name: {"N": str(value)} for name, value in values.items()},
            }
        }
        try:
            self._table.transact([conditional, *entries], str(uuid.uuid4()))
        except Refused as refused:
            raise Conflict(f"Webhook {before.id} was changed meanwhile: try again") from refused

    def add_delivery(self, delivery: Delivery) -> Delivery:
        """Stores a new delivery. Returns it; or the one that is there under its id, as it is."""
        try:
            self._put(_key(delivery), encode_delivery(delivery), "attribute_not_exists(pk)")
        except Refused:
            return self.delivery(delivery.environment, delivery.webhook_id, delivery.id) or delivery
        return delivery

    def change_delivery(self, before: Delivery, after: Delivery) -> bool:
        """Stores a delivery in place of what it was; False where another did meanwhile."""
        try:
            self._put(
                _key(after),
                encode_delivery(after),
                "#t = :tries AND #s = :state",
                ExpressionAttributeNames={"#t": "tries", "#s": "state"},
                ExpressionAttributeValues={
                    ":tries": {"N": str(len(before.attempts))},
                    ":state": {"S": before.state.value},
                },
            )
        except Refused:
            return False
        return True

    def delivery(self, env: Environment, webhook_id: str, id: str) -> Delivery | None:
        """The delivery of a message to a webhook; None where there is none."""
        item = self._table.get(keys.delivery(env, webhook_id, id))
        return decode_delivery(env, webhook_id, id, item) if item else None

    def deliveries(self, env: Environment, webhook_id: str, before: str, limit: int) -> Sequence[Delivery]:
        """Up to `limit` deliveries to a webhook, the newest first, from before a message's id (empty: from the newest)."""
        items = self._table.page(keys.deliveries(env, webhook_id), before, limit, newest_first=True)
        return [decode_delivery(env, webhook_id, item["sk"]["S"], item) for item in items]

    def _put(self, key: keys.Key, attributes: Item, condition: str, **more: Any) -> None:
        """Raises Refused; and OutcomeUnknown where an answer was lost, as a refusal may then be of its own write."""
        self._table.repeated(
            self._table.client.put_item,
            TableName=self._table.name,
            writes=True,
            blind=True,
            Item={**key, **attributes},
            ConditionExpression=condition,
            **more,
        )


def _key(delivery: Delivery) -> keys.Key:
    return keys.delivery(delivery.environment, delivery.webhook_id, delivery.id)
