"""Alert states: which alerts have been raised, so that each crossing raises one where several balances count together.

There is one item for each feature and subject (a customer, or an entity of it), with one attribute for each limit or
threshold that is passed: its state, and the write that raised the alert.
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
    """The customer (`entity_id` empty) or entity whose alerts about one feature are recorded."""

    env: Environment
    customer_id: str
    feature_id: str
    entity_id: str


class Standing(NamedTuple):
    """The `state` of an alert, and the write that raised it (`cause`)."""

    state: str
    cause: str


class AlertStateStore:
    """The alert states of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, subject: AlertSubject) -> dict[str, Standing]:
        """The alerts of this subject that stand, by the digest of their keys. Raises Unavailable."""
        return _decoded(self._table.get(_key(subject)) or {})

    def mark(self, subject: AlertSubject, key: str, standing: Standing, now: int, *, anew: bool) -> bool:
        """Records the state of an alert, and returns whether `standing.cause` is the write that raised it.

        It is not where another write has recorded the same state before, unless the state begins `anew`. Asked again
        for the same write, the answer is the same. `now` is epoch ms. Raises Unavailable.
        """
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
        """Records that an alert no longer stands. Does nothing where it does not stand. Raises Unavailable."""
        try:
            self._table.repeated(
                self._table.client.update_item,
                TableName=self._table.name,
                Key=_key(subject),
                UpdateExpression="REMOVE #key",
                ConditionExpression="attribute_exists(#key)",
                ExpressionAttributeNames={"#key": digest(key)},
            )
        except Refused:  # it does not stand: there is nothing to do
            return

    def subjects(self, subject: AlertSubject) -> list[str]:
        """The subjects with alerts about this feature: entity ids, empty for the customer itself. Raises
        Unavailable.
        """
        partition = keys.alert_states(CustomerRef(subject.env, subject.customer_id))
        found = self._table.query(partition, f"{subject.feature_id}#")
        return [item["sk"]["S"].partition("#")[2] for item in found]


def digest(key: str) -> str:
    """The attribute that holds the state of the alert with this key."""
    return f"w{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _key(subject: AlertSubject) -> keys.Key:
    pk = keys.alert_states(CustomerRef(subject.env, subject.customer_id))
    return {"pk": {"S": pk}, "sk": {"S": f"{subject.feature_id}#{subject.entity_id}"}}


def _decoded(item: Item) -> dict[str, Standing]:
    return {name: Standing(*found) for name, found in decode_alert_states(item).items()}
