"""How the benchmark measures: ratios of CPU and wall time within one run. Only the standard library: peers run it in an
environment of their own.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

Call = Callable[[], object]


class Ratios(NamedTuple):
    """What a call takes: as a multiple of a bare one, and in milliseconds. `wall_ratio` is of the time that passes."""

    cpu_ratio: float
    wall_ratio: float
    cpu_ms: float
    wall_ms: float


def ratios(bare: Call, call: Call, rounds: int, calls: int) -> Ratios:
    """Of `call` to `bare`: the median over rounds of `calls` calls, in which the two take turns."""
    for warm in (bare, call):
        for _ in range(50):
            warm()
    samples = []
    for _ in range(rounds):
        (bare_cpu, bare_wall), (cpu, wall) = timed(bare, calls), timed(call, calls)
        samples.append(Ratios(cpu / bare_cpu, wall / bare_wall, cpu / calls * 1000, wall / calls * 1000))
    return Ratios(*(statistics.median(column) for column in zip(*samples, strict=True)))


def timed(call: Call, calls: int) -> tuple[float, float]:
    """The CPU and wall time of so many calls, in seconds."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        call()
    return time.process_time() - cpu, time.perf_counter() - wall
