"""What stands before the app: who is asked, bounds on body, time and number, and the log."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from mdsrec_pyg.serving.config import ServiceConfig
from mdsrec_pyg.serving.errors import ServiceError, shown
from mdsrec_pyg.serving.logs import log_event
from mdsrec_pyg.serving.metrics import Metrics

__all__ = ["MAX_HEADER", "Guard"]

#: Most bytes of all headers of a request.
MAX_HEADER = 16 * 1024
#: How much of a body that is too long is read and dropped after the answer: so many times what is
#: allowed, and for so many seconds.
LINGER, LINGER_SECONDS = 8, 1.0

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Bounds every request and says how it went.

    Health and metrics are answered however many requests there are: who looks after the service
    must see that it is busy.

    Args:
        app: What answers.
        config: Limits.
        metrics: Told of each request.
    """

    def __init__(self, app: App, config: ServiceConfig, metrics: Metrics) -> None:
        self.app, self.config, self.metrics = app, config, metrics
        self._requests, self._hosts = 0, config.hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request within the limits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500
        scope.setdefault("state", {})["log"] = {}
        number = _request_id(scope)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {
                    b"x-request-id": number.encode(),
                    b"x-content-type-options": b"nosniff",
                    **dict(message.get("headers", ())),
                }
                message = {**message, "headers": list(headers.items())}
            await send(message)

        self._requests += 1
        try:
            await self._bounded(scope, receive, sending)
        finally:
            self._requests -= 1
            seconds = time.perf_counter() - start
            path = getattr(scope.get("route"), "path", "unknown")
            self.metrics.request(path, status, seconds)
            log_event(
                "request",
                id=number,
                method=scope["method"],
                path=path,
                status=status,
                ms=round(seconds * 1e3, 2),
                **scope["state"]["log"],
            )

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            self._check_host(scope)
            if self._requests > self.config.max_requests and scope["path"] not in (
                "/health",
                "/metrics",
            ):
                raise ServiceError.busy(
                    f"the service is busy: it takes {self.config.max_requests} requests at once; "
                    "try again"
                )
            size = sum(len(name) + len(value) for name, value in scope["headers"])
            if size > MAX_HEADER:
                raise ServiceError(
                    431, f"the headers must have at most {MAX_HEADER} bytes (got {size})"
                )
            body = await self._body(scope, receive)
            answered = self.app(scope, _replay(body, receive), noting)
            await asyncio.wait_for(answered, self.config.timeout)
        except ServiceError as error:
            if error.status == 413:
                await _send_and_linger(error, scope, receive, noting, self.config.max_body)
            else:
                await _send_error(error, scope, noting)
        except asyncio.TimeoutError:
            if started:  # part of an answer is no answer: the connection is closed
                raise
            slow = ServiceError.busy(
                f"the answer took longer than {self.config.timeout:g} s: try again, or ask for less"
            )
            await _send_error(slow, scope, noting)

    def _check_host(self, scope: Scope) -> None:
        """Starlette's own refuses with a text, and older ones take no IPv6 address."""
        if self._hosts is None:
            return
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        for host in given or [""]:
            if re.sub(r":\d*$", "", host).lower() not in self._hosts:
                raise ServiceError(
                    400, f"'Host' must be one of --allowed-hosts (got {shown(host)})", "Host"
                )

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, however it is sent; what is too long is not read to its end."""
        most = self.config.max_body
        headers = dict(scope["headers"])
        given = headers.get(b"content-length", b"0")
        if not re.fullmatch(rb"\d{1,18}", given):
            raise ServiceError(400, "'Content-Length' must be a whole number", "Content-Length")
        if int(given) > most:
            raise _too_long(most)
        try:
            return await asyncio.wait_for(_read(receive, most), self.config.timeout)
        except asyncio.TimeoutError:
            raise ServiceError(
                408,
                f"the body must come in within {self.config.timeout:g} s",
                headers={"Connection": "close"},
            ) from None


async def _read(receive: Receive, most: int) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_long(most)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_long(most: int) -> ServiceError:
    # The rest is not taken, so that nothing else can be said on the connection.
    return ServiceError(
        413, f"the body must have at most {most} bytes", headers={"Connection": "close"}
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once, then what comes after it: that the client has left."""
    given = False

    async def replaying() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying


async def _send_error(error: ServiceError, scope: Scope, send: Send) -> None:
    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    await error.response()(scope, nothing, send)


async def _send_and_linger(
    error: ServiceError, scope: Scope, receive: Receive, send: Send, most: int
) -> None:
    """Sends an error whole, then reads on: who still sends would lose it with the connection."""

    async def holding(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "more_body": True}
        await send(message)

    async def drop() -> None:
        left, more = LINGER * most, True
        while more and left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            more = message.get("more_body", False)

    await _send_error(error, scope, holding)
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(drop(), LINGER_SECONDS)
    await send({"type": "http.response.body", "body": b""})


def _request_id(scope: Scope) -> str:
    """The caller's own ``X-Request-ID`` where it is a plain word, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and re.fullmatch(rb"[\w.-]{1,64}", value):
            return str(value.decode())
    return uuid.uuid4().hex[:16]
