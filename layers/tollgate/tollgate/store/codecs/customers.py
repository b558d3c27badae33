"""Customers, their entities and their subscriptions.

| attribute | type | of | holds |
|---|---|---|---|
| `data` | S | customer, entity, subscription | JSON, below |
| `version` | N | customer | counts the changes of what the customer holds |
| `holds` | S | customer | of one that holds much: JSON, `[features, features of entities, number of things]`; absent: it holds little |
| `ended` | S | customer | JSON, `[number, plans]` of the ended subscriptions that are kept apart; absent: there are none |
| `listed` | N | customer | the version with which its entry in the list was written; absent or 0: it has none with facts |
| `told` | SS | subscription | what the clock did to it and is told: `<what>@<ms>`; absent until then, and after each change |
| `v` | N | all | the layout's version |

| field of a customer's `data` | type | holds |
|---|---|---|
| `id`, `name`, `email`, `fingerprint` | string, all but the first may be null | |
| `metadata` | object | as it was sent |
| `created_at`, `frozen_time` | number, the second may be null | ms; the second is its test clock's time |
| `send_email_receipts`, `unpooled` | bool | |
| `controls` | object | `codecs.controls` |

An entity has `id`, `feature_id`, `name`, `created_at` (ms) and `controls`.

| field of a subscription's `data` | type | holds |
|---|---|---|
| `id`, `plan_id`, `group`, `entity_id`, `parent_id` | string, the last three may be null | |
| `plan_version` | number | |
| `add_on`, `auto_enable`, `stacks`, `automatic` | bool | |
| `started_at`, `created_at`, `anchor` | number | ms |
| `canceled_at`, `expires_at`, `ends_at`, `trial_ends_at` | number or null | ms |
| `items` | array | plan items, as in `codecs.plans` |
| `quantities` | object | units bought, by feature |
| `controls` | object | `codecs.controls` |
| `price` | object or null | `{amount, interval, interval_count}`; `amount` in the currency |
| `cycle` | object or null | `{interval, count}` |
| `before_change` | array or null | `[canceled_at, expires_at]` (ms or null) as they were before the next plan was scheduled |
| `filters` | array | pairs of a property's name and the value it must have |
| `extra` | object | what only dialects show |
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.customers import NONE_ENDED, Customer, Ended, Ending, Entity, Subscription
from tollgate.exact_json import dumps, loads
from tollgate.store.codecs.controls import controls_json, controls_of
from tollgate.store.codecs.layout import Layout
from tollgate.store.codecs.plans import base_price_json, base_price_of, plan_item_json, plan_item_of
from tollgate.store.codecs.test_clocks import CUSTOMER
from tollgate.store.codecs.values import pairs_json, pairs_of, reset_json, reset_of
from tollgate.store.table import Item

ENTITY = Layout("entity", 1)
SUBSCRIPTION = Layout("subscription", 1)


class Extent(NamedTuple):
    """What a customer holds, where it is much, so that a part of it can be read by key.

    - `own`: the features that it holds balances of itself. `shared`: those that entities of it hold balances of.
    - `things`: about how many subscriptions, entities and balances there are.
    """

    own: frozenset[str]
    shared: frozenset[str]
    things: int


def encode_extent(extent: Extent | None) -> Item:
    """The attribute that holds it; none where it is not said."""
    if extent is None:
        return {}
    return {"holds": {"S": dumps([sorted(extent.own), sorted(extent.shared), extent.things])}}


def decode_extent(item: Item) -> Extent | None:
    """What a customer's item says of what it holds; None where it says nothing."""
    CUSTOMER.version_of(item)
    if "holds" not in item:
        return None
    own, shared, things = loads(item["holds"]["S"])
    return Extent(frozenset(own), frozenset(shared), things)


def encode_ended(ended: Ended) -> Item:
    """The attribute that says what is kept apart; none where nothing is."""
    return {"ended": {"S": dumps([ended.number, sorted(ended.plan_ids)])}} if ended.number else {}


def decode_ended(item: Item) -> Ended:
    """What a customer's item says of the ended subscriptions that are kept apart."""
    CUSTOMER.version_of(item)
    if "ended" not in item:
        return NONE_ENDED
    number, plan_ids = loads(item["ended"]["S"])
    return Ended(number, frozenset(plan_ids))


