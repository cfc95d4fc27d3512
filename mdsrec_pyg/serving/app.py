"""The app: its routes over what is loaded."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from mdsrec_pyg.serving.answers import answer_questions, check_k, question_of, similar
from mdsrec_pyg.serving.batching import Batcher
from mdsrec_pyg.serving.config import ServiceConfig
from mdsrec_pyg.serving.errors import ServiceError, add_error_handlers, error_response, shown
from mdsrec_pyg.serving.limits import Guard
from mdsrec_pyg.serving.logs import log_event
from mdsrec_pyg.serving.metrics import CONTENT_TYPE_LATEST, Metrics
from mdsrec_pyg.serving.neighbors import neighborhood
from mdsrec_pyg.serving.page.files import add_page
from mdsrec_pyg.serving.schemas import (
    ErrorModel,
    HealthModel,
    ItemsModel,
    NeighborsRequest,
    RecommendAnswer,
    RecommendRequest,
    ReloadAnswer,
    SearchRequest,
    SimilarAnswer,
    SimilarRequest,
    UsersModel,
)
from mdsrec_pyg.serving.state import State
from mdsrec_pyg.version import __version__

__all__ = ["make_app"]

ERRORS: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorModel, "description": "An argument is not as it must be"},
    503: {"model": ErrorModel, "description": "Busy, or too slow: try again"},
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorModel, "description": "There is none of this name"}
}


def make_app(state: State, config: ServiceConfig) -> FastAPI:
    """The app over what is loaded; see :func:`~mdsrec_pyg.serving.create_app`."""
    # What the retriever warns of stands in each answer; with names in it, Python would keep each.
    warnings.filterwarnings("ignore", r"(left |skipped )?[\d,]+ (user|item)s?\b", UserWarning)
    metrics = Metrics()
    batcher = Batcher(config, metrics.batch)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(batcher.close)

    app = FastAPI(
        title="mdsrec_pyg",
        version=__version__,
        summary="Recommendations, similar items and the items themselves",
        docs_url=None,  # its scripts would come from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service, app.state.batcher, app.state.config = state, batcher, config
    app.add_middleware(Guard, config=config, metrics=metrics)
    add_error_handlers(app)

    @app.exception_handler(Exception)
    async def of_ours(request: Request, error: Exception) -> JSONResponse:
        return error_response(500, "the service failed to answer; its log says why")

    def said(done: bool, message: str) -> None:
        metrics.reload(done)
        log_event("reload", logging.INFO if done else logging.ERROR, ok=done, message=message)

    state.on_reload.append(said)
    _add_answers(app, state, batcher, config)
    _add_searches(app, state, batcher, config)
    _add_service(app, state, batcher, config, metrics)
    if config.admin:
        _add_admin(app, state, config)
    add_page(app)
    return app


def _add_answers(app: FastAPI, state: State, batcher: Batcher, config: ServiceConfig) -> None:
    """What asks the model."""

    @app.post("/recommend", response_model=RecommendAnswer, responses={**NOT_FOUND, **ERRORS})
    async def recommend(body: RecommendRequest, request: Request) -> Response:
        """The best items for a history of raw ids, or for a known user."""
        loaded = state.current
        log = request.state.log
        log.update(k=min(body.k, 10**9), explain=body.explain)
        if config.log_contents:
            log.update(user=body.user, history=(body.history or [])[: config.max_history])
        question = question_of(body, loaded, config)
        log.update(length=len(question.history), dropped=len(question.dropped))
        answer = await batcher.ask(question.key, question, answer_questions)
        log.update(source=answer["source"], model=answer["model"])
        return JSONResponse(answer)

    @app.post("/similar", response_model=SimilarAnswer, responses={**NOT_FOUND, **ERRORS})
    async def similar_items(body: SimilarRequest, request: Request) -> Response:
        """Items that are like an item, by each modality and learned graph."""
        loaded = state.current
        if config.log_contents:
            request.state.log.update(item=body.item)
        check_k(body.k, loaded, config)
        return JSONResponse(await batcher.call("similar", partial(similar, body, loaded)))

    @app.get("/neighbors", response_class=JSONResponse, responses={**NOT_FOUND, **ERRORS})
    async def neighbors(around: Annotated[NeighborsRequest, Query()], request: Request) -> Response:
        """The nearest items in the graph of each modality, and the edges between them."""
        if config.log_contents:
            request.state.log.update(item=around.item)
        find = partial(neighborhood, state.current, around.item, around.k, around.kind)
        return JSONResponse(await batcher.call("neighbors", find))


def _add_searches(app: FastAPI, state: State, batcher: Batcher, config: ServiceConfig) -> None:
    """What looks items and users up."""

    @app.get("/items", response_model=ItemsModel, responses=ERRORS)
    async def items(search: Annotated[SearchRequest, Query()], request: Request) -> Response:
        """Items whose raw id or text holds the query; the one of that raw id first."""
        if config.log_contents:
            request.state.log.update(query=search.query)
        find = partial(state.current.catalog.search, search.query, search.limit)
        found, total = await batcher.call("items", find)
        return JSONResponse({"items": found, "total": total})

    @app.get("/users", response_model=UsersModel, responses={**NOT_FOUND, **ERRORS})
    async def users(search: Annotated[SearchRequest, Query()], request: Request) -> Response:
        """Users whose histories are known, and the number of their items."""
        histories = state.current.histories
        if histories is None:
            raise ServiceError(
                404, "no users are known here: start with --data or --histories", "query"
            )
        if config.log_contents:
            request.state.log.update(query=search.query)
        find = partial(histories.search, search.query, search.limit)
        found, total = await batcher.call("users", find)
        return JSONResponse({"users": found, "total": total})

    @app.get("/images/{item:path}", response_class=FileResponse, responses=NOT_FOUND)
    def image(item: str) -> Response:  # in a thread: it opens a file, which may be far away
        """The picture of an item."""
        found = state.current.catalog.image(item)
        if found is None:
            raise ServiceError(404, f"there is no picture of {shown(item)}", "item")
        path, kind = found
        headers = {
            "Cache-Control": "max-age=3600",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        return FileResponse(path, media_type=kind, headers=headers)


def _add_service(
    app: FastAPI, state: State, batcher: Batcher, config: ServiceConfig, metrics: Metrics
) -> None:
    """What looks after the service."""

    @app.get("/health", response_model=HealthModel)
    async def health() -> Response:
        """What is served; answered while everything else is busy, too."""
        loaded = state.current
        limits = {"k": min(config.max_k, len(loaded.catalog)), "history": config.max_history}
        users = None if loaded.histories is None else len(loaded.histories)
        content = {
            "status": "ok",
            "model": loaded.version,
            "items": len(loaded.catalog),
            "modalities": loaded.modalities,
            "users": users,
            "images": loaded.catalog.has_images,
            "reload": state.last_reload,
            "name": loaded.name,
            "limits": limits,
        }
        return JSONResponse(content)

    @app.get("/metrics", response_class=Response)
    async def figures() -> Response:
        """Figures for Prometheus."""
        metrics.waiting(batcher.num_waiting)
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _add_admin(app: FastAPI, state: State, config: ServiceConfig) -> None:
    """What changes the service: there only where it is asked for."""

    @app.post(
        "/admin/reload",
        response_model=ReloadAnswer,
        responses={202: {"model": ReloadAnswer}, 409: {"model": ErrorModel}},
    )
    async def reload(request: Request) -> Response:
        """Loads the folder anew; where that fails the old model stays and the answer says why.

        Where it takes long the answer is 202, and ``reload`` of ``/health`` says how it ended.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/json":  # what a form of a foreign page cannot send
            raise ServiceError(
                415, f"'Content-Type' must be application/json (got {shown(kind)})", "Content-Type"
            )
        loading = asyncio.ensure_future(asyncio.to_thread(state.reload_all))
        ended, _ = await asyncio.wait({loading}, timeout=config.timeout / 2)
        if not ended:
            return JSONResponse({"status": "loading", "model": state.current.version}, 202)
        if not loading.result():
            assert state.last_reload is not None
            raise ServiceError(409, state.last_reload["message"], "folder")
        return JSONResponse({"status": "reloaded", "model": state.current.version})
