"""Every partition and sort key of the table. Ids cannot hold `#`, so no two things share a key.

| item | pk | sk |
|---|---|---|
| customer | `<env>#customer#<customer>` | `CUSTOMER` |
| subscription | same | `SUBSCRIPTION#<subscription>` |
| entity | same | `ENTITY#<entity>` |
| balance | same | `BALANCE#<feature>#<entity, or nothing>` |
| use of what nothing grants | same | `USE#<feature>#<entity, or nothing>` |
| history, of a customer | `<env>#history#<customer>` | `<at, ms, 14 digits>#<use>#<feature>#<customer>#<part, or nothing>` |
| history, of all | `<env>#events#<year-month>#<shard>` | same |
| hourly sum | `<env>#hours#<date>#<shard>` | `<customer>#<feature>#<entity>#<hour, ms, 14 digits>#<item>` |
| daily sum | `<env>#days#<year-month>#<shard>` | same |
| what was warned of last | `<env>#watch#<customer>` | `<feature>#<entity, or nothing>` |
| customer, in its list | `<env>#customers` | `<created, ms, 14 digits>#<customer>` |
| reservation | `<env>#lock#<digest of the lock id>` | `LOCK` |
| idempotency key | `<env>#once#<sha256>` | `ONCE` |
| a value that was counted once | `<env>#unique#<sha256>` | `UNIQUE` |
| event of a customer to come | `<env>#waiting#<customer>` | `<its time, ms, 14 digits>#<sha256 of its id>` |
| feature | `<env>#catalog` | `FEATURE#<feature>` |
| plan version | same | `PLAN#<plan>#<version, six digits>` |
| API key, by its hash | `KEY#<sha256>` | `KEY` |
| API key, in its list | `KEYS#<env>` | `<key id>` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef, Environment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Key = dict[str, AttributeValueTypeDef]

CUSTOMER = "CUSTOMER"
SUBSCRIPTION = "SUBSCRIPTION#"
ENTITY = "ENTITY#"
LOCK = "LOCK"
BALANCE = "BALANCE#"
USE = "USE#"
FEATURE = "FEATURE#"
PLAN = "PLAN#"


def _key(pk: str, sk: str) -> Key:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def customer_partition(customer: CustomerRef) -> str:
    return f"{customer.environment.value}#customer#{customer.id}"


def customer(customer: CustomerRef) -> Key:
    return _key(customer_partition(customer), CUSTOMER)


def subscription(customer: CustomerRef, subscription_id: str) -> Key:
    return _key(customer_partition(customer), SUBSCRIPTION + subscription_id)


def entity(customer: CustomerRef, entity_id: str) -> Key:
    return _key(customer_partition(customer), ENTITY + entity_id)


def balance(customer: CustomerRef, key: BalanceKey) -> Key:
    return _key(customer_partition(customer), f"{BALANCE}{key.feature_id}#{key.entity_id}")


def ungranted_use(customer: CustomerRef, key: BalanceKey) -> Key:
    return _key(customer_partition(customer), f"{USE}{key.feature_id}#{key.entity_id}")


def history(customer: CustomerRef) -> str:
    return f"{customer.environment.value}#history#{customer.id}"


def alert_states(customer: CustomerRef) -> str:
    return f"{customer.environment.value}#watch#{customer.id}"


def all_history(env: Environment, month: str, shard: int) -> str:
    return f"{env.value}#events#{month}#{shard}"


def hours(env: Environment, date: str, shard: int) -> str:
    return f"{env.value}#hours#{date}#{shard}"


def days(env: Environment, month: str, shard: int) -> str:
    return f"{env.value}#days#{month}#{shard}"


def customer_list(env: Environment) -> str:
    return f"{env.value}#customers"


def listed_customer(env: Environment, created_at: int, customer_id: str) -> Key:
    return _key(customer_list(env), f"{created_at:014d}#{customer_id}")


def lock(env: Environment, digest: str) -> Key:
    return _key(f"{env.value}#lock#{digest}", LOCK)


def idempotency_key(env: Environment, digest: str) -> Key:
    return _key(f"{env.value}#once#{digest}", "ONCE")


def unique(env: Environment, digest: str) -> Key:
    return _key(f"{env.value}#unique#{digest}", "UNIQUE")


def waiting_partition(customer: CustomerRef) -> str:
    return f"{customer.environment.value}#waiting#{customer.id}"


def waiting(customer: CustomerRef, at: int, digest: str) -> Key:
    return _key(waiting_partition(customer), f"{at:014d}#{digest}")


def catalog_partition(env: Environment) -> str:
    return f"{env.value}#catalog"


def feature(env: Environment, feature_id: str) -> Key:
    return _key(catalog_partition(env), FEATURE + feature_id)


def plan(env: Environment, plan_id: str, version: int) -> Key:
    return _key(catalog_partition(env), f"{PLAN}{plan_id}#{version:06d}")


def api_key(digest: str) -> Key:
    return _key(f"KEY#{digest}", "KEY")


def api_key_partition(env: Environment) -> str:
    return f"KEYS#{env.value}"


def api_key_listing(env: Environment, key_id: str) -> Key:
    return _key(api_key_partition(env), key_id)
