"""Profiles that never mix, and how the command ends where a shell, a terminal or a file is in the way (docs/commands.md)."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from keyring.backend import KeyringBackend

from tests.answering import Answering, answering
from tests.conftest import ROOT
from tests.profiles import examples
from tollgate.domain.api_keys import Scope, mint
from tollgate.domain.environments import Environment
from tollgate_cli import demo, ends, json_output, profiles
from tollgate_cli.__main__ import app
from tollgate_cli.errors import CommandError

COMMAND: Any = typer.main.get_command(app)
LIVE, SANDBOX = Environment.LIVE, Environment.SANDBOX
TEST_KEY, LIVE_KEY = (mint(env, Scope.SECRET, "x") for env in (SANDBOX, LIVE))
EMPTY: dict[str, Any] = {"list": [], "next_cursor": None}


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering() as told:
        told.content = json.dumps(EMPTY).encode()
        yield told


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without settings."""
    for variable in [name for name in os.environ if name.startswith("TOLLGATE_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv(profiles.FILE_VARIABLE, str(tmp_path / "settings" / "profiles.toml"))
    return tmp_path


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    code = ends.run(COMMAND, list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def add(name: str, url: str, env: Environment, *more: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("profiles", "add", name, "--url", url, "--env", env.value, *(more or ("--key-variable", f"KEY_{name}")))
    assert run(*words, capsys=capsys)[0] == 0


@pytest.mark.usefixtures("home")
def test_a_profile_is_added_listed_used_and_removed(
    server: Answering, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add("sandbox", server.url, SANDBOX, "--key-variable", "MY_KEY", capsys=capsys)
    place = profiles.path()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    monkeypatch.setenv("MY_KEY", TEST_KEY)
    assert TEST_KEY not in place.read_text()
    listed = json.loads(run("profiles", "list", "--json", capsys=capsys)[1])
    assert listed == {"name": "sandbox", "environment": "sandbox", "url": server.url, "key": "$MY_KEY"}
    for words in (("keys", "list", "--profile", "sandbox"), ("--profile", "sandbox", "keys", "list")):
        assert run(*words, capsys=capsys)[0] == 0
        assert profiles.VARIABLE not in os.environ
    assert [path for path, _ in server.asked] == ["/v1/keys.list", "/v1/keys.list"]
    assert run("profiles", "remove", "sandbox", capsys=capsys)[0] == 0
    code, _, err = run("keys", "list", "--profile", "sandbox", capsys=capsys)
    assert (code, err.count("\n"), "no profile sandbox" in err) == (2, 1, True)


@settings(max_examples=examples(0.5), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    of_profile=st.sampled_from(Environment),
    of_key=st.sampled_from(Environment),
    named=st.sampled_from([None, *Environment]),
    scope=st.sampled_from(Scope),
    words=st.sampled_from(
        [("keys", "list"), ("keys", "create"), ("track", "c", "f"), ("check", "c", "f"), ("check", "c", "f", "--count")]
    ),
)
def test_nothing_is_called_where_key_profile_and_environment_do_not_go_together(
    of_profile: Environment, of_key: Environment, named: Environment | None, scope: Scope, words: Any, mixed: Any
) -> None:
    """Nor where a write to live does not say so."""
    server, monkeypatch, capsys = mixed
    profiles.write({"mine": profiles.entry({"url": server.url, "environment": of_profile, "key_variable": "KEY"})})
    monkeypatch.setenv("KEY", mint(of_key, scope, "x"))
    server.asked.clear()
    code, _, err = run(*words, "-p", "mine", *(("--env", named.value) if named else ()), capsys=capsys)
    writes = words[1:2] == ("create",) or words[0] == "track" or "--count" in words
    fits = of_key is of_profile and named in (None, of_profile)
    if fits and not (writes and of_profile is LIVE and named is not LIVE):
        assert server.asked
        assert (f"live at {server.url}" in err) == (writes and of_profile is LIVE)
    else:
        assert (code, server.asked) == (2, []), err


@pytest.fixture
def mixed(home: Path, server: Answering, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    assert home
    return server, monkeypatch, capsys


@pytest.mark.usefixtures("home")
def test_both_environments_of_one_stack_are_found_and_never_those_of_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `catalog promote sandbox live` needs them."""
    for name, url, env in (("a", "https://a", SANDBOX), ("a-live", "https://a", LIVE), ("b-live", "https://b", LIVE)):
        add(name, url, env, "--key-variable", "KEY_LIVE" if env is LIVE else "KEY_TEST", capsys=capsys)
    monkeypatch.setenv("KEY_LIVE", LIVE_KEY)
    monkeypatch.setenv("KEY_TEST", TEST_KEY)
    monkeypatch.setenv(profiles.VARIABLE, "a")
    assert profiles.resolve(None, LIVE, sibling=True).name == "a-live"
    monkeypatch.setenv(profiles.VARIABLE, "b-live")
    with pytest.raises(CommandError, match="one of live, not of sandbox"):
        profiles.resolve(None, SANDBOX, sibling=True)


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.held[service, username]


@pytest.mark.usefixtures("home")
def test_a_key_can_be_in_the_keyring(server: Answering, capsys: pytest.CaptureFixture[str]) -> None:
    before, ring = keyring.get_keyring(), Ring()
    keyring.set_keyring(ring)
    try:
        add("live", server.url, LIVE, "--keyring", "tollgate/live", capsys=capsys)
        code, _, err = run("keys", "list", "-p", "live", capsys=capsys)
        assert (code, "tollgate profiles login live" in err) == (2, True)
        with pytest.raises(CommandError, match="one of sandbox, not of live"):
            profiles.store_key("live", TEST_KEY)
        assert ring.held == {}
        profiles.store_key("live", LIVE_KEY)
        assert ring.held == {("tollgate", "live"): LIVE_KEY}
        assert run("keys", "list", "-p", "live", capsys=capsys)[0] == 0
        assert LIVE_KEY not in profiles.path().read_text()
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("profiles = 3", "profiles: "),
        ("[profiles.x]\nurl = 1", "profiles.x"),
        ('[profiles.x]\nurl = "https://a"\nenvironment = "live"\nkey = "am_sk_live_x"', "no key belongs in here"),
        ('[profiles.x]\nurl = "https://a"\nenvironment = "prod"\nkey_variable = "K"', "environment"),
        ('[profiles.x]\nurl = "ftp://a"\nenvironment = "live"\nkey_variable = "K"', "is no address"),
        ('[profiles.x]\nurl = "https://a"\nenvironment = "live"', "one of key_variable and keyring"),
        ("[[[", ""),
        ("\ud800", ""),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_file_of_profiles_that_is_wrong_is_told_in_a_line_with_its_name(
    text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = profiles.path()
    place.parent.mkdir()
    place.write_bytes(text.encode(errors="surrogatepass"))
    code, out, err = run("keys", "list", "-p", "x", capsys=capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"tollgate: {place}: ")
    assert told in err
    assert "am_sk" not in err


def command(server: Answering, *words: str, **more: str) -> subprocess.Popen[str]:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TOLLGATE_URL": server.url}
    env |= {"TOLLGATE_SECRET_KEY": TEST_KEY, "PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'tollgate'}"} | more
    return subprocess.Popen(
        [sys.executable, "-m", "tollgate_cli", *words],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_ends_the_tail_without_a_word_too_many(server: Answering) -> None:
    done = command(server, "events", "tail", "--every", "0.2")
    assert done.stderr is not None
    assert "Ctrl-C ends it" in done.stderr.readline()
    done.send_signal(signal.SIGINT)
    out, err = done.communicate(timeout=30)
    assert (done.returncode, out, err) == (130, "", "")


def test_ctrl_c_while_it_is_still_loading_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    done = subprocess.Popen(
        [sys.executable, "-c", "from tollgate_cli.command import main; main()"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{ROOT}:{ROOT / 'layers' / 'tollgate'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.stdout is not None
    assert done.stdout.readline() == "loading\n"
    done.send_signal(signal.SIGINT)
    assert (*done.communicate(timeout=30), done.returncode) == ("", "", -signal.SIGINT)


def test_a_reader_who_leaves_early_hears_nothing_more(server: Answering) -> None:
    """As `tollgate customers list | head -1` does."""
    use = {"id": "", "timestamp": 1, "customer_id": "c" * 200, "entity_id": None, "feature_id": "f", "value": 1}
    uses = [use | {"id": str(number), "properties": {}} for number in range(2000)]
    server.content = json.dumps({"list": uses, "next_cursor": None}).encode()
    for more in ((), ("--json",)):
        done = command(server, "events", "list", "--limit", "2000", *more)
        assert done.stdout is not None
        done.stdout.readline()
        done.stdout.close()
        assert done.stderr is not None
        assert done.stderr.read() == ""
        assert done.wait(30) == 1


def test_letters_that_the_terminal_cannot_show_are_written_out(server: Answering) -> None:
    server.content = json.dumps(
        EMPTY
        | {
            "list": [
                {
                    "id": "ü\x1b[31m",
                    "scope": "",
                    "name": "",
                    "hint": "",
                    "created_at": 0,
                    "last_used_at": None,
                    "expires_at": None,
                }
            ]
        }
    ).encode()
    done = command(server, "keys", "list", PYTHONIOENCODING="ascii")
    out, err = done.communicate(timeout=30)
    assert (done.returncode, err) == (0, "")
    assert "\\xfc" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("completion", shell, capsys=capsys)
    assert code == 0
    assert f"_TOLLGATE_COMPLETE=complete_{shell}" in out


@pytest.mark.usefixtures("home")
def test_bash_completes_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    _, script, _ = run("completion", "bash", capsys=capsys)
    program = f"{script}\nCOMP_WORDS=(tollgate customers l); COMP_CWORD=2; _tollgate_completion tollgate\n"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", program + 'echo "${COMPREPLY[@]}"'],
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["list"], done.stderr


def commands() -> Iterator[tuple[str, Any]]:
    """Every command, by its words."""
    for name, group in COMMAND.commands.items():
        inner = getattr(group, "commands", None)
        yield from ((f"{name} {child}", each) for child, each in inner.items()) if inner else [(name, group)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("customer",), "Did you mean 'customers'? `tollgate --help` shows what it takes"),
        (("plans", "get"), "Missing argument 'plan'. `tollgate plans get --help` shows what it takes"),
    ],
)
def test_what_was_typed_wrong_is_told_in_a_line_of_whole_sentences(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*words, capsys=capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.endswith(f"{told}\n")


def test_every_command_that_tells_something_tells_it_as_json_too() -> None:
    """The others write files and name them, ask or stay, or speak a language of their own. What is printed as JSON has a
    published schema."""
    told_otherwise = {
        *("catalog schema", "events schemas", "openapi", "tools pages", "tools dynamodb-local", "stack build"),
        *("profiles login", "stack run", "deploy", "completion", "mcp"),
    }
    has = {words: any("--json" in option.opts for option in each.params) for words, each in commands()}
    assert {words for words, prints in has.items() if not prints} == told_otherwise
    assert set(json_output.OUTPUTS) == set(has) - told_otherwise


def test_the_published_schemas_are_those_of_the_code() -> None:
    """`tollgate tools pages` writes them."""
    text = json_output.text()
    assert json_output.FILE.read_text() == text
    Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("words", [words for words, _ in commands()])
def test_the_help_of_a_command_fits_80_columns_and_says_what_each_option_is(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(*words.split(), "--help", capsys=capsys)
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 80
    for line in re.findall(r"^  (-.+)$", out, re.MULTILINE):
        assert "  " in line or line.startswith("--"), line


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("url", "code"),
    [("nonsense", 2), ("ftp://x", 2), ("http://[::1", 2), ("http://", 2), ("http://127.0.0.1:1", 1)],
)
def test_what_is_no_address_is_wrong_and_an_address_where_nobody_answers_fails(
    url: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the cause and what to look at; wrong input is 2, a service that is away 1."""
    monkeypatch.setenv("TOLLGATE_URL", url)
    monkeypatch.setenv("TOLLGATE_SECRET_KEY", TEST_KEY)
    ended, out, err = run("customers", "list", capsys=capsys)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert ("is no address of an API" if code == 2 else "does the stack run?") in err


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "words",
    [
        ("import", "autumn", "--from", "nonsense", "--key-env", "KEY"),
        ("import", "autumn", "--from", "http://[::1", "--key-env", "KEY"),
        ("import", "lotus", "--from", "https://lotus.example", "--key-env", "NOT_SET"),
    ],
    ids=" ".join,
)
def test_a_source_that_cannot_be_called_is_wrong_input(
    words: tuple[str, ...], server: Answering, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY", "x")
    code, out, err = run(*words, capsys=capsys)
    assert (code, out, err.count("\n"), server.asked) == (2, "", 1, []), err


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"", b"a,b\n1,2\n", b"ContextTokens,GeneratedTokens\n1,x\n", b"ContextTokens,GeneratedTokens\n1\n"],
)
def test_what_is_no_trace_is_told_before_it_is_replayed(tmp_path: Path, content: bytes) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_bytes(content)
    for path in (trace, tmp_path, tmp_path / "none.csv"):
        with pytest.raises(CommandError, match=str(path)) as told:
            demo.read_trace(path, None)
        assert told.value.code == 2


@pytest.mark.usefixtures("home")
def test_a_stream_that_the_shell_has_closed_takes_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `tollgate profiles list >&-` does."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert ends.run(COMMAND, ["profiles", "list"]) == 0
