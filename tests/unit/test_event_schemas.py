"""The JSON Schemas under docs/events are those of the shapes that are told; a sample event fits the one it is for."""

from __future__ import annotations

import json

from tests.conftest import ROOT
from tollgate.dialects.events_in import is_reported, reported_use
from tollgate.dialects.events_models import MODELS
from tollgate.usecases.usage_queue import QueuedUse
from tollgate_cli import schemas


def test_the_schemas_are_generated() -> None:
    """`tollgate events schemas` writes them."""
    written = {path.name: path.read_text() for path in schemas.FOLDER.glob("*.json")}
    assert written == schemas.texts()


def test_each_says_which_version_it_is() -> None:
    for name in MODELS:
        schema = schemas.texts()[f"{name}.json"]
        assert json.loads(schema)["properties"]["version"]["const"] == 1


def test_the_sample_for_the_rule_is_a_use() -> None:
    envelope = json.loads((ROOT / "events" / "usage_reported.json").read_text())
    assert is_reported(envelope)
    use = reported_use(envelope, 1_767_225_600_000)
    assert isinstance(use, QueuedUse)
    assert (use.customer_id, use.value, use.id) == ("customer-1", 4, "shop.checkout:order-1001")
