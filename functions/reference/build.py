"""Makes the reference's site, and what it tells agents: `python build.py VIEWER PAGES SITE`.

VIEWER is the folder of npm's package swagger-ui-dist, PAGES that of the pages for agents (tollgate_cli/site.py), SITE where the site is to lie: a compressed file for each page, and
`pages.json` with their paths and headers. A file of the viewer is named after its content, and kept for a year by whoever has
it; the page and the documents are asked for again, and answered with 304 where they are the same.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DOCUMENTS = HERE.parent.parent / "docs" / "openapi"
VIEWER = ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-32x32.png")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
FOR_A_YEAR = "public, max-age=31536000, immutable"
ASKED_AGAIN = "public, max-age=60, stale-while-revalidate=86400"


class Site:
    """The pages that were added, in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._pages: dict[str, Any] = {}

    def add(self, path: str, content: bytes, cache: str, **headers: str) -> None:
        """A page at a path."""
        digest = hashlib.sha256(content).hexdigest()
        (self._folder / f"{digest}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
        self._pages[path] = {
            "file": f"{digest}.gz",
            "headers": {
                "content-type": TYPES[Path(path).suffix or ".html"],
                "cache-control": cache,
                "etag": f'"{digest[:32]}"',
                "vary": "accept-encoding",
                "x-content-type-options": "nosniff",
                **headers,
            },
        }

    def kept(self, name: str, content: bytes) -> str:
        """Adds a file that never changes under its path. Returns what stands for it in the page: its path from there, as an
        API may be mounted under a base path, and its integrity."""
        stem, dot, suffix = name.rpartition(".")
        path = f"docs/{stem}-{hashlib.sha256(content).hexdigest()[:16]}{dot}{suffix}"
        self.add(f"/{path}", content, FOR_A_YEAR)
        return f'"{path}" integrity="sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"'

    def close(self) -> None:
        """Writes the table of pages."""
        (self._folder / "pages.json").write_text(json.dumps(self._pages, indent=1))


def main(viewer: Path, pages: Path, folder: Path) -> None:
    """Makes the site."""
    site = Site(folder)
    documents = {path.name: json.loads(path.read_text()) for path in sorted(DOCUMENTS.glob("*.json"))}
    for name, document in documents.items():
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        site.add(f"/openapi/{name}", text.encode(), ASKED_AGAIN, **{"access-control-allow-origin": "*"})
    for path in sorted(pages.rglob("*.*")):
        at = f"/{path.relative_to(pages).as_posix()}"
        site.add(at, path.read_bytes(), ASKED_AGAIN, **{"access-control-allow-origin": "*"})
    listed = [{"url": f"openapi/{name}", "name": each["info"]["title"]} for name, each in documents.items()]
    start = (HERE / "start.js").read_text().replace("DOCUMENTS", json.dumps(listed, ensure_ascii=False))
    page = (HERE / "page.html").read_text().replace('"start.js"', site.kept("start.js", start.encode()))
    page = page.replace('"page.css"', site.kept("page.css", (HERE / "page.css").read_bytes()))
    for name in VIEWER:
        page = page.replace(f'"{name}"', site.kept(name, (viewer / name).read_bytes()))
    policy = {"content-security-policy": POLICY, "referrer-policy": "no-referrer"}
    site.add("/docs", page.encode(), ASKED_AGAIN, **policy)
    site.close()


if __name__ == "__main__":
    main(*(Path(each) for each in sys.argv[1:4]))
