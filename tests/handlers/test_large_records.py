"""Uses with much to tell of: counted, told and paid for once (management.md 21)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Spent, create_table
from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.handlers.test_usage_events import Bus, Letters
from tests.memory import fresh_url, memory
from tests.service import CALLER, NOW, SANDBOX, Service, item, pay_per_use, service
from tests.streams import as_sent, records
from tollgate import runtime
from tollgate.domain.customers import Customer
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import Unavailable
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.use_records import MAX_PROPERTIES_BYTES
from tollgate.store.large_records import KEPT_SECONDS, MOST_BYTES
from tollgate.store.stream import change_of
from tollgate.usecases.commands import UseCommand


def a_service() -> Service:
    client = memory(fresh_url())
    return service(client, create_table(client))


def cost(here: Service, **use: Any) -> list[tuple[str, float]]:
    spent = Spent(here.table.client)
    try:
        return spent.of(lambda: here.use("c1", 1, **use))
    finally:
        spent.stop()


@pytest.mark.parametrize("size", [0, 100, 250, 400, 1_000, 2_000, 4_000])
def test_the_next_use_pays_nothing_for_what_one_had_to_tell(size: int) -> None:
    """management.md 21, invariants.md 8"""
    here = a_service()
    here.customer("c1", [item(1000)])
    here.use("c1", 1)
    first = cost(here, properties={"text": "x" * size})
    assert cost(here) == [("UpdateItem", 1)]
    assert [name for name, _ in first][-1:] == ["UpdateItem"]
    assert first[-1][1] == 1
    assert sum(units for _, units in first) <= 2 + (size + 300) // 1024


@pytest.mark.parametrize("refused", [False, True])
def test_a_use_of_which_the_record_is_not_written_is_not_counted(
    refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """management.md 21"""
    here = a_service()
    here.customer("c1", [item(1000)])
    written = here.table.client.put_item

    def broken(**request: Any) -> Any:
        if not refused:
            written(**request)
        raise ClientError({"Error": {"Code": "ThrottlingException" if refused else "InternalServerError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}, "PutItem")  # type: ignore[typeddict-item]  # fmt: skip

    broken.__name__ = "put_item"
    monkeypatch.setattr(here.table.client, "put_item", broken)
    with pytest.raises(Unavailable):
        here.use("c1", 1, properties={"text": "x" * 2000})
    assert here.remaining("c1") == 1000
    monkeypatch.undo()
    here.use("c1", 1, properties={"text": "x" * 2000})
    assert here.remaining("c1") == 999


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=600)
properties = st.dictionaries(st.text("abcdef", min_size=1, max_size=5), texts, max_size=4).filter(
    lambda found: len(json.dumps(found)) <= MAX_PROPERTIES_BYTES
)


@given(st.lists(st.tuples(st.sampled_from(["fast", "overage", "back", "keyed", "nothing"]), properties), max_size=6))
def test_the_stream_tells_what_was_used_whole(asked: list[tuple[str, dict[str, str]]]) -> None:
    """management.md 21: on the fast path, the slow one, in a transaction, and of what nothing grants."""
    here = a_service()
    here.customer("c1", [pay_per_use(2, 50)])
    here.customers.get_or_create(SANDBOX, Customer("nobody"), None, NOW)
    for number, (how, said) in enumerate(asked):
        amount = Decimal({"overage": 3, "back": -1}.get(how, 1))
        command = UseCommand("nobody" if how == "nothing" else "c1", "messages", amount, Overage.OVERFLOW, said)
        if how == "keyed":
            command = command._replace(idempotency_keys=(IdempotencyKey("request", str(number), 60_000),))
        here.tracking.track(CALLER, command, NOW)
    changes = filter(None, map(change_of, records(here.table.client, here.table.name)))
    found = [dict(use.properties) for change in changes for use in change.uses]
    assert found == [said for _, said in asked]
    here.customers.delete(CustomerRef(SANDBOX, "c1"))
    for record in as_sent(here.table.client, here.table.name):
        event = record["dynamodb"].get("NewImage", {}).get("event", {}).get("S", "")
        own = record["dynamodb"]["Keys"]["sk"]["S"].startswith("RECORD#")
        assert own or len(event) <= MOST_BYTES


@contextmanager
def listening(bus: Bus) -> Iterator[None]:
    import sys

    module: Any = sys.modules["functions.usage_events.app"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_events", bus)
        patch.setattr(module, "_queue", Letters())
        yield


def test_event_and_history_are_as_any_others(here: Here) -> None:
    """management.md 21: through the handlers, also long after the record's time would be over by the use's own time."""
    here.service.customer("large", [item(1000)], runtime.clock())
    said = {"text": "y" * 3_000}
    body = {"customer_id": "large", "feature_id": "messages", "value": 2, "properties": said}
    assert here.call("track", "POST /v1/balances.track", body, headers={"x-api-version": "2.1"})[0] == 200
    table, bus = here.service.table, Bus()
    sent = [
        record
        for record in as_sent(table.client, table.name)
        if record["dynamodb"]["Keys"]["sk"]["S"].startswith("BALANCE#")
        and record["dynamodb"]["Keys"]["pk"]["S"].endswith("#large")
    ]
    assert all(len(json.dumps(record, default=str)) < 4_000 for record in sent)
    with listening(bus):
        here.handlers["usage_events"]({"Records": sent}, CONTEXT)
    uses = [json.loads(entry["Detail"]) for entry in bus.entries if entry["DetailType"] == "usage.recorded"]
    assert [use["properties"] for use in uses] == [said]
    status, listed = here.call(
        "manage", "POST /v1/events.list", {"customer_id": "large"}, headers={"x-api-version": "2.4"}
    )
    assert status == 200
    assert [event["properties"] for event in listed["list"]] == [said]
    items = [one for one in table.client.scan(TableName=table.name)["Items"] if one["sk"]["S"].startswith("RECORD#")]
    ages = [int(one["ttl"]["N"]) - runtime.clock() // 1000 for one in items]
    assert [abs(age - KEPT_SECONDS) < 60 for age in ages] == [True]
