"""A web server on this machine that serves images well and badly."""

from __future__ import annotations

import io
import socket
import struct
import threading
import time
from collections import Counter
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


def picture(kind: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    """A photograph-like image: noise, which no format makes small."""
    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


class PictureServer(ThreadingHTTPServer):
    """Serves ``/<behavior>``; ``requests`` counts paths, ``headers`` has the last request's."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.jpeg = picture()
        self.requests: Counter[str] = Counter()
        self.headers: dict[str, str] = {}
        self.times: dict[str, list[float]] = {}
        self.active, self.most_active = 0, 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what is tested."""

    def __enter__(self) -> PictureServer:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: PictureServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        name = self.path.strip("/").partition("/")[0]
        with server.lock:
            server.requests[self.path] += 1
            server.times.setdefault(self.path, []).append(time.monotonic())
            server.headers = dict(self.headers)
            server.active += 1
            server.most_active = max(server.most_active, server.active)
        try:
            getattr(self, name.replace("-", "_"))(server.requests[self.path])
        finally:
            with server.lock:
                server.active -= 1

    def answer(self, body: bytes, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for key, value in {
            "Content_Type": "image/jpeg",
            "Content_Length": len(body),
            **headers,
        }.items():
            self.send_header(key.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def good(self, count: int) -> None:
        self.answer(self.server.jpeg)

    def png(self, count: int) -> None:  # called a jpeg
        self.answer(picture("PNG"))

    def sleepy(self, count: int) -> None:
        self.server.stopping.wait(0.1)
        self.answer(self.server.jpeg)

    def missing(self, count: int) -> None:
        self.answer(b"no", 404)

    def busy(self, count: int) -> None:
        if count < 3:
            self.answer(b"", 503)
        else:
            self.answer(self.server.jpeg)

    def later(self, count: int) -> None:  # asks for one second
        if count == 1:
            self.answer(b"", 429, Retry_After=1)
        else:
            self.answer(self.server.jpeg)

    def at_a_date(self, count: int) -> None:
        if count == 1:
            self.answer(b"", 503, Retry_After=formatdate(time.time() - 5, usegmt=True))
        else:
            self.answer(self.server.jpeg)

    def tomorrow(self, count: int) -> None:
        self.answer(b"", 503, Retry_After=86400)

    def odd_wait(self, count: int) -> None:  # ends in the header's value, percent-encoded
        if count == 1:
            self.answer(b"", 503, Retry_After=unquote(self.path.rpartition("/")[2], "latin-1"))
        else:
            self.answer(self.server.jpeg)

    def html(self, count: int) -> None:  # typed as an image
        self.answer(b"<html>Please log in</html>")

    def typed(self, count: int) -> None:
        self.answer(b"<html>Please log in</html>", Content_Type="text/html; charset=utf-8")

    def cut(self, count: int) -> None:  # promises more than comes
        body = self.server.jpeg[:800] if count < 2 else self.server.jpeg
        self.answer(body, Content_Length=len(self.server.jpeg))

    def short(self, count: int) -> None:  # promises less than comes
        self.answer(self.server.jpeg, Content_Length=800)

    def reset(self, count: int) -> None:
        if count < 2:
            # Closing with this option sends a reset instead of an orderly end.
            option = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
            self.connection.shutdown(socket.SHUT_RD)
            self.connection.close()
        else:
            self.answer(self.server.jpeg)

    def announced(self, count: int) -> None:
        self.answer(b"", Content_Length=10**9)

    def endless(self, count: int) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.stopping.is_set():
            self.wfile.write(self.server.jpeg)

    def slow(self, count: int) -> None:  # a byte at a time, for ever
        self.send_response(200)
        self.end_headers()
        while not self.server.stopping.wait(0.05):
            self.wfile.write(b"\xff")

    def silent(self, count: int) -> None:
        self.server.stopping.wait(60)

    def packed(self, count: int) -> None:
        self.answer(self.server.jpeg, Content_Encoding="gzip")

    def pixel(self, count: int) -> None:
        self.answer(picture("GIF", (1, 1)))

    def moved(self, count: int) -> None:
        self.answer(b"", 302, Location="/good/moved")

    def circle(self, count: int) -> None:
        number = int(self.path.rpartition("/")[2])
        self.answer(b"", 302, Location=f"/circle/{number + 1}")

    def inside(self, count: int) -> None:
        self.answer(b"", 302, Location=f"http://127.0.0.2:{self.server.server_port}/good")

    def file(self, count: int) -> None:
        self.answer(b"", 302, Location="file:///etc/passwd")

    def no_name(self, count: int) -> None:
        self.answer(b"", 302, Location="http://xn--/")

    def to(self, count: int) -> None:  # to the address in the path, percent-encoded
        self.answer(b"", 302, Location=unquote(self.path.removeprefix("/to/"), "latin-1"))

    def nowhere(self, count: int) -> None:
        self.answer(b"", 302)
