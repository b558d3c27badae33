"""What has been asked for of each feature that is topped up, so that each crossing asks once and limits are kept.

There is one item for each customer and feature. The consumer of the table's stream alone writes it;
whoever asks how often a feature was topped up reads it.
"""

from __future__ import annotations

from typing import Any

from tollgate.domain.environments import CustomerRef
from tollgate.domain.top_ups import TopUpState
from tollgate.store import keys
from tollgate.store.codecs.top_ups import decode_top_up_state, encode_top_up_state
from tollgate.store.table import Refused, Table

_KEPT_SECONDS = 400 * 86_400


class TopUpStateStore:
    """The top-ups' states of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, customer: CustomerRef, feature_id: str) -> tuple[TopUpState, int]:
        """What has been asked for, and how often it was written: 0 of what was never asked for. Raises Unavailable."""
        item = self._table.get(keys.top_up_state(customer, feature_id))
        return (TopUpState(), 0) if item is None else decode_top_up_state(item)

    def all(self, customer: CustomerRef) -> dict[str, TopUpState]:
        """What has been asked for, by feature: one Query. Raises Unavailable."""
        items = self._table.query(keys.top_up_states(customer))
        return {item["sk"]["S"]: decode_top_up_state(item)[0] for item in items}

    def put(self, customer: CustomerRef, feature_id: str, state: TopUpState, writes: int, now: int) -> bool:
        """Writes the state; False where it is no longer the one that was written `writes` times. `now` is epoch ms. Raises
        Unavailable.
        """
        unchanged = "writes = :writes" if writes else "attribute_not_exists(pk)"
        known: dict[str, Any] = {"ExpressionAttributeValues": {":writes": {"N": str(writes)}}} if writes else {}
        attributes = encode_top_up_state(state, writes + 1, now // 1000 + _KEPT_SECONDS)
        try:
            self._table.repeated(
                self._table.client.put_item,
                TableName=self._table.name,
                Item={**keys.top_up_state(customer, feature_id), **attributes},
                ConditionExpression=unchanged,
                **known,
            )
        except Refused:
            return False
        return True
