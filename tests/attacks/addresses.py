"""Addresses in other people's metadata: redirects that lead anywhere, hosts inside the network."""

from __future__ import annotations

import io
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import anyio  # noqa: F401 - imported before the fork, not in each child
import httpx  # noqa: F401
import pandas as pd
from PIL import Image

from mdsrec_pyg.encoders import download_images
from tests.attacks.harness import (
    LEFT,
    OTHER,
    RIGHT,
    SILENT,
    TRACEBACK,
    Count,
    detail_of,
    end_of,
    forked,
    scratch,
)

#: Where a redirect may want to lead.
REDIRECTS = (
    *("about:blank", "mailto:a@b", "file:///etc/passwd", "data:image/png;base64,AAAA", "tel:1"),
    *("javascript:alert(1)", "ftp://127.0.0.1/x", "gopher://x", "blob:http://x/1", "urn:x", "x:"),
    *(
        "http://",
        "https://",
        "//",
        "///",
        "http:///x",
        "http://[::1",
        "http://[::g]/",
        "http://:80",
    ),
    *("http://127.0.0.1:99999/", "http://127.0.0.1:-1/", "http://127.0.0.1:x/", "http://%zz/"),
    *("http://xn--/", "http://\udcff/", "http://a b/", "http://.", "http://..", "http://x..y/"),
    *("http://127.0.0.1:0/", "?" * 70_000, "\x00", "http://user:pw@127.0.0.1:1/", "http://\uff20/"),
    *("HTTP://127.0.0.1:1", "\\\\host\\share", "http://127.0.0.1\\@x/", "http://①②⑦.⓪.⓪.①:1/"),
)
#: Hosts of the local network, as one may write them.
PRIVATE = (
    *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0.0.0.0"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.0.0.1.", "①②⑦.⓪.⓪.①"),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "LOCALHOST", "user@127.0.0.1", "127.0.0.1%00.com"),
)


def _picture() -> bytes:
    """A small picture: 9 x 9, PNG."""
    file = io.BytesIO()
    Image.new("RGB", (9, 9), (200, 10, 10)).save(file, "PNG")
    return file.getvalue()


PICTURE = _picture()


class Handler(BaseHTTPRequestHandler):
    """``/good`` is a picture, ``/to/ADDRESS`` a redirect; every request is written down."""

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        """Answers."""
        with open(self.server.heard, "a") as file:  # type: ignore[attr-defined]
            file.write(f"{self.path[:80]}\n")
        if self.path.startswith("/to/"):
            self.send_response(302)
            value = unquote(self.path[4:], "utf-8", "surrogateescape")
            # As it is: the library of the server would refuse some.
            line = b"Location: " + value.encode("utf-8", "surrogateescape") + b"\r\n"
            self._headers_buffer.append(line)  # type: ignore[attr-defined]
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE)


class Server(ThreadingHTTPServer):
    """A server that ends with the process that made it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.maker = os.getpid()

    def service_actions(self) -> None:
        """Between requests."""
        if os.getppid() != self.maker:
            os._exit(0)


@contextmanager
def server(heard: Path) -> Iterator[int]:
    """A server in a process of its own: its port; ``heard`` lists the paths that were asked for."""
    made = Server()
    made.heard = heard  # type: ignore[attr-defined]
    heard.write_text("")
    pid = os.fork()
    if pid == 0:
        made.handle_error = lambda *args: None  # type: ignore[method-assign]
        try:
            made.serve_forever()
        finally:
            os._exit(0)
    made.socket.close()
    try:
        yield made.server_port
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def addresses(share: int = 1) -> Iterator[Count]:
    """One bad address among good ones: the good are fetched, the bad one fails with a reason.

    Args:
        share: Only every so-many-th address.
    """
    count = Count("hostile: redirects")
    with scratch() as place, server(place / "heard") as port:
        for n, target in enumerate(REDIRECTS[::share]):
            here = f"http://127.0.0.1:{port}"
            bad = f"{here}/to/{quote(target, safe='', errors='surrogateescape')}"
            folder = _shop(place / f"shop-{n}", [f"{here}/good/{i}" for i in range(4)], bad, target)
            _count_rows(count, folder, target[:60])
    yield count
    count = Count("hostile: private hosts")
    with scratch() as place, server(place / "heard") as port:
        for n, host in enumerate(PRIVATE[::share]):
            folder = _shop(place / f"shop-{n}", [], f"http://{host}:{port}/good", None)
            child = forked(_download, folder, False)
            asked = (place / "heard").read_text()
            end = RIGHT if child.kind == "value" else end_of(child, ())
            if asked or (child.kind == "value" and child.value[0][1] != "failed"):
                end = SILENT
            (place / "heard").write_text("")
            count.add(end, host, f"{host}: {detail_of(child)} {asked}")
    yield count


RAW_IDS = (
    *("../../evil", "/etc/evil", "..", ".", ".lock", "a/../../b", "%2e%2e%2fx", "~root", " "),
    *("\x1b[2J", "a\nb", "nul\0", "x" * 300, "\u202egnp.exe", "-rf", "con"),
)


def names() -> Iterator[Count]:
    """Raw ids that are paths: every picture stays inside of its folder."""
    count = Count("hostile: file names")
    with scratch() as place, server(place / "heard") as port:
        for n, raw_id in enumerate(RAW_IDS):
            folder = _shop(
                place / f"{n}" / "shop", [], f"http://127.0.0.1:{port}/good", None, raw_id
            )
            child = forked(_download, folder, True)
            strays = [path for path in (place / f"{n}").iterdir() if path.name != "shop"]
            end = end_of(child, ("raw_id",), None)
            end = RIGHT if end == OTHER else end
            count.add(LEFT if strays else end, repr(raw_id[:20]), f"{detail_of(child)} {strays}")
    yield count


def _shop(folder: Path, good: list[str], bad: str, target: str | None, raw_id: str = "bad") -> Path:
    folder.mkdir(parents=True)
    urls = [bad, *good]
    ids = [raw_id, *(f"good-{i}" for i in range(len(good)))]
    table = {"item": range(len(urls)), "raw_id": ids, "image_url": urls}
    pd.DataFrame(table).to_parquet(folder / "items.parquet")
    return folder


def _download(folder: Path, allow_private: bool) -> list[tuple[str, str, str]]:
    find = socket.getaddrinfo

    def local(
        host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        # No name service: numbers, and the names of this machine.
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name.lower().rstrip(".") != "localhost":
            flags |= socket.AI_NUMERICHOST
        return find(host, port, family, type, proto, flags)

    network: Any = socket  # a forked child: nobody else's
    network.getaddrinfo = local
    options: dict[str, Any] = {"retries": 0, "timeout": 5.0, "log": None, "progress": False}
    done = download_images(folder, allow_private=allow_private, concurrency=2, **options)
    return [(str(row.raw_id), row.status, row.reason) for row in done.rows]


def _count_rows(count: Count, folder: Path, case: str) -> None:
    child = forked(_download, folder, True)
    if child.kind != "value":
        end = end_of(child, ())
        count.add(end if end != OTHER else TRACEBACK, repr(case), f"{case!r}: {detail_of(child)}")
        return
    bad, *good = child.value
    lost = [row for row in good if row[1] != "ok"]
    end = (
        LEFT
        if lost
        else RIGHT
        if bad[1] in ("failed", "ok") and (bad[2] or bad[1] == "ok")
        else SILENT
    )
    count.add(end, repr(case), f"{case!r}: {bad}, {len(lost)} good ones lost")
