"""Downloads from a server that behaves well and badly."""

from __future__ import annotations

import errno
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("httpx", reason="needs httpx: the extra encode")
pytest.importorskip("PIL.Image", reason="needs Pillow: the extra encode")

from mdsrec_pyg.encoders import Download, Downloads, download_images, find_images, open_image

from .picture_server import PictureServer, picture

QUICK: dict[str, Any] = {"allow_private": True, "backoff": 0.01, "log": None, "progress": False}


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


def items(folder: Path, urls: list[str | None], column: str = "image_url") -> Path:
    """A data set folder with these URLs; the raw id of each is the last part of its path."""
    names = [(url or f"none/{row}").rpartition("/")[2] or str(row) for row, url in enumerate(urls)]
    table = {"item": range(len(urls)), "raw_id": names, column: urls}
    pd.DataFrame(table).to_parquet(folder / "items.parquet")
    return folder


def one(folder: Path, url: str, **options: Any) -> Download:
    """What becomes of one URL."""
    (row,) = download_images(items(folder, [url]), **{**QUICK, **options}).rows
    return row


def test_files_and_table(server: PictureServer, tmp_path: Path) -> None:
    urls = [f"{server.url}/good/a", None, f"{server.url}/missing/b", f"  {server.url}/png/c ", " "]
    lines: list[str] = []
    downloads = download_images(items(tmp_path, urls), **{**QUICK, "log": lines.append})
    size, other = len(server.jpeg), len(picture("PNG"))
    assert [(row.status, row.bytes, row.reason) for row in downloads.rows] == [
        ("ok", size, ""),
        ("no_url", 0, ""),
        ("failed", 0, "status 404"),
        ("ok", other, ""),
        ("no_url", 0, ""),
    ]
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == [
        "a.jpg",
        "c%20.png",  # the suffix is that of the content
    ]
    assert (tmp_path / "images/a.jpg").read_bytes() == server.jpeg
    table = (tmp_path / "image_url_download.tsv").read_text().splitlines()
    assert table[:2] == ["raw_id\tstatus\tbytes\treason", f"a\tok\t{size}\t"]
    assert table[3] == "b\tfailed\t0\tstatus 404"
    assert lines[0] == f"images       5 items, 3 to fetch, into {tmp_path / 'images'}"
    assert "2 downloaded, 1 failed, 2 without a URL" in lines[-1]
    assert "1 x status 404" in lines[-1]


def test_continues_after_a_stop(server: PictureServer, tmp_path: Path) -> None:
    folder = items(tmp_path, [f"{server.url}/good/{name}" for name in "abc"])
    (folder / "images").mkdir()
    (folder / "images" / "b.webp").write_bytes(b"1234")
    downloads = download_images(folder, **QUICK)
    assert [row.status for row in downloads.rows] == ["ok", "present", "ok"]
    assert downloads.rows[1].bytes == 4
    assert server.requests["/good/b"] == 0
    again = download_images(folder, **QUICK)
    assert [row.status for row in again.rows] == ["present"] * 3
    assert server.requests["/good/a"] == 1


def test_what_is_there_when_interrupted(
    server: PictureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mdsrec_pyg.encoders import _fetch

    def check(body: bytes, limits: Any) -> str:
        if server.requests["/good/b"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return ".jpg"

    monkeypatch.setattr(_fetch, "check_image", check)
    folder = items(tmp_path, [f"{server.url}/good/{name}" for name in "abc"])
    with pytest.raises(OSError, match="No space left"):
        download_images(folder, concurrency=1, **QUICK)
    table = pd.read_csv(folder / "image_url_download.tsv", sep="\t")
    assert table["status"].tolist() == ["ok", "not_tried", "not_tried"]
    assert list(find_images(folder / "images")) == ["a"]


def test_where_and_which_column(server: PictureServer, tmp_path: Path) -> None:
    folder = items(tmp_path, [f"{server.url}/good/a"], "photo")
    downloads = download_images(folder, tmp_path / "other" / "place", column="photo", **QUICK)
    assert open_image(downloads.folder / "a.jpg").size == (64, 48)
    assert downloads.table == folder / "photo_download.tsv"
    with pytest.raises(ValueError, match="expected a column 'image_url'"):
        download_images(folder, **QUICK)


@pytest.mark.parametrize("name", ["busy", "cut", "reset", "at-a-date"])
def test_another_try(server: PictureServer, tmp_path: Path, name: str) -> None:
    assert one(tmp_path, f"{server.url}/{name}").status == "ok"
    assert server.requests[f"/{name}"] == (3 if name == "busy" else 2)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("busy", "status 503"),
        ("cut", "RemoteProtocolError: peer closed connection without sending complete"),
        ("reset", "ReadError|RemoteProtocolError"),
    ],
)
def test_no_other_try(server: PictureServer, tmp_path: Path, name: str, reason: str) -> None:
    row = one(tmp_path, f"{server.url}/{name}", retries=0)
    assert row.status == "failed"
    assert row.reason.startswith(tuple(reason.split("|")))
    assert server.requests[f"/{name}"] == 1
    assert "(2 tries)" in one(tmp_path, f"{server.url}/busy/x", retries=1).reason


def test_backoff_doubles(server: PictureServer, tmp_path: Path) -> None:
    one(tmp_path, f"{server.url}/busy", backoff=0.4)
    first, second, third = server.times["/busy"]
    assert second - first >= 0.2  # half to all of 0.4
    assert third - second >= 0.4  # half to all of 0.8


