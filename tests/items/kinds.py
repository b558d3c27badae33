"""Every kind of stored item: its layout's version, and how a whole item is read and written.

A value is the tuple of what one item holds, `(a plan,)` or `(a customer, a version)`, with the item's key beside it.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tollgate.domain.api_keys import ApiKey
from tollgate.domain.balances import Balance, BalanceKey
from tollgate.domain.customers import Customer, Entity, Subscription
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.features import Feature
from tollgate.domain.history import Entry
from tollgate.domain.plans import Plan
from tollgate.domain.reservations import Reservation
from tollgate.domain.top_ups import TopUpState
from tollgate.domain.usage_events import UsageEvent
from tollgate.domain.use_records import UseRecord
from tollgate.domain.webhooks import Delivery, Webhook
from tollgate.store import keys
from tollgate.store.codecs import (
    activity,
    alert_states,
    api_keys,
    balances,
    call_counts,
    customers,
    due_times,
    features,
    history,
    idempotency,
    large_changes,
    listing,
    log,
    near_limits,
    plans,
    reservations,
    test_clocks,
    top_ups,
    usage_events,
    use_records,
    webhooks,
)
from tollgate.store.codecs.layout import Layout
from tollgate.store.listing import INDEX, indexed_customer

ROOT = Path(__file__).parent
SANDBOX = Environment.SANDBOX

Item = dict[str, Any]
Value = tuple[Any, ...]


class Kind(NamedTuple):
    """`name` is the file's; `holds` are the types of a value. `key` makes the key of an item that a value could have."""

    name: str
    layout: Layout
    holds: tuple[Any, ...]
    read: Callable[[Item], Value]
    write: Callable[..., Item]
    key: Callable[..., Any] = lambda *_: {"pk": {"S": "partition"}, "sk": {"S": "sort"}}
    marked: bool = True  # the version is the item's attribute `v`

    def item(self, key: Mapping[str, Any], value: Value) -> Item:
        return {**key, **self.write(*value)}

    def sample(self, value: Value) -> Item:
        return self.item(self.key(*value), value)

    def rewritten(self, item: Item) -> Item:
        """An item as today's code writes what it holds."""
        return self.item({name: item[name] for name in ("pk", "sk") if name in item}, self.read(item))

    def path(self, version: int) -> Path:
        return ROOT / str(version) / f"{self.name}.json"

    @property
    def versions(self) -> list[int]:
        """The versions that items are kept of, oldest first."""
        found = (int(path.parent.name) for path in ROOT.glob(f"*/{self.name}.json"))
        return sorted(found)

    def items(self, version: int) -> list[Item]:
        found: list[Item] = json.loads(self.path(version).read_text(), object_hook=_binary)
        return found


class FullBalance(NamedTuple):
    """A balance item whole: its state, what makes writes safe, and its last use."""

    balance: Balance
    version: int
    fence: bytes
    slots: tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
    use: UseRecord | None


def text_of(items: list[Item]) -> str:
    return json.dumps(items, indent=1, sort_keys=True, default=_text) + "\n"


def without_use(item: Item) -> Item:
    """An item without the use that it remembers, whose record has a version of its own."""
    return {name: value for name, value in item.items() if name != "event"}


def _text(value: Any) -> Any:
    assert isinstance(value, bytes)
    return {"__b64__": base64.b64encode(value).decode()}


def _binary(data: dict[str, Any]) -> Any:
    return base64.b64decode(data["__b64__"]) if "__b64__" in data else data


def _environment(item: Item) -> Environment:
    return Environment(item["pk"]["S"].split("#")[1])


def _ttl(item: Item) -> int:
    return int(item["ttl"]["N"])


def _read_balance(item: Item) -> Value:
    stored: Any = balances.decode_balance(item)._asdict()
    assert stored.pop("change") == "", "what a large change has staged is no layout of a balance's own"
    return (FullBalance(**stored, use=use_records.decode_use_record(item)),)


def _write_balance(full: FullBalance) -> Item:
    item: Item = {**balances.new_item({}, full.balance, full.version), "fence": {"B": full.fence}}
    item |= {f"s{number}": {"B": id} for number, id in enumerate(full.slots)}
    return item | ({"event": {"S": use_records.encode_use_record(full.use)}} if full.use else {})


def _write_ungranted_use(use: UseRecord, version: int, ttl: int) -> Item:
    event = use_records.encode_use_record(use)
    return {**use_records.encode_ungranted_use(event, use.id, ttl), "version": {"N": str(version)}}


