"""DynamoDB's expressions, as far as the store writes them: conditions of writes and keys, and updates.

    condition   a OR b, a AND b, NOT a, (a); x = y and <> < <= > >=; x BETWEEN y AND z; begins_with(x, y), contains(x, y),
                attribute_exists(x), attribute_not_exists(x)
    update      SET x = y, x = y + z, x = y - z, x = if_not_exists(x, y); ADD x y; REMOVE x

An operand is a name, `#name` or `:value`. A text is read once and kept.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import lru_cache
from typing import Any, NamedTuple

from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

Value = Mapping[str, Any] | None
Item = Mapping[str, Any]
Names = Mapping[str, str]


class Given(NamedTuple):
    """What an expression is about: the item (empty where there is none), and what its `#names` and `:values` stand for."""

    item: Item
    names: Names
    values: Item


Operand = Callable[[Given], Value]
Test = Callable[[Given], bool]

_EXACT = Context(prec=38, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_TOKEN = re.compile(r"\s*([#:]?\w+|<>|<=|>=|[=<>(),+-])")
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Invalid(Exception):
    """What DynamoDB refuses with a ValidationException."""


class Condition(NamedTuple):
    """`used`: the `#names` and `:values` in it. `equal`: the names that must be just a value, with that value's."""

    holds: Test
    used: frozenset[str]
    equal: Mapping[str, str]

    def check(self, names: Names, values: Item) -> None:
        if self.used != {*names, *values}:
            raise Invalid(f"Names or values are unused or not defined: {self.used ^ {*names, *values}}")


class Update(NamedTuple):
    """`values`: the attributes that it sets, all from the item before it; None for one that it removes."""

    values: Callable[[Given], dict[str, Value]]
    used: frozenset[str]


@lru_cache(maxsize=1000)
def condition(text: str) -> Condition:
    parser = _Parser(text)
    test = parser.either()
    parser.end()
    return Condition(test, frozenset(parser.used), parser.equal)


@lru_cache(maxsize=1000)
def update(text: str) -> Update:
    parser = _Parser(text)
    steps = parser.steps()

    def values(given: Given) -> dict[str, Value]:
        return {given.names[name] if name[0] == "#" else name: made(given) for name, made in steps}

    return Update(values, frozenset(parser.used))


