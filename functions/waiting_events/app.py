"""The table's stream, for customers that got their first balance of a feature: counts the events that waited for them."""

from __future__ import annotations

from typing import Any

from tollgate import runtime

_waiting_events = runtime.waiting_events()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    _waiting_events.count(event["Records"], runtime.clock())
    return {}
