"""What memory size costs: the CPU of a call and of an import, at the share of a CPU that Lambda gives for the memory, and
AWS's prices. `docs/costs.md` holds the table.

Lambda gives one vCPU at 1,769 MB and in proportion below, and bills whole milliseconds of the time that passes. The CPU
times are this machine's. While DynamoDB answers, time passes and no CPU is used.
"""

from __future__ import annotations

import math
from typing import NamedTuple

FULL_CPU_MB = 1769
DOLLARS_PER_GB_SECOND = 0.0000133334  # arm64, us-east-1
DYNAMODB_MS = 4.0  # what a request to DynamoDB is taken to wait for its answer
SIZES_MB = (128, 256, 512, 1024)


class Size(NamedTuple):
    """One memory size: what a call takes, what a million cost to compute, and what a cold start takes to import."""

    mb: int
    call_ms: float
    dollars_per_million: float
    import_ms: float


def sizes(call_cpu_ms: float, import_cpu_ms: float) -> list[Size]:
    """Each memory size, for a call that makes one request to DynamoDB."""
    found = []
    for mb in SIZES_MB:
        share = min(1.0, mb / FULL_CPU_MB)
        call_ms = call_cpu_ms / share + DYNAMODB_MS
        dollars = math.ceil(call_ms) / 1000 * mb / 1024 * DOLLARS_PER_GB_SECOND * 1_000_000
        found.append(Size(mb, call_ms, dollars, import_cpu_ms / share))
    return found
