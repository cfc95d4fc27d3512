"""The server: one process, or several that are watched and replaced."""

from __future__ import annotations

import errno
import logging
import logging.config
import math
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from mdsrec_pyg.serving.config import ServiceConfig
from mdsrec_pyg.serving.connections import Listening
from mdsrec_pyg.serving.logs import log_event, logging_config

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mdsrec_pyg.serving.state import State

__all__ = ["run_server"]

BACKLOG = 256
#: Seconds for a worker to say that it lives; it does while it loads, too.
HEALTHCHECK = 60


def run_server(folder: str, config: ServiceConfig) -> None:
    """Serves until SIGTERM or SIGINT; see :func:`~mdsrec_pyg.serving.serve`."""
    config = config.listening()
    logging.config.dictConfig(logging_config())
    options: dict[str, Any] = {
        "log_config": logging_config(),
        "backlog": BACKLOG,
        "workers": config.workers,
        "timeout_graceful_shutdown": math.ceil(config.timeout) + 1,
        "timeout_worker_healthcheck": HEALTHCHECK,
    }
    allow_files(config.max_connections + 2 * BACKLOG + 64)
    with listening_socket(config) as listener:
        if config.workers == 1:
            app = worker_app(folder, config)
            announce(listener, config)
            before = {s: signal.signal(s, _ended) for s in (signal.SIGINT, signal.SIGTERM)}
            uvicorn.Server(Listening(app, config, **options)).run([listener])
            for number, handler in before.items():
                signal.signal(number, handler)
            return
        with tempfile.TemporaryDirectory(prefix="mdsrec-serve-") as name:
            scratch, figures = Path(name) / "models", Path(name) / "figures"
            scratch.mkdir()
            figures.mkdir()
            # Read by prometheus_client when a worker imports it.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(figures)
            made = partial(worker_app, folder, config, scratch)
            announce(listener, config)
            workers = Workers(Listening(made, config, factory=True, **options), [listener])
            workers.run()
    if workers.failed:
        raise ValueError("no worker could be started: the log says why")


def _ended(number: int, frame: object) -> None:
    """Uvicorn raises the signal again when it has answered all: that is an end, no failure."""


def announce(listener: socket.socket, config: ServiceConfig) -> None:
    """Says where the service is."""
    url = f"http://{config.url_host}:{listener.getsockname()[1]}"
    log_event("listening", url=url, workers=config.workers)
    print(f"serving at {url} (Ctrl-C stops, kill -HUP {os.getpid()} reloads)", flush=True)


def listening_socket(config: ServiceConfig) -> socket.socket:
    """A socket at host and port.

    Raises:
        OSError: The address is taken, or not this machine's.
    """
    try:
        found = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise OSError(f"cannot listen at {config.host} ({error.strerror})") from error
    family, address = found[0][0], found[0][4]
    try:
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        # Python's own text holds the address once more.
        reason = os.strerror(error.errno) if error.errno else error.strerror
        taken = "; another 'port' may be free, and 0 takes one that is"
        raise OSError(
            f"cannot listen at {config.host}:{config.port} ({reason})"
            + (taken if error.errno == errno.EADDRINUSE else "")
        ) from error


def allow_files(number: int) -> None:
    """Raises the limit of open files to what the connections may take.

    Raises:
        ValueError: The system does not allow so many.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < number:
        if hard != resource.RLIM_INFINITY and hard < number:
            raise ValueError(
                f"'max_connections' must be at most {max(hard - 2 * BACKLOG - 64, 0)} here, where "
                f"a process may open {hard} files"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


def worker_app(folder: str, config: ServiceConfig, scratch: Path | None = None) -> FastAPI:
    """The app of a process that does nothing else."""
    from mdsrec_pyg.serving.app import make_app
    from mdsrec_pyg.serving.state import State

    parent = multiprocessing.parent_process()
    share_cores(config)
    try:
        state = State(folder, config, scratch)
    except (ValueError, OSError) as error:
        if parent is None:
            raise
        log_event("start failed", logging.ERROR, message=str(error))
        sys.exit(STARTUP_FAILURE)
    log_event("loaded", model=state.current.version, items=len(state.current.catalog))
    signal.signal(signal.SIGHUP, partial(_reload, state))
    if parent is not None:
        pid = parent.pid
        assert pid is not None
        state.tell_others = lambda: os.kill(pid, signal.SIGHUP)
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    return make_app(state, config)


def _reload(state: State, number: int, frame: object) -> None:
    threading.Thread(target=state.reload, name="reload").start()


def _end_with(parent: Any) -> None:
    """A worker whose parent was killed would hold the port forever."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def share_cores(config: ServiceConfig) -> None:
    """Lets scoring threads, of all workers, share the cores instead of each taking all."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        torch.set_num_threads(max(1, cores // (config.threads * config.workers)))


class Worker(Process):
    """A process whose end is seen at once.

    Uvicorn keeps the child's end of the pipe open here, so that whoever asks a process that is
    killed just then waits for an answer to the last second.
    """

    def start(self) -> None:
        """Starts it."""
        super().start()
        self.child_conn.close()


class Workers(Multiprocess):
    """Processes that share a socket; one that dies is replaced, whatever the model's folder holds.

    Uvicorn's own restarts all on SIGHUP, and gives up where one cannot start.
    """

    def __init__(self, config: Listening, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.failed = False
        self._served = False
        self._to_reload: set[Process] = set()

    def init_processes(self) -> None:
        """The first ones."""
        self.processes = [Worker(self.config, self.sockets) for _ in range(self.processes_num)]
        for process in self.processes:
            process.start()

    def handle_hup(self) -> None:
        """Each worker reloads by itself, as soon as it serves."""
        self._to_reload = set(self.processes)

    def keep_subprocess_alive(self) -> None:
        """Replaces workers that have died, and passes on that the model is to be reloaded."""
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if not process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                self._replace(place, process)
            elif not self._served or process in self._to_reload:
                self._look_at(process)

    def _look_at(self, process: Process) -> None:
        if not process.is_ready(timeout=1):
            return
        self._served = True
        if process in self._to_reload and process.pid is not None:
            self._to_reload.discard(process)
            os.kill(process.pid, signal.SIGHUP)

    def _replace(self, place: int, process: Process) -> None:
        from prometheus_client import multiprocess

        process.kill()
        process.join()
        was_to_reload = process in self._to_reload
        self._to_reload.discard(process)
        if process.exitcode == STARTUP_FAILURE and not self._served:
            self.failed = True
            self.should_exit.set()
            return
        multiprocess.mark_process_dead(process.pid)
        log_event("worker died", logging.ERROR, worker=process.pid, exitcode=process.exitcode)
        self.processes[place] = Worker(self.config, self.sockets)
        self.processes[place].start()
        if was_to_reload:  # it begins with what the others serve
            self._to_reload.add(self.processes[place])
