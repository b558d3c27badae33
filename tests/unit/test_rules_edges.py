"""Single sentences of the rules that no scenario tells (autumn.md 0.1, 3.4; flexprice.md 2.3; management.md 6)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.unit.scenario import Scenario, monthly, price
from tollgate.dialects.autumn.versions import UnknownVersion, version_of
from tollgate.dialects.flexprice.features import lookup_key_of
from tollgate.domain.plans import USAGE_BASED, ItemPrice, PlanItem


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.2", "2.6.0"])
def test_versions_before_1_1_and_after_the_newest_are_refused(version: str) -> None:
    """autumn.md 0.1."""
    with pytest.raises(UnknownVersion):
        version_of(version)


def test_paid_seats_always_reject() -> None:
    """autumn.md 3.4: what does not fit is refused whole, where free or consumable units would be clamped."""
    paid = Scenario(PlanItem("users", Decimal(1), price=ItemPrice(USAGE_BASED, max_purchase=Decimal(2))))
    assert not paid.track(4, "users").allowed
    assert paid.remaining("users") == 1
    assert paid.track(3, "users").allowed


def test_an_equal_price_is_no_downgrade() -> None:
    """management.md 6: it replaces at once."""
    customer = Scenario()
    first = customer.attach(monthly(100), group="main", price=price(20))
    second = customer.attach(monthly(50), group="main", price=price(20))
    assert (customer.status(first), customer.status(second)) == ("expired", "active")


@pytest.mark.parametrize(("name", "key"), [("API Calls", "api_calls"), ("GPU-hours (A100)", "gpu_hours_a100")])
def test_a_lookup_key_comes_of_the_name(name: str, key: str) -> None:
    """flexprice.md 2.3."""
    assert lookup_key_of(name) == key
