"""Checks and uses, from the question to what is stored, over a table in memory."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.service import CALLER, NOW, SANDBOX, Service, item, pay_per_use
from tests.streams import drawn
from tests.unit.usecases import LOST, breaking, here, throttled
from tollgate.domain.balances import BalanceKey
from tollgate.domain.decisions import Overage
from tollgate.domain.errors import DuplicateRequest, InsufficientBalance, NotFound, OutcomeUnknown, Unavailable
from tollgate.domain.idempotency import DAY_MS, IdempotencyKey
from tollgate.usecases.commands import UseCommand

CAP, REJECT = Overage.CAP, Overage.REJECT


@pytest.fixture
def shop() -> Service:
    return here()


def told(shop: Service, customer: str = "c1") -> dict[BalanceKey, Decimal]:
    """What the table's stream says was drawn."""
    return drawn(shop.table.client, shop.table.name, customer)


class TestCheck:
    def test_it_tells_what_may_be_done_and_changes_nothing(self, shop: Service) -> None:
        shop.customer("c1", [item(10)])
        before = shop.stored("c1")
        for required, allowed in ((10, True), (11, False)):
            outcome = shop.checks.check(SANDBOX, UseCommand("c1", "messages", Decimal(required)), NOW)
            assert (outcome.allowed, outcome.drawn) == (allowed, 0)
        assert shop.stored("c1") == before
        assert told(shop) == {}

    def test_credits_answer_where_they_would_pay(self, shop: Service) -> None:
        shop.customer("c1", [item(1, feature="action1"), item(100, feature="credits")])
        outcome = shop.checks.check(SANDBOX, UseCommand("c1", "action1", Decimal(5)), NOW)
        assert (outcome.allowed, outcome.answering, outcome.required) == (True, "credits", 1)

    def test_nobody_is_not_found(self, shop: Service) -> None:
        with pytest.raises(NotFound, match="Customer nobody"):
            shop.checks.check(SANDBOX, UseCommand("nobody", "messages", Decimal(1)), NOW)


class TestCheckAndTrack:
    def test_what_is_allowed_is_counted_and_told_once(self, shop: Service) -> None:
        shop.customer("c1", [item(10)])
        outcome = shop.use("c1", 4)
        assert (outcome.allowed, outcome.drawn, shop.remaining("c1")) == (True, 4, 6)
        assert told(shop) == {BalanceKey("messages"): 4}

    def test_what_is_denied_changes_nothing(self, shop: Service) -> None:
        shop.customer("c1", [item(10)])
        before = shop.stored("c1")
        outcome = shop.use("c1", 11)
        assert (outcome.allowed, outcome.drawn) == (False, 0)
        assert shop.stored("c1") == before
        assert told(shop) == {}

    def test_what_its_own_units_do_not_cover_credits_pay(self, shop: Service) -> None:
        shop.customer("c1", [item(2, feature="action1"), item(100, feature="credits")])
        outcome = shop.use("c1", 5, feature="action1")
        assert outcome.drawn == 5
        assert shop.consumed("c1") == {BalanceKey("action1"): 2, BalanceKey("credits"): Decimal("0.6")}

    def test_what_nothing_covers_is_refused_whole_by_both(self, shop: Service) -> None:
        shop.customer("c1", [item(2, feature="action1"), item(1, feature="credits")])
        assert not shop.use("c1", 8, feature="action1").allowed
        assert set(shop.consumed("c1").values()) == {0}

    def test_the_shares_of_entities_are_used_before_any_overage(self, shop: Service) -> None:
        """The one write that could draw overage at once must leave this to a second look."""
        shop.customer("c1", [pay_per_use(10), replace(item(5), entity_feature_id="users")])
        shop.entity("c1", "e1")
        assert shop.use("c1", 13).allowed
        assert shop.consumed("c1") == {BalanceKey("messages"): 10, BalanceKey("messages", "e1"): 3}
        assert shop.totals("c1").remaining == 2


class TestTrack:
    def test_a_refusal_is_an_error_and_changes_nothing(self, shop: Service) -> None:
        shop.customer("c1", [item(5)])
        with pytest.raises(InsufficientBalance):
            shop.track("c1", 6, REJECT)
        assert shop.remaining("c1") == 5

    def test_a_key_counts_once_and_is_free_again_after_its_time(self, shop: Service) -> None:
        shop.customer("c1", [item(10)])
        keys = (IdempotencyKey("track", "k1"),)
        shop.track("c1", 3, idempotency_keys=keys)
        with pytest.raises(DuplicateRequest):
            shop.track("c1", 3, idempotency_keys=keys)
        assert shop.remaining("c1") == 7
        later = NOW + DAY_MS
        assert (
            shop.tracking.track(
                CALLER, UseCommand("c1", "messages", Decimal(3), CAP, idempotency_keys=keys), later
            ).drawn
            == 3
        )
        assert shop.remaining("c1", later) == 4

    def test_a_key_of_a_refused_use_is_free(self, shop: Service) -> None:
        shop.customer("c1", [item(10)])
        keys = (IdempotencyKey("track", "k1"),)
        with pytest.raises(InsufficientBalance):
            shop.track("c1", 11, REJECT, keys)
        assert shop.track("c1", 10, REJECT, keys).drawn == 10


class TestBrokenAnswers:
    @pytest.mark.parametrize("applied", [True, False])
    def test_a_lost_answer_is_looked_up_and_the_use_counts_once(
        self, shop: Service, monkeypatch: pytest.MonkeyPatch, applied: bool
    ) -> None:
        shop.customer("c1", [item(10)])
        breaking(shop, monkeypatch, "update_item", LOST, times=1, applied=applied)
        assert shop.use("c1", 4).allowed
        assert shop.remaining("c1") == 6
        assert told(shop) == {BalanceKey("messages"): 4}

    @pytest.mark.parametrize("applied", [True, False])
    def test_a_lost_transaction_is_sent_again_under_its_token(
        self, shop: Service, monkeypatch: pytest.MonkeyPatch, applied: bool
    ) -> None:
        shop.customer("c1", [item(2, feature="action1"), item(100, feature="credits")])
        sent = breaking(shop, monkeypatch, "transact_write_items", LOST, times=1, applied=applied)
        assert shop.use("c1", 5, feature="action1").drawn == 5
        assert shop.consumed("c1") == {BalanceKey("action1"): 2, BalanceKey("credits"): Decimal("0.6")}
        assert len({request["ClientRequestToken"] for request in sent}) == 1

    def test_a_table_that_does_not_answer_leaves_the_outcome_unknown(
        self, shop: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop.customer("c1", [item(10)])
        breaking(shop, monkeypatch, "update_item", LOST, times=100)
        with pytest.raises(OutcomeUnknown):
            shop.use("c1", 4)

    def test_a_use_counts_once_though_its_answer_and_the_look_after_it_are_lost(
        self, shop: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop.customer("c1", [item(10)])
        breaking(shop, monkeypatch, "update_item", LOST, times=2, applied=True)
        assert shop.use("c1", 4).allowed
        assert shop.remaining("c1") == 6

    def test_what_is_always_throttled_was_not_counted(self, shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        shop.customer("c1", [item(10)])
        breaking(shop, monkeypatch, "update_item", throttled("UpdateItem"), times=100)
        with pytest.raises(Unavailable) as caught:
            shop.use("c1", 4)
        assert not isinstance(caught.value, OutcomeUnknown)
        monkeypatch.undo()
        assert shop.remaining("c1") == 10
