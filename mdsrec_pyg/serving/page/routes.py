"""The page's own routes: its files, and the neighborhood of an item for the drawing."""

from __future__ import annotations

from typing import Any, Protocol

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from mdsrec_pyg.serving.page.files import HEADERS, StaticFile, read_static
from mdsrec_pyg.serving.page.neighbors import MOST, Cards, neighborhood
from mdsrec_pyg.showing import showable

__all__ = ["add_page"]


class Loaded(Protocol):
    """What is served at a moment."""

    @property
    def retriever(self) -> Any:
        """Answers, and knows the graphs."""

    @property
    def catalog(self) -> Cards:
        """Its items, for people."""


class State(Protocol):
    """Where it is found; it may be swapped between two requests."""

    current: Any  # Loaded


def add_page(app: FastAPI, state: State) -> None:
    """Adds the page at ``/``, its files at ``/static/NAME`` and ``/neighbors``.

    Args:
        app: The service's app.
        state: Holds ``current``, with ``retriever`` and ``catalog``; read once a request.
    """
    files = read_static()

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return _sent(files["index.html"], request)

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str, request: Request) -> Response:
        if name not in files or name == "index.html":
            raise HTTPException(404)
        return _sent(files[name], request)

    @app.get("/neighbors", response_class=JSONResponse)
    def neighbors(item: str, kind: str | None = None, k: int = 8) -> Response:
        """The nearest items in the graph of each modality, and the edges between them."""
        loaded: Loaded = state.current
        if item not in loaded.catalog:
            shown = repr(showable(item, 80))
            return _refused(404, "item", f"'item' must be an item of the catalog (got {shown})")
        if not 1 <= k <= MOST:
            return _refused(422, "k", f"'k' must be from 1 to {MOST} (got {k})")
        try:
            return JSONResponse(neighborhood(loaded.retriever, loaded.catalog, item, k, kind))
        except ValueError as error:
            return _refused(422, "kind", str(error))


def _refused(status: int, argument: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"argument": argument, "message": message}}, status)


def _sent(file: StaticFile, request: Request) -> Response:
    headers = {**HEADERS, "ETag": file.tag}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
