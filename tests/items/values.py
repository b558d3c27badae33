"""Values of any type that is stored, made from its fields: one with nothing left at its default, and arbitrary ones."""

from __future__ import annotations

import dataclasses
import types
import typing
import zlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

from hypothesis import strategies as st

from tollgate.domain.periods import Interval, Reset
from tollgate.domain.top_ups import TopUp


def full(of: Any, name: str = "value", default: Any = None) -> Any:
    """A value of a type whose every field differs from its default. It depends on the fields' names alone, so that it is
    the same in every run, and a new field leaves the others as they are."""
    number = 2 + zlib.crc32(name.encode()) % 97
    if of is Any:
        return {"text": name, "number": Decimal("0.5"), "list": [number, None, True]}
    if of is bool:
        return not default
    if of is str:
        return name
    if of is int:
        return number
    if of is Decimal:
        return number + Decimal("0.25")
    if of is bytes:
        return name.encode().ljust(16, b".")[:16]
    origin, parts = typing.get_origin(of), typing.get_args(of)
    if origin in (typing.Union, types.UnionType):
        return full(next(part for part in parts if part is not type(None)), name, default)
    if origin is tuple:
        if parts[-1] is Ellipsis:
            return (full(parts[0], name),)
        return tuple(full(part, f"{name}_{number}") for number, part in enumerate(parts))
    if origin is frozenset:
        return frozenset([full(parts[0], name)])
    if origin in (Mapping, dict):
        return {3 if parts[0] is int else name: full(parts[1], name)}
    if issubclass(of, Enum):
        return next(member for member in reversed(of) if member is not default)
    return of(**{field: full(type, field, default) for field, type, default in fields(of)})


def fields(of: Any) -> Iterator[tuple[str, Any, Any]]:
    """The fields of a named tuple or a dataclass: name, type and default (None where it has none)."""
    hints = typing.get_type_hints(of, localns={"TopUp": TopUp})
    if not dataclasses.is_dataclass(of):
        for name in of._fields:
            yield name, hints[name], of._field_defaults.get(name)
        return
    for field in dataclasses.fields(of):
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            default = None if field.default is dataclasses.MISSING else field.default
        yield field.name, hints[field.name], default


def left_at_default(value: Any, where: str = "") -> list[str]:
    """The fields of a value, and of all that it holds, that are as if nobody had set them."""
    found: list[str] = []
    if isinstance(value, Mapping):
        inner: Any = value.values()
    elif isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        inner = value
    elif hasattr(value, "_fields") or dataclasses.is_dataclass(value):
        for name, _, default in fields(type(value)):
            held = getattr(value, name)
            if held == default or held is None:
                found.append(f"{where}.{name}")
            found += left_at_default(held, f"{where}.{name}")
        return found
    else:
        return []
    return [field for part in inner for field in left_at_default(part, where)]


# No `#`, which no id holds and keys are cut at; no space, which ends an alert's state.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="# "), min_size=1, max_size=12)
numbers = st.decimals(-(10**15), 10**15, places=10) | st.integers(-(10**15), 10**15).map(Decimal)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def arbitrary(of: Any) -> st.SearchStrategy[Any]:
    """Values of a type."""
    leaves: dict[Any, st.SearchStrategy[Any]] = {
        Any: json_values,
        bool: st.booleans(),
        str: texts,
        int: st.integers(0, 10**16),
        Decimal: numbers,
        bytes: st.binary(min_size=16, max_size=16),
        Reset: st.builds(Reset, st.sampled_from(list(Interval)), st.integers(1, 12)),
    }
    if of in leaves:
        return leaves[of]
    origin, parts = typing.get_origin(of), typing.get_args(of)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(st.none() if part is type(None) else arbitrary(part) for part in parts))
    if origin is tuple:
        if parts[-1] is Ellipsis:
            return st.lists(arbitrary(parts[0]), max_size=3).map(tuple)
        return st.tuples(*(arbitrary(part) for part in parts))
    if origin is frozenset:
        return st.frozensets(arbitrary(parts[0]), max_size=3)
    if origin in (Mapping, dict):
        keys = st.integers(0, 3) if parts[0] is int else texts
        return st.dictionaries(keys, arbitrary(parts[1]), max_size=3)
    if issubclass(of, Enum):
        return st.sampled_from(list(of))
    return st.builds(of, **{name: arbitrary(type) for name, type, _ in fields(of)})
