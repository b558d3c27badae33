"""What the pages tell people to type exists, and what they point at is there. tests/e2e/test_docs.py runs their blocks."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.documents import PAGES, Block, all_blocks, anchors, links, prose
from tollgate_cli.__main__ import SECTIONS, app
from tollgate_cli.catalog import file, yaml_text
from tollgate_cli.pages import COMMANDS as COMMANDS_PAGE
from tollgate_cli.pages import commands_page

LANGUAGES = {"sh", "python", "ts", "json", "yaml", "mermaid"}
COMMANDS = vars(get_command(app))["commands"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def name(value: object) -> str:
    where = value.page if isinstance(value, Block) else value
    return where.relative_to(ROOT).as_posix() if isinstance(where, Path) else ""


pages = pytest.mark.parametrize("page", PAGES, ids=name)


@pages
def test_a_relative_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


@pages
def test_a_path_of_the_source_that_is_named_is_there(page: Path) -> None:
    if page.name == "CHANGELOG.md" or page.parent.name == "rules":
        return  # the one tells of what was, the others name vendors' files as sources, and have a test of their own
    rooms = "layers|functions|tests|tollgate_cli|docs|requirements"
    for path in re.findall(rf"`((?:{rooms})/[\w./]*|events/\w+\.json)`", prose(page)):
        made = {"events/env.json"}
        assert path in made or (ROOT / path).exists(), path


@pages
def test_nobody_is_told_to_set_pythonpath(page: Path) -> None:
    assert "PYTHONPATH" not in page.read_text()


@pages
def test_a_make_target_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`make (?:[A-Z]+=\S+ )*([a-z-]+)", prose(page))
    assert set(named) <= TARGETS


@pages
def test_a_command_of_tollgate_that_is_named_exists(page: Path) -> None:
    for words in re.findall(r"`tollgate ((?:[a-z-]+ ?)+)", prose(page)):
        assert_is_command(words.split())


@pytest.mark.parametrize("block", all_blocks(), ids=name)
def test_a_block_says_what_it_is_and_can_be_read(block: Block) -> None:
    assert block.language in LANGUAGES
    if block.language == "python":
        ast.parse(block.text)
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        assert_is_catalog_or_workflow(block.text)


@pytest.mark.parametrize("block", [block for block in all_blocks() if block.is_commands], ids=name)
def test_a_command_in_a_block_exists(block: Block) -> None:
    for line in block.lines:
        program, *words = (word for word in shlex.split(line) if not re.match(r"[A-Z_]+=", word))
        if program == "make":
            assert set(words) <= TARGETS, line
        else:
            assert_is_command(words)


def assert_is_catalog_or_workflow(text: str) -> None:
    """The text is right as a catalog file, or as a workflow whose commands exist."""
    value = yaml_text.read(text.encode()).value
    if "jobs" not in value:
        assert file.checked(value)[1] == []
        return
    steps = [step for job in value["jobs"].values() for step in job["steps"]]
    lines = [line for step in steps for line in step.get("run", "").splitlines()]
    ours = [shlex.split(line.partition(" > ")[0]) for line in lines if line.startswith(".venv/bin/tollgate")]
    assert ours
    for _, *words in ours:
        assert_is_command(words)


def assert_is_command(words: list[str]) -> None:
    """The command line knows these words and options; an argument in <brackets> stands for one."""
    command = [word for word in words if re.fullmatch(r"[a-z-]+", word) and not word.startswith("--")]
    options = {word for word in words if word.startswith("--")}
    depth = 2 if command and hasattr(COMMANDS[command[0]], "commands") else 1
    done = CliRunner().invoke(app, [*command[:depth], "--help"])
    assert done.exit_code == 0, words
    assert not [option for option in options if option not in done.output], words


def test_the_page_of_commands_is_made_of_the_command() -> None:
    page = COMMANDS_PAGE.read_text()
    assert commands_page(page, get_command(app), SECTIONS) == page, "`tollgate tools pages` makes it"


def test_the_help_has_a_line_for_each_command_and_fits_a_terminal() -> None:
    done = CliRunner().invoke(app, ["--help"])
    assert all(len(line) <= 80 for line in done.output.splitlines())
    for name, command in COMMANDS.items():
        for words in [f"{name} {each}" for each in getattr(command, "commands", ())] or [name]:
            assert f"  {words} " in done.output
