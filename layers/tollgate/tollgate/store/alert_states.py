"""What the customers of one table were warned of last, so that each crossing is told once where several balances count.

One item for each feature and each who looks at it (a customer, or an entity of it); an attribute for each limit or
threshold that is passed: how it stands, and the write that was told to have passed it.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from tollgate.domain.environments import CustomerRef, Environment
from tollgate.store import keys
from tollgate.store.codecs.alert_states import ALERT_STATES, decode_alert_states, encode_alert_state
from tollgate.store.table import Item, Refused, Table

_KEPT_SECONDS = 400 * 86_400


class AlertSubject(NamedTuple):
    """`entity_id`: the entity that looks at the feature, empty for the customer itself."""

    env: Environment
    customer_id: str
    feature_id: str
    entity_id: str


class Standing(NamedTuple):
    state: str
    cause: str


class AlertStateStore:
    """The warnings of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, subject: AlertSubject) -> dict[str, Standing]:
        """What stands, by the digest of its key."""
        return _decoded(self._table.get(_key(subject)) or {})

    def mark(self, subject: AlertSubject, key: str, standing: Standing, now: int, *, anew: bool) -> bool:
        """Notes how a key stands. False where it stood so already, for another cause, and is not to begin `anew`."""
        values: Item = {
            ":value": encode_alert_state(*standing),
            ":ttl": {"N": str(now // 1000 + _KEPT_SECONDS)},
            **{f":{name}": value for name, value in ALERT_STATES.mark.items()},
        }
        condition: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(#key) OR NOT begins_with(#key, :state)"
        }
        try:
            self._table.repeated(
                self._table.client.update_item,
                TableName=self._table.name,
                Key=_key(subject),
                UpdateExpression="SET #key = :value, #ttl = :ttl, v = if_not_exists(v, :v)",
                ExpressionAttributeNames={"#key": digest(key), "#ttl": "ttl"},
                ExpressionAttributeValues=values if anew else {**values, ":state": {"S": f"{standing.state} "}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **({} if anew else condition),
            )
        except Refused as refused:
            return _decoded(refused.item or {}).get(digest(key)) == standing
        return True

    def clear(self, subject: AlertSubject, key: str) -> None:
        """Notes that a key does not stand any more."""
        try:
            self._table.repeated(
                self._table.client.update_item,
                TableName=self._table.name,
                Key=_key(subject),
                UpdateExpression="REMOVE #key",
                ConditionExpression="attribute_exists(#key)",
                ExpressionAttributeNames={"#key": digest(key)},
            )
        except Refused:  # it did not stand: nothing was to be done
            return

    def subjects(self, subject: AlertSubject) -> list[str]:
        """All who have been warned of a feature: the customer itself, and entities."""
        partition = keys.alert_states(CustomerRef(subject.env, subject.customer_id))
        found = self._table.query(partition, f"{subject.feature_id}#")
        return [item["sk"]["S"].partition("#")[2] for item in found]


def digest(key: str) -> str:
    return f"w{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _key(subject: AlertSubject) -> keys.Key:
    pk = keys.alert_states(CustomerRef(subject.env, subject.customer_id))
    return {"pk": {"S": pk}, "sk": {"S": f"{subject.feature_id}#{subject.entity_id}"}}


def _decoded(item: Item) -> dict[str, Standing]:
    return {name: Standing(*found) for name, found in decode_alert_states(item).items()}
