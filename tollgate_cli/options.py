"""Options that many commands share, as dataclasses: `gathered` lets a command take one as a single argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature
from typing import Annotated, Any, get_type_hints

import typer
from rich.text import Text

from tollgate.domain.environments import Environment
from tollgate_cli import profiles
from tollgate_cli.api import Api
from tollgate_cli.output import errors

ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        metavar="NAME",
        autocompletion=profiles.names,
        help="Whose stack and key, instead of TOLLGATE_PROFILE.",
    ),
]
Env = Annotated[Environment | None, typer.Option(help="Its environment; sandbox unless the profile says.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
AsLines = Annotated[bool, typer.Option("--json", help="A line of JSON for each.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]


@dataclass(frozen=True)
class _Stack:
    """Which stack is called."""

    profile: ProfileName = None
    env: Env = None

    def api(self, *, writes: bool = False) -> Api:
        """The API that the command calls. What is about to write to live says so."""
        chosen = profiles.resolve(self.profile, self.env, writes=writes)
        if writes and chosen.environment is Environment.LIVE:
            errors.print(Text(f"live at {chosen.url}", style="bold"), soft_wrap=True)
        return chosen.api()


@dataclass(frozen=True)
class One(_Stack):
    """Of a command that tells of one thing."""

    as_json: AsJson = False


@dataclass(frozen=True)
class Many(_Stack):
    """Of a command that lists."""

    as_json: AsLines = False


def gathered(command: Callable[..., None]) -> Callable[..., None]:
    """The command for Typer, with an option for each field of the dataclasses that it takes; they come last in its help."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {
        name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)
    }
    own = [
        each.replace(annotation=hints[each.name], kind=Parameter.KEYWORD_ONLY)
        for each in inspect.signature(command).parameters.values()
        if each.name not in groups
    ]
    shared = [
        Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=types[each.name])
        for group in groups.values()
        for types in (get_type_hints(group, include_extras=True),)
        for each in fields(group)
    ]

    @wraps(command)
    def typed(**given: Any) -> None:
        taken = {
            name: group(**{each.name: given.pop(each.name) for each in fields(group)}) for name, group in groups.items()
        }
        command(**given, **taken)

    every = [*own, *shared]
    typed.__signature__ = Signature(every)  # type: ignore[attr-defined]
    typed.__annotations__ = {each.name: each.annotation for each in every} | {"return": None}
    return typed
