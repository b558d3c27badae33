"""Splits a sequence into parts that fit into one request each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def packed(
    items: Iterable[T],
    most: int,
    size_of: Callable[[T], int],
    most_size: int,
    weight_of: Callable[[T], int] = lambda _: 1,
) -> Iterator[list[T]]:
    """Splits `items`, in their order, into parts of a total weight of at most `most` and a total size of at most
    `most_size`.

    Each weighs 1 unless `weight_of` says otherwise. One that exceeds a bound by itself makes a part of its own.
    """
    part: list[T] = []
    weight = size = 0
    for item in items:
        heavier, larger = weight_of(item), size_of(item)
        if part and (weight + heavier > most or size + larger > most_size):
            yield part
            part, weight, size = [], 0, 0
        part.append(item)
        weight += heavier
        size += larger
    if part:
        yield part
