"""Flexprice's customer entitlements (`GET /v1/customers/{id}/entitlements`): to come."""

from __future__ import annotations

from typing import Any

from tollgate.dialects.flexprice.errors import not_implemented


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return not_implemented(event["rawPath"]).to_event()
