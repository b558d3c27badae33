"""Whatever a user types, sets or is answered, a command ends in a line and an exit code, and never in a traceback
(docs/commands.md)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.answering import Answering, answering
from tests.profiles import examples
from tollgate_cli import ends
from tollgate_cli.__main__ import app
from tollgate_cli.openapi import examples as recorded

COMMAND = typer.main.get_command(app)
KEY = "am_sk_test_x"
CALLS = {
    ("customers", "list"): "customers.list",
    ("customers", "get", "ada"): "customers.get",
    ("check", "ada", "messages"): "balances.check",
    ("check", "ada", "messages", "--why"): "balances.explain",
    ("track", "ada", "messages"): "balances.track",
    ("balances", "list", "ada"): "customers.get",
    ("balances", "grants", "ada"): "balances.list",
    ("balances", "explain", "ada", "messages"): "balances.explain",
    ("events", "list"): "events.list",
    ("plans", "list"): "plans.list",
    ("plans", "get", "pro"): "plans.get",
    ("features", "list"): "features.list",
    ("features", "get", "messages"): "features.get",
    ("keys", "create"): "keys.create",
    ("keys", "list"): "keys.list",
    ("keys", "revoke", "key_1"): "keys.revoke",
}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.text(max_size=8), st.floats(allow_nan=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _examples() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("autumn", "tollgate"):
        for each in recorded.read(name):
            if each.succeeds and not each.headers and (method := each.route.partition("/v1/")[2]) in CALLS.values():
                paged = {"next_cursor": None} if "next_cursor" in each.answer else {}
                found.setdefault(method, each.answer | paged)
    return found


ANSWERS = _examples()


@pytest.fixture(scope="module")
def server() -> Iterator[Answering]:
    with answering() as told:
        yield told


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, output and error of a command; an exception of it is one of the test."""
    capsys.readouterr()
    code = ends.run(COMMAND, list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def hold(code: int, out: str, err: str, *codes: int) -> None:
    """It ended as a command may."""
    assert code in codes, err
    assert "Traceback" not in out + err
    if code in (1, 2):
        lines = err.rstrip("\n").splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("tollgate: ")
        assert all(letter.isprintable() for letter in lines[0])


@pytest.fixture
def stack(server: Answering, monkeypatch: pytest.MonkeyPatch) -> Answering:
    for variable in ("TOLLGATE_TABLE", "TOLLGATE_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TOLLGATE_URL", server.url)
    monkeypatch.setenv("TOLLGATE_SECRET_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "80")
    return server


def test_every_call_has_an_example() -> None:
    assert set(CALLS.values()) == set(ANSWERS)


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_a_right_answer_is_shown_within_80_columns_and_as_json(
    words: tuple[str, ...], stack: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.by_call = {f"/v1/{call}": answer for call, answer in ANSWERS.items()}
    code, out, err = run(*words, capsys=capsys)
    hold(code, out, err, 0, 3)
    assert max((len(line) for line in out.splitlines() if not line.startswith("am_")), default=0) <= 80
    code, out, err = run(*words, "--json", capsys=capsys)
    hold(code, out, err, 0, 3)
    assert [json.loads(line) for line in out.splitlines()]


def _parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _parts(inner, (*path, key))


@st.composite
def altered(draw: st.DrawFn, answer: Any) -> Any:
    """The answer with some of its parts replaced, or taken out."""
    changed = copy.deepcopy({"": answer})
    for path in draw(st.lists(st.sampled_from(list(_parts(answer))), min_size=1, max_size=3)):
        above: list[Any] = ["", *path]
        last = above.pop()
        place: Any = changed
        try:
            for key in above:
                place = place[key]
            if draw(st.booleans()) and isinstance(place, dict) and place is not changed:
                del place[last]
            else:
                place[last] = draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken the place away
    return changed[""]


@settings(max_examples=examples(1.5), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_answer_that_is_not_tollgates_is_told_in_a_line(data: st.DataObject, property_stack: Any) -> None:
    stack, capsys = property_stack
    words = data.draw(st.sampled_from(list(CALLS)))
    stack.by_call = {f"/v1/{call}": answer for call, answer in ANSWERS.items()}
    stack.by_call[f"/v1/{CALLS[words]}"] = data.draw(altered(ANSWERS[CALLS[words]]))
    more = data.draw(st.sampled_from([(), ("--json",)]))
    hold(*run(*words, *more, capsys=capsys), 0, 1, 3)


@settings(max_examples=examples(0.7), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.sampled_from(list(CALLS)),
    status=st.sampled_from([200, 204, 301, 400, 401, 403, 404, 409, 422, 429, 431, 500, 502, 503, 599]),
    content=st.one_of(st.binary(max_size=40), VALUES.map(lambda value: json.dumps(value).encode())),
)
def test_a_refusal_or_no_json_is_told_in_a_line(
    words: tuple[str, ...], status: int, content: bytes, property_stack: Any
) -> None:
    stack, capsys = property_stack
    stack.by_call, stack.status, stack.content = {}, status, content
    code, out, err = run(*words, capsys=capsys)
    hold(code, out, err, *((2,) if 400 <= status < 500 and status != 429 else (1,) if status != 200 else (0, 1, 3)))


@settings(max_examples=examples(0.7), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.sampled_from(list(CALLS)),
    more=st.lists(
        st.sampled_from(["--json", "--limit", "--amount", "--env", "live", "sandbox", "--count", "--property", "-p"])
        | st.text(max_size=6).filter(lambda text: "\0" not in text),
        max_size=3,
    ),
)
def test_whatever_is_typed_ends_in_a_line(words: tuple[str, ...], more: list[str], property_stack: Any) -> None:
    stack, capsys = property_stack
    stack.by_call = {f"/v1/{call}": answer for call, answer in ANSWERS.items()}
    hold(*run(*words, *more, capsys=capsys), 0, 2, 3)


@pytest.fixture
def property_stack(stack: Answering, capsys: pytest.CaptureFixture[str]) -> Any:
    return stack, capsys