def encode_customer(customer: Customer, version: int) -> Item:
    """The attributes of a customer. `version` counts the changes of what the customer holds."""
    data = {
        "id": customer.id,
        "name": customer.name,
        "email": customer.email,
        "fingerprint": customer.fingerprint,
        "metadata": dict(customer.metadata),
        "created_at": customer.created_at,
        "send_email_receipts": customer.send_email_receipts,
        "controls": controls_json(customer.controls),
        "unpooled": customer.unpooled,
        "frozen_time": customer.frozen_time,
    }
    return {"data": {"S": dumps(data)}, "version": {"N": str(version)}, **CUSTOMER.mark}


def decode_customer(item: Item) -> tuple[Customer, int]:
    """The customer, and the version of what it holds."""
    CUSTOMER.version_of(item)
    data = loads(item["data"]["S"])
    get = data.get
    customer = Customer(
        data["id"],
        get("name"),
        get("email"),
        get("fingerprint"),
        get("metadata", {}),
        get("created_at", 0),
        get("send_email_receipts", False),
        controls_of(get("controls")),
        get("unpooled", False),
        get("frozen_time"),
    )
    return customer, int(item["version"]["N"])


def encode_entity(entity: Entity) -> Item:
    """The attributes of an entity."""
    data = {
        "id": entity.id,
        "feature_id": entity.feature_id,
        "name": entity.name,
        "created_at": entity.created_at,
        "controls": controls_json(entity.controls),
    }
    return {"data": {"S": dumps(data)}, **ENTITY.mark}


def decode_entity(item: Item) -> Entity:
    """The entity that an item holds."""
    ENTITY.version_of(item)
    data = loads(item["data"]["S"])
    get = data.get
    return Entity(data["id"], data["feature_id"], get("name"), get("created_at", 0), controls_of(get("controls")))


def encode_subscription(subscription: Subscription) -> Item:
    """The attributes of a subscription."""
    data = {
        "id": subscription.id,
        "plan_id": subscription.plan_id,
        "plan_version": subscription.plan_version,
        "group": subscription.group,
        "add_on": subscription.add_on,
        "auto_enable": subscription.auto_enable,
        "started_at": subscription.started_at,
        "created_at": subscription.created_at,
        "entity_id": subscription.entity_id,
        "items": [plan_item_json(item) for item in subscription.items],
        "quantities": dict(subscription.quantities),
        "controls": controls_json(subscription.controls),
        "price": base_price_json(subscription.price),
        "cycle": reset_json(subscription.cycle),
        "anchor": subscription.anchor,
        "canceled_at": subscription.canceled_at,
        "expires_at": subscription.expires_at,
        "ends_at": subscription.ends_at,
        "trial_ends_at": subscription.trial_ends_at,
        "parent_id": subscription.parent_id,
        "filters": pairs_json(subscription.filters),
        "extra": dict(subscription.extra),
        "stacks": subscription.stacks,
        "before_change": None if subscription.before_change is None else list(subscription.before_change),
        "automatic": subscription.automatic,
    }
    return {"data": {"S": dumps(data)}, **SUBSCRIPTION.mark}


def decode_subscription(item: Item) -> Subscription:
    """The subscription that an item holds."""
    SUBSCRIPTION.version_of(item)
    data = loads(item["data"]["S"])
    get = data.get
    return Subscription(
        data["id"],
        data["plan_id"],
        data["plan_version"],
        data["group"],
        data["add_on"],
        data["auto_enable"],
        data["started_at"],
        get("created_at", 0),
        get("entity_id"),
        tuple(plan_item_of(plan_item) for plan_item in get("items", ())),
        {feature_id: Decimal(units) for feature_id, units in get("quantities", {}).items()},
        controls_of(get("controls")),
        base_price_of(get("price")),
        reset_of(get("cycle")),
        get("anchor", 0),
        get("canceled_at"),
        get("expires_at"),
        get("ends_at"),
        get("trial_ends_at"),
        get("parent_id"),
        pairs_of(get("filters", ())),
        get("extra", {}),
        get("stacks", False),
        Ending(*get("before_change")) if get("before_change") else None,
        get("automatic", False),
    )
