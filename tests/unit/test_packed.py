"""What is stored compressed is read as it was, from the table and from its stream (store/codecs/values.py)."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import create_table
from tests.memory import fresh_url, memory
from tests.service import NOW, item, service
from tests.streams import records
from tollgate.store.codecs.values import PACKED_FROM, packed, unpacked
from tollgate.store.stream import change_of


@given(st.text(max_size=3 * PACKED_FROM).map(lambda text: text.encode(errors="ignore").decode()))
def test_text_is_read_as_it_was_also_from_the_stream(text: str) -> None:
    stored: Any = packed(text)
    assert unpacked(stored) == text
    if "B" in stored:
        assert unpacked({"B": b64encode(stored["B"]).decode()}) == text


@pytest.mark.parametrize("broken", [{"B": b"no zlib"}, {"B": "=="}, {"B": packed("x" * PACKED_FROM)["B"][:-5]}])
def test_what_is_broken_is_refused_as_any_other_broken_item(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpacked(broken)


def in_base64(value: Any) -> Any:
    """An image as a function gets it from the stream."""
    if isinstance(value, dict):
        return {name: in_base64(part) for name, part in value.items()}
    return b64encode(value).decode() if isinstance(value, bytes) else value


def test_the_stream_tells_of_a_use_of_many_grants() -> None:
    client = memory(fresh_url())
    name = create_table(client)
    here = service(client, name)
    here.customer("c1", [item(1)])
    for _ in range(11):
        here.attach("c1", [item(1)], NOW)
    assert here.use("c1", 5).allowed
    record = records(client, name)[-1]
    assert "B" in record["dynamodb"]["NewImage"]["rows"]
    change = change_of({**record, "dynamodb": in_base64(record["dynamodb"])})
    assert change is not None
    assert change.after is not None
    assert (len(change.after.grants), change.after.headroom) == (12, 7)
