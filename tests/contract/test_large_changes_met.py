"""Who meets a large change on its way (decision 13): whatever its writer does between two requests of theirs, a balance
stands, and is finished, as it was staged last.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import create_table
from tests.contract.test_large_changes import C1, SHARES, staged, with_entities
from tests.memory import fresh_url, memory
from tests.service import FIXTURE, NOW, Service, service
from tollgate.domain.balances import Balance, BalanceKey
from tollgate.store import keys
from tollgate.store.balances import BalanceStore
from tollgate.store.codecs.balances import state_attributes
from tollgate.store.large_changes import LargeChanges, Staged, staged_balance
from tollgate.store.log import LogStore, Moved
from tollgate.store.table import Refused, Table, put_new

KEY, NEW = BalanceKey("messages", "e0000"), BalanceKey("messages", "e0001")
READS = ("get_item", "batch_get_item", "query")


@pytest.fixture
def alone() -> Service:
    """The service over the table store in this process."""
    client = memory(fresh_url())
    return service(client, create_table(client), FIXTURE)


class Meeting:
    """A change that was staged, could not be decided, and is staged otherwise and decided by `decide`; its writer is then
    killed. One balance exists (10 units), one does not."""

    def __init__(self, here: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        self.here, self.patch = here, monkeypatch
        with_entities(here, 1)
        here.attach("c1", SHARES)
        self.changes = LargeChanges(here.table)
        self.claim = self.changes.claim(C1)
        self.old = here.stored("c1", KEY)
        there = put_new(here.table.name, keys.customer(C1))
        with pytest.raises(Refused):
            self.changes.write(self.claim, self._balances(1, self.old.version), [there])
        self.decided = False

    def _balances(self, headroom: int, version: int) -> list[Staged]:
        after: Balance = self.old.balance._replace(headroom=Decimal(headroom))
        made = Staged(keys.balance(C1, NEW), None, state_attributes(after))
        return [staged_balance(C1, self.old._replace(version=version), state_attributes(after)), made]

    def decide(self) -> None:
        self.decided = True
        with self.patch.context() as killed:
            killed.setattr(LargeChanges, "_finish", lambda *_: None)
            self.changes.write(self.claim, self._balances(2, self.old.version + 1))

    def deciding_before(self, number: int) -> Table:
        """The table, as one has it before whose read of this number the writer goes on."""
        reads = iter(range(1000))
        client = type("Client", (), {})()
        for name in dir(self.here.table.client):
            if not name.startswith("__"):
                setattr(client, name, getattr(self.here.table.client, name))

        def counted(read: Callable[..., Any]) -> Callable[..., Any]:
            def send(**request: Any) -> Any:
                if next(reads) == number and not self.decided:
                    self.decide()
                return read(**request)

            return send

        for name in READS:
            setattr(client, name, counted(getattr(client, name)))
        return Table(client, self.here.table.name)


def headrooms(table: Table) -> dict[str, Decimal]:
    found = BalanceStore(table).read(C1, [KEY, NEW])
    return {key.entity_id: stored.balance.headroom for key, stored in found.items()}


@pytest.mark.parametrize("number", range(4))
def test_a_staged_balance_stands_as_it_was_or_as_it_was_staged_last(
    alone: Service, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    meeting = Meeting(alone, monkeypatch)
    assert headrooms(meeting.deciding_before(number)) in ({"e0000": 10}, {"e0000": 2, "e0001": 2})


@pytest.mark.parametrize("number", range(4))
def test_a_decided_change_is_finished_as_it_was_staged_last(
    alone: Service, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    meeting = Meeting(alone, monkeypatch)
    LargeChanges(meeting.deciding_before(number)).resolve([keys.balance(C1, KEY), keys.balance(C1, NEW)])
    if not meeting.decided:
        meeting.decide()
    for _ in range(2):
        LargeChanges(alone.table).resolve([keys.balance(C1, KEY), keys.balance(C1, NEW)])
    assert staged(alone) == []
    assert headrooms(alone.table) == {"e0000": 2, "e0001": 2}


def test_a_record_that_went_with_its_customer_does_not_come_back(
    alone: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = Meeting(alone, monkeypatch)
    finish = LargeChanges._in_parts

    def deleted(self: LargeChanges, claim: Any, writes: Any) -> set[int]:
        refused = finish(self, claim, writes)
        if claim is None:
            alone.customers.delete(C1)
        return refused

    monkeypatch.setattr(LargeChanges, "_in_parts", deleted)
    meeting.changes.write(meeting.claim, meeting._balances(2, meeting.old.version + 1))
    assert alone.table.query(keys.customer_partition(C1)) == []


def test_any_number_of_items_may_be_read_at_once(alone: Service) -> None:
    with_entities(alone, 701)
    wanted = [keys.entity(C1, f"e{number:04}") for number in range(701)]
    paused: list[float] = []
    found = Table(alone.table.client, alone.table.name, paused.append).get_all(wanted)
    assert sorted(item["sk"]["S"] for item in found) == [key["sk"]["S"] for key in wanted]
    assert paused == []


def test_a_balance_near_its_limit_is_listed_as_it_stands(alone: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = Meeting(alone, monkeypatch)
    log = LogStore(alone.table, 30)
    log.write((), [Moved(C1, key, None, 80, None) for key in (KEY, NEW)])

    def listed() -> dict[str, Decimal]:
        found, _ = log.near(C1.environment, 80, "", 10, NOW)
        return {near.balance.key.entity_id: near.balance.headroom for _, near in found}

    assert listed() == {"e0000": 10}
    meeting.decide()
    assert listed() == {"e0000": 2, "e0001": 2}
