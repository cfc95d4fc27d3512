"""Never an address inside the local network."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("httpx", reason="needs httpx: the extra encode")
pytest.importorskip("PIL.Image", reason="needs Pillow: the extra encode")

from mdsrec_pyg.encoders import Download, _transport, download_images
from mdsrec_pyg.encoders._transport import is_public

from .picture_server import PictureServer


def fetch(folder: Path, url: str, **options: Any) -> Download:
    table = {"item": [0], "raw_id": ["a"], "image_url": [url]}
    pd.DataFrame(table).to_parquet(folder / "items.parquet")
    options = {"retries": 0, "log": None, "progress": False, **options}
    return download_images(folder, **options).rows[0]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "192.0.2.1", "198.18.0.1", "192.0.0.192"),
        *("::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1"),
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_refused_by_default(tmp_path: Path, host: str) -> None:
    with PictureServer() as server:
        row = fetch(tmp_path, f"http://{host}:{server.server_port}/good")
        assert not server.requests
    assert row.status == "failed"
    assert "inside the local network" in row.reason or "unknown host" in row.reason


def test_refused_where_a_redirect_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = ipaddress.ip_address("127.0.0.1")  # stands for a server on the internet
    monkeypatch.setattr(_transport, "is_public", lambda ip: ip == outside or is_public(ip))
    with PictureServer() as server:
        assert fetch(tmp_path, f"{server.url}/moved").status == "ok"
        (tmp_path / "images/a.jpg").unlink()
        row = fetch(tmp_path, f"{server.url}/inside")
        assert row.reason == "127.0.0.2 is 127.0.0.2, inside the local network"
        assert server.requests["/inside"] == 1
        assert "/good" not in server.requests


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Lets the name service give these addresses, one list after the other; the hosts asked for."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        family = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (family[ipaddress.ip_address(ip).version], socket.SOCK_STREAM, 6, "", (ip, port))
            for ip in addresses
        ]

    monkeypatch.setattr(_transport.anyio, "getaddrinfo", getaddrinfo)
    return asked


def test_the_address_that_was_checked_is_the_one_that_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = ipaddress.ip_address("127.0.0.1")
    monkeypatch.setattr(_transport, "is_public", lambda ip: ip == outside or is_public(ip))
    # A name that changes its address between the look and the connection.
    asked = names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    with PictureServer() as server:
        row = fetch(tmp_path, f"http://shop.example:{server.server_port}/good")
        assert row.status == "ok"
        assert server.headers["Host"] == f"shop.example:{server.server_port}"
        (tmp_path / "images/a.jpg").unlink()
        row = fetch(tmp_path, f"http://shop.example:{server.server_port}/good")
        assert row.reason == "shop.example is 127.0.0.2, inside the local network"
    assert asked == ["shop.example"] * 2


def test_one_private_address_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    row = fetch(tmp_path, "http://shop.example/good")
    assert row.reason == "shop.example is 10.0.0.1, inside the local network"


def test_the_next_address_where_one_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PictureServer() as server:
        url = f"http://shop.example:{server.server_port}/good"
        names(monkeypatch, ["::1", "127.0.0.3", "127.0.0.1"])  # the server listens on the last
        assert fetch(tmp_path, url, allow_private=True).status == "ok"


def test_unknown_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = names(monkeypatch, [])
    assert fetch(tmp_path, "http://gone.example/a", retries=3).reason == "unknown host gone.example"
    assert len(asked) == 1
