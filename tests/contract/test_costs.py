"""What each way through a check, a use or a track costs: requests, and the units that they are
charged (invariants.md 8).

A refused write is charged as if it had been done; no backend reports it. ministack reports no units for BatchGetItem.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.conftest import Spent
from tests.service import CALLER, HOUR, HOURLY, NOW, SANDBOX, Service, item, pay_per_use
from tollgate.domain.balances import BalanceKey
from tollgate.domain.controls import Controls, SpendControl, UsageControl
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import PlanItem
from tollgate.store import keys
from tollgate.store.codecs.features import encode_feature
from tollgate.store.features import FeatureStore
from tollgate.store.table import put_new
from tollgate.usecases.commands import UseCommand
from tollgate.usecases.features import FeatureCache

CAP = Overage.CAP
WRITE = ("UpdateItem", 1.0)
REFUSED = ("UpdateItem", None)
READ = ("GetItem", 1.0)
QUERY = ("Query", 1.0)


def batch(units: float) -> tuple[str, float]:
    return "BatchGetItem", units


def transaction(writes: int) -> tuple[str, float]:
    return "TransactWriteItems", 2.0 * writes


def assert_costs(here: Service, call: Callable[[], object], *expected: tuple[str, float | None]) -> None:
    """The requests that `call` makes are these, and charged so where the backend tells (None: it need not)."""
    here.ledger.features.catalog(SANDBOX)  # a container reads it once in thirty seconds
    spent = Spent(here.table.client)
    try:
        requests = spent.of(call)
    finally:
        spent.stop()
    assert [name for name, _ in requests] == [name for name, _ in expected]
    told = [(units, most) for (_, units), (_, most) in zip(requests, expected, strict=True) if units and most]
    assert all(units == most for units, most in told), requests


def spend(limit: int) -> Controls:
    return Controls(spend=(SpendControl("messages", limit=Decimal(limit)),))


class TestOwnFeature:
    def test_a_check_and_track_is_one_request_and_one_write_unit(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        assert_costs(here, lambda: here.use("c1", 1), WRITE)
        assert_costs(here, lambda: here.use("c1", 1, CAP), WRITE)

    def test_a_denial_is_one_request(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        here.use("c1", 9)
        assert_costs(here, lambda: here.use("c1", 2), REFUSED)

    def test_a_check_is_one_read_unit(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        here.use("c1", 1)
        assert_costs(here, lambda: here.remaining("c1"), READ)

    def test_an_item_with_two_grants_and_an_event_is_within_one_unit(self, here: Service) -> None:
        here.customer("a" * 36, [item("1000.25"), item("20.5", Reset(Interval.ONE_OFF))])
        properties = {"model": "gpt-4", "request_id": "req_0123456789"}
        use = UseCommand("a" * 36, "messages", Decimal("1.5"), Overage.REJECT, properties)
        here.tracking.check_and_track(CALLER, use, NOW)
        assert_costs(here, lambda: here.tracking.check_and_track(CALLER, use, NOW), WRITE)

    def test_overage_takes_the_fast_path_too(self, here: Service) -> None:
        here.customer("c1", [pay_per_use(1)])
        assert_costs(here, lambda: here.use("c1", 3), WRITE)
        assert_costs(here, lambda: here.use("c1", 3), WRITE)

    def test_an_unlimited_balance_takes_the_fast_path_too(self, here: Service) -> None:
        here.customer("c1", [PlanItem("messages", unlimited=True)])
        assert_costs(here, lambda: here.use("c1", 1000), WRITE)

    @pytest.mark.parametrize("amount", [1, 20], ids=["a reset", "a capped use"])
    def test_a_reset_and_a_capped_use_cost_the_write_that_failed_and_one_more(self, here: Service, amount: int) -> None:
        here.customer("c1", [item(10, HOURLY)])
        here.use("c1", 1)
        now = NOW + HOUR if amount == 1 else NOW
        assert_costs(here, lambda: here.use("c1", amount, CAP, now), REFUSED, WRITE)

    def test_a_returned_use_is_a_read_and_a_write(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        here.use("c1", 5)
        assert_costs(here, lambda: here.use("c1", -2, CAP), READ, WRITE)

    def test_what_nobody_granted_is_a_write_that_failed_and_two_reads(self, here: Service) -> None:
        here.customer("c1", [item(10, feature="action2")])
        assert_costs(here, lambda: here.use("c1", 1), REFUSED, ("GetItem", None), READ)


class TestCreditPools:
    def test_where_no_pool_is_held_the_first_use_looks_for_one_and_no_other(self, here: Service) -> None:
        here.customer("c1", [item(10, feature="action1")])
        assert_costs(here, lambda: here.use("c1", 1, feature="action1"), WRITE, ("GetItem", None))
        assert_costs(here, lambda: here.use("c1", 1, feature="action1"), WRITE)

    def test_beside_its_own_balance_the_pool_is_read_to_be_shown(self, here: Service) -> None:
        here.customer("c1", [item(10, feature="action1"), item(100, feature="credits")])
        for _ in range(2):
            assert_costs(here, lambda: here.use("c1", 1, feature="action1"), WRITE, READ)

    def test_credits_alone_are_found_once_and_then_are_one_request_and_one_unit(self, here: Service) -> None:
        here.customer("c1", [item(100, feature="credits")])
        assert_costs(here, lambda: here.use("c1", 1, feature="action1"), REFUSED, batch(1), WRITE)
        assert_costs(here, lambda: here.use("c1", 1, feature="action1"), WRITE)
        assert here.remaining("c1", feature="credits") == Decimal("99.6")

    def test_a_direct_use_of_credits_is_one_request(self, here: Service) -> None:
        here.customer("c1", [item(100, feature="credits")])
        assert_costs(here, lambda: here.use("c1", 1, feature="credits"), WRITE)

    def test_a_use_that_spills_into_credits_is_one_transaction(self, here: Service) -> None:
        here.customer("c1", [item(2, feature="action1"), item(100, feature="credits")])
        assert_costs(here, lambda: here.use("c1", 3, feature="action1"), REFUSED, batch(2), transaction(2))
        assert here.remaining("c1", feature="credits") == Decimal("99.8")

    def test_a_denial_is_a_write_that_failed_and_a_read(self, here: Service) -> None:
        here.customer("c1", [item(2, feature="action1"), item(1, feature="credits")])
        assert_costs(here, lambda: here.use("c1", 8, feature="action1"), REFUSED, batch(2))

    def test_a_check_reads_all_in_one_request(self, here: Service) -> None:
        here.customer("c1", [item(2, feature="action1"), item(1, feature="credits")])
        assert_costs(here, lambda: here.remaining("c1", feature="action1"), batch(2))

    def test_an_event_that_moves_one_balance_is_one_read_and_one_write(self, here: Service) -> None:
        here.customer("c1", [item(150, feature="credits")])
        use = UseCommand("c1", "", Decimal(5))
        assert_costs(here, lambda: here.tracking.track_event(CALLER, "action-event", use, NOW), batch(1), WRITE)

    def test_an_event_of_several_features_is_one_read_and_one_transaction(self, here: Service) -> None:
        here.customer("c1", [item(150, feature="action1"), item(150, feature="action3")])
        use = UseCommand("c1", "", Decimal(5))
        assert_costs(
            here, lambda: here.tracking.track_event(CALLER, "action-event", use, NOW), batch(2), transaction(2)
        )


class TestEntities:
    def test_an_entity_s_own_balance_is_one_write_and_the_customer_s_is_read_to_be_shown(self, here: Service) -> None:
        here.customer("c1", [replace(item(50), entity_feature_id="users"), item(100)])
        here.entity("c1", "e1")
        for _ in range(2):
            assert_costs(here, lambda: here.use("c1", 1, entity="e1"), WRITE, READ)

    def test_without_a_balance_of_its_own_the_customer_s_is_looked_up_and_written(self, here: Service) -> None:
        here.customer("c1", [item(100)])
        here.entity("c1", "e1")
        assert_costs(here, lambda: here.use("c1", 1, entity="e1"), REFUSED, batch(2), WRITE)
        assert_costs(here, lambda: here.use("c1", 1, entity="e1"), batch(2), WRITE)

    def test_a_use_that_spills_over_to_the_customer_is_one_transaction(self, here: Service) -> None:
        here.customer("c1", [replace(item(2), entity_feature_id="users"), item(100)])
        here.entity("c1", "e1")
        assert_costs(here, lambda: here.use("c1", 3, entity="e1"), REFUSED, batch(3), transaction(2))

    def test_a_customer_whose_entities_hold_balances_is_one_write_and_one_query(self, here: Service) -> None:
        here.customer("c1", [replace(item(50), entity_feature_id="users"), item(100)])
        here.entity("c1", "e1", "e2")
        for _ in range(2):
            assert_costs(here, lambda: here.use("c1", 1), WRITE, QUERY)


class TestLimitsAndKeys:
    def test_an_idempotency_key_makes_it_a_transaction_of_two_and_a_read(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        assert_costs(
            here, lambda: here.use("c1", 1, idempotency_keys=(IdempotencyKey("track", "k1"),)), transaction(2), READ
        )

    def test_a_usage_limit_of_the_feature_itself_is_free(self, here: Service) -> None:
        limit = UsageControl("messages", Decimal(5), Interval.MONTH)
        here.customer("c1", [item(100)], controls=Controls(usage=(limit,)))
        assert_costs(here, lambda: here.use("c1", 3), WRITE)
        assert_costs(here, lambda: here.use("c1", 3), REFUSED)

    def test_a_usage_limit_of_a_pool_s_member_is_counted_in_the_same_transaction(self, here: Service) -> None:
        limit = UsageControl("action1", Decimal(5), Interval.MONTH)
        here.customer("c1", [item(100, feature="credits")], controls=Controls(usage=(limit,)))
        for _ in range(2):
            assert_costs(here, lambda: here.use("c1", 1, feature="action1"), REFUSED, batch(2), transaction(2))

    def test_a_usage_limit_of_some_properties_is_thought_through_on_what_the_first_write_brought(
        self, here: Service
    ) -> None:
        limit = UsageControl("messages", Decimal(5), Interval.MONTH, filter=(("region", "eu"),))
        here.customer("c1", [item(100)], controls=Controls(usage=(limit,)))
        for _ in range(2):
            assert_costs(here, lambda: here.use("c1", 2, properties={"region": "eu"}), REFUSED, WRITE)
        assert_costs(here, lambda: here.use("c1", 2, properties={"region": "eu"}), REFUSED)

    def test_a_test_clock_is_one_read_more(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        here.customers.advance_test_clock(CustomerRef(SANDBOX, "c1"), NOW + HOUR, NOW)
        assert_costs(here, lambda: here.use("c1", 1), REFUSED, READ, WRITE)

    def test_a_spend_limit_that_entities_share_is_checked_where_it_is_drawn_on(self, here: Service) -> None:
        here.customer("c1", [replace(pay_per_use(1), entity_feature_id="users")], controls=spend(5))
        here.entity("c1", "e1", "e2")
        here.use("c1", 1, entity="e1")
        three_items = ("TransactWriteItems", None)  # DynamoDB Local does not charge every ConditionCheck
        cost = REFUSED, batch(3), QUERY, three_items
        assert_costs(here, lambda: here.use("c1", 1, entity="e1"), *cost)

    def test_what_costs_one_unit_keeps_its_place_in_the_item(self, here: Service) -> None:
        """An item of three grants, limits and an event of a few properties stays within a kilobyte."""
        here.customer("c1", [item(10), item(5, HOURLY), item(3, Reset(Interval.ONE_OFF))], controls=spend(5))
        properties = {"model": "gpt-4", "request_id": "req_0123456789"}
        assert_costs(here, lambda: here.use("c1", 1, properties=properties), WRITE)
        assert len(here.stored("c1", BalanceKey("messages")).balance.grants) == 3


class TestCatalog:
    """docs/table.md: the count of changes, and the one item that holds many features."""

    def fresh(self, here: Service) -> FeatureStore:
        """As a container that starts."""
        return FeatureStore(here.table)

    def test_few_features_are_read_once_and_their_changes_counted(self, here: Service) -> None:
        store, spent = self.fresh(here), Spent(here.table.client)
        first = spent.of(lambda: store.all(SANDBOX))
        assert [name for name, _ in first] == ["BatchGetItem", "Query"]
        assert [name for name, _ in spent.of(lambda: store.all(SANDBOX))] == ["GetItem"]
        here.catalogs.create_feature(SANDBOX, Feature("newest", "Newest", FeatureType.METERED))
        assert [name for name, _ in spent.of(lambda: store.all(SANDBOX))] == ["GetItem", "Query"]
        assert "newest" in store.all(SANDBOX)
        spent.stop()

    def test_a_thousand_cost_a_container_that_starts_ten_units_and_an_unknown_id_one(self, here: Service) -> None:
        schema = {"description": "What it is, in as many words as somebody may write of it.", "unit": "request"}
        many = [Feature(f"feature-{n:04}", f"Feature {n}", FeatureType.METERED, extra=schema) for n in range(1000)]
        for start in range(0, len(many), 90):
            writes = [
                put_new(here.table.name, {**keys.feature(SANDBOX, one.id), **encode_feature(one)})
                for one in many[start : start + 90]
            ]
            here.table.transact(writes, str(uuid.uuid4()))
        writer = self.fresh(here)
        writer.all(SANDBOX)
        last = Feature("last", "Last", FeatureType.METERED)
        writer.add(SANDBOX, last)
        store, spent = self.fresh(here), Spent(here.table.client)
        cold = spent.of(lambda: store.all(SANDBOX))
        assert [name for name, _ in cold] == ["BatchGetItem"]
        assert sum(units for _, units in cold) <= 10
        assert len(store.all(SANDBOX)) >= 1001
        cache = FeatureCache(store)
        cache.catalog(SANDBOX)
        unknown = spent.of(lambda: cache.catalog(SANDBOX, "misspelt"))
        assert [name for name, _ in unknown] == ["GetItem"]
        assert sum(units for _, units in unknown) <= 1
        writer.remove(SANDBOX, last)
        assert "last" not in store.all(SANDBOX)
        assert "last" not in self.fresh(here).all(SANDBOX)
        spent.stop()

    def test_features_made_at_once_are_all_there(self, here: Service) -> None:
        ids = [f"at-once-{number}" for number in range(24)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda id: self.fresh(here).add(SANDBOX, Feature(id, id, FeatureType.METERED)), ids))
        assert set(ids) <= set(self.fresh(here).all(SANDBOX))
