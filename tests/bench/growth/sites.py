"""What the axes of growth are measured over: the real handlers on a table, and what a call to them costs there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from tests.conftest import Spent
from tests.http_events import authorized, http_event
from tests.service import Service

Thing = TypeVar("Thing")
Handler = Callable[[dict[str, Any], object], Any]
Call = Callable[[], Any]

READS = ("GetItem", "BatchGetItem", "Query", "Scan")


class Cost(NamedTuple):
    """What one call costs: its requests to the table, their units, and the bytes of its answer."""

    requests: int
    read_units: float
    write_units: float
    answer: int


class Work(NamedTuple):
    """What is measured: a call, after `before` was done where there is something."""

    call: Call
    before: Call | None = None


@dataclass(frozen=True)
class Site:
    """The handlers by function name, and the use cases over the same table. `client`: the one that the handlers use.
    `at_once`: how many threads may fill the table. `filled`: what it has, by what grows, where axes share it."""

    handlers: Mapping[str, Handler]
    service: Service
    client: Any
    at_once: int = 1
    filled: dict[str, Any] = field(default_factory=dict)

    def http(self, function: str, route: str, body: Any = None, **more: Any) -> Work:
        """A call of a handler with a secret key of the sandbox, which must succeed. `more`: headers, query."""
        event = authorized(http_event(route, body, **more))

        def call() -> Any:
            answer = self.handlers[function](event, None)
            assert 200 <= answer["statusCode"] < 300, answer
            return answer["body"]

        return Work(call)

    def each(self, make: Callable[[Thing], object], things: Iterable[Thing]) -> None:
        """Does this with each thing, as many at a time as the table takes well."""
        with ThreadPoolExecutor(self.at_once) as threads:
            list(threads.map(make, things))

    def cost(self, work: Work) -> Cost:
        """What the call costs once it is warm."""
        work.call()
        if work.before:
            work.before()
        spent = Spent(self.client)
        answers: list[Any] = []
        try:
            requests = spent.of(lambda: answers.append(work.call()))
        finally:
            spent.stop()
        answer = answers[0]
        size = len(answer.encode() if isinstance(answer, str) else json.dumps(answer, default=str))
        return Cost(
            len(requests),
            sum(units for name, units in requests if name in READS),
            sum(units for name, units in requests if name not in READS),
            0 if answer is None else size,
        )


class Axis(NamedTuple):
    """One thing that grows.

    - `call`: what is measured. `grows`: what the sizes count.
    - `made`: fills the site so large, and gives what is measured.
    - `bound`: what holds at every size, as requests, read units and write units; None: it is not bounded.
    - `sizes`: those of `make growth`; a test takes the second, or 200. `held`: whether the bound holds today, so that a test
      may ask for it.
    """

    call: str
    grows: str
    sizes: Sequence[int]
    made: Callable[[Site, int], Work]
    bound: tuple[float | None, float | None, float | None] = (None, None, None)
    held: bool = True

    def broken(self, cost: Cost) -> list[str]:
        """In what a cost is more than the bound."""
        names = ("requests", "read units", "write units")
        measured = (cost.requests, cost.read_units, cost.write_units)
        return [
            f"{name}: {found:g} > {most:g}"
            for name, found, most in zip(names, measured, self.bound, strict=True)
            if most is not None and found > most
        ]
