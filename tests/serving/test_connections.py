"""A real server in a thread: its connections are bounded, in number and in time."""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

Make = Callable[..., Any]


@contextmanager
def served(app: Any) -> Iterator[int]:
    """Runs an app behind the service's own connections; its port."""
    import uvicorn

    from mdsrec_pyg.serving.connections import Listening

    config = app.state.config
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        server = uvicorn.Server(Listening(app, config, log_config=None, loop="asyncio"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def said(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and body of what is answered, to its end."""
    text = b""
    while part := connection.recv(65536):
        text += part
    head, _, body = text.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def is_open(connection: socket.socket) -> bool:
    """Whether the server has neither said anything nor left."""
    return not select.select([connection], [], [], 0)[0]


GET = b"GET /health HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"


def test_no_part_of_an_answer_waits_for_the_receipt_of_another(
    make_app: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mdsrec_pyg.serving.connections import BoundedH11

    made, at_once = BoundedH11.connection_made, []

    def noting(self: Any, transport: Any) -> None:
        made(self, transport)
        taken = transport.get_extra_info("socket")
        at_once.append(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(BoundedH11, "connection_made", noting)
    with served(make_app()) as port, connect(port) as connection:
        connection.sendall(GET)
        assert said(connection)[0] == 200
    assert at_once == [1]


def test_a_flood_of_connections_is_bounded(make_app: Make) -> None:
    with served(make_app(max_connections=20)) as port:
        flood = [connect(port) for _ in range(300)]
        try:
            end = time.monotonic() + 20
            while sum(map(is_open, flood)) > 20 and time.monotonic() < end:
                time.sleep(0.05)
            assert sum(map(is_open, flood)) == 20
            status, body = said(next(one for one in flood if not is_open(one)))
            assert status == 503
            assert body["error"]["message"] == (
                "the service is busy: it takes 20 connections at once; try again"
            )
        finally:
            for one in flood:
                one.close()
        time.sleep(0.2)
        with connect(port) as after:
            after.sendall(GET)
            assert said(after)[0] == 200


def test_connections_of_which_nothing_comes_end(
    make_app: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mdsrec_pyg.serving.connections.KEEP_ALIVE", 0.1)
    with served(make_app(timeout=0.2)) as port, connect(port) as silent, connect(port) as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\n")
        start = time.monotonic()
        for letter in b"X-Slow: " + b"a" * 200:
            try:
                slow.sendall(bytes([letter]))
            except OSError:
                break
            time.sleep(0.05)
        assert time.monotonic() - start < 5
        assert silent.recv(100) == b""  # the connect's own timeout would raise


def test_a_connection_that_asks_again_and_again_stays(
    make_app: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mdsrec_pyg.serving.connections.KEEP_ALIVE", 0.1)
    monkeypatch.setattr(
        "uvicorn.protocols.http.h11_impl.H11Protocol.timeout_keep_alive_handler", id
    )
    with served(make_app(timeout=0.4)) as port:
        one = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        one.connect()
        own = one.sock
        for _ in range(12):
            one.request("GET", "/health")
            assert one.getresponse().read()
            time.sleep(0.1)
        assert one.sock is own
        one.close()


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        (
            b"\x16\x03\x01 no HTTP at all\r\n\r\n",
            400,
            "the request must be HTTP with at most 16384",
        ),
        (b"GET /health HTTP/1.1\r\nX-Bomb: " + b"a" * 100_000, 400, "the request must be HTTP"),
        (b"GET /health HTTP/1.1\r\n" + b"X: a\r\n" * 20_000, 400, "the request must be HTTP"),
        (
            b"POST /recommend HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + b"2000\r\n" + b"x" * 0x2000 + b"\r\n",
            413,
            "the body must have at most 5000 bytes",
        ),
        (
            b"POST /recommend HTTP/1.1\r\nHost: shop\r\nContent-Length: 99999999999\r\n\r\n",
            413,
            "the body must have at most 5000 bytes",
        ),
        (
            b"GET /images/../../../etc/passwd HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n",
            404,
            "there is no picture of '../../../etc/passwd'",
        ),
        (
            b"GET /images/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: shop\r\n"
            b"Connection: close\r\n\r\n",
            404,
            "there is no picture of '../../etc/passwd'",
        ),
    ],
)
def test_hostile_bytes_get_an_error(make_app: Make, sent: bytes, status: int, message: str) -> None:
    with served(make_app(max_body=5000)) as port:
        with connect(port) as one:
            one.sendall(sent)
            found, body = said(one)
        assert found == status
        assert body["error"]["message"].startswith(message)
        with connect(port) as after:
            after.sendall(GET)
            assert said(after)[0] == 200


def test_a_client_that_sends_too_much_reads_why(make_app: Make) -> None:
    head = b"POST /recommend HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    with served(make_app(max_body=1_000_000)) as port, connect(port) as one:
        one.sendall(head + b"Content-Length: 4000000\r\n\r\n")
        for _ in range(40):  # as clients do that read when all is sent
            one.sendall(b"x" * 100_000)
        time.sleep(0.2)
        assert said(one)[0] == 413


def test_what_was_asked_before_the_end_is_answered(make_app: Make) -> None:
    app = make_app(batch_wait=0.5)
    body = b'{"history": ["item-3"], "k": 3}'
    request = (
        b"POST /recommend HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    with served(app) as port:
        asked = [connect(port) for _ in range(5)]
        for one in asked:
            one.sendall(request)
        time.sleep(0.2)
    for one in asked:
        with one:
            assert said(one)[0] == 200
