"""What containers tell each other of callers' calls: one item for each caller and window."""

from __future__ import annotations

from tollgate.domain.environments import Environment
from tollgate.store import keys
from tollgate.store.codecs.call_counts import decode_call_count, encode_call_count
from tollgate.store.table import Busy, Lost, Table

KEPT_SECONDS = 600


class CallCountStore:
    """The counts of calls of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def tell(self, env: Environment, caller: str, window: int, calls: int) -> int | None:
        """Adds to the calls of a caller (`key#<id>` or `customer#<id>`) in the window that starts at `window` (epoch
        ms), and returns how many were told of in all; None where the table gave no answer, which may leave them out.

        Sent once, and costs one write unit. Raises Unavailable where a newer release wrote the item.
        """
        sent = encode_call_count(calls, window // 1000 + KEPT_SECONDS)
        try:
            answer = self._table.send_once(
                self._table.client.update_item,
                TableName=self._table.name,
                Key=keys.call_count(env, caller, window),
                UpdateExpression="SET #ttl = :ttl, #v = if_not_exists(#v, :v) ADD calls :calls",
                ExpressionAttributeNames={"#ttl": "ttl", "#v": "v"},
                ExpressionAttributeValues={":calls": sent["calls"], ":ttl": sent["ttl"], ":v": sent["v"]},
                ReturnValues="ALL_NEW",
            )
        except (Busy, Lost):
            return None
        return decode_call_count(answer["Attributes"])
