"""Entrances that need the extra ``serve`` only when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from mdsrec_pyg.configs import configure
from mdsrec_pyg.encoders._extra import require
from mdsrec_pyg.serving.config import ServiceConfig

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mdsrec_pyg.retrieval import Retriever

__all__ = ["create_app", "require_extra"]


def require_extra() -> None:
    """Raises an ImportError that says how to install what the service needs."""
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        require(name, extra="serve")


def create_app(
    source: str | PathLike[str] | Retriever,
    settings: ServiceConfig | Mapping[str, Any] | None = None,
    **options: Any,
) -> FastAPI:
    """The service as an app of FastAPI, for any ASGI server.

    It has ``POST /recommend``, ``POST /similar``, ``GET /items``, ``/users``, ``/images/{item}``,
    ``/health``, ``/metrics`` and ``/openapi.json``, and with ``admin`` ``POST /admin/reload``.
    Requests that arrive together are scored together, by
    :meth:`~mdsrec_pyg.Retriever.recommend`, whose answers it gives. Every error is
    ``{"error": {"argument": ..., "message": ...}}``.

    Limits on connections are the server's: :func:`~mdsrec_pyg.serving.serve` sets them.

    Args:
        source: Folder of a run or of a saved model, or a retriever.
        settings: Options, or some of them by name; ``host``, ``port``, ``workers`` and
            ``max_connections`` have no effect here.
        **options: Options by name, over ``settings``.

    Raises:
        ValueError: The folder holds no model, a file of it is damaged, or an option is out of
            range.
        ImportError: The extra ``serve`` is not installed.
    """
    config = configure(ServiceConfig(), settings, **options)
    require_extra()
    from mdsrec_pyg.serving.app import make_app
    from mdsrec_pyg.serving.state import State

    return make_app(State(source, config), config)
