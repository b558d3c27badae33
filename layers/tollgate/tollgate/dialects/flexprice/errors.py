"""Flexprice's error body: `{code, message, http_status_code, details}` (flexprice.md 1.4)."""

from __future__ import annotations

from tollgate.dialects.http import Answer


def not_implemented(what: str) -> Answer:
    body = {
        "code": "not_implemented",
        "message": f"{what} is not implemented yet",
        "http_status_code": 501,
        "details": {},
    }
    return Answer(body, 501)
