"""Every partition and sort key of the table. Ids cannot hold `#`, so no two things share a key.

| item | pk | sk |
|---|---|---|
| customer | `<env>#customer#<customer>` | `CUSTOMER` |
| subscription | same | `SUBSCRIPTION#<subscription>` |
| balance | same | `BALANCE#<feature>#<entity, or nothing>` |
| feature | `<env>#catalog` | `FEATURE#<feature>` |
| plan version | same | `PLAN#<plan>#<version, six digits>` |
| API key, by its hash | `KEY#<sha256>` | `KEY` |
| API key, in its list | `KEYS#<env>` | `<key id>` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollgate.domain.keys import Environment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Key = dict[str, AttributeValueTypeDef]

SUBSCRIPTION = "SUBSCRIPTION#"
BALANCE = "BALANCE#"
FEATURE = "FEATURE#"
PLAN = "PLAN#"


def _key(pk: str, sk: str) -> Key:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def customer_partition(env: Environment, customer_id: str) -> str:
    return f"{env.value}#customer#{customer_id}"


def customer(env: Environment, customer_id: str) -> Key:
    return _key(customer_partition(env, customer_id), "CUSTOMER")


def subscription(env: Environment, customer_id: str, subscription_id: str) -> Key:
    return _key(customer_partition(env, customer_id), SUBSCRIPTION + subscription_id)


def balance(env: Environment, customer_id: str, feature_id: str, entity_id: str = "") -> Key:
    return _key(customer_partition(env, customer_id), f"{BALANCE}{feature_id}#{entity_id}")


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
