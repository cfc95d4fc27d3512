"""The files of the page, read once, and the headers that they are sent with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HEADERS", "StaticFile", "read_static"]

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: Scripts, styles and pictures come from the service alone, and no text may become a script: items
#: are described by whoever made the data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for anew, and mostly answered by 304
}


@dataclass(frozen=True)
class StaticFile:
    """A file of the page.

    Args:
        content: Its bytes.
        media_type: What it is.
        tag: Changes with the content: the ``ETag``.
    """

    content: bytes
    media_type: str
    tag: str


def read_static() -> dict[str, StaticFile]:
    """All files by name. They are looked up: no path is ever made of what a request names."""
    found = {}
    for path in sorted(STATIC.iterdir()):
        if path.suffix in TYPES:
            content = path.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
            found[path.name] = StaticFile(content, TYPES[path.suffix], tag)
    return found
