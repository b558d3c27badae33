"""Autumn's document of ours beside what Autumn's SDK, made from their own, knows of each route. What differs is listed,
with its reason, in docs/openapi/autumn-differences.md."""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Iterator

import autumn_sdk

from tests.conftest import ROOT
from tests.vendor import operations, route_differences
from tests.vendor_sdk import Known, routes
from tollgate_cli.openapi import AUTUMN, document

PAGE = ROOT / "docs" / "openapi" / "autumn-differences.md"
UNDEFINED = {  # autumn-sdk 1.2.0 names what it does not define: these modules of it fail to load
    "createfeatureop": "CreateFeatureDimensionsResponse5",
    "updatefeatureop": "UpdateFeatureDimensionsResponse5",
}
DOCUMENT = document(AUTUMN, ())
OPERATIONS = operations(DOCUMENT)


def known() -> dict[str, Known]:
    """What the SDK knows of each route."""
    for module, name in UNDEFINED.items():
        for each in (name, f"{name}TypedDict"):
            setattr(builtins, each, dict)
        importlib.import_module(f"autumn_sdk.models.{module}")
    return routes(autumn_sdk)


SDK = known()
if __name__ == "__main__":
    from collections import Counter
    c = Counter()
    print("NOT IN SDK", sorted(set(OPERATIONS) - set(SDK)))
    print("NOT SERVED", sorted(set(SDK) - set(OPERATIONS)))
    rows = {}
    for route, op in OPERATIONS.items():
        if route in SDK:
            for d in route_differences(op, SDK[route], DOCUMENT):
                rows.setdefault((d.schema, d.kind), set()).add(d.field)
    for k, v in sorted(rows.items()): print(k, sorted(v))
