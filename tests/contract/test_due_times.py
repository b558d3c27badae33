"""Due times on each backend: in the order of time, each once, and gone when they were sent."""

from __future__ import annotations

from tests.service import HOUR, NOW, SANDBOX, Service
from tollgate.domain.environments import Environment
from tollgate.store.due_times import SHARDS, DueTimeStore


def _due(store: DueTimeStore, env: Environment, at: int) -> list[tuple[int, str]]:
    pages = (page for shard in range(SHARDS) for page in store.until(env, shard, at))
    return sorted((one.at, one.message) for page in pages for one in page)


def test_what_is_due_is_found_once_and_deleted_and_the_rest_stays(here: Service) -> None:
    store = DueTimeStore(here.table)
    for number in (*range(130), 7):  # one of them twice
        store.put(SANDBOX, NOW + number, f"m{number}")
    store.put(SANDBOX, NOW + HOUR, "later")
    store.put(Environment.LIVE, NOW, "another environment's")
    assert _due(store, SANDBOX, NOW - 1) == []
    assert _due(store, SANDBOX, NOW + 60) == [(NOW + number, f"m{number}") for number in range(61)]
    for shard in range(SHARDS):
        for page in store.until(SANDBOX, shard, NOW + 129):
            assert [one.at for one in page] == sorted(one.at for one in page)
            store.delete(page)
            store.delete(page)  # may be repeated
    assert _due(store, SANDBOX, NOW + HOUR) == [(NOW + HOUR, "later")]
    assert _due(store, Environment.LIVE, NOW) == [(NOW, "another environment's")]


def test_a_shard_of_more_than_a_page_is_read_to_its_end(here: Service) -> None:
    store = DueTimeStore(here.table)
    for number in range(4 * 120):
        store.put(SANDBOX, NOW, f"m{number}")
    assert len(_due(store, SANDBOX, NOW)) == 480
