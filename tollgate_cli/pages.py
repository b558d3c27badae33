"""Pages that are made of what they describe: the list of commands in docs/commands.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tollgate_cli.errors import MEANINGS
from tollgate_cli.servers import ROOT

COMMANDS = ROOT / "docs" / "commands.md"
_SHARED = ("--profile", "--env", "--json")  # the page explains them once
_BEGIN, _END = "<!-- made of the command by `tollgate tools pages`: begin -->", "<!-- end -->"


def commands_page(page: str, command: Any, sections: dict[str, tuple[str, ...]]) -> str:
    """The page with its list of commands made anew."""
    before, found, rest = page.partition(_BEGIN)
    after = rest.partition(_END)[2]
    assert found
    assert after
    return f"{before}{_BEGIN}\n\n{''.join(_list(command, sections))}{_END}{after}"


def _list(command: Any, sections: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for title, names in sections.items():
        yield f"### {title}\n\n| command | does | options |\n|---|---|---|\n"
        for name in names:
            group = command.commands[name]
            children = getattr(group, "commands", None)
            for words, each in (
                [(f"{name} {child}", one) for child, one in children.items()] if children else [(name, group)]
            ):
                yield f"| `tollgate {words}{_arguments(each)}` | {_says(each)} | {_options(each)} |\n"
        yield "\n"
    yield "### Exit codes\n\n| code | means |\n|---|---|\n"
    yield from (f"| {code.value} | {meaning} |\n" for code, meaning in MEANINGS.items())
    yield "\n"


def _says(command: Any) -> str:
    return re.sub(r"\s+", " ", command.help or "").strip().replace("|", "\\|")


def _arguments(command: Any) -> str:
    names = [(each.name.upper(), each.required) for each in command.params if each.param_type_name == "argument"]
    return "".join(f" {name}" if required else f" [{name}]" for name, required in names)


def _options(command: Any) -> str:
    found = []
    for each in command.params:
        if each.param_type_name == "option" and "--help" not in each.opts:
            words = "`/`".join([*each.opts[:1], *each.secondary_opts[:1]])
            says = "" if words in _SHARED else (each.help or "").rstrip(".")
            found.append(f"`{words}`" + (f": {says}" if says else ""))
    return "; ".join(found).replace("|", "\\|")
