"""Lotus's access checks (`GET /api/metric_access/` and its kin): to come."""

from __future__ import annotations

from typing import Any

from tollgate.dialects.lotus.errors import not_implemented


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return not_implemented(event["rawPath"]).to_event()
