"""Builds the console's site: `python -m tollgate_cli.console <directory>`.

There is no bundler. The page's modules are plain ES modules, and the few libraries come from their npm packages, which
`npm ci` has compared with the hashes in console/package-lock.json. Each file goes out under a name with its own hash;
an import map says which name stands for which module, and with which integrity. The map is the page's only inline
script, and the Content-Security-Policy names its hash.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CONSOLE = ROOT / "console"
LIBRARIES = {
    "preact": "preact/dist/preact.mjs",
    "preact/hooks": "preact/hooks/dist/hooks.mjs",
    "htm": "htm/dist/htm.mjs",
    "uplot": "uplot/dist/uPlot.esm.js",
}
STYLES = ("style.css", "uplot/dist/uPlot.min.css")
LATER = {"uplot"}  # libraries that are not needed for the first page
_SOURCE_MAP = re.compile(rb"^//# sourceMappingURL=.*$", re.MULTILINE)


class Asset(NamedTuple):
    """One file of the site: its name beside the page, and what is in it."""

    path: str
    content: bytes

    @property
    def integrity(self) -> str:
        """Its hash, as a browser compares it."""
        return f"sha384-{base64.b64encode(hashlib.sha384(self.content).digest()).decode()}"


def build(target: Path) -> None:
    """Writes the site's files, compressed, and the headers that each is served with."""
    packages = CONSOLE / "node_modules"
    if not packages.is_dir():
        raise FileNotFoundError(f"{packages} is not there: `make tools` fetches the console's packages")
    own = {
        path.relative_to(CONSOLE / "src").as_posix(): path.read_bytes()
        for path in sorted((CONSOLE / "src").rglob("*.js"))
    }
    modules = {f"./console/assets/{name}": _hashed(name, content) for name, content in own.items()}
    for name, path in LIBRARIES.items():
        content = _SOURCE_MAP.sub(b"", (packages / path).read_bytes())
        modules[name] = _hashed(f"lib/{name.replace('/', '-')}.js", content)
    style = b"\n".join(((CONSOLE / "src" if "/" not in path else packages) / path).read_bytes() for path in STYLES)
    assets = {
        "style": _hashed("style.css", style),
        "icon": _hashed("icon.svg", (CONSOLE / "src" / "icon.svg").read_bytes()),
    }
    import_map = json.dumps(
        {
            "imports": {name: f"./{asset.path}" for name, asset in modules.items()},
            "integrity": {f"./{asset.path}": asset.integrity for asset in modules.values()},
        },
        separators=(",", ":"),
    )
    page = _page(import_map, modules, assets)
    _write(target / "index.html", page.encode())
    for asset in (*modules.values(), *assets.values()):
        _write(target / asset.path.removeprefix("console/"), asset.content)
    (target / "headers.json").write_text(json.dumps(_headers(import_map), indent=2))


def _hashed(name: str, content: bytes) -> Asset:
    stem, _, suffix = name.rpartition(".")
    return Asset(f"console/assets/{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{suffix}", content)


def _page(import_map: str, modules: Mapping[str, Asset], assets: Mapping[str, Asset]) -> str:
    page = (CONSOLE / "src" / "index.html").read_text()
    main = modules["./console/assets/main.js"]
    filled = {
        "icon": f'<link rel="icon" href="{assets["icon"].path}" type="image/svg+xml">',
        "style": f'<link rel="stylesheet" href="{assets["style"].path}" integrity="{assets["style"].integrity}">',
        "modules": "\n".join(_preloads(modules)),
        "import-map": f'<script type="importmap">{import_map}</script>',
        "main": f'<script type="module" src="{main.path}" integrity="{main.integrity}"></script>',
    }
    for name, html in filled.items():
        page = page.replace(f"<!-- {name} -->", html)
    return page


def _preloads(modules: Mapping[str, Asset]) -> Iterator[str]:
    """All that the first page needs, asked for at once and not one import after another."""
    for name, asset in modules.items():
        if name not in LATER:
            yield f'<link rel="modulepreload" href="{asset.path}" integrity="{asset.integrity}">'


def _headers(import_map: str) -> dict[str, str]:
    script = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    policy = {
        "default-src": "'none'",
        "script-src": f"'self' 'sha256-{script}'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, mtime=0))


if __name__ == "__main__":
    build(Path(sys.argv[1]))
