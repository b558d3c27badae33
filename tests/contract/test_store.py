"""What the store promises, on every backend that is atomic: ministack, DynamoDB Local, and the one in this process.

Rules: management.md 9.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.service import CALLER, HOUR, HOURLY, MONTHLY, NOW, SANDBOX, Service, item
from tests.streams import records
from tollgate.domain.api_keys import Scope
from tollgate.domain.balances import BalanceKey
from tollgate.domain.controls import Controls, SpendControl, UsageControl
from tollgate.domain.customers import Customer
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import (
    AlreadyExists,
    DuplicateRequest,
    InsufficientBalance,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    Unavailable,
    UsageLimitExceeded,
)
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.grants import RolloverRule
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.manual_balances import BalanceFilter, BalanceUpdate, NewBalance
from tollgate.domain.periods import Interval
from tollgate.domain.plans import PREPAID, ItemPrice, Plan, PlanItem
from tollgate.domain.subscriptions import Terms
from tollgate.store import keys
from tollgate.store.stream import change_of
from tollgate.usecases.commands import UseCommand

CAP = Overage.CAP
MESSAGES = BalanceKey("messages")


def told_uses(here: Service) -> list[tuple[str, Decimal, dict[str, Decimal], bool]]:
    """What the stream tells of uses: feature, value, what each feature's balance gave, and whether it is a part."""
    changes = filter(None, map(change_of, records(here.table.client, here.table.name)))
    found = [
        (use.feature_id, use.value, {d.feature_id: d.value for d in use.deductions}, use.part)
        for change in changes
        for use in change.uses
    ]
    return sorted(found, key=lambda use: (use[0], use[3]))


