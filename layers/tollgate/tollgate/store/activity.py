"""Activity by minute in the table: one item for each minute in which something happened, of all functions together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from tollgate.domain.environments import Environment
from tollgate.store import keys
from tollgate.store.codecs.activity import MINUTE, Lag, Minute, decode_minute
from tollgate.store.table import Busy, Lost, Table

MINUTE_MS = 60_000
KEPT_SECONDS = 2 * 86_400
_DAY_MS = 86_400_000
_MOST = 150  # counts in one update, whose expression may have 4 KB


def minute_of(at: int) -> int:
    """The start of the minute that an instant is in, both in epoch ms."""
    return at - at % MINUTE_MS


class ActivityStore:
    """The activity of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, env: Environment, at: int, counts: Mapping[str, int], lag: Lag | None = None) -> dict[str, int]:
        """Adds to the counts (by attribute) of the minute that starts at `at` (epoch ms).

        Adds at most once: where an answer is lost, what it was about may be missing. Returns what certainly was not
        written, and may be sent again.
        """
        rest = iter(counts.items())
        parts = iter(lambda: dict(islice(rest, _MOST)), {})
        return {name: count for part in parts if not self._add(env, at, part, lag) for name, count in part.items()}

    def _add(self, env: Environment, at: int, counts: Mapping[str, int], lag: Lag | None) -> bool:
        set_ = {"ttl": at // 1000 + KEPT_SECONDS} | ({"behind": lag.behind_ms, "read_at": lag.read_at} if lag else {})
        names = {f"#{number}": name for number, name in enumerate((*counts, *set_))}
        values: dict[str, Any] = {
            f":{number}": {"N": str(value)} for number, value in enumerate((*counts.values(), *set_.values()))
        }
        added = ", ".join(f"#{number} :{number}" for number in range(len(counts)))
        written = ", ".join(f"#{number} = :{number}" for number in range(len(counts), len(names)))
        for _ in self._table.tries(3):
            try:
                self._table.send_once(
                    self._table.client.update_item,
                    TableName=self._table.name,
                    Key=keys.minute(env, _date(at), at),
                    UpdateExpression=f"SET {written}, #v = if_not_exists(#v, :v) ADD {added}",
                    ExpressionAttributeNames={**names, "#v": "v"},
                    ExpressionAttributeValues={**values, ":v": MINUTE.mark["v"]},
                )
            except Busy:
                continue
            except Lost:
                return True
            return True
        return False

    def since(self, env: Environment, start: int, end: int) -> list[Minute]:
        """The minutes from `start` to `end` (epoch ms) in which something happened, the first first. Raises
        Unavailable."""
        found: list[Minute] = []
        for day in range(start - start % _DAY_MS, end, _DAY_MS):
            after = f"{max(start, day) - 1:014d}"
            while items := self._table.page(keys.minutes(env, _date(day)), after, 200):
                found += [decode_minute(item) for item in items]
                after = items[-1]["sk"]["S"]
                if len(items) < 200:
                    break
        return [minute for minute in found if minute.at < end]


def _date(at: int) -> str:
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%d")
