"""Limits of calls: whatever the order of calls and answers, nobody is refused too early, and how much is too much is bounded.

Rules: management.md 19.
"""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from tollgate.domain.call_limits import (
    SHARES,
    WINDOW_MS,
    Calls,
    as_of,
    corrected,
    counted,
    has_room,
    retry_after_s,
    window_of,
)

NOW = 1_767_225_600_000
instants = st.integers(0, 2 * 10**12)
limits = st.integers(1, 120)


class Containers:
    """Some containers, and the table that they tell: what is on its way is answered when the test says so."""

    def __init__(self, many: int, limit: int) -> None:
        self.limit = limit
        self.calls = [Calls(NOW)] * many
        self.sent: list[deque[tuple[int, int]]] = [deque() for _ in range(many)]
        self.table = 0
        self.answered = 0
        """All calls that were let through."""

    def call(self, number: int) -> bool:
        calls = as_of(self.calls[number], NOW)
        assert calls.known <= self.answered, "what is known was called"
        if not has_room(calls, self.limit):
            assert self.answered >= self.limit, "refused too early"
            return False
        self.calls[number], owed = counted(calls, self.limit)
        self.answered += 1
        if owed:
            self.sent[number].append((owed, self.calls[number].told))
        return True

    def deliver(self, number: int, fate: str) -> None:
        """The first of what this container has sent comes to the table, or not, and its answer back, or not."""
        if not self.sent[number]:
            return
        owed, so_far = self.sent[number].popleft()
        if fate != "not applied":
            self.table += owed
        if fate == "answered":
            self.calls[number] = corrected(self.calls[number], NOW, self.table, so_far)


steps = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["call", "call", "call", "answered", "lost", "not applied"])),
    max_size=400,
)


@given(limits, steps)
def test_nobody_is_refused_while_fewer_were_answered(limit: int, taken: list[tuple[int, str]]) -> None:
    containers = Containers(5, limit)
    for number, what in taken:
        if what == "call":
            containers.call(number)
        else:
            containers.deliver(number, what)


@given(limits, st.integers(1, 8), st.lists(st.integers(0, 7), max_size=600))
def test_at_most_a_share_for_each_container_is_too_much_where_answers_come_at_once(
    limit: int, many: int, order: list[int]
) -> None:
    containers = Containers(many, limit)
    for number in [each % many for each in order] + [each % many for each in range(3 * limit * many)]:
        if containers.call(number):
            containers.deliver(number, "answered")
    assert limit <= containers.answered <= limit + many * max(1, limit // SHARES)
    assert many > 1 or containers.answered == limit, "a container by itself is exact"


@given(limits, st.integers(0, 500))
def test_a_container_tells_the_others_twenty_times_at_most_before_its_limit(limit: int, calls: int) -> None:
    state, told = Calls(NOW), 0
    for _ in range(min(calls, limit)):
        state, owed = counted(state, limit)
        told += bool(owed)
    assert told <= min(calls // max(1, limit // SHARES), 2 * SHARES)


@given(instants, instants)
def test_a_new_window_begins_with_nothing(before: int, now: int) -> None:
    calls = Calls(window_of(before), 5, 3, 2)
    same = window_of(before) == window_of(now)
    assert as_of(calls, now) == (calls if same else Calls(window_of(now)))
    assert same or corrected(as_of(calls, now), window_of(before), 99, 1) == as_of(calls, now), "an answer that is late"


@given(instants)
def test_after_the_pause_that_is_told_a_new_window_has_begun_and_no_second_too_late(now: int) -> None:
    after = now + retry_after_s(now) * 1000
    assert 1 <= retry_after_s(now) <= WINDOW_MS // 1000
    assert window_of(after) == window_of(now) + WINDOW_MS
    assert window_of(after - 1000) == window_of(now)
