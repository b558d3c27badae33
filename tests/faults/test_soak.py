"""A small soak: production's mix in four processes, under faults and kills, agrees to the unit (invariants.md 2).

`make soak` is the long one.
"""

from __future__ import annotations

from tests.soak.__main__ import Sized, played
from tests.soak.plan import Chapter, operations
from tests.soak.proxy import SHARES, fault_of

SEED = 14


def test_a_small_soak_agrees_to_the_unit() -> None:
    verdict = played(Sized(160, 160, 0, workers=2, threads=4), (SEED, 0, 160), lambda _: None)
    assert not any(verdict.wrong.values()), verdict.examples
    assert verdict.operations == 160
    assert verdict.totals["uses told"] > 50
    assert sum(verdict.faults.values()) > 0


def test_a_seed_gives_the_same_operations_and_faults() -> None:
    chapter = Chapter(SEED, 3, 4_000)
    assert list(operations(chapter, 1)) == list(operations(chapter, 1))
    assert list(operations(chapter, 1)) != list(operations(chapter, 2))
    kinds = {one.kind for one in operations(chapter, 0)}
    assert {
        "check",
        "use",
        "track",
        "refund",
        "hold",
        "finalize",
        "batch",
        "attach",
        "top-up",
        "visit",
        "again",
    } <= kinds
    drawn = [fault_of(SEED, f"1-{number}.1") for number in range(20_000)]
    assert drawn == [fault_of(SEED, f"1-{number}.1") for number in range(20_000)]
    for fault, share in SHARES.items():
        assert abs(drawn.count(fault) / len(drawn) - share) < 0.02
