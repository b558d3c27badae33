"""What the store promises, on every backend that is atomic: ministack and DynamoDB Local."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from cli.servers import Server
from tests.conftest import Spent, create_table, dynamodb_client
from tests.world import CALLER, HOUR, NOW, SANDBOX, World, item, world
from tollgate.domain.customers import Customer
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import AlreadyExists, InsufficientBalance, InvalidRequest, NotFound
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.keys import Environment, Scope, digest
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import Plan, PlanItem
from tollgate.usecases.usage import Use


@pytest.fixture
def here(backend: Server) -> World:
    client = dynamodb_client(backend.url)
    return world(client, create_table(client))


class TestHotPath:
    """Invariant 8: one request and one unit."""

    def test_a_check_and_track_costs_one_request_and_one_write_unit(self, here: World) -> None:
        here.customer("c1", [item(10)])
        here.use("c1", 1)
        assert Spent(here.table.client).of(lambda: here.use("c1", 1)) == [("UpdateItem", 1.0)]

    def test_a_denial_costs_one_request(self, here: World) -> None:
        here.customer("c1", [item(10)])
        here.use("c1", 9)
        requests = Spent(here.table.client).of(lambda: here.use("c1", 2))
        assert [name for name, _ in requests] == ["UpdateItem"]

    def test_a_check_costs_one_read_unit(self, here: World) -> None:
        here.customer("c1", [item(10)])
        here.use("c1", 1)
        assert Spent(here.table.client).of(lambda: here.remaining("c1")) == [("GetItem", 1.0)]

    def test_an_item_with_two_rows_and_an_event_is_within_one_unit(self, here: World) -> None:
        here.customer("a" * 36, [item("1000.25"), item("20.5", Reset(Interval.ONE_OFF))])
        properties = {"model": "gpt-4", "request_id": "req_0123456789"}
        use = Use("a" * 36, "messages", Decimal("1.5"), Overage.REJECT, properties)
        here.meter.check_and_track(CALLER, use, NOW)
        spent = Spent(here.table.client).of(lambda: here.meter.check_and_track(CALLER, use, NOW))
        assert spent == [("UpdateItem", 1.0)]

    def test_a_reset_costs_the_hot_write_that_failed_and_one_more(self, here: World) -> None:
        here.customer("c1", [item(10, Reset(Interval.HOUR))])
        here.use("c1", 10)
        requests = Spent(here.table.client).of(lambda: here.use("c1", 1, now=NOW + HOUR))
        assert [name for name, _ in requests] == ["UpdateItem", "UpdateItem"]

    def test_a_capped_use_costs_the_hot_write_that_failed_and_one_more(self, here: World) -> None:
        here.customer("c1", [item(10)])
        here.use("c1", 1)
        requests = Spent(here.table.client).of(lambda: here.use("c1", 20, Overage.CAP))
        assert [name for name, _ in requests] == ["UpdateItem", "UpdateItem"]
        assert requests[1][1] == 1.0

    def test_a_returned_use_costs_a_read_and_a_write(self, here: World) -> None:
        here.customer("c1", [item(10)])
        here.use("c1", 5)
        requests = Spent(here.table.client).of(lambda: here.use("c1", -2, Overage.CAP))
        assert requests == [("GetItem", 1.0), ("UpdateItem", 1.0)]


class TestUse:
    def test_allowed_until_the_grant_is_used_up_then_denied_and_unchanged(self, here: World) -> None:
        here.customer("c1", [item(5)])
        assert [here.use("c1", 2).allowed for _ in range(4)] == [True, True, False, False]
        assert here.remaining("c1") == 1
        before = here.last_event_id("c1")
        assert not here.use("c1", 2).allowed
        assert here.last_event_id("c1") == before  # invariant 6

    def test_decimals_are_exact(self, here: World) -> None:
        here.customer("c1", [item("1")])
        for _ in range(10):
            assert here.use("c1", "0.1").allowed
        assert here.remaining("c1") == 0
        assert not here.use("c1", "0.0000000001").allowed

    def test_a_capped_use_takes_what_is_left(self, here: World) -> None:
        here.customer("c1", [item(100)])
        outcome = here.use("c1", 150, Overage.CAP)
        assert (outcome.allowed, outcome.drawn, here.remaining("c1")) == (True, 100, 0)

    def test_a_refund_stops_at_the_grant(self, here: World) -> None:
        here.customer("c1", [item(100)])
        here.use("c1", 30)
        assert here.use("c1", -50, Overage.CAP).drawn == -30
        assert here.remaining("c1") == 100

    def test_an_unlimited_balance_counts(self, here: World) -> None:
        here.customer("c1", [PlanItem("messages", unlimited=True)])
        outcome = here.use("c1", 10**14)
        assert outcome.allowed
        assert outcome.balance
        assert outcome.balance.rows[0].used == 10**14

    def test_a_reset_is_applied_on_the_first_use_after_it(self, here: World) -> None:
        """Invariant 4, and a check sees it before any write does."""
        here.customer("c1", [item(10, Reset(Interval.HOUR))])
        here.use("c1", 10)
        assert not here.use("c1", 1, now=NOW + HOUR - 1).allowed
        assert here.remaining("c1", NOW + HOUR) == 10
        assert here.use("c1", 4, now=NOW + 3 * HOUR + 5).allowed
        assert here.remaining("c1", NOW + 3 * HOUR + 5) == 6
        stored = here.balances.get(SANDBOX, "c1", "messages")
        assert stored
        assert stored.balance.rows[0].next_reset_at == NOW + 4 * HOUR

    def test_a_use_that_the_old_period_could_cover_belongs_to_the_new_one(self, here: World) -> None:
        here.customer("c1", [item(10, Reset(Interval.HOUR))])
        here.use("c1", 4)
        assert here.use("c1", 1, now=NOW + HOUR).allowed
        assert here.remaining("c1", NOW + HOUR) == 9

    def test_rejecting_track_is_an_error_and_changes_nothing(self, here: World) -> None:
        here.customer("c1", [item(5)])
        with pytest.raises(InsufficientBalance):
            here.meter.track(CALLER, Use("c1", "messages", Decimal(6), Overage.REJECT), NOW)
        assert here.remaining("c1") == 5

    def test_unknown_customers_and_features_are_not_found(self, here: World) -> None:
        with pytest.raises(NotFound, match="Customer nobody"):
            here.use("nobody", 1)
        with pytest.raises(NotFound, match="Customer nobody"):
            here.remaining("nobody")
        with pytest.raises(NotFound, match="Feature nothing"):
            here.meter.check(SANDBOX, "nobody", "nothing", Decimal(1), NOW)

    def test_a_boolean_feature_is_checked_not_tracked(self, here: World) -> None:
        here.customer("c1", [PlanItem("dashboard")])
        assert here.meter.check(SANDBOX, "c1", "dashboard", Decimal(1), NOW).allowed
        with pytest.raises(InvalidRequest):
            here.meter.check_and_track(CALLER, Use("c1", "dashboard", Decimal(1)), NOW)

    def test_a_customer_without_the_feature_is_denied(self, here: World) -> None:
        here.customer("c1", [PlanItem("dashboard")])
        outcome = here.use("c1", 1)
        assert (outcome.allowed, outcome.balance) == (False, None)


class TestConcurrency:
    """Invariant 1: no overspend, whatever runs at once."""

    def test_150_calls_of_2_by_20_threads_against_200_grant_exactly_100(self, here: World) -> None:
        here.customer("c1", [item(200)])
        with ThreadPoolExecutor(20) as threads:
            outcomes = list(threads.map(lambda _: here.use("c1", 2).allowed, range(20 * 150)))
        assert outcomes.count(True) == 100
        assert here.remaining("c1") == 0

    def test_a_reset_that_is_due_happens_once_while_five_track_10(self, here: World) -> None:
        """autumn.md 5: a stale row reset while 5 tracks of 10 run leaves exactly 50 of 100."""
        here.customer("c1", [item(100, Reset(Interval.HOUR))])
        here.use("c1", 100)
        with ThreadPoolExecutor(5) as threads:
            outcomes = list(threads.map(lambda _: here.use("c1", 10, Overage.CAP, NOW + HOUR), range(5)))
        assert sum(outcome.drawn for outcome in outcomes) == 50
        assert here.remaining("c1", NOW + HOUR) == 50

    def test_7_at_once_on_5_grant_exactly_5(self, here: World) -> None:
        here.customer("c1", [item(5)])
        with ThreadPoolExecutor(7) as threads:
            assert list(threads.map(lambda _: here.use("c1", 1).allowed, range(7))).count(True) == 5

    def test_capped_uses_at_the_edge_take_exactly_what_there_is(self, here: World) -> None:
        here.customer("c1", [item(10)])
        with ThreadPoolExecutor(8) as threads:
            outcomes = list(threads.map(lambda _: here.use("c1", 3, Overage.CAP), range(8)))
        assert sum(outcome.drawn for outcome in outcomes) == 10
        assert here.remaining("c1") == 0

    def test_one_plan_attached_by_two_at_once_is_attached_once(self, here: World) -> None:
        here.management.create_plan(SANDBOX, Plan("pro", "Pro", items=(item(10),)))
        here.management.get_or_create_customer(SANDBOX, Customer("c1"), None, NOW)

        def attach(_: int) -> bool:
            try:
                here.management.attach(SANDBOX, "c1", "pro", None, NOW)
            except InvalidRequest:
                return False
            return True

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(attach, range(4))).count(True) == 1
        assert here.remaining("c1") == 10

    def test_a_customer_created_by_many_at_once_exists_once(self, here: World) -> None:
        plan = Plan("free", "Free", auto_enable=True, items=(item(10),))
        here.management.create_plan(SANDBOX, plan)

        def create(_: int) -> int:
            held = here.management.get_or_create_customer(SANDBOX, Customer("c1"), None, NOW)
            return len(held.subscriptions)

        with ThreadPoolExecutor(6) as threads:
            assert set(threads.map(create, range(6))) == {1}
        assert here.remaining("c1") == 10

    def test_many_refunds_at_once_all_arrive(self, here: World) -> None:
        here.customer("c1", [item(100)])
        here.use("c1", 100)
        with ThreadPoolExecutor(16) as threads:
            outcomes = list(threads.map(lambda _: here.use("c1", -1, Overage.CAP), range(48)))
        assert sum(outcome.drawn for outcome in outcomes) == -48
        assert here.remaining("c1") == 48

    def test_capped_uses_of_an_exhausted_balance_never_stand_in_each_others_way(self, here: World) -> None:
        here.customer("c1", [item(1)])
        here.use("c1", 1)
        with ThreadPoolExecutor(16) as threads:
            outcomes = list(threads.map(lambda _: here.use("c1", 5, Overage.CAP), range(64)))
        assert [outcome.drawn for outcome in outcomes] == [0] * 64

    def test_a_plan_attached_amid_uses_loses_none_of_them(self, here: World) -> None:
        here.customer("c1", [item(1000)])
        here.management.create_plan(SANDBOX, Plan("pack", "Pack", add_on=True, items=(item(500, None),)))
        with ThreadPoolExecutor(5) as threads:
            uses = [threads.submit(lambda: [here.use("c1", 1).allowed for _ in range(40)]) for _ in range(2)]
            packs = [threads.submit(here.management.attach, SANDBOX, "c1", "pack", None, NOW) for _ in range(3)]
            assert all(all(use.result()) for use in uses)
            for pack in packs:
                pack.result()
        assert here.remaining("c1") == 1000 + 3 * 500 - 80

    def test_a_plan_attached_right_after_a_use_keeps_it_used(self, here: World) -> None:
        here.customer("c1", [item(10)])
        here.use("c1", 4)
        here.management.create_plan(SANDBOX, Plan("pack", "Pack", add_on=True, items=(item(5, None),)))
        here.management.attach(SANDBOX, "c1", "pack", None, NOW)
        stored = here.balances.get(SANDBOX, "c1", "messages")
        assert stored
        assert (stored.balance.spent, stored.balance.headroom) == (0, 11)
        assert [row.used for row in stored.balance.rows] == [4, 0]

    def test_a_plan_that_grants_nothing_is_attached_once_too(self, here: World) -> None:
        here.management.create_plan(SANDBOX, Plan("empty", "Empty"))
        here.management.get_or_create_customer(SANDBOX, Customer("c1"), None, NOW)
        with ThreadPoolExecutor(4) as threads:
            futures = [threads.submit(here.management.attach, SANDBOX, "c1", "empty", None, NOW) for _ in range(4)]
            errors = [type(future.exception()) for future in futures]
        assert errors.count(type(None)) == 1
        assert len(here.management.customer(SANDBOX, "c1").subscriptions) == 1


class TestManagement:
    def test_environments_never_see_each_other(self, here: World) -> None:
        """Invariant 5."""
        here.customer("c1", [item(10)])
        live = Environment.LIVE
        assert here.management.features(live) == []
        assert here.management.plans(live) == []
        with pytest.raises(NotFound):
            here.management.customer(live, "c1")
        here.management.create_feature(live, Feature("messages", "Messages", FeatureType.METERED))
        with pytest.raises(NotFound, match="Customer c1"):
            here.meter.check(live, "c1", "messages", Decimal(1), NOW)

    def test_what_is_created_twice_exists_once(self, here: World) -> None:
        with pytest.raises(AlreadyExists):
            here.management.create_feature(SANDBOX, Feature("messages", "Other", FeatureType.METERED))
        assert here.management.feature(SANDBOX, "messages").name == "Messages"

    def test_a_catalog_survives_the_round_trip(self, here: World) -> None:
        feature = Feature("f", "F", FeatureType.METERED, False, ("e1",), {"singular": "f", "plural": "fs"}, False, NOW)
        plan = Plan(
            "p",
            "P",
            1,
            "d",
            "g",
            True,
            True,
            (PlanItem("f", Decimal("0.1")), item(3)),
            {"k": [1], "x": Decimal("0.5")},
            False,
            NOW,
        )
        here.management.create_feature(SANDBOX, feature)
        here.management.create_plan(SANDBOX, plan)
        assert here.management.feature(SANDBOX, "f") == feature
        assert here.management.plan(SANDBOX, "p") == plan
        with pytest.raises(NotFound):
            here.management.plan(SANDBOX, "p", 2)

    def test_a_plan_with_90_items_is_attached_in_one_transaction(self, here: World) -> None:
        features = [Feature(f"f{n}", f"F{n}", FeatureType.METERED) for n in range(90)]
        for feature in features:
            here.management.create_feature(SANDBOX, feature)
        here.customer("c1", [PlanItem(feature.id, Decimal(1)) for feature in features])
        assert len(here.management.customer(SANDBOX, "c1").balances) == 90

    def test_a_key_is_found_by_its_hash_until_it_is_revoked(self, here: World) -> None:
        key, text = here.management.create_key(SANDBOX, Scope.PUBLISHABLE, "web", NOW)
        keys = here.management.api_keys
        assert text.startswith("am_pk_test_")
        assert keys.find(digest(text)) == key
        assert keys.find(digest(text + "x")) is None
        assert here.management.keys(SANDBOX) == [key]
        assert here.management.keys(Environment.LIVE) == []
        with pytest.raises(NotFound):
            here.management.revoke_key(Environment.LIVE, key.id)
        here.management.revoke_key(SANDBOX, key.id)
        assert keys.find(digest(text)) is None
        assert here.management.keys(SANDBOX) == []

    def test_a_key_is_nowhere_in_the_table(self, here: World) -> None:
        _, text = here.management.create_key(SANDBOX, Scope.SECRET, "server", NOW)
        pages = here.table.client.scan(TableName=here.table.name)["Items"]
        assert text not in repr(pages)
