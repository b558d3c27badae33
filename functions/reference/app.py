"""The reference: the OpenAPI documents at `/openapi/…`, and at `/docs` a page to read them and to try calls.

Whatever it serves was made when the function was built (build.py), compressed: nothing here knows what is in it.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

from tollgate.dialects.paths import path_of

_SITE = Path(__file__).with_name("site")
_PAGES: dict[str, dict[str, Any]] = json.loads((_SITE / "pages.json").read_text())  # by path: its file and headers
_TAKES_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))").search


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers one GET of API Gateway's (payload format 2.0): the file, or 304 where the caller has it."""
    page = _PAGES.get(path_of(event))
    if page is None:
        return {"statusCode": 404, "headers": {"content-type": "application/json"}, "body": '{"message":"Not Found"}'}
    sent = {name.lower(): value for name, value in event["headers"].items()}
    headers = page["headers"]
    if headers["etag"] in sent.get("if-none-match", ""):
        kept = ("cache-control", "etag", "vary")
        return {"statusCode": 304, "headers": {name: headers[name] for name in kept}}
    body = (_SITE / page["file"]).read_bytes()
    if _TAKES_GZIP(sent.get("accept-encoding", "")):
        headers = {**headers, "content-encoding": "gzip"}
    else:
        body = gzip.decompress(body)
    return {
        "statusCode": 200,
        "headers": headers,
        "isBase64Encoded": True,
        "body": base64.b64encode(body).decode(),
    }
