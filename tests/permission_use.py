"""Of every action that a role grants, a test uses it, or a reason stands here: told at the end of a run of all tests.

Each worker tells what its functions asked for; the run fails where something granted was not asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.permissions import ASKED, DEAD_LETTERS, TABLE, USAGE, WEBHOOKS, roles

_used: set[tuple[str, str, str]] = set()
"""Function, action and resource, of all processes."""


POLLING = "Lambda's event source mapping asks, in the function's role"
UNUSED: dict[tuple[str, str, str], str] = {
    **{
        (function, f"dynamodb:{action}", f"{TABLE}.StreamArn"): POLLING
        for function in ("usage_events", "waiting_events")
        for action in ("DescribeStream", "GetRecords", "GetShardIterator")
    },
    **{(function, "dynamodb:ListStreams", "*"): POLLING for function in ("usage_events", "waiting_events")},
    **{
        (function, f"sqs:{action}", queue): POLLING
        for function, queue in (("usage_queue", USAGE), ("webhooks", WEBHOOKS))
        for action in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage")
    },
    ("waiting_events", "sqs:SendMessage", DEAD_LETTERS): POLLING,
}


def unused() -> Iterator[str]:
    """What is granted, and neither asked for nor explained; and what is explained for nothing."""
    granted = {
        (function, action, resource)
        for function, role in roles().items()
        for grant in role.grants
        for action in grant.actions
        for resource in grant.resources
    }
    for function, action, resource in sorted(granted - _used - UNUSED.keys()):
        yield f"{function} may {action} on {resource}, and no test has it do so"
    for function, action, resource in sorted((UNUSED.keys() & _used) | (UNUSED.keys() - granted)):
        yield f"{function}, {action} on {resource}: the reason is not needed"


def _is_whole(config: pytest.Config) -> bool:
    """Whether all tests were asked for, or all that need no servers: those of the handlers reach all that is granted."""
    option = config.option
    chosen = option.keyword or option.maxfail or option.markexpr not in ("", "not servers")
    return list(config.args) == config.getini("testpaths") and not chosen


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes what a worker tells."""
    _used.update(tuple(one) for one in getattr(node, "workeroutput", {}).get("permissions", ()))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Tells what this process has seen; where it is the one that knows all, a run that passed fails for what is left."""
    own = {(function, ask.action, ask.resource) for function, ask in ASKED}
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["permissions"] = sorted(own)
        return
    _used.update(own)
    passed = exitstatus == pytest.ExitCode.OK and session.testscollected
    if passed and _is_whole(session.config) and (left := list(unused())):
        session.config.stash[_LEFT] = left
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


_LEFT: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Says what was left."""
    for line in config.stash.get(_LEFT, []):
        terminalreporter.write_line(f"permissions: {line}", red=True)
