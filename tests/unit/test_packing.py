"""What is sent goes in parts that the other side takes: whole, in order, none larger than it must be."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tollgate.packing import packed

things = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 30)))


@given(things, st.integers(1, 9), st.integers(1, 40))
def test_all_goes_in_order_in_parts_as_large_as_they_may_be(
    given: list[tuple[int, int]], most: int, most_size: int
) -> None:
    def fits(part: list[tuple[int, int]]) -> bool:
        return sum(weight for weight, _ in part) <= most and sum(size for _, size in part) <= most_size

    parts = list(packed(given, most, lambda one: one[1], most_size, lambda one: one[0]))
    assert [one for part in parts for one in part] == given
    assert all(fits(part) or len(part) == 1 for part in parts)
    assert all(not fits([*part, following[0]]) for part, following in itertools.pairwise(parts))
