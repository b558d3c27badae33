"""The JSON Schemas under `docs/events/`, made from the models of the events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from tollgate.dialects.events_models import MODELS
from tollgate.dialects.reported_usage import REPORTED, UsageReported
from tollgate_cli.servers import ROOT

FOLDER = ROOT / "docs" / "events"


class Numbers(GenerateJsonSchema):
    """Exact numbers are numbers in JSON, too."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:  # noqa: ARG002
        return {"type": "number"}


def schema_of(detail_type: str) -> dict[str, Any]:
    """The JSON Schema of a detail."""
    shape: TypeAdapter[Any] = TypeAdapter(UsageReported if detail_type == REPORTED else MODELS[detail_type])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"tollgate/{detail_type}/1",
        **shape.json_schema(schema_generator=Numbers, mode="serialization"),
        "title": detail_type,
    }


def texts() -> dict[str, str]:
    """File name to content."""
    return {f"{name}.json": json.dumps(schema_of(name), indent=2) + "\n" for name in (*MODELS, REPORTED)}


def write(folder: Path = FOLDER) -> Iterator[str]:
    """Writes the schemas into `folder`, and gives each file's name as it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (folder / name).write_text(text)
        yield name
