"""Every partition and sort key of the table. Ids cannot contain `#`, so no two items share a key. Times are epoch ms.

| item | pk | sk |
|---|---|---|
| customer | `<env>#customer#<customer>` | `CUSTOMER` |
| subscription | same | `SUBSCRIPTION#<subscription>` |
| entity | same | `ENTITY#<entity>` |
| ended subscription | `<env>#ended#<customer>` | `ENDED#<subscription>` |
| balance | same | `BALANCE#<feature>#<entity, or nothing>` |
| ungranted use | same | `USE#<feature>#<entity, or nothing>` |
| large change | same | `CHANGE#<id>` |
| large record of a use | `<env>#use#<use>` | `RECORD#<feature>#<entity, or nothing>` |
| history, of a customer | `<env>#history#<customer>` | `<at, 14 digits>#<use>#<feature>#<customer>#<part, or none>` |
| history, of all | `<env>#events#<year-month>#<shard>` | same |
| hourly sum | `<env>#hours#<date>#<shard>` | `<customer>#<feature>#<entity>#<hour, ms, 14 digits>#<item>` |
| daily sum | `<env>#days#<year-month>#<shard>` | same |
| top-ups that were asked for | `<env>#topups#<customer>` | `<feature>` |
| alert state | `<env>#watch#<customer>` | `<feature>#<entity, or nothing>` |
| log, of a customer | `<env>#log#<customer>` | `<at, 14 digits>#<id>` |
| audit log | `<env>#audit` | same |
| alerts that were told, of all | `<env>#alerts` | same |
| balance near its limit | `<env>#near#<percent>` | `<customer>#<feature>#<entity, or nothing>` |
| a minute's activity | `<env>#minutes#<date>` | `<minute, ms, 14 digits>` |
| calls of a key or customer | `<env>#calls#key#<key id>`, `<env>#calls#customer#<customer>` | `<window, ms, 14 digits>` |
| customer, in its list | `<env>#customers` | `<created, ms, 14 digits>#<customer>` |
| customers with an e-mail | `<env>#email#<digest>` | same |
| customers with an entity | `<env>#entity#<entity>` | same |
| customers that have or had a subscription of an id | `<env>#subscription#<subscription>` | same |
| customers that have or had a plan | `<env>#plan#<plan>` | same |
| reservation | `<env>#lock#<digest of the lock id>` | `LOCK` |
| idempotency key | `<env>#once#<sha256>` | `ONCE` |
| a value that COUNT_UNIQUE has counted | `<env>#unique#<sha256>` | `UNIQUE` |
| waiting event | `<env>#waiting#<customer>` | `<its time, ms, 14 digits>#<sha256 of its id>` |
| due time | `<env>#due#<shard>` | `<its time, ms, 14 digits>#<sha256 of its message>` |
| feature | `<env>#catalog` | `FEATURE#<feature>` |
| how often features changed | same | `CHANGES` |
| all features, compressed | same | `SNAPSHOT` |
| plan version | same | `PLAN#<plan>#<version, six digits>` |
| API key, by its hash | `KEY#<sha256>` | `KEY` |
| API key, in its list | `KEYS#<env>` | `<key id>` |
| last use of an API key | `USED#<env>` | `<key id>` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef, Environment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from tollgate.store.table import Item

    Key = dict[str, AttributeValueTypeDef]

CUSTOMER = "CUSTOMER"
SUBSCRIPTION = "SUBSCRIPTION#"
ENTITY = "ENTITY#"
ENDED = "ENDED#"
LOCK = "LOCK"
BALANCE = "BALANCE#"
USE = "USE#"
LARGE_CHANGE = "CHANGE#"
FEATURE = "FEATURE#"
PLAN = "PLAN#"


def _key(pk: str, sk: str) -> Key:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def customer_partition(customer: CustomerRef) -> str:
    """The partition of a customer, and of its subscriptions, entities, balances and ungranted uses."""
    return f"{customer.environment.value}#customer#{customer.id}"


def part(customer: CustomerRef, sort_key: str) -> Key:
    """The key of one of a customer's items, by its sort key."""
    return _key(customer_partition(customer), sort_key)


def customer(customer: CustomerRef) -> Key:
    """The key of a customer."""
    return _key(customer_partition(customer), CUSTOMER)


def subscription(customer: CustomerRef, subscription_id: str) -> Key:
    """The key of a customer's subscription."""
    return _key(customer_partition(customer), SUBSCRIPTION + subscription_id)


def entity(customer: CustomerRef, entity_id: str) -> Key:
    """The key of a customer's entity."""
    return _key(customer_partition(customer), ENTITY + entity_id)


def balance(customer: CustomerRef, key: BalanceKey) -> Key:
    """The key of a customer's or an entity's balance."""
    return _key(customer_partition(customer), f"{BALANCE}{key.feature_id}#{key.entity_id}")