def number(value: Decimal) -> str:
    """A number as DynamoDB writes it, of 38 digits at most."""
    try:
        exact = _EXACT.plus(value)
    except Inexact:
        raise Invalid("Attempting to store more than 38 significant digits in a Number") from None
    text = f"{exact:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            found = _TOKEN.match(text, position)
            if not found:
                raise Invalid(f"Invalid expression: {text}")
            self._tokens.append(found[1])
            position = found.end()
        self.used: set[str] = set()
        self.equal: dict[str, str] = {}

    def _next(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self, *wanted: str) -> str:
        if not self._tokens or (wanted and self._tokens[0].upper() not in wanted):
            raise Invalid(f"Invalid expression: {self._text}")
        return self._tokens.pop(0)

    def _took(self, word: str) -> bool:
        if self._next().upper() != word:
            return False
        self._tokens.pop(0)
        return True

    def end(self) -> None:
        if self._tokens:
            raise Invalid(f"Invalid expression: {self._text}")

    # -------------------------------------------------------------- operands

    def _name(self) -> str:
        name = self._take()
        if name[0] == "#":
            self.used.add(name)
        elif not name[0].isalpha() and name[0] != "_":
            raise Invalid(f"Invalid expression: {self._text}")
        elif name.upper() in _reserved():
            raise Invalid(f"Attribute name is a reserved keyword: {name}")
        return name

    def _operand(self) -> Operand:
        token = self._next()
        if token[:1] == ":":
            self.used.add(self._take())
            return lambda given: given.values[token]
        name = self._name()
        if name[0] == "#":
            return lambda given: given.item.get(given.names[name])
        return lambda given: given.item.get(name)

    # -------------------------------------------------------------- conditions

    def either(self) -> Test:
        tests = [self._all()]
        while self._took("OR"):
            tests.append(self._all())
        if len(tests) == 1:
            return tests[0]
        self.equal.clear()
        return lambda given: any(test(given) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._took("AND"):
            tests.append(self._one())
        if len(tests) == 1:
            return tests[0]
        return lambda given: all(test(given) for test in tests)

    def _one(self) -> Test:
        if self._took("NOT"):
            test = self._one()
            self.equal.clear()
            return lambda given: not test(given)
        if self._took("("):
            test = self.either()
            self._take(")")
            return test
        if len(self._tokens) > 1 and self._tokens[1] == "(":
            return self._function()
        return self._comparison()

    def _function(self) -> Test:
        function = self._take()
        self._take("(")
        first = self._operand()
        if function in ("attribute_exists", "attribute_not_exists"):
            self._take(")")
            there = function == "attribute_exists"
            return lambda given: (first(given) is not None) is there
        self._take(",")
        second = self._operand()
        self._take(")")
        if function not in ("begins_with", "contains"):
            raise Invalid(f"Invalid function name: {function}")
        test = _begins_with if function == "begins_with" else _contains
        return lambda given: test(first(given), second(given))

    def _comparison(self) -> Test:
        name = self._next()
        first = self._operand()
        if self._took("BETWEEN"):
            low = self._operand()
            self._take("AND")
            high = self._operand()
            return lambda given: (
                _compared("<=", low(given), first(given)) and _compared("<=", first(given), high(given))
            )
        sign = self._take("=", "<>", "<", "<=", ">", ">=")
        if sign == "=" and self._next()[:1] == ":":
            self.equal[name] = self._next()
        second = self._operand()
        return lambda given: _compared(sign, first(given), second(given))

    # -------------------------------------------------------------- updates

    def steps(self) -> list[tuple[str, Operand]]:
        found: list[tuple[str, Operand]] = []
        while self._tokens:
            clause = self._take("SET", "REMOVE", "ADD").upper()
            while True:
                name = self._name()
                found.append((name, {"SET": self._set, "REMOVE": _removed, "ADD": self._add}[clause](name)))
                if not self._took(","):
                    break
        if len({name for name, _ in found}) < len(found):
            raise Invalid("Two document paths overlap with each other")
        return found

    def _set(self, _: str) -> Operand:
        self._take("=")
        first = self._value()
        if self._next() not in ("+", "-"):
            return lambda given: _present(first(given))
        sign = self._take()
        second = self._value()
        return lambda given: _sum(first(given), second(given), sign)

    def _value(self) -> Operand:
        if self._next() != "if_not_exists":
            return self._operand()
        self._take()
        self._take("(")
        first = self._operand()
        self._take(",")
        second = self._operand()
        self._take(")")

        def value(given: Given) -> Value:
            found = first(given)
            return second(given) if found is None else found

        return value

    def _add(self, name: str) -> Operand:
        more = self._operand()

        def value(given: Given) -> Value:
            was = given.item.get(given.names[name] if name[0] == "#" else name)
            added = more(given)
            if added is not None and "SS" in added and (was is None or "SS" in was):
                return {"SS": sorted({*added["SS"], *(was["SS"] if was else ())})}
            return _sum(was or {"N": "0"}, added, "+")

        return value


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    return frozenset(word.upper() for word in ReservedKeywords.get_reserved_keywords())


def _removed(_: str) -> Operand:
    return lambda _: None


def _present(value: Value) -> Value:
    if value is None:
        raise Invalid("The provided expression refers to an attribute that does not exist in the item")
    return value


def _content(value: Mapping[str, Any]) -> tuple[str, Any]:
    ((kind, content),) = value.items()
    return kind, Decimal(content) if kind == "N" else bytes(content) if kind == "B" else content


def _sum(first: Value, second: Value, sign: str) -> Value:
    if first is None or second is None:
        raise Invalid("The provided expression refers to an attribute that does not exist in the item")
    if "N" not in first or "N" not in second:
        raise Invalid("An operand in the update expression has an incorrect data type")
    compute = _EXACT.add if sign == "+" else _EXACT.subtract
    try:
        return {"N": str(compute(Decimal(first["N"]), Decimal(second["N"])))}
    except Inexact:
        raise Invalid("Number overflow. Attempting to store more than 38 significant digits") from None


def _compared(sign: str, first: Value, second: Value) -> bool:
    """Values of two types, or one that is not there, are just not equal."""
    if first is None or second is None:
        return sign == "<>"
    (kind, one), (other_kind, other) = _content(first), _content(second)
    if sign in ("=", "<>"):
        return (kind == other_kind and one == other) is (sign == "=")
    return kind == other_kind and _COMPARED[sign](one, other)


def _begins_with(value: Value, start: Value) -> bool:
    return value is not None and start is not None and "S" in value and str(value["S"]).startswith(start["S"])


def _contains(value: Value, part: Value) -> bool:
    return (
        value is not None
        and part is not None
        and any(part["S"] in value[kind] for kind in ("S", "SS") if kind in value)
    )
