"""Connections of the server: how many there are, and how long one may last without an answer."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from mdsrec_pyg.serving.config import ServiceConfig
from mdsrec_pyg.serving.limits import MAX_HEADER

__all__ = ["BoundedH11", "Listening"]

KEEP_ALIVE = 5


class Listening(Config):
    """Uvicorn's configuration that takes the service's along, into worker processes, too."""

    def __init__(self, app: Any, service: ServiceConfig, **options: Any) -> None:
        super().__init__(
            app,
            http=BoundedH11,
            ws="none",
            lifespan="on",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=MAX_HEADER,
            timeout_keep_alive=KEEP_ALIVE,
            **options,
        )
        self.service = service


class BoundedH11(H11Protocol):
    """A connection that is refused where there are too many, and ends where nothing comes of it.

    Uvicorn refuses requests, not connections, and waits forever for one that sends nothing, or a
    letter of its headers a minute, or does not read its answer.
    """

    config: Listening
    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Takes the connection, or refuses it."""
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio does so only where the socket listened under the protocol's own number, which
            # create_server leaves out: the body would wait for the head's receipt, 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        most = self.config.service.max_connections
        if len(self.connections) > most:
            message = f"the service is busy: it takes {most} connections at once; try again"
            transport.write(plain_response(b"503 Service Unavailable", message))
            transport.close()
        else:
            self._watch()

    def _watch(self) -> None:
        """From here on an answer must be whole in time: one comes in, and goes out."""
        self._unwatch()
        seconds = 2 * self.config.service.timeout + KEEP_ALIVE
        self._end = self.loop.call_later(seconds, self.transport.abort)

    def _unwatch(self) -> None:
        if self._end is not None:
            self._end.cancel()

    def on_response_complete(self) -> None:
        """The next answer has its own time."""
        self._watch()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._unwatch()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, or has too many headers, in the form of every error."""
        message = f"the request must be HTTP with at most {MAX_HEADER} bytes of headers"
        self.transport.write(plain_response(b"400 Bad Request", message))
        self.transport.close()


def plain_response(status: bytes, message: str) -> bytes:
    """A whole response of HTTP/1.1 with an error as its body."""
    body = json.dumps({"error": {"argument": None, "message": message}}).encode()
    return (
        b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n%b" % (status, len(body), body)
    )