def ungranted_use(customer: CustomerRef, key: BalanceKey) -> Key:
    """The key of the item that holds the last ungranted use of a feature by a customer or an entity."""
    return _key(customer_partition(customer), f"{USE}{key.feature_id}#{key.entity_id}")


def use_record(env: Environment, use_id: str, key: BalanceKey) -> Key:
    """The key of what a balance (or the item of an ungranted use) with this key has to record of a use, where that is much."""
    return _key(f"{env.value}#use#{use_id}", f"RECORD#{key.feature_id}#{key.entity_id}")


def large_change(partition: str, id: str) -> Key:
    """The key of the record of a change that is larger than one transaction, in its customer's partition."""
    return _key(partition, LARGE_CHANGE + id)


def change_id(record: Item) -> str:
    """The id of the large change that this record is of."""
    return str(record["sk"]["S"].removeprefix(LARGE_CHANGE))


def history(customer: CustomerRef) -> str:
    """The partition of a customer's history."""
    return f"{customer.environment.value}#history#{customer.id}"


def alert_states(customer: CustomerRef) -> str:
    """The partition of a customer's alert states."""
    return f"{customer.environment.value}#watch#{customer.id}"


def top_up_states(customer: CustomerRef) -> str:
    """The partition of what has been asked for of a customer's features that are topped up."""
    return f"{customer.environment.value}#topups#{customer.id}"


def top_up_state(customer: CustomerRef, feature_id: str) -> Key:
    """The key of what has been asked for of one of these features."""
    return _key(top_up_states(customer), feature_id)


def log(customer: CustomerRef) -> str:
    """The partition of a customer's log."""
    return f"{customer.environment.value}#log#{customer.id}"


def audit(env: Environment) -> str:
    """The partition of an environment's audit log: the changes that are of no customer."""
    return f"{env.value}#audit"


def told_alerts(env: Environment) -> str:
    """The partition of the alerts that an environment was told of."""
    return f"{env.value}#alerts"


def near_limit(env: Environment, level: int) -> str:
    """The partition of the balances that are used up by at least `level` percent, and by less than the next level."""
    return f"{env.value}#near#{level}"


def minute(env: Environment, date: str, at: int) -> Key:
    """The key of the activity of the minute that starts at `at` (epoch ms), on this date (`YYYY-MM-DD`, UTC)."""
    return _key(minutes(env, date), f"{at:014d}")


def minutes(env: Environment, date: str) -> str:
    """The partition of a day's activity by minute."""
    return f"{env.value}#minutes#{date}"


def call_count(env: Environment, caller: str, window: int) -> Key:
    """The key of the calls of a caller (`key#<id>` or `customer#<id>`) in the window that starts at `window` (epoch
    ms)."""
    return _key(f"{env.value}#calls#{caller}", f"{window:014d}")


def all_history(env: Environment, month: str, shard: int) -> str:
    """A partition of the history of all customers: one shard of a month (`YYYY-MM`, UTC)."""
    return f"{env.value}#events#{month}#{shard}"


def hours(env: Environment, date: str, shard: int) -> str:
    """A partition of hourly sums: one shard of a date (`YYYY-MM-DD`, UTC)."""
    return f"{env.value}#hours#{date}#{shard}"


def days(env: Environment, month: str, shard: int) -> str:
    """A partition of daily sums: one shard of a month (`YYYY-MM`, UTC)."""
    return f"{env.value}#days#{month}#{shard}"


def customer_list(env: Environment) -> str:
    """The partition of an environment's list of customers."""
    return f"{env.value}#customers"


def listed_customer(env: Environment, created_at: int, customer_id: str) -> Key:
    """The key of a customer's entry in the list, which is sorted by time of creation (epoch ms)."""
    return listed_at(env, f"{created_at:014d}#{customer_id}")


def listed_at(env: Environment, position: str) -> Key:
    """The key of the entry at a position of the list of customers, which indexes have as their sort key."""
    return _key(customer_list(env), position)


def email_partition(env: Environment, digest: str) -> str:
    """The partition of the customers with one e-mail address, by its digest."""
    return f"{env.value}#email#{digest}"


def email_index(env: Environment, digest: str, created_at: int, customer_id: str) -> Key:
    """The key of a customer under its e-mail address; they are sorted by time of creation (epoch ms)."""
    return _key(email_partition(env, digest), f"{created_at:014d}#{customer_id}")


def entity_partition(env: Environment, entity_id: str) -> str:
    """The partition of the customers that have an entity of one id."""
    return f"{env.value}#entity#{entity_id}"


def entity_index(env: Environment, entity_id: str, created_at: int, customer_id: str) -> Key:
    """The key of a customer under the id of its entity; they are sorted by time of creation (epoch ms)."""
    return _key(entity_partition(env, entity_id), f"{created_at:014d}#{customer_id}")


