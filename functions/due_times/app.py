"""Runs every ten minutes: hands what is due within the next quarter of an hour to the usage queue, delayed to the
second."""

from __future__ import annotations

from typing import Any

from tollgate import runtime

_due_times = runtime.due_times()
runtime.client("sqs")  # made here, so that no message waits for it


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Hands over what is due. Any error fails this run; the next one does what it left."""
    _due_times.hand_over(runtime.clock())
    return {}
