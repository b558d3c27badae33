"""How a run of the command line ends: each error that a user can cause becomes one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from tollgate.domain.errors import TollgateError
from tollgate_cli import deploy, moving, servers
from tollgate_cli.api import ApiError, NoAddress
from tollgate_cli.catalog.changes import ChangeError
from tollgate_cli.catalog.file import FileError
from tollgate_cli.errors import CommandError, Ends, line
from tollgate_cli.importing.catalog import CatalogConflict
from tollgate_cli.importing.client import NoSource, SourceError
from tollgate_cli.importing.journal import JournalError
from tollgate_cli.importing.run import WrongEnvironment

_USAGE_ERROR: Any = typer.BadParameter.__bases__[0]
_WRONG = (NoAddress, NoSource, WrongEnvironment, moving.NoExport)
"""What was typed or set is wrong, and nothing was done."""
_FAILURES = (
    ApiError,
    CatalogConflict,
    ChangeError,
    JournalError,
    SourceError,
    moving.MovingError,
    TollgateError,
    ConnectionError,
    deploy.SamError,
    servers.ServerError,
    BotoCoreError,
    ClientError,
)


def run(command: Any, arguments: list[str] | None = None) -> int:
    """Runs the command line with these arguments (those of the process unless told); its exit code."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = _run(command, arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _unheard()
    return code


def _open_streams() -> None:
    """Where the shell has closed a stream (`>&-`), what is printed there goes nowhere."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115 - as long as the process


def _run(command: Any, arguments: list[str] | None) -> int:
    try:
        code = command.main(args=arguments, prog_name="tollgate", standalone_mode=False)
        return code if isinstance(code, int) else Ends.DONE
    except BrokenPipeError:
        return _unheard()
    except SystemExit as stop:  # the framework's own, and Rich's, where nobody reads what is printed
        return stop.code if isinstance(stop.code, int) else Ends.FAILED
    except (KeyboardInterrupt, typer.Abort):
        return _end("stopped", Ends.STOPPED)
    except FileError as error:
        return _end(
            str(error), Ends.FAILED, name=""
        )  # each line begins with the file's name and place, as editors read it
    except CommandError as error:
        return _end(str(error), error.code)
    except _USAGE_ERROR as error:
        if error.ctx is not None and error.message == error.ctx.get_help():  # nothing was typed: its help is the answer
            print(error.message, file=sys.stderr)
            return int(error.exit_code)
        return _end(_usage(error), error.exit_code)
    except typer.TyperException as error:
        return _end(error.format_message(), error.exit_code)
    except _WRONG as error:
        return _end(line(str(error)), Ends.WRONG)
    except _FAILURES as error:
        return _end(str(error), Ends.FAILED)
    except OSError as error:  # a file that cannot be read, a disk that is full
        return _end(line(str(error)), Ends.FAILED)


def _usage(error: Any) -> str:
    message = line(error.format_message())
    if error.ctx is None:
        return message
    ending = "" if message.endswith("?") else "."
    return f"{message.rstrip('.')}{ending} `{error.ctx.command_path} --help` shows what it takes"


def _end(text: str, code: int, name: str = "tollgate: ") -> int:
    with contextlib.suppress(BrokenPipeError):
        print(f"{name}{text}", file=sys.stderr)
    return code


def _unheard() -> int:
    """Nobody reads what is printed: nothing more is, not even when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return Ends.FAILED
