"""``mdsrec serve``: its options are those of the configuration, its mistakes a line."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdsrec_pyg.cli import serve
from mdsrec_pyg.serving import ServiceConfig

Call = Callable[..., Any]

OTHER: dict[str, Any] = {
    name: not value if isinstance(value, bool) else value + 1 if value is not None else "folder"
    for name, value in ServiceConfig(host="").to_dict().items()
    if name != "host"
}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command would serve."""
    found: list[Any] = []
    monkeypatch.setattr(serve, "serve", lambda folder, config: found.append((folder, config)))
    return found


def test_defaults_are_those_of_the_configuration(call: Call, served: list[Any]) -> None:
    assert call("serve", "runs/shop").code == 0
    assert served == [("runs/shop", ServiceConfig())]


def test_every_option_is_passed_on(call: Call, served: list[Any]) -> None:
    words = [f"--{name.replace('_', '-')}" for name in OTHER]
    options = [
        word
        for name, word in zip(OTHER, words, strict=True)
        for word in ([word] if OTHER[name] is True else [word, OTHER[name]])
    ]
    assert call("serve", "shop", "--host", "::1", *options).code == 0
    assert served == [("shop", ServiceConfig(host="::1", **OTHER))]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--port", 65_536, "'port' must be at most 65535 (got 65536)"),
        ("--workers", 0, "'workers' must be at least 1 (got 0)"),
        ("--threads", 0, "'threads' must be at least 1 (got 0)"),
        ("--timeout", 0, "'timeout' must be above 0 (got 0)"),
        ("--batch-wait", -1, "'batch_wait' must not be negative (got -1.0)"),
        (
            "--allowed-hosts",
            "a:1",
            "'allowed_hosts' must be names without scheme and port, separated "
            "by commas (got 'a:1')",
        ),
        ("--max-body", 0, "'max_body' must be at least 1 (got 0)"),
    ],
)
def test_an_option_out_of_range_is_a_line(
    call: Call, option: str, value: Any, message: str
) -> None:
    done = call("serve", "shop", option, value)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"error: {message}\n"


def test_a_folder_that_is_none_is_a_line(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    done = call("serve", tmp_path, "--port", 0)
    assert done.code == 1
    assert f"error: 'folder' must hold a saved model or a run that has ended (got {tmp_path}" in (
        done.err
    )


def test_a_port_that_is_taken_is_a_line(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = call("serve", tmp_path, "--port", port)
    assert done.code == 1
    assert done.err == (
        f"error: cannot listen at 127.0.0.1:{port} (Address already in use); another 'port' may be "
        "free, and 0 takes one that is\n"
    )


def test_a_host_that_is_none_is_a_line(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = call("serve", tmp_path, "--host", "no host", "--port", 0)
    assert done.code == 1
    assert "error: cannot listen at no host (" in done.err


def test_a_data_set_that_is_none_is_named(call: Call, trained: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    done = call("serve", trained, "--data", "nowhere", "--port", 0)
    assert done.code == 1
    assert "error: 'data' must be the folder of a data set (got nowhere)" in done.err


def test_more_connections_than_files_are_refused(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    done = call("serve", tmp_path, "--max-connections", 10**9)
    assert done.code == 1
    assert "error: 'max_connections' must be at most " in done.err


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        *(("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.8.8.8", True)),
        *(("0.0.0.0", False), ("::", False), ("192.168.0.4", False), ("shop", False)),
    ],
)
def test_who_else_can_reach_it_is_warned_of(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, is_local: bool
) -> None:
    server = pytest.importorskip(
        "mdsrec_pyg.serving.server", reason="the extra serve is not installed"
    )
    monkeypatch.setattr(server, "run_server", lambda folder, config: None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert call("serve", tmp_path, "--host", host, "--admin").code == 0
    said = [str(warning.message) for warning in caught]
    assert [part.endswith("and reload the model") for part in said] == [True] * (not is_local)
    assert all(f"{host!r} can be reached from other machines" in part for part in said)


def test_without_the_extra_it_says_how_to_install_it(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fastapi", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = call("serve", tmp_path)
    assert done.code == 1
    assert "pip install 'mdsrec_pyg[serve]'" in done.err
