"""A request under a name that the service is not known by is refused: DNS may lie to a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mdsrec_pyg.serving import ServiceConfig
from tests.serving.conftest import ask_each, error_of
from tests.serving.test_connections import connect, said, served

Make = Callable[..., Any]

LOCAL = {"localhost", "127.0.0.1", "[::1]"}


@pytest.mark.parametrize("path", ["/health", "/", "/static/app.js", "/items", "/images/item-1"])
def test_only_the_allowed_hosts_are_answered(make_app: Make, path: str) -> None:
    app = make_app(allowed_hosts="shop.example, [::1]")
    hosts = ["shop.example", "SHOP.example:8000", "[::1]:8000", "[::1]"]
    others = ["evil.example", "shop.example.evil.org", "[::2]", "::1", "shop.example:8000:8000", ""]
    found = ask_each(app, *(("GET", path, {"headers": {"Host": h}}) for h in hosts + others))
    allowed, refused = found[: len(hosts)], found[len(hosts) :]
    assert {response.status_code for response in allowed} <= {200, 404}
    assert [response.status_code for response in refused] == [400] * len(others)
    assert error_of(refused[0]) == {
        "argument": "Host",
        "message": "'Host' must be one of --allowed-hosts (got 'evil.example')",
    }


def test_a_request_without_a_host_is_refused_where_hosts_are_named(make_app: Make) -> None:
    with served(make_app(allowed_hosts="shop")) as port, connect(port) as one:
        one.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        status, body = said(one)
    assert status == 400
    assert body["error"]["argument"] == "Host"


@pytest.mark.parametrize(
    ("options", "hosts"),
    [
        ({}, LOCAL),
        ({"host": "localhost"}, LOCAL),
        ({"host": "127.8.8.8"}, {*LOCAL, "127.8.8.8"}),
        ({"host": "::1"}, LOCAL),
        ({"host": "0.0.0.0"}, None),
        ({"allowed_hosts": "*"}, None),
        ({"allowed_hosts": "a, B"}, {"a", "b"}),
        ({"host": "0.0.0.0", "allowed_hosts": "a"}, {"a"}),
    ],
)
def test_a_service_on_this_machine_is_known_by_its_names(
    options: dict[str, Any], hosts: set[str] | None
) -> None:
    assert ServiceConfig(**options).listening().hosts == hosts


def test_the_server_names_its_hosts(
    make_app: Make, monkeypatch: pytest.MonkeyPatch, model_folder: Any
) -> None:
    from mdsrec_pyg.serving import server

    found: list[Any] = []

    def worker_app(folder: str, config: ServiceConfig) -> Any:
        found.append(config)
        return make_app()

    monkeypatch.setattr(server, "worker_app", worker_app)
    monkeypatch.setattr(server.uvicorn.Server, "run", lambda self, sockets: None)
    server.run_server(str(model_folder), ServiceConfig(port=0))
    assert found[0].hosts == LOCAL


@pytest.mark.parametrize("given", ["", "https://shop", "shop:8000", "shop/", "a,,b", "::1", "*.a"])
def test_a_host_that_can_be_none_is_named(given: str) -> None:
    with pytest.raises(ValueError, match="'allowed_hosts' must be names without scheme and port"):
        ServiceConfig(allowed_hosts=given)