class TestUse:
    def test_allowed_until_the_grant_is_used_up_then_denied_and_unchanged(self, here: Service) -> None:
        here.customer("c1", [item(5)])
        assert [here.use("c1", 2).allowed for _ in range(4)] == [True, True, False, False]
        assert here.remaining("c1") == 1
        before = here.last_event_id("c1")
        assert not here.use("c1", 2).allowed
        assert here.last_event_id("c1") == before  # invariants.md 6

    def test_a_use_counted_on_an_item_of_a_newer_layout_is_not_said_to_have_changed_nothing(
        self, here: Service
    ) -> None:
        here.customer("c1", [item(5)])
        key = keys.balance(CustomerRef(SANDBOX, "c1"), MESSAGES)
        here.table.client.update_item(
            TableName=here.table.name,
            Key=key,
            UpdateExpression="SET v = :newer",
            ExpressionAttributeValues={":newer": {"N": "99"}},
        )
        with pytest.raises(OutcomeUnknown, match="was counted"):
            here.use("c1", 2)
        counted = here.table.get(key)
        assert counted
        assert counted["headroom"] == {"N": "3"}
        with pytest.raises(Unavailable) as refused:
            here.use("c1", 4)  # what the item itself declines has changed nothing
        assert not isinstance(refused.value, OutcomeUnknown)

    def test_decimals_are_exact(self, here: Service) -> None:
        here.customer("c1", [item("1")])
        for _ in range(10):
            assert here.use("c1", "0.1").allowed
        assert here.remaining("c1") == 0
        assert not here.use("c1", "0.0000000001").allowed

    def test_a_capped_use_takes_what_is_left(self, here: Service) -> None:
        here.customer("c1", [item(100)])
        outcome = here.use("c1", 150, CAP)
        assert (outcome.allowed, outcome.drawn, here.remaining("c1")) == (True, 100, 0)

    def test_a_refund_stops_at_the_grant(self, here: Service) -> None:
        here.customer("c1", [item(100)])
        here.use("c1", 30)
        assert here.use("c1", -50, CAP).drawn == -30
        assert here.remaining("c1") == 100

    def test_an_unlimited_balance_counts(self, here: Service) -> None:
        here.customer("c1", [PlanItem("messages", unlimited=True)])
        outcome = here.use("c1", 10**14)
        assert outcome.allowed
        assert outcome.balances[MESSAGES].grants[0].used == 10**14

    def test_a_reset_is_applied_on_the_first_use_after_it(self, here: Service) -> None:
        """invariants.md 4, and a check sees it before any write does."""
        here.customer("c1", [item(10, HOURLY)])
        here.use("c1", 10)
        assert not here.use("c1", 1, now=NOW + HOUR - 1).allowed
        assert here.remaining("c1", NOW + HOUR) == 10
        assert here.use("c1", 4, now=NOW + 3 * HOUR + 5).allowed
        assert here.remaining("c1", NOW + 3 * HOUR + 5) == 6
        assert here.stored("c1").balance.grants[0].next_reset_at == NOW + 4 * HOUR

    def test_a_use_that_the_old_period_could_cover_belongs_to_the_new_one(self, here: Service) -> None:
        here.customer("c1", [item(10, HOURLY)])
        here.use("c1", 4)
        assert here.use("c1", 1, now=NOW + HOUR).allowed
        assert here.remaining("c1", NOW + HOUR) == 9

    def test_rejecting_track_is_an_error_and_changes_nothing(self, here: Service) -> None:
        here.customer("c1", [item(5)])
        with pytest.raises(InsufficientBalance):
            here.tracking.track(CALLER, UseCommand("c1", "messages", Decimal(6), Overage.REJECT), NOW)
        assert here.remaining("c1") == 5

    def test_unknown_customers_and_features_are_not_found(self, here: Service) -> None:
        with pytest.raises(NotFound, match="Customer nobody"):
            here.use("nobody", 1)
        with pytest.raises(NotFound, match="Customer nobody"):
            here.remaining("nobody")
        with pytest.raises(NotFound, match="Feature nothing"):
            here.checks.check(SANDBOX, UseCommand("nobody", "nothing", Decimal(1)), NOW)

    def test_a_boolean_feature_is_checked_not_tracked(self, here: Service) -> None:
        here.customer("c1", [PlanItem("dashboard")])
        assert here.checks.check(SANDBOX, UseCommand("c1", "dashboard", Decimal(1)), NOW).allowed
        with pytest.raises(InvalidRequest):
            here.tracking.check_and_track(CALLER, UseCommand("c1", "dashboard", Decimal(1)), NOW)

    def test_a_customer_without_the_feature_is_denied(self, here: Service) -> None:
        here.customer("c1", [PlanItem("dashboard")])
        outcome = here.use("c1", 1)
        assert (outcome.allowed, outcome.balances, outcome.answering) == (False, {}, "messages")


