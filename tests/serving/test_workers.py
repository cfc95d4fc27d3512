"""Processes: a worker that is killed, a model that is replaced, an end that answers."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.serving.conftest import save_model

START = 300.0  # importing torch takes minutes on a machine that is busy


class Service:
    """``mdsrec serve`` as a process, and its log."""

    def __init__(self, folder: Path, place: Path, *options: str) -> None:
        command = [sys.executable, "-m", "mdsrec_pyg", "serve", str(folder), "--port", "0"]
        self.log = place / "log.jsonl"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *options], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127.0.0.1:(\d+)", line)
        assert found is not None, (line, self.log.read_text())
        self.port = int(found[1])

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def wait(
        self,
        holds: Callable[[], Any],
        meanwhile: Sequence[http.client.HTTPConnection] = (),
    ) -> Any:
        """Until something holds; connections are asked all the time, so that they stay."""
        end = time.monotonic() + START
        while time.monotonic() < end:
            found = holds()
            if found:
                return found
            assert self.process.poll() is None, self.log.read_text()
            for one in meanwhile:
                ask(one)
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)


def ask(connection: http.client.HTTPConnection, name: str = "") -> dict[str, Any]:
    body = json.dumps({"history": ["item-3", "item-5"], "k": 3})
    headers = {"Content-Type": "application/json", **({"X-Request-ID": name} if name else {})}
    connection.request("POST", "/recommend", body, headers)
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    assert response.status == 200, answer
    return answer


def owners(service: Service, number: int) -> dict[int, int]:
    """The worker of each connection, when all are in the log, which is written after the answer."""
    found = {
        int(line["id"].removeprefix("first-")): line["process"]
        for line in service.lines("request")
        if line["id"].startswith("first-")
    }
    return found if len(found) == number else {}


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


@pytest.fixture
def serving(folder: Path, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(*options: str) -> Service:
        started.append(Service(folder, tmp_path, *options))
        return started[-1]

    yield start
    for service in started:
        service.process.terminate()
        try:
            service.process.wait(60)
        except subprocess.TimeoutExpired:
            service.process.kill()


class FakeWorker:
    """A process that lives, or does not."""

    def __init__(self, *args: Any) -> None:
        self.pid, self.exitcode, self.lives = id(self), -9, True

    def is_alive(self, timeout: float) -> bool:
        return self.lives

    def is_ready(self, timeout: float) -> bool:
        return True

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def join(self) -> None: ...


def test_a_worker_in_place_of_one_that_had_to_reload_reloads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mdsrec_pyg.serving import server

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(server, "Worker", FakeWorker)
    told: list[int] = []
    monkeypatch.setattr(server.os, "kill", lambda pid, number: told.append(pid))
    workers: Any = server.Workers.__new__(server.Workers)
    workers.__dict__ |= {"_to_reload": set(), "_served": True, "should_exit": threading.Event()}
    workers.config, workers.sockets = SimpleNamespace(timeout_worker_healthcheck=1), []
    dead, other = workers.processes = [FakeWorker(), FakeWorker()]
    workers.handle_hup()
    dead.lives = False
    workers.keep_subprocess_alive()
    assert told == [other.pid]
    workers.keep_subprocess_alive()
    assert told == [other.pid, workers.processes[0].pid]
    assert workers.processes[0] is not dead


@pytest.mark.slow
def test_two_workers_outlive_a_kill_and_follow_the_folder(
    serving: Callable[..., Service], folder: Path
) -> None:
    service = serving("--workers", "2")
    service.wait(lambda: len(service.lines("loaded")) == 2)
    before = ask(service.connect())

    # Connections of both workers: the log tells whose each is.
    connections = [service.connect() for _ in range(16)]
    for number, one in enumerate(connections):
        assert ask(one, f"first-{number}") == before
    workers = service.wait(lambda: owners(service, len(connections)))
    killed = workers[0]
    others = [one for number, one in enumerate(connections) if workers[number] != killed]
    os.kill(killed, signal.SIGKILL)
    for one in others:  # on the very connections that they had
        assert ask(one) == before
    for _ in range(20):
        assert ask(service.connect()) == before
    service.wait(lambda: service.lines("worker died"), others)
    assert service.lines("worker died")[0]["worker"] == killed
    service.wait(lambda: len(service.lines("loaded")) == 3, others)

    # A new model for all, on the connections that there are.
    save_model(folder, seed=1)
    service.process.send_signal(signal.SIGHUP)
    service.wait(lambda: len(service.lines("reload")) == 2, others)
    assert all(line["ok"] for line in service.lines("reload"))
    after = ask(service.connect())
    assert after["model"] != before["model"]
    assert {ask(one)["model"] for one in others} <= {after["model"]}

    # A broken one for nobody; a worker that dies meanwhile does not take the others along.
    (folder / "config.json").write_bytes(b"broken")
    service.process.send_signal(signal.SIGHUP)
    service.wait(lambda: len(service.lines("reload")) == 4, others)
    assert not any(line["ok"] for line in service.lines("reload")[2:])
    alive = {line["process"] for line in service.lines("loaded")} - {killed}
    os.kill(alive.pop(), signal.SIGKILL)
    service.wait(lambda: len(service.lines("loaded")) == 4)
    assert service.lines("loaded")[-1]["model"] == after["model"]
    for _ in range(5):
        assert ask(service.connect())["items"] == after["items"]
    alive.add(service.lines("loaded")[-1]["process"])

    service.process.terminate()
    assert service.process.wait(START) == 0
    assert [pid for pid in alive if os.path.exists(f"/proc/{pid}")] == []


@pytest.mark.slow
def test_workers_end_with_their_parent_and_say_why_they_do_not_start(
    serving: Callable[..., Service], folder: Path
) -> None:
    service = serving("--workers", "2")
    service.wait(lambda: len(service.lines("loaded")) == 2)
    workers = [line["process"] for line in service.lines("loaded")]
    service.process.kill()
    service.process.wait(10)
    end = time.monotonic() + START
    while any(os.path.exists(f"/proc/{pid}") for pid in workers):
        assert time.monotonic() < end
        time.sleep(0.1)

    (folder / "model.safetensors").write_bytes(b"broken")
    failing = serving("--workers", "2")
    assert failing.process.wait(START) == 1
    assert "must be as it was saved" in failing.lines("start failed")[0]["message"]


@pytest.mark.slow
def test_one_process_reloads_and_ends_well(serving: Callable[..., Service], folder: Path) -> None:
    service = serving()
    service.wait(lambda: service.lines("Application startup complete."))
    before = ask(service.connect())
    save_model(folder, seed=1)
    service.process.send_signal(signal.SIGHUP)
    service.wait(lambda: service.lines("reload"))
    assert ask(service.connect())["model"] != before["model"]
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(START) == 0