def _write_lock(
    reservation: Reservation, state: str, key_id: str, ttl: int, finalized: reservations.Finalized | None
) -> Item:
    more = reservations.encode_finalized(finalized) if finalized else {}
    return {**reservations.encode_lock(reservation, state, key_id, ttl), **more}


def _write_alert_states(states: Mapping[str, tuple[str, str]], ttl: int) -> Item:
    found = {f"w{name}": alert_states.encode_alert_state(*state) for name, state in states.items()}
    return {**found, "ttl": {"N": str(ttl)}, **alert_states.ALERT_STATES.mark}


def _read_alert_states(item: Item) -> Value:
    states = alert_states.decode_alert_states(item)
    return {name[1:]: state for name, state in states.items()}, _ttl(item)


def _write_minute(uses: Mapping[str, int], denied: Mapping[str, int], lag: activity.Lag, ttl: int) -> Item:
    denials = Counter({(feature_id, "usage_limit"): count for feature_id, count in denied.items()})
    return activity.encode_minute(activity.Minute(0, Counter(uses), denials, lag), ttl)


def _read_minute(item: Item) -> Value:
    minute = activity.decode_minute(item)
    denied = {feature_id: count for (feature_id, _), count in minute.denials.items()}
    return dict(minute.uses), denied, minute.lag, _ttl(item)


CUSTOMER = CustomerRef(SANDBOX, "c1")

