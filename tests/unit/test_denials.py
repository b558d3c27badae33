"""Denials cost a call nothing, and come together in few writes.

Rules: management.md 17.1.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from tests.bench.__main__ import quiet
from tollgate import runtime
from tollgate.domain.environments import Environment
from tollgate.usecases.denials import MOST_KEPT, Counts, Denials, Denied

MINUTE = 1_767_225_600_000
SANDBOX = Environment.SANDBOX
DENIED = Denied(SANDBOX, MINUTE, "messages", "usage_limit")


class Container:
    """A container whose thread runs when it is told to; what happens while it waits is done by `meanwhile`."""

    def __init__(self, seconds: int = 10) -> None:
        self.now = MINUTE
        self.written: list[tuple[int, Counts]] = []
        self.refuses = False
        self.waiting: list[Callable[[], None]] = []
        self.meanwhile: list[Callable[[], None]] = []
        self.denials = Denials(self._write, lambda: self.now, seconds, start=self.waiting.append, sleep=self._sleep)

    def _write(self, counts: Counts) -> Counts:
        if self.refuses:
            return counts
        self.written.append((self.now, counts))
        return Counter()

    def _sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1000)
        for happens in self.meanwhile[:1]:
            self.meanwhile = self.meanwhile[1:]
            happens()

    def deny(self, times: int = 1, feature_id: str = "messages") -> None:
        for _ in range(times):
            self.denials.count(SANDBOX, feature_id, "usage_limit")

    def run(self) -> None:
        """The thread runs until it ends."""
        while self.waiting:
            self.waiting.pop()()

    @property
    def total(self) -> int:
        return sum(sum(counts.values()) for _, counts in self.written)


def test_a_call_that_is_denied_writes_nothing_itself() -> None:
    container = Container()
    container.deny(1000)
    assert container.written == []
    container.run()
    assert container.written == [(MINUTE, Counter({DENIED: 1000}))]


def test_writes_are_ten_seconds_apart_and_lose_nothing() -> None:
    container = Container()
    container.meanwhile = [lambda: container.deny(3), lambda: container.deny(4)]
    container.deny()
    container.run()
    assert [at - MINUTE for at, _ in container.written] == [0, 10_000, 20_000]
    assert container.total == 8
    container.deny()  # the thread has ended, and begins anew
    container.run()
    assert container.total == 9


def test_what_was_certainly_not_written_is_written_later() -> None:
    container = Container()
    container.refuses = True

    def recover() -> None:
        container.refuses = False
        container.deny()

    container.meanwhile = [recover]
    container.deny(5)
    container.run()
    assert container.total == 6


def test_a_write_that_fails_ends_no_counting() -> None:
    container = Container()

    def fail(_: Counts) -> Counts:
        raise RuntimeError

    container.denials._write = fail
    container.deny()
    with pytest.raises(RuntimeError):
        container.run()
    container.denials._write = container._write
    container.deny(2)
    container.run()
    assert container.total == 2


def test_a_broken_write_is_tried_no_more_often_than_another() -> None:
    container = Container()
    tried: list[int] = []

    def fail(_: Counts) -> Counts:
        tried.append(container.now)
        raise RuntimeError

    container.denials._write = fail
    container.meanwhile = [lambda: container.deny(100)]
    container.deny()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            container.run()
        container.deny()
    assert [at - MINUTE for at in tried] == [0, 10_000]


def test_denials_stand_in_the_minute_in_which_they_were() -> None:
    container = Container()
    container.now = MINUTE + 59_999
    container.deny()
    container.now = MINUTE + 60_000
    container.deny()
    container.run()
    (written,) = [counts for _, counts in container.written]
    assert written == Counter({DENIED: 1, DENIED._replace(minute=MINUTE + 60_000): 1})


def test_memory_has_a_bound() -> None:
    container = Container()
    for number in range(MOST_KEPT + 10):
        container.deny(feature_id=f"f{number}")
    container.run()
    assert container.total == MOST_KEPT


def test_nothing_is_counted_where_it_is_not_asked_for() -> None:
    container = Container(seconds=0)
    container.deny()
    assert container.waiting == []


def test_the_tables_of_the_bench_have_no_line_of_metrics_between_them(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Tollgate")
    with quiet():
        runtime._denials_line("sandbox", {DENIED: 3})
    assert capfd.readouterr().out == ""
    runtime._denials_line("sandbox", {DENIED: 3})
    assert json.loads(capfd.readouterr().out)["denials"] == {"messages": {"usage_limit": 3}}