def ended_partition(customer: CustomerRef) -> str:
    """The partition of a customer's subscriptions that have ended and are kept apart."""
    return f"{customer.environment.value}#ended#{customer.id}"


def ended_subscription(customer: CustomerRef, subscription_id: str) -> Key:
    """The key of an ended subscription that is kept apart."""
    return _key(ended_partition(customer), ENDED + subscription_id)


def subscription_partition(env: Environment, subscription_id: str) -> str:
    """The partition of the customers that have or had a subscription of one id."""
    return f"{env.value}#subscription#{subscription_id}"


def subscription_index(env: Environment, subscription_id: str, created_at: int, customer_id: str) -> Key:
    """The key of a customer under the id of a subscription that it has or had; they are sorted by time of creation (epoch
    ms)."""
    return _key(subscription_partition(env, subscription_id), f"{created_at:014d}#{customer_id}")


def plan_partition(env: Environment, plan_id: str) -> str:
    """The partition of the customers that have or had a plan, themselves or by an entity."""
    return f"{env.value}#plan#{plan_id}"


def plan_index(env: Environment, plan_id: str, created_at: int, customer_id: str) -> Key:
    """The key of a customer under a plan that it has or had; they are sorted by time of creation (epoch ms)."""
    return _key(plan_partition(env, plan_id), f"{created_at:014d}#{customer_id}")


def lock(env: Environment, digest: str) -> Key:
    """The key of a reservation, by the digest of its lock id."""
    return _key(f"{env.value}#lock#{digest}", LOCK)


def idempotency_key(env: Environment, digest: str) -> Key:
    """The key of an idempotency key's item, by its digest."""
    return _key(f"{env.value}#once#{digest}", "ONCE")


def unique(env: Environment, digest: str) -> Key:
    """The key of a value that COUNT_UNIQUE has counted, by its digest."""
    return _key(f"{env.value}#unique#{digest}", "UNIQUE")


def waiting_partition(customer: CustomerRef) -> str:
    """The partition of the events that wait for a customer."""
    return f"{customer.environment.value}#waiting#{customer.id}"


def waiting(customer: CustomerRef, at: int, digest: str) -> Key:
    """The key of a waiting event, by its time (epoch ms) and the digest of its id."""
    return _key(waiting_partition(customer), f"{at:014d}#{digest}")


def due_times(env: Environment, shard: int) -> str:
    """A partition of due times, which are sorted by time."""
    return f"{env.value}#due#{shard}"


def due_time(env: Environment, shard: int, at: int, digest: str) -> Key:
    """The key of a due time, by its time (epoch ms) and the digest of its message."""
    return _key(due_times(env, shard), f"{at:014d}#{digest}")


def catalog_partition(env: Environment) -> str:
    """The partition of an environment's features and plans."""
    return f"{env.value}#catalog"


def feature(env: Environment, feature_id: str) -> Key:
    """The key of a feature."""
    return _key(catalog_partition(env), FEATURE + feature_id)


def feature_changes(env: Environment) -> Key:
    """The key of the count of changes of an environment's features."""
    return _key(catalog_partition(env), "CHANGES")


def feature_snapshot(env: Environment) -> Key:
    """The key of all features of an environment in one item."""
    return _key(catalog_partition(env), "SNAPSHOT")


def plan(env: Environment, plan_id: str, version: int) -> Key:
    """The key of one version of a plan."""
    return _key(catalog_partition(env), f"{PLAN}{plan_id}#{version:06d}")


def api_key(digest: str) -> Key:
    """The key of an API key, by its SHA-256."""
    return _key(f"KEY#{digest}", "KEY")


def api_key_partition(env: Environment) -> str:
    """The partition of an environment's list of API keys."""
    return f"KEYS#{env.value}"


def api_key_listing(env: Environment, key_id: str) -> Key:
    """The key of an API key's entry in the list."""
    return _key(api_key_partition(env), key_id)


def key_uses(env: Environment) -> str:
    """The partition of when an environment's API keys were used last: the authorizer may write here and nowhere else."""
    return f"USED#{env.value}"


def key_use(env: Environment, key_id: str) -> Key:
    """The key of when an API key was used last."""
    return _key(key_uses(env), key_id)


def webhooks(env: Environment) -> str:
    """The partition of an environment's webhooks. It holds secrets: what decides is fenced off from it."""
    return f"WEBHOOKS#{env.value}"


def webhook(env: Environment, id: str) -> Key:
    """The key of a webhook."""
    return _key(webhooks(env), id)


def deliveries(env: Environment, webhook_id: str) -> str:
    """The partition of the deliveries to a webhook."""
    return f"WEBHOOK#{env.value}#{webhook_id}"


def delivery(env: Environment, webhook_id: str, id: str) -> Key:
    """The key of a delivery, by its message's id, which begins with its time."""
    return _key(deliveries(env, webhook_id), id)