KINDS = [
    Kind(
        "catalog_feature",
        features.FEATURE,
        (Feature,),
        lambda item: (features.decode_feature(item),),
        features.encode_feature,
    ),
    Kind(
        "catalog_changes",
        features.CHANGES,
        (int,),
        lambda item: (features.decode_changes(item),),
        lambda changes: {"changes": {"N": str(changes)}, **features.CHANGES.mark},
        lambda _: keys.feature_changes(SANDBOX),
    ),
    Kind(
        "catalog_snapshot",
        features.SNAPSHOT,
        (tuple[Feature, ...], int),
        lambda item: (tuple(features.decode_snapshot(item)[0]), features.decode_snapshot(item)[1]),
        features.encode_snapshot,
        lambda *_: keys.feature_snapshot(SANDBOX),
    ),
    Kind("catalog_plan", plans.PLAN, (Plan,), lambda item: (plans.decode_plan(item),), plans.encode_plan),
    Kind(
        "customer_customer", test_clocks.CUSTOMER, (Customer, int), customers.decode_customer, customers.encode_customer
    ),
    Kind(
        "customer_entity",
        customers.ENTITY,
        (Entity,),
        lambda item: (customers.decode_entity(item),),
        customers.encode_entity,
    ),
    Kind(
        "customer_subscription",
        customers.SUBSCRIPTION,
        (Subscription,),
        lambda item: (customers.decode_subscription(item),),
        customers.encode_subscription,
    ),
    Kind(
        "customer_balance",
        balances.BALANCE,
        (FullBalance,),
        _read_balance,
        _write_balance,
        lambda full: keys.balance(CUSTOMER, full.balance.key),
    ),
    Kind(
        "customer_use",
        use_records.UNGRANTED_USE,
        (UseRecord, int, int),
        lambda item: (*use_records.decode_ungranted_use(item), _ttl(item)),
        _write_ungranted_use,
    ),
    Kind(
        "use_record",
        use_records.USE_RECORD,
        (UseRecord,),
        lambda item: (use_records.decode_use_record(item),),
        lambda use: {"event": {"S": use_records.encode_use_record(use)}},
        lambda _: {},
        marked=False,
    ),
    Kind(
        "use",
        use_records.LARGE_RECORD,
        (str, int),
        lambda item: (use_records.decode_large_record(item), _ttl(item)),
        use_records.encode_large_record,
        lambda *_: keys.use_record(SANDBOX, "use-1", BalanceKey("messages")),
    ),
    Kind(
        "customers",
        listing.LISTED_CUSTOMER,
        (listing.Facts, int),
        lambda item: listing.decode_listed_customer(item)[2:],
        listing.encode_listed_customer,
    ),
    *(
        Kind(
            name,
            INDEX,
            (str,),
            lambda item: (indexed_customer(item),),
            lambda _: INDEX.mark,
            lambda customer_id: keys.email_index(SANDBOX, "digest", 1_767_225_600_000, customer_id),
        )
        for name in ("email", "entity")
    ),
    Kind(
        "lock",
        reservations.LOCK,
        (Reservation, str, str, int, reservations.Finalized),
        lambda item: (*reservations.decode_lock(item), _ttl(item), reservations.decode_finalized(item)),
        _write_lock,
        lambda reservation, *_: keys.lock(SANDBOX, reservation.id),
    ),
    Kind(
        "change",
        large_changes.LARGE_CHANGE,
        (str, int),
        large_changes.decode_large_change,
        large_changes.encode_large_change,
    ),
    Kind(
        "due",
        due_times.DUE_TIME,
        (str,),
        lambda item: (due_times.decode_due_time(item),),
        due_times.encode_due_time,
        lambda *_: keys.due_time(SANDBOX, 1, 1_767_225_600_000, "digest"),
    ),
    Kind(
        "WEBHOOKS",
        webhooks.WEBHOOK,
        (Webhook,),
        lambda item: (webhooks.decode_webhook(_environment(item), item["sk"]["S"], item),),
        webhooks.encode_webhook,
        lambda webhook: keys.webhook(webhook.environment, webhook.id),
    ),
    Kind(
        "WEBHOOK",
        webhooks.DELIVERY,
        (Delivery,),
        lambda item: (
            webhooks.decode_delivery(_environment(item), item["pk"]["S"].split("#")[2], item["sk"]["S"], item),
        ),
        webhooks.encode_delivery,
        lambda delivery: keys.delivery(delivery.environment, delivery.webhook_id, delivery.id),
    ),
    Kind(
        "once",
        idempotency.IDEMPOTENCY_KEY,
        (int, str, int),
        lambda item: (*idempotency.decode_idempotency_key(item), _ttl(item)),
        idempotency.encode_idempotency_key,
    ),
    Kind(
        "unique",
        usage_events.UNIQUE_VALUE,
        (Mapping[str, int],),
        lambda item: (usage_events.decode_unique_value(item),),
        usage_events.encode_unique_value,
    ),
    Kind(
        "waiting",
        usage_events.WAITING_EVENT,
        (UsageEvent, str, int),
        lambda item: (*usage_events.decode_waiting_event(item), _ttl(item)),
        usage_events.encode_waiting_event,
        lambda event, *_: keys.waiting(CustomerRef(SANDBOX, event.customer_id), event.at, "digest"),
    ),
    *(
        Kind(
            name,
            history.ENTRY,
            (Entry, int),
            lambda item: (history.decode_entry(item), _ttl(item)),
            history.encode_entry,
        )
        for name in ("history", "events")
    ),
    *(
        Kind(
            name,
            history.SUM,
            (history.SumState, int),
            lambda item: (history.decode_sum(item), _ttl(item)),
            history.encode_sum,
        )
        for name in ("hours", "days")
    ),
    Kind(
        "watch",
        alert_states.ALERT_STATES,
        (Mapping[str, tuple[str, str]], int),
        _read_alert_states,
        _write_alert_states,
    ),
    Kind(
        "topups",
        top_ups.TOP_UP_STATE,
        (TopUpState, int, int),
        lambda item: (*top_ups.decode_top_up_state(item), _ttl(item)),
        top_ups.encode_top_up_state,
    ),
    *(
        Kind(
            name,
            log.LOG_ENTRY,
            (log.LogEntry, int),
            lambda item: (log.decode_log_entry(item), _ttl(item)),
            log.encode_log_entry,
        )
        for name in ("log", "alerts")
    ),
    Kind(
        "near",
        near_limits.NEAR_LIMIT,
        (int,),
        lambda item: (near_limits.decode_near_limit(item),),
        near_limits.encode_near_limit,
    ),
    Kind(
        "minutes",
        activity.MINUTE,
        (Mapping[str, int], Mapping[str, int], activity.Lag, int),
        _read_minute,
        _write_minute,
        lambda *_: keys.minute(SANDBOX, "2026-01-01", 1_767_225_600_000),
    ),
    Kind(
        "calls",
        call_counts.CALL_COUNT,
        (int, int),
        lambda item: (call_counts.decode_call_count(item), _ttl(item)),
        call_counts.encode_call_count,
        lambda *_: keys.call_count(SANDBOX, "key#key_1", 1_767_225_600_000),
    ),
    Kind(
        "USED",
        api_keys.KEY_USE,
        (int,),
        lambda item: (api_keys.decode_key_use(item),),
        api_keys.encode_key_use,
    ),
    *(
        Kind(name, api_keys.API_KEY, (ApiKey,), lambda item: (api_keys.decode_api_key(item),), api_keys.encode_api_key)
        for name in ("KEY", "KEYS")
    ),
]
