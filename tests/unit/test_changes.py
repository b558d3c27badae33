"""What one write of a balance changed: what it drew from each grant, and what became of the grants beside that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records import MESSAGES, MONTH_END, NOW, SANDBOX, held, monthly, spent, used, with_limits
from tollgate.domain.alerts import EPSILON, reached
from tollgate.domain.balances import Balance, recomputed
from tollgate.domain.changes import BalanceWrite, Change, What, as_written, read_change
from tollgate.domain.decisions import UseRequest, check
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.grants import Grant, Rollover
from tollgate.domain.holds import Hold, Part
from tollgate.domain.limits import Window
from tollgate.domain.periods import Interval
from tollgate.domain.use_records import CountedUse, UseRecord
from tollgate.store import stream

RECORDED = Path(__file__).parents[1] / "handlers" / "recorded" / "records.jsonl"
MARCH = 1_772_323_200_000
HELD = Hold("h1", NOW + 5000, (Part(0, "sub_1:0", Decimal(8)),))


def change(old: Balance | None, new: Balance | None, event: UseRecord | None = None) -> Change:
    return read_change(BalanceWrite(SANDBOX, "c1", MESSAGES, 7, old, new, event, NOW + 1000))


def with_holds(drawn: int, *holds: Hold) -> Balance:
    return recomputed(held(monthly(100, used=Decimal(drawn)))._replace(holds=holds))


def whats(found: Change) -> list[tuple[What, Decimal | None]]:
    return [(changed.what, changed.value) for changed in found.grant_changes]


grants = st.lists(
    st.builds(
        lambda granted, part, rolled, overage: (granted, min(part, granted), rolled, overage),
        st.integers(1, 50),
        st.integers(0, 50),
        st.integers(0, 9),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@given(grants, st.integers(0, 1), st.decimals(0, 1, places=2), st.decimals(0, 1, places=2))
def test_a_fast_write_draws_what_it_counted_and_changes_no_grant_otherwise(
    shapes: list[tuple[int, int, int, bool]], over: int, first: Decimal, second: Decimal
) -> None:
    made = [
        monthly(
            granted,
            f"sub_1:{number}",
            used=Decimal(part),
            overage=overage,
            max_purchase=Decimal(20),
            rollovers=(Rollover(Decimal(rolled), Decimal(0), MONTH_END),) if rolled else (),
        )
        for number, (granted, part, rolled, overage) in enumerate(shapes)
    ]
    balance = held(*made)
    most = balance.ceiling if over else balance.headroom
    old = spent(balance, most * first)
    amount = (most - most * first) * second
    found = change(old, spent(old, amount), used("use-7", str(amount)))
    (use,) = found.uses
    assert sum(moved.value for moved in use.deductions) == amount
    assert all(moved.value > 0 for moved in use.deductions)
    assert found.grant_changes == ()
    assert found.after == as_written(spent(old, amount))


def test_what_was_due_is_done_before_the_write_is_looked_at() -> None:
    new = held(monthly(100, used=Decimal(5))._replace(next_reset_at=MARCH))
    found = change(spent(held(monthly(100)), 60), new, used("use-7", 5, MONTH_END + 7))
    assert (found.previous and found.previous.grants[0].used, found.before.grants[0].used) == (60, 0)
    assert [moved.value for moved in found.uses[0].deductions] == [5]
    assert whats(found) == [(What.RESET, 60)]
    assert found.was_reset


@pytest.mark.parametrize(
    ("drawn", "event", "before"),
    [
        pytest.param(3, used("u", 3), 0, id="it lapsed, and the use came after"),
        pytest.param(8, None, 8, id="the write confirmed it"),
        pytest.param(5, used("u", -3), 8, id="the write ended it below what it held"),
    ],
)
def test_a_hold_that_is_gone_lapsed_or_was_ended_by_the_write(drawn: int, event: UseRecord | None, before: int) -> None:
    found = change(with_holds(8, HELD), with_holds(drawn), event)
    assert found.before.grants[0].used == before
    assert found.grant_changes == ()


def test_of_two_holds_that_are_gone_the_one_that_would_lapse_last_may_have_been_ended() -> None:
    later = Hold("h2", NOW + 9000, (Part(0, "sub_1:0", Decimal(2)),))
    found = change(with_holds(10, later, HELD), with_holds(3), used("u", 1))
    assert found.before.grants[0].used == 2
    assert found.grant_changes == ()


def test_what_is_set_by_hand_is_told_from_what_is_granted_and_from_use() -> None:
    old = held(monthly(100, used=Decimal(40)))
    assert whats(change(old, held(monthly(120, used=Decimal(40))))) == [(What.GRANTED, 20)]
    assert whats(change(old, held(monthly(100, used=Decimal(10))))) == [(What.ADJUSTED, 30)]
    assert whats(change(old, held(monthly(80, used=Decimal(40))), used("u", 0))) == [(What.ADJUSTED, -20)]
    assert whats(change(old, None)) == [(What.LAPSED, 60)]
    assert whats(change(None, old)) == [(What.GRANTED, 100)]


def test_a_boundary_that_is_set_by_hand_is_no_reset() -> None:
    moved = monthly(100, used=Decimal(40))._replace(anchor=NOW + 5, next_reset_at=MARCH)
    found = change(held(monthly(100, used=Decimal(40))), held(moved))
    assert found.grant_changes == ()
    assert not found.was_reset


def test_each_of_several_uses_has_what_it_moved_itself() -> None:
    parts = tuple(
        CountedUse(f"u{n}", Decimal(n), NOW + n, (("sub_1:0", Decimal(n)), ("gone", Decimal(1)))) for n in (1, 2)
    )
    event = UseRecord("u1", Decimal(3), Decimal(3), NOW, "key_test", uses=parts)
    found = change(held(monthly(100)), held(monthly(100, used=Decimal(3))), event)
    assert [(use.use_id, use.at, [moved.value for moved in use.deductions]) for use in found.uses] == [
        ("u1", NOW + 1, [1]),
        ("u2", NOW + 2, [2]),
    ]


def test_a_use_of_what_nothing_grants_is_recorded_and_changes_nothing() -> None:
    found = change(None, None, used("u", 3, drawn=Decimal(0)))
    assert [(use.value, use.drawn, use.deductions) for use in found.uses] == [(3, 0, ())]
    assert (found.before, found.after, found.grant_changes) == (Balance(MESSAGES), None, ())


def test_a_reset_puts_back_what_was_used_but_for_overage_that_is_kept() -> None:
    old = held(monthly(100, used=Decimal(130), keeps_overage=True))
    new = held(monthly(100, used=Decimal(30), keeps_overage=True)._replace(next_reset_at=MARCH))
    assert whats(change(old, new)) == [(What.RESET, 100)]


def test_uses_of_one_write_may_have_drawn_on_a_grant_that_is_gone_and_come_from_other_keys() -> None:
    part = CountedUse("u1", Decimal(2), NOW, (("sub_2:0", Decimal(2)),), key_id="key_other")
    old = held(monthly(100), monthly(5, "sub_2:0", expires_at=NOW + 500))
    found = change(old, held(monthly(100)), UseRecord("u1", Decimal(2), Decimal(2), NOW, "key_test", uses=(part,)))
    ((use,), (gone,)) = found.uses, found.grant_changes
    assert [(moved.grant.id, moved.value) for moved in use.deductions] == [("sub_2:0", 2)]
    assert (use.key_id, gone.what, gone.at) == ("key_other", What.LAPSED, NOW + 500)


def test_before_a_first_write_nothing_was_granted_and_nothing_counted_under_its_limits() -> None:
    window = Window(Decimal(5), Interval.DAY, MONTH_END)
    found = change(None, with_limits(held(monthly(100)), windows=(window,)))
    assert (found.previous, found.before.grants, found.before.limits.windows) == (None, (), (window,))


def test_before_a_removal_what_was_due_by_then_is_done() -> None:
    found = change(held(monthly(100, rollovers=(Rollover(Decimal(3), expires_at=NOW + 10),))), None)
    assert found.before.grants[0].rollovers == ()


@pytest.mark.parametrize(("unlimited", "counted"), [(False, 3), (True, 0)])
def test_usage_limits_count_what_was_spent_but_for_an_unlimited_balance(unlimited: bool, counted: int) -> None:
    window = Window(Decimal(5), Interval.DAY, MONTH_END)
    balance = with_limits(held(monthly(100, unlimited=unlimited)), windows=(window,))
    assert [one.used for one in as_written(spent(balance, 3)).limits.windows] == [counted]


# ------------------------------------------------------------------ over records that were kept


def images() -> Iterator[tuple[Any, Any]]:
    """The old and new images of each balance among the records that were kept."""
    for line in RECORDED.read_text().splitlines():
        recorded = json.loads(line)["dynamodb"]
        if recorded["Keys"]["sk"]["S"].startswith("BALANCE#"):
            yield recorded.get("OldImage"), recorded.get("NewImage")


def test_two_images_are_decoded_as_each_of_them_alone() -> None:
    """What a fast write leaves alone is decoded once for both."""
    alike = 0
    for old, new in images():
        each = tuple(None if image is None else stream._decoded(image) for image in (old, new))
        assert stream._balances(old, new) == each
        alike += old is not None and new is not None and stream._without_numbers(old) == stream._without_numbers(new)
    assert alike > 30


def test_a_limit_is_reached_where_a_check_of_the_least_use_is_denied() -> None:
    """Also where a grant that pays alone spares the check."""
    answers = set()
    for image in (image for pair in images() for image in pair if image):
        try:
            balance = as_written(stream._decoded(image))
        except AssertionError:  # one of the records that are poison
            continue
        if balance.flag:
            continue
        feature = Feature(balance.feature_id, "", FeatureType.METERED)
        entity_id = balance.key.entity_id
        windowless = balance._replace(limits=balance.limits._replace(windows=()))
        allowed = check(UseRequest(feature, (), entity_id, EPSILON), {balance.key: windowless}).allowed
        assert (reached(feature, (), entity_id, {balance.key: balance}) is None) == allowed
        answers.add(allowed)
    assert answers == {True, False}


@pytest.mark.parametrize(
    "grant",
    [
        monthly(10, starts_at=NOW + 9),
        monthly(10, filters=(("model", "small"),)),
        monthly(10, used=Decimal(10)),
    ],
    ids=["not started", "for some properties only", "used up"],
)
def test_a_grant_that_does_not_pay_for_every_use_does_not_spare_the_check(grant: Grant) -> None:
    assert reached(Feature("messages", "", FeatureType.METERED), (), "", {MESSAGES: held(grant)})
