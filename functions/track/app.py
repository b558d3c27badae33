"""`POST /v1/track` and `/v1/balances.track`: counts a use that has happened."""

from __future__ import annotations

from functools import partial
from typing import Any

from tollgate import runtime
from tollgate.dialects.autumn.edge import handle
from tollgate.dialects.autumn.track import track

_track = partial(track, runtime.meter())


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if "Records" in event:
        # Fails the batch: the messages come back, and end in the dead-letter queue rather than nowhere.
        raise NotImplementedError("usage reported through the queue is not counted yet")
    return handle(event, _track, runtime.clock, runtime.defect)
