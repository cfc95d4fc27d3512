"""One image that fails is that image's failure; a disk that takes nothing is everybody's."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

pytest.importorskip("httpx", reason="needs httpx: the extra encode")
pytest.importorskip("PIL.Image", reason="needs Pillow: the extra encode")

from mdsrec_pyg.encoders import download_images, find_images

from .picture_server import PictureServer
from .test_download import QUICK, items


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


def test_one_bad_item_ends_nothing(
    server: PictureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mdsrec_pyg.encoders import _fetch

    whole = _fetch.check_image

    def check(body: bytes, limits: Any) -> str:
        if body.startswith(b"\x89PNG"):
            raise RuntimeError("a library's surprise")
        return whole(body, limits)

    monkeypatch.setattr(_fetch, "check_image", check)
    (tmp_path / "images" / "b.jpg").mkdir(parents=True)
    urls = [f"{server.url}/png/odd"]
    urls += [f"{server.url}/good/{name}" for name in ("n" * 201, "b", "c")]
    urls += [f"{server.url}/to/{quote(to, safe='')}" for to in ("about:blank", "mailto:a@b")]
    downloads = download_images(items(tmp_path, [*urls, f"{server.url}/good/d"]), **QUICK)
    assert [(row.status, row.reason[:40]) for row in downloads.rows] == [
        ("failed", "RuntimeError: a library's surprise"),
        ("failed", "'raw_id' must be at most 200 characters "),
        ("failed", "ValueError: 'path' must name a file (got"),
        ("ok", ""),
        ("failed", "redirected to no URL: For absolute URLs,"),
        ("failed", "redirected to no URL: For absolute URLs,"),
        ("ok", ""),
    ]


def test_an_item_of_two_images_ends_nothing(server: PictureServer, tmp_path: Path) -> None:
    folder = items(tmp_path, [f"{server.url}/good/{name}" for name in "ab"])
    (folder / "images").mkdir()
    for name in ("a.jpg", "a.png", "x.jpg", "x.png"):
        (folder / "images" / name).touch()
    first, second = download_images(folder, **QUICK).rows
    assert first.reason == f"several images: {folder}/images/a.jpg and {folder}/images/a.png"
    assert second.status == "ok"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_ends_the_call_and_says_so(
    server: PictureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(path: Path, body: bytes) -> None:
        raise OSError(code, os.strerror(code))

    folder = items(tmp_path, [f"{server.url}/good/{name}" for name in "ab"])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match=r"the same call continues.*images/a\.jpg"):
            download_images(folder, concurrency=1, **QUICK)
    assert not find_images(folder / "images")
    assert {row.status for row in download_images(folder, **QUICK).rows} == {"ok"}
