"""The page's files: which there are, by path, and what a browser needs to keep them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Path: name of the file, content type.
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.css": ("docs.css", "text/css; charset=utf-8"),
    "/openapi.json": ("openapi.json", "application/json"),
}


@dataclass(frozen=True)
class File:
    content: str
    content_type: str

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content.encode()).hexdigest()[:16]}"'


@cache
def show_page(path: str, folder: Path) -> File | None:
    """The file at a path, read once; None where there is none."""
    if path not in FILES:
        return None
    name, content_type = FILES[path]
    return File((folder / name).read_text(encoding="utf-8"), content_type)
