"""What a command ends with: its exit code, and the line that says what went wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from tollgate_cli.api import ApiError


class Ends(IntEnum):
    """The exit codes, which docs/commands.md lists."""

    DONE = 0
    FAILED = 1
    WRONG = 2
    DENIED = 3
    STOPPED = 130


MEANINGS = {
    Ends.DONE: "done",
    Ends.FAILED: "it failed: no answer, an error of the service, or something is left; the last line says why",
    Ends.WRONG: "what was typed or set is wrong: an option, an id, a key, a profile, a file. Nothing was changed",
    Ends.DENIED: "a check says no; `import` and `shadow`: something is not as it was, or differs",
    Ends.STOPPED: "stopped with Ctrl-C",
}

_REFUSED_AS_WRONG = range(400, 500)
_LATER = (408, 429)  # to ask once more is right, later
_NEXT = {
    401: "is it the key of another stack, or was it revoked? `tollgate keys list` shows those that are known",
    403: "a secret key (am_sk_…) is needed",
    429: "try again in a minute",
    503: "try again: it was not made, or will be made one time under its idempotency key",
}


class CommandError(RuntimeError):
    """A command cannot do what it was told. `code` is what it exits with; the message is one line for people."""

    def __init__(self, message: str, code: Ends = Ends.FAILED) -> None:
        super().__init__(message)
        self.code = code


def wrong(message: str) -> CommandError:
    """The error of a command that was told something wrong, and has changed nothing."""
    return CommandError(message, Ends.WRONG)


def line(text: str) -> str:
    """The text on one line, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turns what the API at this address refuses, and answers that are not Tollgate's, into the command's own error."""
    try:
        yield
    except ApiError as error:
        code = Ends.WRONG if error.status in _REFUSED_AS_WRONG and error.status not in _LATER else Ends.FAILED
        hint = _NEXT.get(error.status)
        if error.status < 400:
            raise CommandError(
                f"{url} answers {error.status} and not as Tollgate does: is it the right address?"
            ) from error
        words = line(error.words) or "without a word"
        raise CommandError(f"{url} says {error.status}: {words}{f' ({hint})' if hint else ''}", code) from error
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError) as error:
        raise CommandError(f"{url} does not answer as Tollgate does: {line(repr(error))[:200]}") from error
