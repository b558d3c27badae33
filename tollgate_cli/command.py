"""Where the process of `tollgate` begins: before anything is loaded, Ctrl-C ends it without a word."""

from __future__ import annotations

import signal


def main() -> None:
    """Loads the command line, which takes a moment, and runs it."""
    asked_to_stop = signal.getsignal(signal.SIGINT)
    if asked_to_stop is signal.default_int_handler:  # and not where it is ignored, as in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tollgate_cli import __main__ as command_line

    signal.signal(signal.SIGINT, asked_to_stop)
    command_line.main()
