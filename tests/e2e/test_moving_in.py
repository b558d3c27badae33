"""Customers of the deployed stack move in by Flexprice's and Lotus's APIs, into an environment that has nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.fixture import Shop, monthly, new
from tests.e2e.moving_in import Target, moved_in
from tests.handlers.conftest import Here, a_place
from tests.http_service import served, tollgate
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import CustomerRef, Environment
from tollgate_cli.stack import Stack

LIVE = Environment.LIVE


@pytest.fixture
def empty() -> Iterator[tuple[Here, Target]]:
    """Functions over a table that has nothing but a key."""
    with a_place(()) as here:
        _, key = here.service.api_keys.create(LIVE, Scope.SECRET, "moving", 0)
        with served(tollgate({key: "live"})) as url:
            yield here, Target(url, key, here.service.table)


@pytest.fixture
def customer(live: Shop) -> str:
    """A customer with a plan that every vendor can say, and a use."""
    live.fill()
    id = live.customer(monthly(100), monthly(50, "action1"), name="Ünïcode", email="a@b.example")
    live.track(id, 12.25)
    return id


@pytest.mark.parametrize("vendor", ["flexprice", "lotus"])
def test_a_customer_moves_in(
    vendor: str, customer: str, stack: Stack, empty: tuple[Here, Target], tmp_path: Path
) -> None:
    here, target = empty
    tried = moved_in(vendor, stack.url, stack.live_secret_key, target, tmp_path, customer, more="--dry-run")
    assert "1 customers would be brought over" in tried.printed
    assert list(here.service.customers.listed(LIVE)) == []
    done = moved_in(vendor, stack.url, stack.live_secret_key, target, tmp_path, customer)
    assert done.told == [], done.printed
    assert "1 customers were compared on both sides" in done.printed
    held = here.service.customers.get(CustomerRef(LIVE, customer))
    assert held.customer.email == "a@b.example"
    totals = sorted((balance.headroom, balance.grants[0].used) for balance in held.balances.values())
    assert totals == [(50, 0), (87.75, 12.25)]
    again = moved_in(vendor, stack.url, stack.live_secret_key, target, tmp_path, customer)
    assert (again.code, again.told) == (done.code, [])


def test_what_is_wrong_is_told_before_anything_is_written(
    stack: Stack, empty: tuple[Here, Target], tmp_path: Path
) -> None:
    here, target = empty
    before = here.contents()
    unknown = moved_in("lotus", stack.url, "wrong", target, tmp_path / "a")
    assert (unknown.code, "GET /api/ping/: 401" in unknown.printed) == (1, True), unknown.printed
    nobody = moved_in("lotus", stack.url, stack.live_secret_key, target, tmp_path / "b", new())
    assert (nobody.code, "there is no customer" in nobody.printed) == (1, True)
    foreign = target._replace(key=stack.live_secret_key)
    refused = moved_in("lotus", stack.url, stack.live_secret_key, foreign, tmp_path / "c")
    assert refused.code == 1
    assert here.contents() == before