class TestSeveralBalances:
    def test_own_units_come_before_credits_and_a_refund_goes_back_where_it_came_from(self, here: Service) -> None:
        """S092, autumn.md 3.3: a refund fills the feature's own grant first."""
        here.customer("c1", [item(100, feature="action1"), item(200, feature="credits")])
        assert here.use("c1", "40.5", feature="action1").answering == "action1"
        outcome = here.use("c1", 80, feature="action1")
        moved = [(deduction.feature_id, deduction.value) for deduction in outcome.deductions]
        assert moved == [("action1", Decimal("59.5")), ("credits", Decimal("4.1"))]
        assert here.use("c1", "50.75", feature="action1").answering == "credits"
        assert here.remaining("c1", feature="credits") == Decimal("185.75")
        assert here.use("c1", -110, CAP, feature="action1").drawn == -110
        assert here.consumed("c1") == {BalanceKey("action1"): 0, BalanceKey("credits"): Decimal("12.25")}

    def test_a_hint_that_is_stale_never_matters(self, here: Service) -> None:
        """A balance of its own, bought after credits had paid: it pays from the next use on."""
        here.customer("c1", [item(100, feature="credits")])
        for _ in range(2):
            assert here.use("c1", 1, feature="action1").answering == "credits"
        here.attach("c1", [item(10, feature="action1")])
        assert here.use("c1", 1, feature="action1").answering == "action1"
        assert here.consumed("c1") == {BalanceKey("credits"): Decimal("0.4"), BalanceKey("action1"): 1}

    def test_what_was_drawn_by_a_hint_is_told_in_units_of_what_was_asked(self, here: Service) -> None:
        here.customer("c1", [item(100, feature="credits")])
        outcomes = [here.use("c1", 5, feature="action1") for _ in range(2)]
        assert [(outcome.drawn, outcome.required) for outcome in outcomes] == [(5, 1), (5, 1)]

    def test_an_entity_draws_its_own_first_and_a_customer_the_shares_last(self, here: Service) -> None:
        """S152."""
        here.customer("c1", [replace(item(50), entity_feature_id="users"), item(100)])
        here.entity("c1", "e1", "e2", "e3")
        assert [here.remaining("c1", entity=e) for e in ("", "e1", "e2")] == [250, 150, 150]
        here.use("c1", 50)
        here.use("c1", 60)
        assert [here.remaining("c1", entity=e) for e in ("", "e1", "e2", "e3")] == [140, 40, 50, 50]
        for entity in ("e1", "e2", "e3"):
            here.use("c1", 10, entity=entity)
        assert [here.remaining("c1", entity=e) for e in ("e1", "e2", "e3")] == [30, 40, 40]

    def test_an_unknown_entity_is_not_found(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        with pytest.raises(NotFound, match="Entity nobody"):
            here.use("c1", 1, entity="nobody")
        with pytest.raises(NotFound, match="Customer other"):
            here.use("other", 1, entity="nobody")

    def test_an_event_counts_for_every_feature_that_lists_it_or_for_none(self, here: Service) -> None:
        """S095, autumn.md 3.6."""
        here.customer("c1", [item(200, feature="action1"), item(150, feature="action3")])
        here.tracking.track_event(CALLER, "action-event", UseCommand("c1", "", Decimal("45.67")), NOW)
        assert here.consumed("c1") == {BalanceKey("action1"): Decimal("45.67"), BalanceKey("action3"): Decimal("45.67")}
        with pytest.raises(NotFound):
            here.tracking.track_event(CALLER, "unheard-of", UseCommand("c1", "", Decimal(1)), NOW)

    def test_an_event_that_moves_nothing_of_one_feature_is_told_of_both_each_under_its_own_name(
        self, here: Service
    ) -> None:
        here.customer("c1", [item(0, feature="credits"), item(10, feature="action3")])
        here.tracking.track_event(CALLER, "action-event", UseCommand("c1", "", Decimal(3)), NOW)
        assert told_uses(here) == [("action1", 3, {}, False), ("action3", 3, {"action3": 3}, False)]

    def test_an_event_of_features_that_one_pool_pays_for_is_told_of_each(self, here: Service) -> None:
        for number in (4, 5):
            kind, named = FeatureType.METERED, ("shared-event",)
            here.catalogs.create_feature(SANDBOX, Feature(f"action{number}", "", kind, event_names=named))
        costs = (("action4", Decimal(2)), ("action5", Decimal(3)))
        here.catalogs.create_feature(SANDBOX, Feature("pool", "", FeatureType.CREDIT_SYSTEM, credit_schema=costs))
        here.customer("c1", [item(100, feature="pool"), item(1, feature="action5")])
        here.tracking.track_event(CALLER, "shared-event", UseCommand("c1", "", Decimal(4)), NOW)
        assert here.remaining("c1", feature="pool") == 100 - 4 * 2 - 3 * 3
        assert told_uses(here) == [
            ("action4", 4, {"pool": 8}, False),
            ("action5", 4, {"action5": 1}, False),
            ("action5", 4, {"pool": 9}, True),
        ]

    def test_a_limit_of_some_properties_bounds_those_uses_only(self, here: Service) -> None:
        limit = UsageControl("messages", Decimal(5), Interval.MONTH, filter=(("region", "eu"),))
        here.customer("c1", [item(100)], controls=Controls(usage=(limit,)))
        assert here.use("c1", 7, CAP, properties={"region": "eu"}).drawn == 5
        assert here.use("c1", 7, CAP, properties={"region": "us"}).drawn == 7
        use = UseCommand("c1", "messages", Decimal(1), Overage.REJECT, {"region": "eu"})
        with pytest.raises(UsageLimitExceeded):
            here.tracking.track(CALLER, use, NOW)
        assert here.remaining("c1") == 88

    def test_a_limit_of_the_customer_s_does_not_count_what_an_entity_s_own_limit_governs(self, here: Service) -> None:
        """The use is drawn from the customer's balance, but the entity's limit, which does not match it, stands over the
        customer's: nothing is counted."""
        mine = UsageControl("messages", Decimal(5), Interval.MONTH, filter=(("region", "eu"),))
        limit = UsageControl("messages", Decimal(50), Interval.MONTH)
        here.customer("c1", [item(100)], controls=Controls(usage=(limit,)))
        here.entity("c1", "e1")
        here.customers.update_entity(CustomerRef(SANDBOX, "c1"), "e1", Controls(usage=(mine,)), NOW)
        assert here.use("c1", 7, entity="e1", properties={"region": "us"}).allowed
        assert here.held("c1")[MESSAGES].limits.windows[0].used == 0

    def test_a_usage_limit_of_an_unlimited_pool_bounds_nothing(self, here: Service) -> None:
        """3.7: the first use is thought through, the second takes the fast path."""
        limit = UsageControl("credits", Decimal(1), Interval.MONTH)
        here.customer("c1", [PlanItem("credits", unlimited=True)], controls=Controls(usage=(limit,)))
        for _ in range(2):
            assert here.use("c1", 100, feature="action1").drawn == 100
        assert here.held("c1")[BalanceKey("credits")].limits.windows[0].used == 0

    def test_a_key_is_kept_by_the_wall_clock_whatever_the_test_clock_says(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        here.customers.advance_test_clock(CustomerRef(SANDBOX, "c1"), NOW + 1000 * HOUR, NOW)
        keys = (IdempotencyKey("header", "h"),)
        assert not here.use("c1", 11, idempotency_keys=keys).allowed
        with pytest.raises(DuplicateRequest):
            here.use("c1", 11, now=NOW + 23 * HOUR, idempotency_keys=keys)
        assert not here.use("c1", 11, now=NOW + 25 * HOUR, idempotency_keys=keys).allowed

    def test_a_test_clock_is_what_time_it_is(self, here: Service) -> None:
        here.customer("c1", [item(10, HOURLY)])
        here.use("c1", 10)
        assert not here.use("c1", 1).allowed
        here.customers.advance_test_clock(CustomerRef(SANDBOX, "c1"), NOW + 2 * HOUR, NOW)
        assert here.use("c1", 4).allowed
        assert here.remaining("c1") == 6


class TestManagement:
    def test_environments_never_see_each_other(self, here: Service) -> None:
        """invariants.md 5."""
        here.customer("c1", [item(10)])
        live = Environment.LIVE
        assert here.catalogs.features(live) == []
        assert here.catalogs.plans(live) == []
        with pytest.raises(NotFound):
            here.customers.get(CustomerRef(live, "c1"))
        here.catalogs.create_feature(live, Feature("messages", "Messages", FeatureType.METERED))
        with pytest.raises(NotFound, match="Customer c1"):
            here.checks.check(live, UseCommand("c1", "messages", Decimal(1)), NOW)

    def test_what_is_created_twice_exists_once(self, here: Service) -> None:
        with pytest.raises(AlreadyExists):
            here.catalogs.create_feature(SANDBOX, Feature("messages", "Other", FeatureType.METERED))
        assert here.catalogs.feature(SANDBOX, "messages").name == "Messages"

    def test_a_catalog_survives_the_round_trip(self, here: Service) -> None:
        feature = Feature(
            "f", "F", FeatureType.METERED, False, ("e1",), (), {"singular": "f", "plural": "fs"}, {}, False, NOW
        )
        pool = Feature("pool", "Pool", FeatureType.CREDIT_SYSTEM, credit_schema=(("f", Decimal("0.1")),))
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
        here.catalogs.create_feature(SANDBOX, feature)
        here.catalogs.create_feature(SANDBOX, pool)
        here.catalogs.create_plan(SANDBOX, plan)
        assert here.catalogs.feature(SANDBOX, "f") == feature
        assert here.catalogs.feature(SANDBOX, "pool") == pool
        assert here.catalogs.plan(SANDBOX, "p") == plan
        with pytest.raises(NotFound):
            here.catalogs.plan(SANDBOX, "p", 2)

    def test_a_plan_with_90_items_is_attached_in_one_transaction(self, here: Service) -> None:
        features = [Feature(f"f{n}", f"F{n}", FeatureType.METERED) for n in range(90)]
        for feature in features:
            here.catalogs.create_feature(SANDBOX, feature)
        here.customer("c1", [PlanItem(feature.id, Decimal(1)) for feature in features])
        assert len(here.customers.get(CustomerRef(SANDBOX, "c1")).balances) == 90

    def test_a_balance_survives_the_round_trip(self, here: Service) -> None:
        """Every kind of grant, limits and links: what is read is what was decided."""
        price = ItemPrice(PREPAID, None, Decimal("0.5"), ({"to": 10, "amount": Decimal("1.5")},), "graduated")
        items = (
            PlanItem("messages", Decimal(100), reset=HOURLY, rollover=RolloverRule(None, Decimal(50), 3)),
            PlanItem("messages", Decimal("0.1"), price=price),
            PlanItem("messages", Decimal(7), soft_limit=True),
            PlanItem("messages", Decimal(3), reset=MONTHLY, entity_feature_id="users"),
        )
        usage = UsageControl("messages", Decimal(500), Interval.DAY, utc=True, filter=(("region", "eu"),))
        controls = Controls(spend=(SpendControl(percentage=True, limit=Decimal(20)),), usage=(usage,))
        here.customers.get_or_create(SANDBOX, Customer("c1", controls=controls), None, NOW)
        here.entity("c1", "e1")
        terms = Terms(quantities={"messages": Decimal(20)}, ends_at=NOW + 900 * HOUR)
        here.customers.attach(CustomerRef(SANDBOX, "c1"), here.plan(items), None, NOW, terms)
        _, decided = here.customers.attach(CustomerRef(SANDBOX, "c1"), here.plan([item(5)], add_on=True), None, NOW)
        here.use("c1", 1, now=NOW + HOUR)
        here.customers.create_balance(
            CustomerRef(SANDBOX, "c1"), NewBalance("g", "messages", included=Decimal(1)), NOW + HOUR
        )
        change = BalanceUpdate(add=Decimal(500))
        decided = here.customers.update_balance(
            CustomerRef(SANDBOX, "c1"), BalanceFilter("messages"), change, NOW + HOUR
        )
        assert decided.balances[MESSAGES].grants[0].rollovers
        assert here.customers.get(CustomerRef(SANDBOX, "c1")) == decided

    def test_a_key_is_found_by_its_hash_until_it_is_revoked(self, here: Service) -> None:
        key, text = here.api_keys.create(SANDBOX, Scope.PUBLISHABLE, "web", NOW)
        assert text.startswith("am_pk_test_")
        assert here.api_keys.find(text) == key
        assert here.api_keys.find(text + "x") is None
        assert here.api_keys.list(SANDBOX) == [key]
        assert here.api_keys.list(Environment.LIVE) == []
        with pytest.raises(NotFound):
            here.api_keys.revoke(Environment.LIVE, key.id)
        here.api_keys.revoke(SANDBOX, key.id)
        assert here.api_keys.find(text) is None
        assert here.api_keys.list(SANDBOX) == []

    def test_a_key_is_nowhere_in_the_table(self, here: Service) -> None:
        _, text = here.api_keys.create(SANDBOX, Scope.SECRET, "server", NOW)
        pages = here.table.client.scan(TableName=here.table.name)["Items"]
        assert text not in repr(pages)
