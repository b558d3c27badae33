"""What does not fit DynamoDB's 400 KB is refused in words, and nothing of it is written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.test_large_changes import C1, SHARES, staged, with_entities
from tests.service import NOW, SANDBOX, Service, item
from tollgate.domain.customers import Customer
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import InvalidRequest
from tollgate.store import balances, keys, large_changes
from tollgate.usecases.commands import UseCommand

LONG = "x" * 410_000


def test_a_customer_that_does_not_fit_its_item_stays_as_it_was(here: Service) -> None:
    here.customer("c1", [item(10)])
    before = here.table.query(keys.customer_partition(C1))
    with pytest.raises(InvalidRequest, match="400 KB"):
        here.customers.update(C1, lambda customer: replace(customer, metadata={"note": LONG}), NOW)
    assert here.table.query(keys.customer_partition(C1)) == before
    with pytest.raises(InvalidRequest, match="400 KB"):
        here.customers.get_or_create(SANDBOX, Customer("c2", metadata={"note": LONG}), None, NOW)


def test_a_use_that_does_not_fit_its_balance_counts_nothing(here: Service) -> None:
    from tests.service import CALLER

    here.customer("c1", [item(10)])
    for amount in (1, -1):  # the fast path, and the slow one
        use = UseCommand("c1", "messages", here.remaining("c1") * 0 + amount, Overage.CAP, {"note": LONG})
        with pytest.raises(InvalidRequest, match="400 KB"):
            here.tracking.check_and_track(CALLER, use, NOW)
    assert here.remaining("c1") == 10
    assert here.use("c1", 10).allowed


def test_a_large_change_with_what_does_not_fit_leaves_nothing_staged(
    here: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_changes, "MOST_WRITES", 2)
    monkeypatch.setattr(balances, "MOST_IN_ONE", 0)
    with_entities(here, 3)
    here.attach("c1", SHARES)
    with pytest.raises(InvalidRequest, match="400 KB"):
        here.customers.update(
            C1, lambda customer: replace(customer, metadata={"note": LONG}, unpooled=True, frozen_time=NOW), NOW
        )
    assert staged(here) == []
    assert here.use("c1", 30).allowed
