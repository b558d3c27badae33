"""The log of each customer, the alerts of all, and which balances are near their limit: what the stream's consumer
leaves for whoever looks; and the audit log of each environment.

Every write follows from a record of the stream alone, so it may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from tollgate.domain.balances import Balance, BalanceKey
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.store import keys
from tollgate.store.batches import put_and_delete
from tollgate.store.codecs.balances import decode_balance
from tollgate.store.codecs.log import LogEntry, decode_log_entry, encode_log_entry
from tollgate.store.codecs.near_limits import decode_near_limit, encode_near_limit
from tollgate.store.large_changes import LargeChanges
from tollgate.store.table import Item, Table, put_new

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef as Write

ALERTS_KEPT_SECONDS = 30 * 86_400
_DAY_SECONDS = 86_400


class Logged(NamedTuple):
    """A log entry of a customer. `at` is epoch ms; `id` is the event's, which is the same where it is told again.
    `alert`: it stands in the list of alerts too."""

    customer: CustomerRef
    at: int
    id: str
    entry: LogEntry
    alert: bool = False


class Moved(NamedTuple):
    """A balance came near its limit, went on, or is no longer near it: the levels (percent) before and after, and until
    when (epoch ms) the second holds where nothing is written."""

    customer: CustomerRef
    key: BalanceKey
    before: int | None
    after: int | None
    until: int | None


class Near(NamedTuple):
    """A balance that is listed as near its limit, as it is stored now."""

    customer_id: str
    balance: Balance


class LogStore:
    """The logs of one table. Entries are kept for `retention_days` after they were made, alerts for 30."""

    def __init__(self, table: Table, retention_days: int) -> None:
        self._table = table
        self._large_changes = LargeChanges(table)
        self._kept = retention_days * _DAY_SECONDS

    def write(self, entries: Iterable[Logged], moves: Iterable[Moved]) -> None:
        """Writes log entries, and where balances stand. May be repeated, in this order. Raises Unavailable."""
        writes: dict[tuple[str, str], Item | None] = {}
        for customer, at, id, entry, alert in entries:
            sk = f"{at:014d}#{id}"
            writes[keys.log(customer), sk] = encode_log_entry(entry, at // 1000 + self._kept)
            if alert:
                kept = encode_log_entry(entry, at // 1000 + ALERTS_KEPT_SECONDS)
                writes[keys.told_alerts(customer.environment), sk] = kept
        for customer, key, before, after, until in moves:
            sk = f"{customer.id}#{key.feature_id}#{key.entity_id}"
            if before is not None and before != after:
                writes[keys.near_limit(customer.environment, before), sk] = None
            if after is not None:
                writes[keys.near_limit(customer.environment, after), sk] = encode_near_limit(
                    None if until is None else until // 1000
                )
        if writes:
            put_and_delete(self._table, writes)

    def entry_write(self, env: Environment, customer_id: str | None, at: int, id: str, entry: tuple[str, str]) -> Write:
        """The write, for a transaction, of an entry (its type, and its content as JSON): in a customer's log; without a
        customer, in the environment's audit log. `at` is epoch ms."""
        partition = keys.audit(env) if customer_id is None else keys.log(CustomerRef(env, customer_id))
        item: Item = {"pk": {"S": partition}, "sk": {"S": f"{at:014d}#{id}"}}
        return put_new(self._table.name, {**item, **encode_log_entry(LogEntry(*entry), at // 1000 + self._kept)})

    def entries(self, customer: CustomerRef, before: str, limit: int) -> list[tuple[str, LogEntry]]:
        """Up to `limit` entries of a customer's log, the newest first, each with its position; before a position (empty:
        from the newest). Raises Unavailable."""
        return self._page(keys.log(customer), before, limit)

    def alerts(self, env: Environment, before: str, limit: int) -> list[tuple[str, LogEntry]]:
        """The same of the alerts of all customers."""
        return self._page(keys.told_alerts(env), before, limit)

    def audit(self, env: Environment, before: str, limit: int) -> list[tuple[str, LogEntry]]:
        """The same of the environment's audit log."""
        return self._page(keys.audit(env), before, limit)

    def _page(self, partition: str, before: str, limit: int) -> list[tuple[str, LogEntry]]:
        items = self._table.page(partition, before, limit, newest_first=True)
        return [(item["sk"]["S"], decode_log_entry(item)) for item in items]

    def near(
        self, env: Environment, level: int, after: str, limit: int, now: int
    ) -> tuple[list[tuple[str, Near]], str | None]:
        """Up to `limit` balances that are listed under a level, each with its position, after a position (empty: from
        the first); and where the list goes on, None at its end. Those whose listing has run out are left out, and so are
        those that are gone. Raises Unavailable."""
        items = self._table.page(keys.near_limit(env, level), after, limit)
        listed = {}
        for item in items:
            until = decode_near_limit(item)
            if until is None or until > now // 1000:
                customer_id, feature_id, entity_id = item["sk"]["S"].split("#")
                key = keys.balance(CustomerRef(env, customer_id), BalanceKey(feature_id, entity_id))
                listed[key["pk"]["S"], key["sk"]["S"]] = (item["sk"]["S"], customer_id)
        wanted: list[keys.Key] = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in listed]
        standing = self._large_changes.standing(self._table.get_all(wanted))
        found = {(item["pk"]["S"], item["sk"]["S"]): item for item in standing}
        near = [
            (position, Near(customer_id, decode_balance(found[key]).balance))
            for key, (position, customer_id) in listed.items()
            if key in found
        ]
        return near, items[-1]["sk"]["S"] if len(items) == limit else None
