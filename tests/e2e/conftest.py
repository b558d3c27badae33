"""The deployed local stack, built and deployed once for the run, with state of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.fixture import Shop
from tests.permissions import ASKED, Ask, Names, asks, directory_of, roles
from tollgate_cli import stack as local
from tollgate_cli.servers import free_port
from tollgate_cli.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    calls = tmp_path_factory.mktemp("calls")
    recorded = {"PYTHONPATH": str(ROOT / "tests" / "e2e" / "recording"), "CALLS": str(calls)}
    running, server = local.start(free_port(), tmp_path_factory.mktemp("stack"), detached=False, **recorded)
    assert server
    with server:
        yield running
    _hold_against_roles(running, calls)


def _hold_against_roles(stack: Stack, calls: Path) -> None:
    """Every kind of call that a function made must be one that its role allows."""
    outputs = stack.outputs
    known = ("TableName", "QueueUrl", "DeadLetterQueueUrl", "BusName", "WebhookQueueUrl", "WebhookDeadLetterQueueUrl")
    names = Names._make(outputs[one] for one in known)
    asked: set[tuple[str, Ask]] = set()
    for file in calls.glob("*.jsonl"):
        for line in file.read_text().splitlines():
            name, service, operation, request = json.loads(line)
            prefix, function = name.split("-")[:2]
            if prefix == local.NAME:
                asked |= {(directory_of(function), ask) for ask in asks(names, service, operation, request)}
    ASKED.update(asked)
    denied = [f"{function}: {ask}" for function, ask in sorted(asked) if not roles()[function].allows(ask)]
    assert not denied, "\n".join(denied)
    assert asked, "the recording saw nothing"


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Shop:
    """The specification's catalogue in the sandbox."""
    shop = Shop(stack, stack.secret_key)
    shop.fill()
    return shop


@pytest.fixture(scope="session")
def live(stack: Stack) -> Shop:
    """The live environment, which few tests write to."""
    return Shop(stack, stack.live_secret_key)
