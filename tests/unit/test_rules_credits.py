"""Credit pools that pay for other features, and events that several features list, by the specification's numbers
(autumn.md 2, 3.6, 5.3, 5.5)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.unit.scenario import CATALOG, REJECT, Bought, Number, Scenario, d, monthly, n, unlimited
from tollgate.domain.balances import BalanceKey
from tollgate.domain.decisions import Decision, is_granted
from tollgate.domain.errors import InvalidInput, NotFound
from tollgate.domain.features import Feature, FeatureType, checked_feature
from tollgate.domain.plans import PlanItem


def moved(decision: Decision) -> list[tuple[str, Decimal]]:
    return [(deduction.feature_id, deduction.value) for deduction in decision.deductions]


class TestWhichFeatureAnswers:
    @pytest.mark.parametrize(
        ("feature", "required", "allowed", "asked"),
        [
            ("action1", 50.75, True, 10.15),
            ("action2", 50.75, True, 30.45),
            ("action2", 167.33, False, 100.398),
            ("credits", 50.25, True, 50.25),
            ("credits", 100.5, False, 100.5),
        ],
    )
    def test_the_pool_is_asked_in_its_own_units(
        self, feature: str, required: Number, allowed: bool, asked: Number
    ) -> None:
        """S040, S041."""
        customer = Scenario(monthly(100, "credits"))
        assert customer.check(required, feature)[:3] == (allowed, "credits", d(asked))
        assert customer.remaining("credits") == 100

    def test_the_pool_that_is_held_answers(self) -> None:
        """S044."""
        customer = Scenario(monthly(12, "credits3"))
        customer.track(6, "action1")
        assert customer.remaining("credits3") == 0
        assert customer.check(1, "action1")[:3] == (False, "credits3", 2)

    def test_where_nothing_is_held_the_first_pool_of_the_catalog_answers(self) -> None:
        """S044."""
        customer = Scenario()
        assert customer.check(1, "action1")[:3] == (False, "credits", d(0.2))
        assert not is_granted("credits", "", customer.holdings.balances)

    def test_the_feature_itself_answers_as_long_as_it_allows(self) -> None:
        """autumn.md 2.2: itself if it alone would allow, else the first pool that would."""
        customer = Scenario(monthly(5, "action1"), monthly(200, "credits"))
        assert customer.check(5, "action1")[:3] == (True, "action1", 5)
        assert customer.check(6, "action1")[:3] == (True, "credits", d(1.2))

    def test_a_pool_is_chosen_by_the_plain_number(self) -> None:
        """autumn.md 2.2: R is compared unconverted there."""
        customer = Scenario(monthly(8, "credits"), monthly(20, "credits3"))
        assert customer.check(10, "action1")[:3] == (True, "credits3", 20)
        assert customer.check(8, "action1")[:3] == (True, "credits", d(1.6))


class TestPaying:
    def test_a_use_is_converted(self) -> None:
        """S091."""
        customer = Scenario(monthly(200, "credits"))
        customer.track(50.25, "action1")
        assert customer.ru("credits") == n(189.95, 10.05)
        customer.track(33.67, "action2")
        assert customer.ru("credits") == n(169.748, 30.252)

    def test_a_checked_use_is_converted(self) -> None:
        """S043."""
        customer = Scenario(monthly(1000, "credits"))
        assert customer.track(25.75, "action1", overage=REJECT).allowed
        assert customer.ru("credits") == n(994.85, 5.15)

    def test_a_checked_use_of_an_unlimited_pool_counts(self) -> None:
        """S049."""
        customer = Scenario(unlimited("credits"))
        assert customer.check(1000, "action1")[:3] == (True, "credits", 200)
        assert customer.track(1000, "action1", overage=REJECT).allowed
        assert customer.gru("credits") == (0, 0, 200)

    def test_the_feature_pays_before_the_pool(self) -> None:
        """S092."""
        customer = Scenario(monthly(100, "action1"), monthly(200, "credits"))
        seen = []
        for value in (40.5, 80, 50.75):
            customer.track(value, "action1")
            seen.append((customer.remaining("action1"), customer.remaining("credits")))
        assert seen == [n(59.5, 200), n(0, 195.9), n(0, 185.75)]
        assert customer.view("credits").usage == d(14.25)

    def test_a_use_that_none_covers_is_rejected_whole(self) -> None:
        """autumn.md 3.2 (reject): nothing is written."""
        customer = Scenario(monthly(5, "action1"), monthly(1, "credits"))
        assert not customer.track(11, "action1", overage=REJECT).allowed
        assert (customer.remaining("action1"), customer.remaining("credits")) == (5, 1)
        assert customer.track(10, "action1", overage=REJECT).allowed
        assert (customer.remaining("action1"), customer.remaining("credits")) == (0, 0)

    def test_a_capped_use_takes_what_both_hold(self) -> None:
        """autumn.md 3.4 (cap)."""
        customer = Scenario(monthly(5, "action1"), monthly(1, "credits"))
        assert customer.track(100, "action1").drawn == 10


class TestEvents:
    def test_an_event_is_a_use_of_every_feature_that_lists_it(self) -> None:
        """S095, S098 B."""
        customer = Scenario(monthly(200, "action1"), monthly(150, "action3"))
        customer.event("action-event", 45.67)
        assert customer.ru("action1") == n(154.33, 45.67)
        assert customer.ru("action3") == n(104.33, 45.67)

    def test_of_what_is_not_held_nothing_is_used(self) -> None:
        """S094."""
        customer = Scenario(monthly(150, "action1"))
        used, missing = customer.event("action-event", 37.89)
        assert customer.ru("action1") == n(112.11, 37.89)
        assert (used.drawn, missing.allowed) == (d(37.89), False)
        assert set(customer.holdings.balances) == {BalanceKey("action1")}

    def test_an_unknown_event_is_not_found(self) -> None:
        """S097."""
        with pytest.raises(NotFound):
            CATALOG.listening("nope")


@pytest.mark.parametrize(
    ("items", "uses", "expected"),
    [
        ((monthly(100, "action1"), monthly(200, "credits")), [("action1", 10)], [("action1", 10)]),
        ((monthly(100),), [("messages", 7)], [("messages", 7)]),
        ((monthly(100),), [("messages", 10), ("messages", -4)], [("messages", -4)]),
        ((monthly(100, "action1"),), [("action1", 5)], [("action1", 5)]),
        (
            (monthly(100, "action1"), monthly(200, "credits")),
            [("action1", 100), ("action1", 50)],
            [("credits", 10)],
        ),
    ],
)
def test_a_use_says_what_it_moved(
    items: tuple[PlanItem | Bought, ...], uses: list[tuple[str, int]], expected: list[tuple[str, int]]
) -> None:
    """S098 A, C, D, E, F."""
    customer = Scenario(*items)
    for feature, value in uses:
        last = customer.track(value, feature)
    assert moved(last) == expected


def test_an_event_says_what_it_moved() -> None:
    """S098 B."""
    customer = Scenario(
        monthly(80, "action1"), monthly(150, "credits"), monthly(60, "action3"), monthly(100, "credits2")
    )
    assert [moved(decision) for decision in customer.event("action-event", 5)] == [[("action1", 5)], [("action3", 5)]]


class TestCatalog:
    def test_a_credit_system_names_metered_features_at_a_cost(self) -> None:
        """management.md 2 (features.create)."""

        def pool(*schema: tuple[str, Number]) -> Feature:
            return Feature(
                "p", "P", FeatureType.CREDIT_SYSTEM, credit_schema=tuple((id, d(cost)) for id, cost in schema)
            )

        assert checked_feature(pool(("action1", 0.2)), CATALOG.features)
        for bad in (
            pool(),
            pool(("dashboard", 1)),
            pool(("credits", 1)),
            pool(("action1", 0)),
            pool(*[("words", 1)] * 2),
        ):
            with pytest.raises(InvalidInput):
                checked_feature(bad, CATALOG.features)
        with pytest.raises(NotFound):
            checked_feature(pool(("nope", 1)), CATALOG.features)
        with pytest.raises(InvalidInput):
            checked_feature(Feature("m", "M", FeatureType.METERED, credit_schema=(("words", d(1)),)), CATALOG.features)

    def test_pools_come_in_the_order_of_the_catalog(self) -> None:
        """S044."""
        assert [(pool.feature_id, pool.cost) for pool in CATALOG.pools("action1")] == [
            ("credits", d(0.2)),
            ("credits3", 2),
        ]
