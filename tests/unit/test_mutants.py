"""What `make mutants` changes in a module, and which survivors it takes for harmless."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.__main__ import ACCEPTED, DOMAIN, ROOT, accepted_in
from tests.mutants.mutations import mutations


def changed(source: str) -> set[str]:
    """The lines that the mutations of a line make of it."""
    return {mutation.new for mutation in mutations(source.encode())}


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("x = a < b", {"x = a <= b"}),
        ("x = a is not b", {"x = a is b"}),
        ("x = a + b", {"x = a - b"}),
        ("x = max(a, b)", {"x = min(a, b)"}),
        ("x = a and b", {"x = a or b", "x = (a)", "x = (b)"}),
        ("x = not a", {"x = (a)"}),
        ("x = a if b else c", {"x = (a)", "x = (c)"}),
        ("x = 0", {"x = 1"}),
        ("x = [a for a in b if c]", {"x = [a for a in b if True]"}),
        ("x = row._replace(a=b, c=d)", {"x = row._replace(c=d)", "x = row._replace(a=b, )"}),
        ("x -= a", {"x += a", "pass"}),
        ("tell(a)", {"pass"}),
    ],
)
def test_each_kind_of_defect(source: str, made: set[str]) -> None:
    assert changed(source) == made


def test_an_early_return_is_dropped() -> None:
    assert "if False:" in changed("def f(a):\n    if a:\n        return b\n    return c\n")


@pytest.mark.parametrize(
    "source", ["assert a < b", "def f(a: int | None = None) -> int | None: ...", 'raise E(f"{a + b}")']
)
def test_what_no_test_is_about_is_left_alone(source: str) -> None:
    assert changed(source) == set()


def test_a_mutation_says_where_it_is() -> None:
    (mutation,) = mutations(b"class A:\n    def f(self):\n        return a < b\n")
    assert (mutation.line, mutation.within, mutation.old) == (3, "A.f", "return a < b")


def test_every_mutation_of_the_domain_is_a_program() -> None:
    for module in (ROOT / DOMAIN).glob("*.py"):
        source = module.read_bytes()
        for mutation in mutations(source)[::80]:
            ast.parse(mutation.apply(source))


def test_the_survivors_that_are_accepted_can_be_read() -> None:
    assert all(old != new for old, new in accepted_in(ACCEPTED.read_text()))
    assert accepted_in("# why\n- x = a\n+ x = b\n") == {("x = a", "x = b")}
