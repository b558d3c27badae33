"""Whatever runs at once: no overspend (invariants.md 1), and what was granted less what
remains is the sum of the events told (invariants.md 2).

Numbers are those of the scenarios named (autumn.md 5).

Rules: autumn.md 5.3, 5.6, 5.11, 3.10, S232.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

import pytest

from tests.service import BESIDE, HOUR, HOURLY, NOW, SANDBOX, Service, item, pay_per_use
from tests.streams import drawn, recorded
from tollgate.domain.balances import BalanceKey
from tollgate.domain.controls import Controls, SpendControl, UsageControl
from tollgate.domain.customers import Customer
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import AlreadyAttached, AlreadyExists, DuplicateRequest, InsufficientBalance
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.manual_balances import BalanceFilter, BalanceUpdate, NewBalance
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import Plan, PlanItem
from tollgate.domain.quantities import ZERO

Answer = TypeVar("Answer")
CAP, REJECT = Overage.CAP, Overage.REJECT
MESSAGES = BalanceKey("messages")


def at_once(calls: Iterable[Callable[[], Answer]], threads: int = 16) -> list[Answer]:
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def failures(calls: Iterable[Callable[[], object]], threads: int = 16) -> list[type[BaseException] | None]:
    """What each call raised; None where it succeeded."""
    with ThreadPoolExecutor(threads) as pool:
        errors = [future.exception() for future in [pool.submit(call) for call in calls]]
    return [None if error is None else type(error) for error in errors]


def assert_told(here: Service, customer_id: str = "c1", now: int = NOW, *, reset: Decimal = ZERO) -> None:
    """What was drawn from each balance is what its events say; `reset` of messages was drawn in an earlier period."""
    told = drawn(here.table.client, here.table.name, customer_id)
    consumed = {key: amount for key, amount in here.consumed(customer_id, now).items() if amount or key in told}
    consumed[MESSAGES] = consumed.get(MESSAGES, ZERO) + reset
    assert {p: amount for p, amount in told.items() if amount} == {
        p: amount for p, amount in consumed.items() if amount
    }


class TestOneBalance:
    def test_s046_7_at_once_on_5_seats_grant_exactly_5(self, here: Service) -> None:
        here.customer("c1", [item(5, None, "workflows")])
        outcomes = at_once([lambda: here.use("c1", 1, feature="workflows")] * 7)
        assert [outcome.allowed for outcome in outcomes].count(True) == 5
        assert not here.use("c1", 1, feature="workflows").allowed
        assert_told(here)

    def test_s046_150_of_2_on_200_grant_exactly_100(self, here: Service) -> None:
        here.customer("c1", [item(200)])
        outcomes = at_once([lambda: here.use("c1", 2)] * 150)
        assert [outcome.allowed for outcome in outcomes].count(True) == 100
        totals = here.totals("c1")
        assert (totals.granted, totals.remaining, totals.usage) == (200, 0, 200)
        assert_told(here)

    def test_s109_5_at_once_on_1_free_seat_all_count(self, here: Service) -> None:
        here.customer("c1", [item(1, None, "users")])
        assert all(o.allowed for o in at_once([lambda: here.use("c1", 1, CAP, feature="users")] * 5))
        assert here.totals("c1", "users").usage == 5
        assert_told(here)

    def test_s125_5_capped_tracks_of_10_on_5_all_succeed_and_take_what_there_is(self, here: Service) -> None:
        here.customer("c1", [item(5)])
        assert sum(outcome.drawn for outcome in at_once([lambda: here.track("c1", 10)] * 5)) == 5
        assert (here.totals("c1").remaining, here.totals("c1").usage) == (0, 5)
        assert_told(here)

    def test_s127_5_rejecting_tracks_of_200_on_a_seat_with_600_let_3_through(self, here: Service) -> None:
        here.customer("c1", [replace(pay_per_use(500, 100), entity_feature_id="users")])
        here.entity("c1", "e1", "e2", "e3", "e4", "e5")
        outcomes = at_once([lambda: here.use("c1", 200, entity="e1")] * 5)
        assert [outcome.allowed for outcome in outcomes].count(True) == 3
        assert (here.totals("c1", entity="e1").usage, here.totals("c1", entity="e2").remaining) == (600, 500)
        assert here.remaining("c1") == 2000
        assert_told(here)

    def test_s128_tracks_of_random_hundredths_add_up_exactly(self, here: Service) -> None:
        """Three customers with two grants each: nothing is rounded, lost or mixed up."""
        amounts = {f"c{n}": [Decimal(random.randint(1, 200)) / 100 for _ in range(200)] for n in (1, 2, 3)}
        for customer in amounts:
            here.customer(customer, [item(20000, Reset(Interval.ONE_OFF)), item(10000)])
        calls = [lambda c=c, a=a: here.use(c, a, CAP) for c, some in amounts.items() for a in some]
        random.shuffle(calls)
        at_once(calls)
        for customer, some in amounts.items():
            totals = here.totals(customer)
            assert (totals.remaining, totals.usage) == (30000 - sum(some), sum(some))
            assert_told(here, customer)

    @pytest.mark.parametrize("used", [50, 100])
    def test_s131_a_reset_that_is_due_happens_once_while_5_track_10(self, here: Service, used: int) -> None:
        here.customer("c1", [item(100, HOURLY)])
        here.use("c1", used)
        outcomes = at_once([lambda: here.use("c1", 10, CAP, NOW + HOUR)] * 5)
        assert sum(outcome.drawn for outcome in outcomes) == 50
        assert here.remaining("c1", NOW + HOUR) == 50
        assert_told(here, now=NOW + HOUR, reset=Decimal(used))

    def test_capped_uses_at_the_edge_take_exactly_what_there_is(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        assert sum(outcome.drawn for outcome in at_once([lambda: here.use("c1", 3, CAP)] * 8)) == 10
        assert here.remaining("c1") == 0
        assert_told(here)

    def test_many_refunds_at_once_all_arrive(self, here: Service) -> None:
        here.customer("c1", [item(100)])
        here.use("c1", 100)
        assert sum(outcome.drawn for outcome in at_once([lambda: here.use("c1", -1, CAP)] * 40)) == -40
        assert here.remaining("c1") == 40
        assert_told(here)

    def test_capped_uses_of_an_exhausted_balance_never_stand_in_each_others_way(self, here: Service) -> None:
        here.customer("c1", [item(1)])
        here.use("c1", 1)
        assert [outcome.drawn for outcome in at_once([lambda: here.use("c1", 5, CAP)] * 64)] == [0] * 64


class TestIdempotencyKeys:
    def test_s130_n_identical_tracks_with_one_key_count_once(self, here: Service) -> None:
        here.customer("c1", [item(100)])
        keys = (IdempotencyKey("track", "k1"),)
        errors = failures([lambda: here.track("c1", 3, idempotency_keys=keys)] * 12)
        assert (errors.count(None), errors.count(DuplicateRequest)) == (1, 11)
        assert here.remaining("c1") == 97
        assert_told(here)

    def test_a_key_of_a_use_that_was_refused_is_free_again(self, here: Service) -> None:
        """S265: a failed call gives its key back; both stores of keys hold on their own."""
        here.customer("c1", [item(10)])
        header, body = IdempotencyKey("header", "h"), IdempotencyKey("track", "b")
        with pytest.raises(InsufficientBalance):
            here.track("c1", 11, REJECT, idempotency_keys=(header, body))
        here.track("c1", 10, REJECT, idempotency_keys=(header, body))
        for keys in ((header, IdempotencyKey("track", "new")), (IdempotencyKey("header", "new"), body)):
            with pytest.raises(DuplicateRequest):
                here.track("c1", 1, idempotency_keys=keys)
        assert here.remaining("c1") == 0

    def test_a_key_holds_where_a_use_changes_several_balances(self, here: Service) -> None:
        here.customer("c1", [item(2, feature="action1"), item(100, feature="credits")])
        keys = (IdempotencyKey("track", "k1"),)
        errors = failures([lambda: here.use("c1", 3, feature="action1", idempotency_keys=keys)] * 8)
        assert (errors.count(None), errors.count(DuplicateRequest)) == (1, 7)
        assert here.consumed("c1") == {BalanceKey("action1"): 2, BalanceKey("credits"): Decimal("0.2")}
        assert_told(here)


class TestSeveralBalances:
    def test_s158_seats_and_messages_of_one_customer_do_not_disturb_each_other(self, here: Service) -> None:
        here.customer("c1", [item(10, None, "users"), item(50)])
        for seats, messages, left in ((5, 20, (5, 30)), (3, 15, (2, 15)), (2, 10, (0, 5))):
            at_once(
                [lambda: here.use("c1", 1, CAP, feature="users")] * seats + [lambda: here.use("c1", 1, CAP)] * messages
            )
            assert (here.remaining("c1", feature="users"), here.remaining("c1")) == left
        assert_told(here)

    @pytest.mark.parametrize("overage", [REJECT, CAP])
    def test_own_units_and_credits_together_are_never_overspent(self, here: Service, overage: Overage) -> None:
        """50 at once of 3, on 20 of its own and 10 credits at 0.2 a unit: 70 units in all."""
        here.customer("c1", [item(20, feature="action1"), item(10, feature="credits")])
        outcomes = at_once([lambda: here.use("c1", 3, overage, feature="action1")] * 50, threads=8)
        own, credits = BalanceKey("action1"), BalanceKey("credits")
        if overage is REJECT:
            assert [outcome.allowed for outcome in outcomes].count(True) == 23
            assert here.consumed("c1") == {own: 20, credits: Decimal("9.8")}
        else:
            assert sum(outcome.drawn for outcome in outcomes) == 70
            assert here.consumed("c1") == {own: 20, credits: 10}
        assert_told(here)

    def test_credits_found_by_a_hint_are_never_overspent(self, here: Service) -> None:
        here.customer("c1", [item(10, feature="credits")])
        outcomes = at_once(
            [lambda: here.use("c1", 5, feature="action1"), lambda: here.use("c1", 1, feature="credits")] * 20
        )
        assert sum(outcome.allowed for outcome in outcomes) == 10
        assert here.consumed("c1") == {BalanceKey("credits"): 10}
        assert_told(here)

    def test_two_entities_and_their_customer_draw_all_there_is_and_no_more(self, here: Service) -> None:
        """Each entity 50 of its own, the customer 100: 80 uses of 1 by each of the three."""
        here.customer("c1", [replace(item(50), entity_feature_id="users"), item(100)])
        here.entity("c1", "e1", "e2")
        calls = [lambda e=e: here.use("c1", 1, entity=e) for e in ("e1", "e2", "") for _ in range(80)]
        random.shuffle(calls)
        assert sum(outcome.allowed for outcome in at_once(calls, threads=6)) == 200
        assert here.remaining("c1") == 0
        assert_told(here)

    @pytest.mark.parametrize("overage", [REJECT, CAP])
    def test_a_spend_limit_that_two_entities_share_holds(self, here: Service, overage: Overage) -> None:
        limit = Controls(spend=(SpendControl("messages", limit=Decimal(5)),))
        here.customer("c1", [replace(pay_per_use(10), entity_feature_id="users")], controls=limit)
        here.entity("c1", "e1", "e2")
        for entity in ("e1", "e2"):
            here.use("c1", 10, entity=entity)
        outcomes = at_once(
            [lambda: here.use("c1", 2, overage, entity="e1"), lambda: here.use("c1", 2, overage, entity="e2")] * 6,
            threads=6,
        )
        assert sum(outcome.drawn for outcome in outcomes) == (4 if overage is REJECT else 5)
        assert here.totals("c1").usage == 20 + (4 if overage is REJECT else 5)
        assert_told(here)

    def test_s244_two_at_once_on_a_member_s_usage_limit_count_5_in_two_events(self, here: Service) -> None:
        limit = Controls(usage=(UsageControl("action1", Decimal(5), Interval.MONTH),))
        here.customer("c1", [item(100, feature="credits")], controls=limit)
        outcomes = at_once([lambda: here.use("c1", 5, CAP, feature="action1")] * 2)
        assert [outcome.allowed for outcome in outcomes] == [True, True]
        assert (here.totals("c1", "credits").remaining, here.totals("c1", "credits").usage) == (99, 1)
        (window,) = here.held("c1")[BalanceKey("action1")].limits.windows
        assert window.used == 5
        told = recorded(here.table.client, here.table.name)
        assert [use.event.value for use in told if not use.event.part] == [5, 5]
        assert_told(here)

    def test_a_usage_limit_is_never_passed(self, here: Service) -> None:
        limit = Controls(usage=(UsageControl("messages", Decimal(7), Interval.MONTH),))
        here.customer("c1", [item(100)], controls=limit)
        assert sum(outcome.drawn for outcome in at_once([lambda: here.use("c1", 2, CAP)] * 12)) == 7
        assert here.held("c1")[MESSAGES].limits.windows[0].used == 7
        assert_told(here)


class TestManagementAmidUses:
    """What is granted or set while uses run loses none of them."""

    def test_a_plan_attached_amid_uses_loses_none_of_them(self, here: Service) -> None:
        here.customer("c1", [item(1000)])
        pack = here.plan([item(500, None)], add_on=True)

        def attach() -> None:
            here.customers.attach(CustomerRef(SANDBOX, "c1"), pack, None, NOW)

        def use() -> None:
            assert all(here.use("c1", 1).allowed for _ in range(40))

        at_once([use, attach, use, attach, attach], threads=5)
        assert here.remaining("c1") == 1000 + 3 * 500 - 80
        assert_told(here)

    def test_entities_created_amid_uses_lose_none_of_them(self, here: Service) -> None:
        here.customer("c1", [item(100), replace(item(10), entity_feature_id="users"), item(10, None, "users")])

        def use() -> None:
            assert all(here.use("c1", 1).allowed for _ in range(40))

        at_once([use, lambda: here.entity("c1", "e1"), use, lambda: here.entity("c1", "e2")], threads=4)
        assert here.remaining("c1") == 100 + 2 * 10 - 80
        assert here.remaining("c1", feature="users") == 8
        told = drawn(here.table.client, here.table.name, "c1")
        assert sum(told.values()) == here.totals("c1").usage == 80

    def test_s232_usage_set_amid_three_tracks_loses_nothing_that_followed_it(self, here: Service) -> None:
        here.customer("c1", [item(100)])
        change = BalanceUpdate(usage=Decimal(50))
        at_once(
            [
                lambda: here.customers.update_balance(
                    CustomerRef(SANDBOX, "c1"), BalanceFilter("messages"), change, NOW
                ),
                *[lambda: here.use("c1", 1, CAP)] * 3,
            ]
        )
        totals = here.totals("c1")
        assert totals.remaining in {50, 49, 48, 47}
        assert (totals.granted, totals.usage + totals.remaining) == (100, 100)
        assert drawn(here.table.client, here.table.name, "c1") == {MESSAGES: 3}

    def test_units_added_amid_uses_are_all_there(self, here: Service) -> None:
        here.customer("c1", [item(100)])

        def add() -> None:
            here.customers.update_balance(
                CustomerRef(SANDBOX, "c1"), BalanceFilter("messages"), BalanceUpdate(add=Decimal(10)), NOW
            )

        at_once([*[add] * 4, *[lambda: here.use("c1", 1)] * 40], threads=8)
        assert here.remaining("c1") == 100 + 40 - 40
        assert drawn(here.table.client, here.table.name, "c1") == {MESSAGES: 40}

    def test_a_balance_created_by_several_at_once_exists_once(self, here: Service) -> None:
        here.customer("c1", [item(100)])
        grant = NewBalance("b1", "messages", included=Decimal(50))
        errors = failures([lambda: here.customers.create_balance(CustomerRef(SANDBOX, "c1"), grant, NOW)] * 4)
        assert (errors.count(None), errors.count(AlreadyExists)) == (1, 3)
        assert here.remaining("c1") == 150

    def test_an_entity_created_by_several_at_once_exists_once(self, here: Service) -> None:
        here.customer("c1", [item(5, None, "users")])
        errors = failures([lambda: here.entity("c1", "e1")] * 4)
        assert (errors.count(None), errors.count(AlreadyExists)) == (1, 3)
        assert here.remaining("c1", feature="users") == 4

    def test_one_plan_attached_by_several_at_once_is_attached_once(self, here: Service) -> None:
        here.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
        for items, left in (([item(10)], 10), ([PlanItem("dashboard")], 10)):  # one grants units, one does not
            plan = here.plan(items)
            attach = [lambda plan=plan: here.customers.attach(CustomerRef(SANDBOX, "c1"), plan, None, NOW, BESIDE)] * 4
            errors = failures(attach)
            assert (errors.count(None), errors.count(AlreadyAttached)) == (1, 3)
            assert here.remaining("c1") == left
        assert len(here.customers.get(CustomerRef(SANDBOX, "c1")).subscriptions) == 2

    def test_a_customer_created_by_many_at_once_exists_once(self, here: Service) -> None:
        plan = Plan("free", "Free", auto_enable=True, items=(item(10),))
        here.catalogs.create_plan(SANDBOX, plan)
        held = at_once([lambda: here.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW).subscriptions] * 6)
        assert {len(subscriptions) for subscriptions in held} == {1}
        assert here.remaining("c1") == 10


class TestCatalog:
    """Whoever changes the catalog at once: management.md 2, 3."""

    def test_changes_of_one_feature_lose_none_of_each_other(self, here: Service) -> None:
        here.catalogs.create_feature(SANDBOX, Feature("shared", "Shared", FeatureType.METERED))
        names = [f"event-{number}" for number in range(6)]

        def named(name: str) -> Callable[[], Feature]:
            return lambda: here.catalogs.update_feature(
                SANDBOX, "shared", lambda old: old._replace(event_names=(*old.event_names, name))
            )

        at_once(map(named, names), threads=3)
        assert sorted(here.catalogs.feature(SANDBOX, "shared").event_names) == names

    def test_a_plan_deleted_while_it_is_attached_stays_for_who_has_it(self, here: Service) -> None:
        for number in range(4):
            id = f"going-{number}"
            here.catalogs.create_plan(SANDBOX, Plan(id, "Going", items=(item(5),)))
            here.customer(f"c-{number}", [])
            customer = CustomerRef(SANDBOX, f"c-{number}")
            failures(
                [
                    lambda ref=customer, id=id: here.customers.attach(ref, id, None, NOW),  # type: ignore[misc]
                    lambda id=id: here.catalogs.delete_plan(SANDBOX, id),  # type: ignore[misc]
                ]
            )
            held = here.customers.get(customer).subscriptions.values()
            assert all(here.catalogs.plan(SANDBOX, one.plan_id, one.plan_version) for one in held)
