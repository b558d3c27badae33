"""What is read once and kept, and what takes several reads.

Rules: autumn.md 2.9.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tollgate.domain.environments import Environment
from tollgate.domain.errors import NotFound, Unavailable
from tollgate.domain.features import Feature, FeatureType
from tollgate.store.table import Table
from tollgate.usecases.features import CACHE_SECONDS, FeatureCache

MESSAGES = Feature("messages", "Messages", FeatureType.METERED)
SANDBOX = Environment.SANDBOX


class Source:
    """Stands for the features in the table; counts how often they are read."""

    def __init__(self) -> None:
        self.held = {"messages": MESSAGES}
        self.reads = 0

    def all(self, env: Environment) -> dict[str, Feature]:
        self.reads += 1
        return dict(self.held) if env is SANDBOX else {}


def test_features_are_read_once_in_their_time_and_afresh_when_asked_for_or_missing() -> None:
    source, now = Source(), [0.0]
    cache = FeatureCache(source, lambda: now[0])  # type: ignore[arg-type]
    assert cache.catalog(SANDBOX, "messages") is cache.catalog(SANDBOX, "messages")
    assert cache.catalog(SANDBOX).feature("messages") is MESSAGES
    assert source.reads == 1
    now[0] = CACHE_SECONDS + 1
    cache.catalog(SANDBOX, "messages")
    assert source.reads == 2
    cache.catalog(SANDBOX, "messages", fresh=True)
    assert source.reads == 3
    with pytest.raises(NotFound):
        cache.catalog(SANDBOX, "new").feature("new")
    source.held["new"] = MESSAGES._replace(id="new")
    assert cache.catalog(SANDBOX, "new").feature("new")  # as soon as it is created
    with pytest.raises(NotFound):
        cache.catalog(Environment.LIVE, "messages").feature("messages")


def test_while_the_table_does_not_answer_an_older_catalog_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not in that one cannot be told."""
    source, now, warnings = Source(), [0.0], list[str]()
    cache = FeatureCache(source, lambda: now[0], warnings.append)  # type: ignore[arg-type]
    cache.catalog(SANDBOX, "messages")

    def failing(_: Environment) -> dict[str, Feature]:
        raise Unavailable("no answer")

    monkeypatch.setattr(source, "all", failing)
    now[0] = CACHE_SECONDS + 1
    assert cache.catalog(SANDBOX, "messages").feature("messages") is MESSAGES
    assert cache.catalog(SANDBOX, "messages", fresh=True).feature("messages") is MESSAGES
    assert len(warnings) == 2
    for env, feature_id in ((SANDBOX, "new"), (Environment.LIVE, "messages")):
        with pytest.raises(Unavailable):
            cache.catalog(env, feature_id)


def test_an_event_name_that_no_feature_lists_is_looked_for_afresh_before_it_is_not_found() -> None:
    source = Source()
    cache = FeatureCache(source, lambda: 0.0)  # type: ignore[arg-type]
    cache.catalog(SANDBOX)
    with pytest.raises(NotFound):
        cache.listening(SANDBOX, "sent")
    assert source.reads == 2
    source.held["messages"] = MESSAGES._replace(event_names=("sent",))
    assert [feature.id for feature in cache.listening(SANDBOX, "sent")] == ["messages"]
    cache.listening(SANDBOX, "sent")
    assert source.reads == 3


def test_a_query_reads_every_page() -> None:
    asked: list[dict[str, Any]] = []

    def query(**request: Any) -> dict[str, Any]:
        asked.append(dict(request))
        page = len(asked)
        more = {"LastEvaluatedKey": {"pk": {"S": str(page)}}} if page < 3 else {}
        return {"Items": [{"sk": {"S": str(page)}}], **more}

    events = SimpleNamespace(register=lambda *_, **__: None)
    client: Any = SimpleNamespace(query=query, meta=SimpleNamespace(events=events))
    assert [item["sk"]["S"] for item in Table(client, "t").query("p")] == ["1", "2", "3"]
    assert [request.get("ExclusiveStartKey") for request in asked] == [None, {"pk": {"S": "1"}}, {"pk": {"S": "2"}}]
    assert all(request["ConsistentRead"] for request in asked)
