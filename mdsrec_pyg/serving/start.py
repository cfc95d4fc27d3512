"""Entrances that need the extra ``serve`` only when they are called."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from mdsrec_pyg.configs import configure
from mdsrec_pyg.serving.config import ServiceConfig

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mdsrec_pyg.retrieval import Retriever

__all__ = ["create_app", "require_extra", "serve"]


def require_extra() -> None:
    """Raises an ImportError that says how to install what the service needs."""
    from mdsrec_pyg.encoders._extra import require

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
            ``max_connections`` have no effect here, and ``allowed_hosts`` is any unless it is
            given: where the server listens, only you know.
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


def serve(
    folder: str | PathLike[str],
    settings: ServiceConfig | Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Serves a folder by uvicorn until SIGTERM or SIGINT, then answers what it has and returns.

    SIGHUP loads the folder anew: requests that run end with the model they began with, later ones
    get the new one; where it cannot be loaded the old one stays, and log and ``/health`` say why.
    With several ``workers`` one that is killed is replaced while the others answer. The log goes
    to standard error, an object of JSON a line.

    To be called in the main thread of a process that does nothing else.

    Args:
        folder: Folder of a run or of a saved model.
        settings: Options, or some of them by name.
        **options: Options by name, over ``settings``.

    Raises:
        ValueError: As :func:`create_app`.
        OSError: Nobody can listen at the address.
        ImportError: The extra ``serve`` is not installed.
    """
    config = configure(ServiceConfig(), settings, **options)
    require_extra()
    from mdsrec_pyg.serving.server import run_server

    if not config.is_local:
        warnings.warn(
            f"'host' {config.host!r} can be reached from other machines, and there is no login: "
            "anybody there can ask for items, histories of known users"
            + (", and reload the model" if config.admin else ""),
            stacklevel=2,
        )
    run_server(str(folder), config)
