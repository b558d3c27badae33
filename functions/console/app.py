"""`/console`: the console's page and its files, as `tollgate_cli/console.py` built them beside this one.

It knows no data and asks for no key: what the page shows, it asks of the API. So this function needs nothing but its
files, which it reads once.
"""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from tollgate.dialects.paths import path_of

SITE = Path(__file__).parent / "site"
PAGE = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOREVER = "public, max-age=31536000, immutable"  # a changed file has another name


@cache
def _headers() -> dict[str, str]:
    """What goes with every answer."""
    found: dict[str, str] = json.loads((SITE / "headers.json").read_text())
    return found


@cache
def _files() -> dict[str, bytes]:
    """Each file's name and its compressed content."""
    return {path.relative_to(SITE).as_posix().removesuffix(".gz"): path.read_bytes() for path in SITE.rglob("*.gz")}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers one GET of `/console` or of a file under it (payload format 2.0)."""
    path = path_of(event)
    given = {name.lower(): value for name, value in event["headers"].items()}
    if path == "/console/":  # the page's links are relative to a place without the slash
        return {"statusCode": 308, "headers": {**_headers(), "location": "../console"}}
    name = PAGE if path == "/console" else path.removeprefix("/console/")
    if name not in _files() or path == f"/console/{PAGE}":
        missing = {**_headers(), "content-type": "text/plain"}
        return {"statusCode": 404, "headers": missing, "body": "There is no such file."}
    headers = {
        **_headers(),
        "content-type": TYPES[Path(name).suffix],
        "cache-control": "no-cache" if name == PAGE else FOREVER,
        "vary": "accept-encoding",
    }
    body = _files()[name]
    if "gzip" in given.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
    else:
        body = gzip.decompress(body)
    return {
        "statusCode": 200,
        "headers": headers,
        "isBase64Encoded": True,
        "body": base64.b64encode(body).decode(),
    }
