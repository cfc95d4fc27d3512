"""The page: its files, read once, the headers that they are sent with, and their routes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response

__all__ = ["add_page"]

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


def add_page(app: FastAPI) -> None:
    """Adds the page at ``/`` and its files at ``/static/NAME``."""
    files = read_static()

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return _sent(files["index.html"], request)

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str, request: Request) -> Response:
        if name not in files or name == "index.html":
            raise HTTPException(404)
        return _sent(files[name], request)


def _sent(file: StaticFile, request: Request) -> Response:
    headers = {**HEADERS, "ETag": file.tag}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
