"""`balances.track_tokens` through its function (autumn.md 3.14)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.service import item
from tollgate import runtime

TRACK = "POST /v1/balances.track_tokens"


@pytest.fixture(scope="module")
def credits(here: Here) -> str:
    made = {"feature_id": "ai", "name": "AI", "type": "ai_credit_system", "default_markup": 20}
    own = {"house/mine": {"input_cost": 1, "output_cost": 2.5, "markup": 0}}
    status, shown = here.call("manage", "POST /v1/features.create", {**made, "model_markups": own})
    assert (status, shown["type"], shown["consumable"]) == (200, "ai_credit_system", True)
    assert (shown["model_markups"], shown["default_markup"]) == (own, 20)
    more = {"feature_id": "ai2", "name": "AI 2", "type": "ai_credit_system", "default_markup": -100}
    assert here.call("manage", "POST /v1/features.create", more)[0] == 200
    here.service.customer("tokens", [item(10, feature="ai")])
    return "ai"


def body(**more: Any) -> dict[str, Any]:
    return {"customer_id": "tokens", "model_id": "house/mine", "input_tokens": 1000, "output_tokens": 400, **more}


def test_tokens_are_counted_at_once_where_that_is_asked(here: Here, credits: str) -> None:
    status, answer = here.call("track", TRACK, body(**{"async": False, "feature_id": credits}))
    assert (status, answer["value"]) == (200, 0.002)
    assert answer["balance"]["feature_id"] == "ai"
    assert answer["balance"]["remaining"] == 9.998


def test_by_itself_a_call_is_taken_and_counted_within_seconds(
    here: Here, credits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def send(**given: Any) -> dict[str, Any]:
        sent.extend(entry["MessageBody"] for entry in given["Entries"])
        return {}

    monkeypatch.setattr(runtime.client("sqs"), "send_message_batch", send)
    status, answer = here.call("track", TRACK, body())
    assert (status, answer) == (202, {"customer_id": "tokens", "value": 0.002, "balance": None})
    (use,) = json.loads(sent[0])["items"]
    assert (use["feature_id"], use["value"]) == (credits, 0.002)
    assert use["properties"] == {"model_id": "house/mine", "input_tokens": 1000, "output_tokens": 400}


@pytest.mark.usefixtures("credits")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model_id": "openai/nothing-like-it"}, "is not a model whose price is known"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": 1.5}, "input_tokens"),
        ({"output_tokens": None}, "output_tokens"),
        ({"reasoning_tokens": 10**13}, "reasoning_tokens"),
        ({"feature_id": "messages"}, "must be an AI credit system"),
    ],
)
def test_what_cannot_be_priced_is_refused_and_changes_nothing(here: Here, wrong: dict[str, Any], said: str) -> None:
    before = here.contents()
    status, answer = here.call("track", TRACK, body(**{"async": False}, **wrong))
    assert status == 400
    assert said in answer["message"]
    assert here.contents() == before


def test_the_system_that_is_meant_is_the_one_that_the_customer_holds(here: Here, credits: str) -> None:
    status, answer = here.call("track", TRACK, body(**{"async": False}))
    assert (status, answer["balance"]["feature_id"]) == (200, credits)
    here.service.attach("tokens", [item(10, feature="ai2")])
    status, answer = here.call("track", TRACK, body(**{"async": False}))
    assert status == 400
    assert "several AI credit systems" in answer["message"]
    status, answer = here.call("track", TRACK, body(**{"async": False, "customer_id": "holds-none"}))
    assert status == 400


@pytest.mark.parametrize("field", ["model_markups", "provider_markups", "default_markup"])
def test_mark_ups_are_for_ai_credit_systems_only(here: Here, field: str) -> None:
    value: Any = 5 if field == "default_markup" else {"openai": {"markup": 5}}
    made = {"feature_id": f"no-{field}", "name": "No", "type": "metered", field: value}
    status, answer = here.call("manage", "POST /v1/features.create", made)
    assert status == 400
    assert "AI credit systems only" in answer["message"]
