"""Top-ups are asked for once in each crossing, and no more often than the purchase limit says, whatever happens in between.

Rules: autumn.md 7.3.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tollgate.domain.periods import Interval
from tollgate.domain.top_ups import Met, PurchaseLimit, TopUp, TopUpState, Verdict, top_up_after

HOUR = 3_600_000
START = 1_767_225_600_000
THRESHOLD = 10


class Step(NamedTuple):
    """A write after `wait` ms: of units that are used, or given."""

    wait: int
    used: int
    granted: int


steps = st.lists(
    st.builds(
        Step,
        st.integers(0, 2 * HOUR),
        st.integers(-5, 40),
        st.sampled_from([0, 0, 0, 5, 30]),
    ),
    max_size=40,
)
limits = st.none() | st.builds(
    PurchaseLimit, st.integers(1, 3), st.sampled_from([Interval.HOUR, Interval.DAY]), st.just(1), st.none()
)


def run(limit: PurchaseLimit | None, taken: list[Step], *, alone: bool) -> list[tuple[Met, Verdict]]:
    """What each write met and meant: the balance begins at 50. `alone`: whether a write knows what was before it."""
    top_up = TopUp(Decimal(THRESHOLD), Decimal(30), limit)
    state, now, left, told = TopUpState(), START, 50, []
    for number, (wait, used, granted) in enumerate(taken):
        now, was = now + wait, left
        left += granted - (0 if granted else used)
        met = Met(
            str(number), now, left <= THRESHOLD, alone and was > THRESHOLD, granted > 0, not granted and used != 0
        )
        state, verdict = top_up_after(state, top_up, met)
        told.append((met, verdict))
        again, once_more = top_up_after(state, top_up, met)
        assert once_more is verdict or verdict is Verdict.NOTHING, "a write that comes again means the same"
        assert again.made == state.made, "and is counted once"
    return told


@given(limits, steps, st.booleans())
def test_each_crossing_asks_once_and_the_limit_holds(
    limit: PurchaseLimit | None, taken: list[Step], alone: bool
) -> None:
    told = run(limit, taken, alone=alone)
    asked = [met.at for met, verdict in told if verdict is Verdict.REQUESTED]
    stands = False
    for met, verdict in told:
        if not met.below or met.granted:
            stands = False
        if verdict is Verdict.REQUESTED:
            assert met.below
            assert met.acts
            assert not stands or met.fell, "nothing was granted since, and it was not above its threshold"
            stands = True
        elif met.below and met.acts and limit is None:
            assert stands, "nothing is lost: a balance that is low, and asked for nothing, asks"
    if limit is not None:
        length = {Interval.HOUR: HOUR, Interval.DAY: 24 * HOUR}[limit.interval]
        end, made = 0, 0
        for at in asked:  # a window begins with the first request that is in none
            end, made = (end, made + 1) if at < end else (at + length, 1)
            assert made <= limit.limit
    blocked = [met.at for met, verdict in told if verdict is Verdict.BLOCKED]
    assert limit is not None or not blocked
    if limit is not None and blocked:
        assert asked, "a limit of at least one blocks nothing before the first"
        assert len(blocked) <= len(asked), "told once in a window, and each window begins with a request"


@given(st.integers(0, 5), st.integers(1, 5), st.integers(0, 3 * HOUR))
def test_what_a_caller_says_of_the_count_holds_for_the_window_that_runs(made: int, most: int, later: int) -> None:
    limit = PurchaseLimit(most, Interval.HOUR, 1, (made, START))
    met = Met("w", START + later, True, True, False, True)
    _, verdict = top_up_after(TopUpState(), TopUp(Decimal(1), Decimal(1), limit), met)
    assert (verdict is Verdict.BLOCKED) == (later < HOUR and made >= most)
