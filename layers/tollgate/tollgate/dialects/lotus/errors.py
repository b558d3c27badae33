"""Lotus's error body: `{type, detail, title}` (lotus.md 1.9)."""

from __future__ import annotations

from tollgate.dialects.http import Answer

_DOCS = "https://docs.uselotus.io/errors/error-responses"


def not_implemented(what: str) -> Answer:
    return Answer(
        {"type": f"{_DOCS}#server-error", "detail": f"{what} is not implemented yet", "title": "not_implemented"}, 501
    )
