"""A marker for each kind of test: its directory's name, and `servers` where it starts any."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
SERVED = {"faults", "integration", "e2e"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kind = item.path.relative_to(TESTS).parts[0]
        item.add_marker(kind)
        if kind in SERVED or "servers" in getattr(item, "fixturenames", ()):
            item.add_marker("servers")
