"""`tollgate completion`: what a shell needs to complete commands, options and profiles."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import StrEnum
from typing import Annotated

import typer

from tollgate_cli.errors import CommandError


class Shell(StrEnum):
    """A shell whose completion there is."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="Which shell.", show_default=False)]) -> None:
    """Print a shell's completion script.

    bash: `eval "$(tollgate completion bash)"` in ~/.bashrc; zsh: the same in ~/.zshrc, after compinit; fish: `tollgate completion
    fish > ~/.config/fish/completions/tollgate.fish`.
    """
    asked = os.environ | {"_TOLLGATE_COMPLETE": f"source_{shell.value}"}  # the framework's own way to ask for it
    done = subprocess.run(
        [sys.executable, "-m", "tollgate_cli"], env=asked, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode or not done.stdout:
        raise CommandError(f"no script for {shell.value}: {done.stderr.strip()}")
    typer.echo(done.stdout.rstrip())
