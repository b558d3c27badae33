"""Usage that a caller reports and that is answered before it is counted: its messages on the usage queue, which
`queue_consumer` reads.

A message is JSON: who sent it (`env`, `key_id`), when (`at`, ms), and `items`. An item is a use with an id of its own,
or (`event_id`) an event whose amounts follow from the features that count it; either is counted exactly once, however
often it is delivered. Under an idempotency key, items that are sent again after a failure keep their ids. `receipt`
makes an event's arrival known to `verify_idems_received` even where no feature counts it. `recorded` puts it into the
history even where nothing grants the feature, and `in_its_period` counts it only in the period that its time belongs to.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tollgate.domain.api_keys import Caller
from tollgate.exact_json import dumps
from tollgate.packing import packed

ITEMS_IN_MESSAGE = 20  # times ten messages to one call of the function: well within its time
MESSAGE_BYTES = 200_000  # of items: a message holds at most 256 KB


def messages(
    caller: Caller, now: int, items: Sequence[Mapping[str, Any]], seed: uuid.UUID | None = None
) -> Iterator[str]:
    """The bodies of the messages that carry these items.

    With a `seed` (`Idempotency.seed`), which all repeats of a call share, the same item at the same position gets the
    same id, so it is counted once. Without one every id is new.
    """

    def id(number: int, item: Mapping[str, Any]) -> uuid.UUID:
        return uuid.uuid4() if seed is None else uuid.uuid5(seed, f"{number}\n{dumps(item)}")

    shared = {"env": caller.environment.value, "key_id": caller.key_id, "at": now}
    named = ({**item, "id": str(id(number, item))} for number, item in enumerate(items))
    for part in packed(named, ITEMS_IN_MESSAGE, lambda item: len(dumps(item).encode()), MESSAGE_BYTES):
        yield dumps({**shared, "items": part})
