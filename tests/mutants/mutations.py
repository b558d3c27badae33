"""What may be changed in a module, one small defect at a time.

A mutation replaces one stretch of the source: an operator, a constant, a condition that is taken as false, an operand or a
keyword that is left out. Annotations, assertions, messages of errors and docstrings are left alone: no test is about them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

_COMPARED: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
_COMPUTED: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
}
_CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
_REPLACING = {"replace", "_replace"}  # of whose keywords each may be forgotten


class Mutation(NamedTuple):
    """Bytes `start` to `end` of a source become `text`. `line` is the first line of it, `within` the function or class that
    it is in, `old` and `new` the lines that it touches, each as one, before and after."""

    line: int
    within: str
    start: int
    end: int
    text: str
    old: str
    new: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutations(source: bytes) -> list[Mutation]:
    """All mutations of a module, from its first line to its last."""
    found = {(m.start, m.end, m.text): m for m in _Finder(source).module()}
    return sorted(found.values(), key=lambda m: (m.start, m.end, m.text))


class _Finder:
    def __init__(self, source: bytes) -> None:
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._within: list[str] = []

    def module(self) -> Iterator[Mutation]:
        yield from self._all(ast.parse(self._source).body)

    def _all(self, nodes: list[ast.stmt]) -> Iterator[Mutation]:
        for node in nodes:
            yield from self._in(node)

    def _in(self, node: ast.AST) -> Iterator[Mutation]:
        if isinstance(node, ast.Assert | ast.Raise | ast.JoinedStr):
            return
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            self._within.append(node.name)
            yield from self._parts(node)
            self._within.pop()
        else:
            yield from self._of(node)
            yield from self._parts(node)

    def _parts(self, node: ast.AST) -> Iterator[Mutation]:
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "bases", "type_params"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self._in(child)

    def _of(self, node: ast.AST) -> Iterator[Mutation]:
        match node:
            case ast.Compare(left, ops, comparators):
                for before, op, after in zip([left, *comparators], ops, comparators, strict=False):
                    yield from self._between(before, after, _COMPARED.get(type(op)))
            case ast.BinOp(left, op, right):
                yield from self._between(left, right, _COMPUTED.get(type(op)))
            case ast.AugAssign(target, op, value):
                yield from self._between(target, value, _COMPUTED.get(type(op)))
                yield self._instead(node, "pass")
            case ast.BoolOp(op, values):
                word, other = ("and", "or") if isinstance(op, ast.And) else ("or", "and")
                for before, after in pairwise(values):
                    yield from self._between(before, after, (rf"\b{word}\b", other))
                texts = [f"({self._text(value)})" for value in values]
                for left_out in range(len(texts)):
                    yield self._instead(node, f" {word} ".join(texts[:left_out] + texts[left_out + 1 :]))
            case ast.UnaryOp(ast.Not() | ast.USub(), operand):
                yield self._instead(node, f"({self._text(operand)})")
            case ast.IfExp(_, body, orelse):
                yield self._instead(node, f"({self._text(body)})")
                yield self._instead(node, f"({self._text(orelse)})")
            case ast.If(test):
                yield self._instead(test, "False")
            case ast.comprehension(ifs=ifs):
                for condition in ifs:
                    yield self._instead(condition, "True")
            case ast.Call(func, _, keywords):
                name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
                if name in _CALLED:
                    yield self._instead(func, _CALLED[name])
                if name in _REPLACING:
                    for keyword in keywords:
                        yield from self._without(keyword)
            case ast.Expr(ast.Call() as call):
                yield self._instead(call, "pass")
            case ast.Break():
                yield self._instead(node, "continue")
            case ast.Continue():
                yield self._instead(node, "pass")
            case ast.Name("ZERO", ast.Load()):
                yield self._instead(node, "(ZERO + 1)")
            case ast.Constant(bool() as value):
                yield self._instead(node, str(not value))
            case ast.Constant(int() as number):
                yield self._instead(node, "1" if number == 0 else "0" if number == 1 else str(number + 1))

    # -------------------------------------------------------------- places

    def _span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _between(self, before: ast.AST, after: ast.AST, change: tuple[str, str] | None) -> Iterator[Mutation]:
        """An operator between two operands, of which either may stand in brackets."""
        start, end = self._span(before)[1], self._span(after)[0]
        found = change and re.search(change[0].encode(), self._source[start:end])
        if change and found:
            yield self._made(start + found.start(), start + found.end(), change[1])

    def _without(self, keyword: ast.keyword) -> Iterator[Mutation]:
        """A keyword argument left out, with the comma that follows it."""
        if keyword.arg is not None:
            start, end = self._span(keyword)
            comma = re.match(rb"\s*,\s*", self._source[end:])
            yield self._made(start, end + (comma.end() if comma else 0), "")

    def _instead(self, node: ast.AST, text: str) -> Mutation:
        return self._made(*self._span(node), text)

    def _made(self, start: int, end: int, text: str) -> Mutation:
        first = self._source.rfind(b"\n", 0, start) + 1
        last = self._source.find(b"\n", end)
        last = len(self._source) if last < 0 else last
        changed = self._source[first:start] + text.encode() + self._source[end:last]
        line = self._source.count(b"\n", 0, start) + 1
        within = ".".join(self._within)
        return Mutation(line, within, start, end, text, _one_line(self._source[first:last]), _one_line(changed))


def _one_line(source: bytes) -> str:
    return " ".join(source.decode().split())
