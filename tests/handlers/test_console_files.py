"""How the console's function serves the files that were built for it; tests/e2e/test_console.py has the true ones."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from functions.console import app
from tests.http_events import http_event

SCRIPT = "assets/main-0123456789ab.js"


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page and a script."""
    for name, text in (("index.html", "<p>page</p>"), (SCRIPT, "go()")):
        path = tmp_path / f"{name}.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
    (tmp_path / "headers.json").write_text(json.dumps({"content-security-policy": "default-src 'none'"}))
    monkeypatch.setattr(app, "SITE", tmp_path)
    app._headers.cache_clear()
    app._files.cache_clear()


def get(path: str, **headers: str) -> dict[str, Any]:
    """The answer; every one has the policy."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = app.handler(http_event(f"GET {path}", headers=sent), None)
    assert answer["headers"]["content-security-policy"] == "default-src 'none'"
    return answer


def text_of(answer: dict[str, Any]) -> str:
    body = base64.b64decode(answer["body"])
    return (gzip.decompress(body) if answer["headers"].get("content-encoding") == "gzip" else body).decode()


def test_the_page_is_asked_for_anew_each_time_and_its_files_never() -> None:
    page, script = get("/console"), get(f"/console/{SCRIPT}")
    assert (text_of(page), page["headers"]["cache-control"]) == ("<p>page</p>", "no-cache")
    assert (text_of(script), script["headers"]["cache-control"]) == ("go()", "public, max-age=31536000, immutable")
    assert script["headers"]["content-type"] == "text/javascript; charset=utf-8"


def test_it_is_compressed_for_those_who_can_read_that() -> None:
    plain, packed = get("/console"), get("/console", Accept_Encoding="br, gzip")
    assert "content-encoding" not in plain["headers"]
    assert packed["headers"]["content-encoding"] == "gzip"
    assert text_of(plain) == text_of(packed)


@pytest.mark.parametrize("path", ["/console/index.html", "/console/assets/main.js", "/console/../app.py", "/console/x"])
def test_there_is_nothing_else(path: str) -> None:
    assert get(path)["statusCode"] == 404


def test_a_slash_too_much_leads_to_the_page() -> None:
    answer = get("/console/")
    assert (answer["statusCode"], answer["headers"]["location"]) == (308, "../console")
