"""The JSON Schemas under `docs/events/`, made from the models of the events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tollgate.dialects.events_models import MODELS, REPORTED, schema_of
from tollgate_cli.servers import ROOT

FOLDER = ROOT / "docs" / "events"


def texts() -> dict[str, str]:
    """File name to content."""
    return {f"{name}.json": json.dumps(schema_of(name), indent=2) + "\n" for name in (*MODELS, REPORTED)}


def write(folder: Path = FOLDER) -> Iterator[str]:
    """Writes the schemas into `folder`, and gives each file's name as it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (folder / name).write_text(text)
        yield name
