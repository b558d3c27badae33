"""A table that stops to answer in the middle of a call: whoever is told to try again may do so.

Rules: invariants.md 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.handlers.conftest import Here
from tests.handlers.test_events import ANSWERS, CONTEXT, sample
from tests.handlers.test_keys import HTTP, shop
from tests.memory import Memory
from tollgate.store.table import Table

__all__ = ["shop"]
DONE = re.compile("look whether it was done|do not (send|repeat) it")
MOST = 100  # requests of one call


class Broken:
    """A table whose requests are refused from a number on."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self._answer = memory, memory._answer
        self._kept = self._contents()
        self.sent, self._last = 0, 0

    def _contents(self) -> Any:
        tables = self._memory._tables.items()
        return {name: {pk: dict(items) for pk, items in table.items()} for name, table in tables}

    def answering(self, most: int) -> None:
        """From here on it answers so many requests; what was changed before is as it was at first."""
        self._memory._tables = self._kept
        self._kept = self._contents()
        self.sent, self._last = 0, most

    @property
    def changed(self) -> bool:
        return bool(self._memory._tables != self._kept)

    def __call__(self, name: str, request: dict[str, Any], work: Any) -> dict[str, Any]:
        self.sent += 1
        if self.sent > self._last:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Too many"}}, name)
        return self._answer(name, request, work)


@pytest.fixture
def broken(shop: Here, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    table: Any = shop.service.table.client
    found = Broken(table)
    monkeypatch.setattr(Table, "_tries", lambda _self, _most, _deadline: iter(range(2)))
    monkeypatch.setattr(table, "_answer", found)
    yield found
    found.answering(0)


@pytest.mark.parametrize("name", HTTP)
def test_whoever_is_told_to_try_again_finds_nothing_changed(shop: Here, broken: Broken, name: str) -> None:
    """Of every route, broken off at each of its requests. An answer may say that what was asked for is done, or that it
    may be; never that it is not where it is."""
    function = re.sub(r"(?<!^)(?=[A-Z])", "_", ANSWERS[name]["function"].removesuffix("Function")).lower()
    if function not in shop.handlers:
        return  # the reference's and the console's: they have no table
    for most in range(MOST):
        broken.answering(most)
        answer = shop.handlers[function](sample(name), CONTEXT)
        if broken.sent <= most:
            return  # it was never broken off
        assert answer["statusCode"] != 500, (most, answer["body"])
        if answer["statusCode"] == 503 and broken.changed:
            assert DONE.search(answer["body"]), (most, answer["body"])
    raise AssertionError(f"more than {MOST} requests")
