"""What a grant remembers of the different values that a meter has counted (COUNT_UNIQUE).

The values themselves are items of their own, each with the names of the usages that counted it (`store.usage_events`). A
grant keeps, of each usage that is its own or went over to it, the name, how many values were new to it, and how many of
those another usage had counted before: by which others. So the size of a union is known exactly without a look at the
values: a value of several usages was counted first by one of them, and is a repeat in each of the others.

As stored it is a row of numbers: -1, what one value draws from the grant (its feature may be a credit pool), and for each
usage its name, its count, how many sets of others there are, and for each set the number of its names, the names, and the
repeats. What older code stored are names alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

_MARK = Decimal(-1)
Numbers = tuple[Decimal, ...]


class Usage(NamedTuple):
    """How many values a usage has counted; and, by the names of others that had counted them before, how many of them."""

    values: int = 0
    repeats: Mapping[frozenset[Decimal], int] = {}

    def counting(self, others: frozenset[Decimal]) -> Usage:
        """The same with one value more, which these other usages had counted before."""
        repeats = {**self.repeats, others: self.repeats.get(others, 0) + 1} if others else self.repeats
        return Usage(self.values + 1, repeats)


Usages = Mapping[Decimal, Usage]
"""Usages by their names."""


def usages_of(memory: Numbers, used: Decimal) -> dict[Decimal, Usage]:
    """What a grant remembers. Of names alone, the last is taken to have counted what the grant has `used`."""
    if not memory or memory[0] != _MARK:
        named = dict.fromkeys(memory, Usage())
        return {**named, memory[-1]: Usage(max(0, int(used)))} if memory else {}
    numbers = iter(memory[2:])
    found: dict[Decimal, Usage] = {}
    for name in numbers:
        values, sets = int(next(numbers)), int(next(numbers))
        repeats = {}
        for _ in range(sets):
            others = frozenset(next(numbers) for _ in range(int(next(numbers))))
            repeats[others] = int(next(numbers))
        found[name] = Usage(values, repeats)
    return found


def memory_of(usages: Usages, cost: Decimal) -> Numbers:
    """The same as it is stored. One value draws `cost` from the grant."""
    numbers = [_MARK, cost]
    for name, usage in sorted(usages.items()):
        numbers += [name, Decimal(usage.values), Decimal(len(usage.repeats))]
        for others, repeats in sorted(usage.repeats.items(), key=lambda item: sorted(item[0])):
            numbers += [Decimal(len(others)), *sorted(others), Decimal(repeats)]
    return tuple(numbers)


def is_unique(memory: Numbers) -> bool:
    """Whether these numbers are a memory of different values."""
    return bool(memory) and memory[0] == _MARK


def drawn_by(memory: Numbers) -> Decimal:
    """What the values of a memory have drawn from their grant, together."""
    return different(usages_of(memory, Decimal(0))) * memory[1]


def merged(one: Numbers, other: Numbers) -> Numbers:
    """The memory of two grants of one balance, as one grant has it that takes over the use of both."""
    usages = together([usages_of(one, Decimal(0)), usages_of(other, Decimal(0))])
    return memory_of(usages, one[1])


def together(memories: Iterable[Usages]) -> dict[Decimal, Usage]:
    """The usages of several grants; of one that several have, the one that went on longest."""
    found: dict[Decimal, Usage] = {}
    for usages in memories:
        for name, usage in usages.items():
            if name not in found or usage.values > found[name].values:
                found[name] = usage
    return found


def different(usages: Usages) -> int:
    """How many different values these usages have counted together."""
    names = set(usages)
    repeats = sum(
        number for usage in usages.values() for others, number in usage.repeats.items() if not others.isdisjoint(names)
    )
    return sum(usage.values for usage in usages.values()) - repeats
