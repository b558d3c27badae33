"""What balance items remember of uses that one write counts together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial

from tollgate.domain.balances import Place
from tollgate.domain.decisions import Decision, sources_of
from tollgate.domain.errors import InvalidRequest
from tollgate.domain.features import Feature, Pool
from tollgate.domain.quantities import ZERO
from tollgate.domain.usage import Counted, UsageEvent
from tollgate.exact_json import dumps

MOST_BYTES = 250_000  # of uses in one item: DynamoDB takes 400 KB, and its rows, limits and holds are in it too
_USE_BYTES = 150  # of the JSON of a use, without what is of any length
_ROW_BYTES = 40  # of what a row gave, without its id


class Tally:
    """Uses in the order in which they were decided, by the item that is to tell of them."""

    def __init__(self) -> None:
        self._uses: dict[Place, list[Counted]] = {}
        self._keys: dict[Place, str] = {}
        self._unmoved: dict[Place, list[Counted]] = {}
        self._sizes: dict[Place, int] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._uses

    @property
    def empty(self) -> bool:
        return not self._uses

    def count(
        self, use: Counted, key_id: str, feature: Feature, pools: Sequence[Pool], entity_id: str, decision: Decision
    ) -> None:
        """Notes an allowed use: a part of it in each item that it moved, or whose usage limits counted it; where it moved
        none, in the first that could have paid."""
        moved = _by_place(decision) or {sources_of(feature.id, pools, entity_id, decision.world)[0].place: []}
        for place in decision.counted:
            moved.setdefault(place, [])
        for number, (place, rows) in enumerate(moved.items()):
            part = use._replace(
                moved=tuple(rows),
                feature_id=feature.id if feature.id != place.feature_id else None,
                entity_id=entity_id if entity_id != place.entity_id else None,
                part=number > 0,
                key_id=None if self._keys.setdefault(place, key_id) == key_id else key_id,
            )
            self._uses.setdefault(place, []).append(part)
            self._sizes[place] = self._sizes.get(place, 0) + _size(part)

    def count_unmoved(self, use: Counted, key_id: str, place: Place) -> None:
        """Notes a use of what nothing grants."""
        self._unmoved.setdefault(place, []).append(use._replace(key_id=key_id))

    def check_size(self) -> None:
        """Raises InvalidRequest where an item could not hold what it is to remember: no later try could change that."""
        for place, size in self._sizes.items():
            if size > MOST_BYTES:
                raise InvalidRequest(
                    f"The balance of {place.feature_id} cannot remember this use: with its properties for each feature that"
                    f" it is a use of, and what each grant gave, it takes {size} bytes (at most {MOST_BYTES})"
                )

    def event_of(self, place: Place) -> Callable[[str], UsageEvent] | None:
        """What an item is to remember, by the id of its write; None where nothing of it was used. A use without an id has
        the write's."""
        uses = self._uses.get(place)
        return partial(_event, tuple(uses), self._keys[place]) if uses else None

    def unmoved(self, new_id: Callable[[], str]) -> Iterator[tuple[Place, UsageEvent]]:
        for place, uses in self._unmoved.items():
            yield place, _event(tuple(uses), uses[0].key_id or "", new_id())


def _size(use: Counted) -> int:
    """About what the item holds of a use, in bytes."""
    ids = len(dumps(use.id)) + sum(len(id) for id in (use.feature_id, use.entity_id, use.key_id) if id)
    properties = len(dumps(dict(use.properties))) if use.properties else 0
    return _USE_BYTES + ids + properties + sum(len(row_id) + _ROW_BYTES for row_id, _ in use.moved)


def _event(uses: tuple[Counted, ...], key_id: str, id: str) -> UsageEvent:
    value, drawn = sum((u.value for u in uses), ZERO), sum((u.drawn for u in uses), ZERO)
    named = tuple(use if use.id else use._replace(id=id) for use in uses)
    return UsageEvent(id, value, drawn, uses[-1].at, key_id, uses=named)


def _by_place(decision: Decision) -> dict[Place, list[tuple[str, Decimal]]]:
    """What each item's rows gave, in deduction order."""
    owners = {(row.id, place.feature_id): place for place, balance in decision.world.items() for row in balance.rows}
    moved: dict[Place, list[tuple[str, Decimal]]] = {}
    for deduction in decision.deductions:
        place = owners[deduction.row.id, deduction.feature_id]
        moved.setdefault(place, []).append((deduction.row.id, deduction.value))
    return moved
