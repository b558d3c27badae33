"""Webhooks and their deliveries in an export, and back in an environment (docs/moving-out.md).

A webhook leaves without the secrets that sign, unless they are asked for. One that comes back without any gets a new one.
It comes back switched off: what a restore writes is told to nobody, and two stacks never tell the same address.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from tollgate.domain.environments import Environment
from tollgate.domain.webhooks import DeliveryState, Secret, new_secret
from tollgate.exact_json import dumps
from tollgate.store import keys
from tollgate.store.table import Item, Table

SECRETS = "secrets"
_RANDOM_BYTES = 32


def exported(table: Table, env: Environment, *, with_secrets: bool) -> Iterator[Item]:
    """The environment's webhooks, each with its deliveries behind it."""
    for webhook in table.query(keys.webhooks(env)):
        yield webhook if with_secrets else {name: value for name, value in webhook.items() if name != SECRETS}
        for page in table.pages(keys.deliveries(env, webhook["sk"]["S"])):
            yield from page


def restored(env: Environment, item: Item) -> Item:
    """The item as it is written where it comes back to: a webhook off, with a secret; a delivery that was still to be tried
    given up on, as one of a webhook that is off is."""
    if is_webhook(env, item):
        kept = item if SECRETS in item else item | {SECRETS: {"S": dumps([list(_new_secret())])}}
        return kept | {"disabled": {"BOOL": True}}
    if item.get("state") == {"S": DeliveryState.PENDING.value}:
        item = {name: value for name, value in item.items() if name != "next_at"}
        return item | {"state": {"S": DeliveryState.FAILED.value}}
    return item


def is_webhook(env: Environment, item: Item) -> bool:
    """Whether the item is a webhook."""
    return item["pk"] == {"S": keys.webhooks(env)}


def is_delivery(env: Environment, item: Item) -> bool:
    """Whether the item is a delivery to a webhook."""
    return bool(item["pk"]["S"].startswith(keys.deliveries(env, "")))


def is_the_same(one: Item, other: Item) -> bool:
    """Whether two webhooks are one that was restored: but for its secret, and what was set since."""
    return all(one.get(name) == other.get(name) for name in ("pk", "sk", "created_at", "dialect"))


def _new_secret() -> Secret:
    return Secret(new_secret(secrets.token_bytes(_RANDOM_BYTES)), None)
