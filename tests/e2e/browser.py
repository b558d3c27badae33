"""A real browser for the console: the Chromium that the npm package @sparticuz/chromium carries, moved by Playwright.

It is unpacked once into `.local/` and needs nothing that is installed on the machine.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import brotli
from playwright.sync_api import Browser, sync_playwright

from tests.conftest import ROOT
from tests.e2e.programs import CLIENTS

PACKAGE = CLIENTS / "node_modules" / "@sparticuz" / "chromium"
AXE = CLIENTS / "node_modules" / "axe-core" / "axe.min.js"
LIBRARIES = ("al2023", "swiftshader", "fonts")
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{place}/fonts/fonts</dir><cachedir>{place}/fonts-cache</cachedir></fontconfig>
"""


def chromium() -> Path:
    """The directory of the unpacked browser, of the version that the lock names."""
    version = json.loads((PACKAGE / "package.json").read_text())["version"]
    place = ROOT / ".local" / f"chromium-{version}"
    program = place / "chromium"
    if not program.exists():
        place.mkdir(parents=True, exist_ok=True)
        for name in LIBRARIES:
            packed = brotli.decompress((PACKAGE / "bin" / f"{name}.tar.br").read_bytes())
            with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
                tar.extractall(place / name if name == "fonts" else place, filter="data")
        (place / "fonts" / "fonts.conf").write_text(FONTS.format(place=place))
        unpacked = place / f"chromium.{os.getpid()}"
        unpacked.write_bytes(brotli.decompress((PACKAGE / "bin" / "chromium.br").read_bytes()))
        unpacked.chmod(0o755)
        unpacked.rename(program)  # last: whoever finds it finds all
    return place


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser without a window."""
    place = chromium()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=place / "chromium",
            args=["--no-sandbox", "--headless=new", "--disable-gpu", "--hide-scrollbars"],
            env={**os.environ, "LD_LIBRARY_PATH": str(place / "lib"), "FONTCONFIG_PATH": str(place / "fonts")},
        )
        try:
            yield running
        finally:
            running.close()
