"""The table's stream, for customers that got their first balance of a feature: counts the events that waited for
them."""

from __future__ import annotations

from typing import Any

from tollgate import runtime

_waiting_events = runtime.waiting_events()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Counts what waited for the new balances in one batch of stream records.

    Any error makes the stream send the batch again.
    """
    _waiting_events.count(event["Records"], runtime.clock())
    return {}
