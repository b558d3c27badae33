"""Any interleaving of stream records, in any batches, with any of them sent again, gives the same history and sums."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import create_table, dynamodb_client
from tests.memory import fresh_url
from tests.profiles import examples
from tests.records import NOW, held, monthly, record, spent, used
from tests.service import SANDBOX, service
from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import Environment
from tollgate.domain.history import DAY_MS, HOUR_MS, QUARTER_MS, Addition, From, Segment, SumKey
from tollgate.store import keys
from tollgate.store.history import HistoryStore, ReadBudget
from tollgate.store.stream import change_of
from tollgate.usecases.history_writes import write_history

BALANCE_KEYS = (BalanceKey("messages"), BalanceKey("messages", "e1"), BalanceKey("words"))
_customers = itertools.count()


class Crash(Exception):
    pass


class Crashing(HistoryStore):
    """A history whose writer dies after so many of its sums."""

    left: int | None = None

    def add(
        self, env: Environment, lines: Mapping[SumKey, Sequence[Addition]], at: int, *, overtaken: bool = False
    ) -> None:
        if self.left is None:
            return super().add(env, lines, at, overtaken=overtaken)
        super().add(env, dict(itertools.islice(lines.items(), self.left)), at, overtaken=overtaken)
        raise Crash


@pytest.fixture(scope="module")
def history() -> Crashing:
    client = dynamodb_client(fresh_url())
    return Crashing(service(client, create_table(client)).table, 400)


def _forget_a_quarter(history: HistoryStore, customer: str) -> None:
    """Takes the quarters out of one of the customer's hourly sums."""
    table = history._table
    hours = [item for day in ("2026-01-01", "2026-01-02") for shard in range(8) for item in
             table.query(keys.hours(SANDBOX, day, shard), f"{customer}#")]  # fmt: skip
    for item in hours[:1]:
        plain = {name: value for name, value in item.items() if name[0] not in "cs" or len(name) > 2}
        kept = {"pk": item["pk"], "sk": item["sk"], **plain, "count": item["count"], "sum": item["sum"]}
        table.client.put_item(TableName=table.name, Item=kept)


writes = st.lists(
    st.tuples(st.sampled_from(BALANCE_KEYS), st.integers(1, 9), st.integers(0, 30 * HOUR_MS)), max_size=25
)


@given(writes, st.data())
@settings(max_examples=examples(0.4), suppress_health_check=[HealthCheck.too_slow])
def test_any_interleaving_of_records_gives_the_same_sums(
    history: Crashing, writes: list[tuple[BalanceKey, int, int]], data: st.DataObject
) -> None:
    customer = f"c{next(_customers)}"
    queues: dict[BalanceKey, list[dict[str, Any]]] = defaultdict(list)
    expected: dict[tuple[str, str | None, int], list[Decimal]] = defaultdict(list)
    balances = {balance_key: held(monthly(1000), key=balance_key) for balance_key in BALANCE_KEYS}
    versions = dict.fromkeys(BALANCE_KEYS, 1)
    for number, (balance_key, value, late) in enumerate(writes):
        versions[balance_key] += 1
        event = used(f"use-{number:03d}", value, NOW + late)
        after = spent(balances[balance_key], value)
        queues[balance_key].append(
            record(balances[balance_key], after, versions[balance_key], event, customer=customer)
        )
        balances[balance_key] = after
        expected[balance_key.feature_id, balance_key.entity_id or None, event.at].append(Decimal(value))
    merged = []
    while any(queues.values()):  # each item's own order is the stream's promise
        balance_key = data.draw(st.sampled_from([balance_key for balance_key, queue in queues.items() if queue]))
        merged.append(queues[balance_key].pop(0))

    def keep(records: Sequence[dict[str, Any]], *, overtaken: bool) -> bool:
        """Whether the consumer lived to the end of the batch."""
        history.left = data.draw(st.none() | st.integers(0, 4))
        changes = [change for one in records if (change := change_of(one))]
        try:
            write_history(history, changes, overtaken=overtaken)
        except Crash:
            return False
        return True

    done = 0
    given_up: list[list[dict[str, Any]]] = []
    while done < len(merged):
        start = data.draw(st.integers(0, done))  # some of what was told already comes again
        end = data.draw(st.integers(done + 1, len(merged)))
        if keep(merged[start:end], overtaken=False):
            done = end
        elif data.draw(st.booleans()):  # what failed too often is a dead letter, and the stream goes on
            given_up.append(merged[start:end])
            done = end
    for letter in data.draw(st.permutations(given_up)):
        while not keep(letter, overtaken=True):
            pass
    if data.draw(st.booleans()):  # an older release counted this hour too, and knows no quarters
        _forget_a_quarter(history, customer)
    for source, unit in ((From.QUARTERS, QUARTER_MS), (From.HOURS, HOUR_MS), (From.DAYS, DAY_MS)):
        end = NOW + 2 * DAY_MS
        parts = [Segment(source, NOW, end)]
        sums = history.sums(SANDBOX, customer, ["messages", "words"], parts, ReadBudget(1000))
        found = {(s.feature_id, s.entity_id, s.at): (s.uses, s.sum) for s in sums}
        wanted: dict[tuple[str, str | None, int], list[Decimal]] = defaultdict(list)
        for (feature, entity, at), values in expected.items():
            wanted[feature, entity, at - at % unit] += values
        assert found == {key: (len(values), sum(values)) for key, values in wanted.items()}
    listed = [entry for _, entry in history.entries(SANDBOX, customer, NOW, NOW + 2 * DAY_MS)]
    assert [entry.at for entry in listed] == sorted((NOW + late for _, _, late in writes), reverse=True)
    assert sum(entry.value for entry in listed) == sum(value for _, value, _ in writes)
    assert all(sum(taken.value for taken in entry.deductions) == entry.value for entry in listed)