def test_the_server_says_when(server: PictureServer, tmp_path: Path) -> None:
    assert one(tmp_path, f"{server.url}/later", backoff=0).status == "ok"
    first, second = server.times["/later"]
    assert second - first >= 1
    row = one(tmp_path, f"{server.url}/tomorrow")
    assert row.reason == "the server asks to wait 86,400 s, more than is left"
    assert server.requests["/tomorrow"] == 1
    # A superscript, and a year and a zone that no date has: no wish, and no end of the run.
    for value in ("%B2", "Mon, 1 Jan 99999999999 0:0:0 GMT", "Mon, 1 Jan 2024 0:0:0 %2B9999999999"):
        assert one(tmp_path, f"{server.url}/odd-wait/{value}").status == "ok"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("html", "not an image, or of no format that is read"),
        ("typed", "not an image: content type text/html; charset=utf-8"),
        ("short", "unreadable: image file is truncated"),
        ("packed", "compressed, though that was not asked for"),
        ("pixel", "only 1 x 1 pixels: a placeholder, by 'min_side' 8"),
        ("announced", "more than 20,000,000 bytes (1,000,000,000 announced)"),
        ("endless", "more than 20,000,000 bytes"),
        ("nowhere", "status 302 without a location"),
        ("file", "not http or https: file:"),
        ("no-name", "redirected to no URL: "),
    ],
)
def test_lies(server: PictureServer, tmp_path: Path, name: str, reason: str) -> None:
    row = one(tmp_path, f"{server.url}/{name}")
    assert row.status == "failed"
    assert row.reason.startswith(reason)
    assert server.requests[f"/{name}"] == 1
    assert not find_images(tmp_path / "images")


@pytest.mark.parametrize("name", ["slow", "silent"])
def test_time_limit(server: PictureServer, tmp_path: Path, name: str) -> None:
    start = time.monotonic()
    row = one(tmp_path, f"{server.url}/{name}", timeout=0.6)
    assert time.monotonic() - start < 15
    assert row.status == "failed"
    assert "more than 0.6 s" in row.reason or "ReadTimeout" in row.reason


def test_limits_are_passed_on(server: PictureServer, tmp_path: Path) -> None:
    url = f"{server.url}/good"
    assert one(tmp_path, url, max_bytes=len(server.jpeg) - 1).reason.startswith("more than")
    assert one(tmp_path, url, max_pixels=64 * 48 - 1).reason.startswith("too large: 64 x 48")
    assert one(tmp_path, url, min_side=49).reason.startswith("only 64 x 48 pixels")
    options = {"max_bytes": len(server.jpeg), "max_pixels": 64 * 48, "min_side": 48}
    assert one(tmp_path, url, **options).status == "ok"


def test_redirects(server: PictureServer, tmp_path: Path) -> None:
    assert one(tmp_path, f"{server.url}/moved").status == "ok"
    assert server.requests["/good/moved"] == 1
    row = one(tmp_path, f"{server.url}/circle/1", max_redirects=3)
    assert row.reason == "more than 3 redirects"
    assert sum(count for path, count in server.requests.items() if "circle" in path) == 4


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://127.0.0.1/a.jpg", "not http or https"),
        ("file:///etc/passwd", "not http or https"),
        ("no url", "not http or https"),
        ("http:///a.jpg", "not http or https"),
        ("http://[::1", "no URL"),
        ("http://xn--/a.jpg", "no URL"),
        ("http://127.0.0.1:99999/a.jpg", "no URL: port 99999"),
        ("http://127.0.0.1:1/a.jpg", "ConnectError"),
    ],
)
def test_what_is_no_url(tmp_path: Path, url: str, reason: str) -> None:
    row = one(tmp_path, url, retries=0)
    assert row.status == "failed"
    assert row.reason.startswith(reason)


def test_concurrency_and_name(server: PictureServer, tmp_path: Path) -> None:
    folder = items(tmp_path, [f"{server.url}/sleepy/{number}" for number in range(8)])
    downloads = download_images(folder, concurrency=3, user_agent="me <a@b.c>", **QUICK)
    assert {row.status for row in downloads.rows} == {"ok"}
    assert server.most_active == 3
    assert server.headers["User-Agent"] == "me <a@b.c>"
    assert server.headers["Accept-Encoding"] == "identity"


def test_in_a_running_loop(server: PictureServer, tmp_path: Path) -> None:
    import asyncio

    async def notebook() -> Downloads:
        return download_images(items(tmp_path, [f"{server.url}/good"]), **QUICK)

    assert asyncio.run(notebook()).rows[0].status == "ok"


def test_two_at_once(server: PictureServer, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with (tmp_path / "images/.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="is being done by another process"):
            one(tmp_path, f"{server.url}/good")


@pytest.mark.parametrize(
    "options",
    [
        *({"timeout": float("inf")}, {"backoff": float("nan")}),
        *({"concurrency": 0}, {"max_bytes": 0}, {"max_pixels": 0}, {"timeout": 0}),
        *({"retries": -1}, {"backoff": -1}, {"max_redirects": -1}, {"min_side": -1}),
    ],
)
def test_mistakes(tmp_path: Path, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"'{name}' must be"):
        one(tmp_path, "http://localhost/a.jpg", **options)
