"""The OpenAPI 3.1 documents under `docs/openapi/`: one for each dialect, and one of Tollgate's own routes.

They are made of the functions' own tables of routes (`served`), of the models that read requests (`json_schemas`) and of
shapes that describe answers (`shapes`). The tests hold that every answer has its shape. Nothing here is deployed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tollgate_cli.openapi import examples
from tollgate_cli.openapi.autumn import AUTUMN, TOLLGATE
from tollgate_cli.openapi.document import Dialect, document
from tollgate_cli.openapi.flexprice import FLEXPRICE
from tollgate_cli.openapi.lotus import LOTUS
from tollgate_cli.openapi.shapes import OWN
from tollgate_cli.servers import ROOT

__all__ = [
    "AUTUMN",
    "DIALECTS",
    "FLEXPRICE",
    "FOLDER",
    "LOTUS",
    "OWN",
    "TOLLGATE",
    "Dialect",
    "document",
    "texts",
    "write",
]

FOLDER = ROOT / "docs" / "openapi"
DIALECTS: tuple[Dialect, ...] = (AUTUMN, FLEXPRICE, LOTUS, TOLLGATE)


def texts() -> dict[str, str]:
    """File name to content."""
    return {
        f"{dialect.name}.json": json.dumps(document(dialect, examples.read(dialect.name)), indent=2, ensure_ascii=False)
        + "\n"
        for dialect in DIALECTS
    }


def write(folder: Path = FOLDER) -> Iterator[str]:
    """Writes the documents into `folder`, and gives each file's name as it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (folder / name).write_text(text)
        yield name
